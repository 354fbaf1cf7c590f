"""Animated GLB as motion capture: our own read back, other names, scaled and damaged ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.body import load_body
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.bone_names import bone_names
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.mocap.glb_motion import read_glb
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.motion import Motion
from toy_motion import drifting_transl, swinging_poses

pytest.importorskip("pygltflib")
FRAMES = 40


@pytest.fixture(scope="module")
def motion() -> Motion:
    pose = swinging_poses(FRAMES)
    return Motion(pose, drifting_transl(FRAMES), 0.5 * torch.ones(10), fps=30.0, up_axis="y")


def joints_of(motion: Motion) -> np.ndarray:
    return load_body().joints(motion.pose, motion.betas, motion.transl).numpy()


def in_order(source: SourceMotion, skeleton: str = "smpl") -> np.ndarray:
    """(T, 24, 3) joints in SMPL's order."""
    places = [source.names.index(name) for name in bone_names(skeleton)]  # type: ignore[arg-type]
    return source.positions()[:, places].numpy()


def changed(path: Path, change) -> Path:
    """The file with its JSON changed."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    scene = json.loads(data[20 : 20 + length])
    change(scene)
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    out = path.with_name("changed.glb")
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
    out.write_bytes(head + text + rest)
    return out


@pytest.mark.parametrize("skeleton", ["smpl", "mixamo", "unreal", "vrm"])
def test_a_glb_of_ours_comes_back_as_the_motion_it_was(tmp_path: Path, motion: Motion, skeleton: str) -> None:
    write_motion(motion, tmp_path / "a.glb", style=MotionStyle(skeleton=skeleton))  # type: ignore[arg-type]
    source = read_glb(tmp_path / "a.glb")
    assert (source.fps, len(source), len(source.names)) == (30.0, FRAMES, 24)
    np.testing.assert_allclose(in_order(source, skeleton), joints_of(motion), atol=1e-4)
    main(["import-motion", str(tmp_path / "a.glb"), "-o", str(tmp_path / "out")])
    back = read_motion(tmp_path / "out" / "a.npz")
    parts = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    found, true = joints_of(back), joints_of(motion)
    lengths = np.linalg.norm((found - found[:, :1])[:, parts] - (true - true[:, :1])[:, parts], axis=-1)
    assert lengths.mean() < 0.05  # metres: another person's bones, the same movement


def in_centimetres(scene: dict[str, Any]) -> None:
    """Everything below an armature of scale 0.01, which an exporter turned as well."""
    scene["nodes"].append({"name": "Armature", "scale": [0.01] * 3, "children": [0]})
    scene["scenes"][0]["nodes"][0] = len(scene["nodes"]) - 1


def test_a_scaled_armature_is_metres_all_the_same(tmp_path: Path, motion: Motion) -> None:
    write_motion(motion, tmp_path / "a.glb")
    source = read_glb(changed(tmp_path / "a.glb", in_centimetres))
    np.testing.assert_allclose(100 * in_order(source), joints_of(motion), atol=1e-3)


def test_keys_of_another_rate_are_read_at_any_rate(tmp_path: Path, motion: Motion) -> None:
    write_motion(motion, tmp_path / "a.glb")
    source = read_glb(tmp_path / "a.glb", fps=60.0)
    assert len(source) == 2 * FRAMES - 1
    np.testing.assert_allclose(in_order(source)[::2], joints_of(motion), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda scene: scene.pop("animations"), "no animation"),
        (lambda scene: scene["nodes"][0]["children"].append(9), "circle"),
        (lambda scene: scene["accessors"][-1].update(count=10**9), "end of the file"),
        (lambda scene: scene["animations"][0].update(channels=[]), "moves no bone"),
        (lambda scene: scene["bufferViews"][-1].update(byteOffset=-5), "end of the file"),
        (lambda scene: scene.update(nodes=7), "not a readable GLB"),
    ],
)
def test_a_damaged_glb_is_refused(tmp_path: Path, motion: Motion, change, said: str) -> None:
    write_motion(motion, tmp_path / "a.glb")
    with pytest.raises(InputError, match=said):
        read_glb(changed(tmp_path / "a.glb", change))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
def test_any_damage_gives_a_clear_error_or_finite_motion(
    tmp_path: Path, motion: Motion, cut: float, edits: list[tuple[float, int]]
) -> None:
    path = tmp_path / "a.glb"
    if not path.exists():
        write_motion(motion, path)
    data = bytearray(path.read_bytes())
    for place, value in edits:
        data[int(place * min(len(data) - 1, 9000))] = value
    (tmp_path / "b.glb").write_bytes(bytes(data[: int(len(data) * (0.5 + cut / 2))]))
    said = "b.glb"
    try:
        assert torch.isfinite(read_glb(tmp_path / "b.glb").positions()).all()
    except InputError as error:
        said = str(error)
    assert "b.glb" in said


def two_animations(scene: dict[str, Any]) -> None:
    still = json.loads(json.dumps(scene["animations"][0]))
    still["name"], still["channels"] = "root only", still["channels"][:1]
    scene["animations"].append(still)


def test_one_of_several_animations_is_chosen_by_name(tmp_path: Path, motion: Motion) -> None:
    write_motion(motion, tmp_path / "a.glb")
    path = changed(tmp_path / "a.glb", two_animations)
    assert "first of 2" in read_glb(path).notes[0]
    still = read_glb(path, animation="root only").rotations
    assert torch.allclose(still[:1], still)
    with pytest.raises(InputError, match="one of motion, root only"):
        read_glb(path, animation="dance")
