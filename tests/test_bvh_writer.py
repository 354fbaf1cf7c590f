"""BVH files, read back with pybvh and by our own importer."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import Body, load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_NAMES, PARENTS
from toy_body import toy_arrays
from toy_motion import drifting_transl, swinging_poses

pybvh = pytest.importorskip("pybvh")

FRAMES = 12


def some_motion(up_axis: str | None = "y", seed: int = 3) -> Motion:
    generator = torch.Generator().manual_seed(seed)
    pose = swinging_poses(FRAMES)
    pose[:, 0] = torch.randn(FRAMES, 3, generator=generator)  # any heading, and upside down
    pose[:, 18:] = torch.randn(FRAMES, 6, 3, generator=generator)
    betas = 0.7 * torch.randn(10, generator=generator)
    return Motion(pose, drifting_transl(FRAMES), betas, fps=60.0, up_axis=up_axis)  # type: ignore[arg-type]


def read_joints(path: Path) -> np.ndarray:
    """(T, 24, 3) joints [m] by pybvh's own forward kinematics, in SMPL's order."""
    bvh = pybvh.read_bvh_file(path)
    names = list(bvh.joint_names)
    return bvh.joint_positions()[:, [names.index(name) for name in JOINT_NAMES]] / 100


def true_joints(motion: Motion, body: Body | None = None) -> np.ndarray:
    return (body or load_body()).joints(motion.pose, motion.betas, motion.transl).numpy()


def test_pybvh_finds_the_joints_where_the_body_has_them(tmp_path):
    motion = some_motion()
    assert write_motion(motion, tmp_path / "a.bvh") == ()
    np.testing.assert_allclose(read_joints(tmp_path / "a.bvh"), true_joints(motion), atol=1e-5)


@pytest.mark.parametrize("up_axis", ["z", "x", None])
def test_the_file_is_y_up_and_says_when_the_person_was_turned(tmp_path, up_axis):
    motion = some_motion(up_axis)
    notes = write_motion(motion, tmp_path / "a.bvh")
    assert len(notes) == 1
    assert ("Y up" in notes[0]) == (up_axis is not None)
    joints = true_joints(motion)
    turned = {"z": joints[..., [0, 2, 1]] * [1, 1, -1], "x": joints[..., [1, 0, 2]] * [-1, 1, 1], None: joints}
    np.testing.assert_allclose(read_joints(tmp_path / "a.bvh"), turned[up_axis], atol=1e-5)


def test_names_parents_rate_and_units_are_as_documented(tmp_path):
    motion = some_motion()
    write_motion(motion, tmp_path / "a.bvh")
    bvh = pybvh.read_bvh_file(tmp_path / "a.bvh")
    assert sorted(bvh.joint_names) == sorted(JOINT_NAMES)
    for node in bvh.nodes:
        if not node.is_end_site() and node.parent is not None:
            assert node.parent.name == JOINT_NAMES[PARENTS[JOINT_NAMES.index(node.name)]]
    assert (bvh.frame_count, round(bvh.fps, 6)) == (FRAMES, 60.0)
    text = (tmp_path / "a.bvh").read_text()
    assert text.count("End Site") == 5
    assert set(re.findall(r"CHANNELS .*", text)) == {
        "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        "CHANNELS 3 Zrotation Xrotation Yrotation",
    }
    left_knee, left_ankle = (np.array(node.offset) for node in bvh.nodes if node.name in ("left_knee", "left_ankle"))
    assert 70 < np.linalg.norm(left_knee) + np.linalg.norm(left_ankle) < 110  # a leg in centimetres


def test_bones_end_at_the_head_the_toes_and_the_finger_tips(tmp_path):
    motion = replace(some_motion(), pose=torch.zeros(FRAMES, 24, 3), transl=torch.zeros(FRAMES, 3))
    write_motion(motion, tmp_path / "a.bvh")
    bvh, body = pybvh.read_bvh_file(tmp_path / "a.bvh"), load_body()
    ends = bvh.node_positions()[0][[node.is_end_site() for node in bvh.nodes]] / 100
    landmarks = body.keypoints(motion.pose[:1], motion.betas, layout="mediapipe33")[0].numpy()
    vertices = body.vertices(motion.pose[:1], motion.betas)[0].numpy()
    assert ends[:, 1].max() == pytest.approx(vertices[:, 1].max(), abs=0.01)  # crown
    assert np.ptp(ends[:, 0]) == pytest.approx(np.ptp(vertices[:, 0]), abs=0.02)  # finger tip to finger tip
    assert ends[:, 2].max() == pytest.approx(landmarks[31:33, 2].max(), abs=0.03)  # toes


def test_angles_do_not_jump_by_a_full_turn(tmp_path):
    turns = torch.linspace(0, 4 * torch.pi, 60)
    pose = torch.zeros(60, 24, 3)
    pose[:, 0, 1] = turns
    write_motion(Motion(pose, torch.zeros(60, 3), torch.zeros(10), up_axis="y"), tmp_path / "a.bvh")
    rows = np.loadtxt((tmp_path / "a.bvh").read_text().split("Frame Time:")[1].splitlines()[1:])
    assert rows.shape == (60, 75)
    np.testing.assert_allclose(rows[:, 5], turns.rad2deg().numpy(), atol=1e-3)


def test_our_own_importer_reads_the_file(tmp_path):
    motion = some_motion()
    write_motion(motion, tmp_path / "a.bvh")
    source = read_bvh(tmp_path / "a.bvh")
    assert source.notes == ("lengths taken as centimetres",)
    assert source.fps == pytest.approx(60.0)
    np.testing.assert_allclose(source.root_positions, true_joints(motion)[:, 0], atol=1e-5)


def test_a_licensed_motion_needs_its_body_and_takes_another_only_with_a_note(tmp_path):
    motion = replace(some_motion(), body="smplh")
    with pytest.raises(InputError, match=r"'smplh'.*--body smplh"):
        write_motion(motion, tmp_path / "a.bvh")
    assert list(tmp_path.iterdir()) == []
    body = Body(toy_arrays())
    notes = write_motion(motion, tmp_path / "a.bvh", body=body)
    assert any("'smplh'" in note and "'toy'" in note for note in notes)
    np.testing.assert_allclose(read_joints(tmp_path / "a.bvh"), true_joints(motion, body), atol=2e-5)


def test_flags_that_the_format_cannot_hold_are_mentioned(tmp_path):
    motion = replace(some_motion(), flagged=torch.arange(FRAMES) < 3)
    assert "3 flagged frames" in write_motion(motion, tmp_path / "a.bvh")[0]


def test_one_frame_is_a_motion(tmp_path):
    write_motion(Motion(torch.zeros(1, 24, 3), torch.zeros(1, 3), torch.zeros(10)), tmp_path / "a.bvh")
    assert read_joints(tmp_path / "a.bvh").shape == (1, 24, 3)
