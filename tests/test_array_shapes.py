"""Arrays of keypoints as other programs lay them out: other names, other orders of the axes, several people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.layouts.layout import load_layout
from test_keypoint_files import npy_bytes, npz_bytes, person, standing


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 2)])
@pytest.mark.parametrize("name", ["joints", "keypoints_3d", "arr_0"])
def test_arrays_of_other_programs_are_read_with_a_note(write, name: str, order: tuple[int, ...]):
    points = person(6)
    array = points.transpose(order)
    for path in (
        write("a.npy", npy_bytes(array)),
        write("a.npz", npz_bytes(**{name: array, "framerate": 25.0, "scores": np.ones((6, 17))})),
    ):
        keypoints = read_keypoints(path, layout="coco17")
        np.testing.assert_allclose(keypoints.positions, points, atol=1e-6)
        assert any("exchanged" in note for note in keypoints.notes) == (order != (0, 1, 2))
    assert keypoints.fps == 25
    assert any(f"from the array '{name}'" in note for note in keypoints.notes)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_the_people_of_an_array_are_read_whichever_axis_is_theirs(write, axis: int, suffix: str):
    both = np.stack((person(6), person(6) + 1), axis=axis)
    data = npy_bytes(both) if suffix == ".npy" else npz_bytes(keypoints=both, confidence=np.full(both.shape[:3], 0.5))
    people = read_people(write(f"a{suffix}", data), layout="coco17")
    assert [one.person_id for one in people] == ["0", "1"]
    np.testing.assert_allclose(people[1].positions, person(6) + 1, atol=1e-6)


def test_an_npz_without_keypoints_says_what_it_holds(write):
    with pytest.raises(InputError, match="no array 'keypoints', but alpha, beta"):
        read_keypoints(write("a.npz", npz_bytes(alpha=np.ones(3), beta=np.ones(2))))


def test_names_in_an_npz_are_believed_and_so_are_its_only_array_and_an_array_a_joint(write):
    layout = load_layout("smpl24")
    points = standing(layout.keypoint_names, layout.points)
    order = np.random.default_rng(0).permutation(24)
    named = {"joints": points[:, order], "joint_names": np.array(layout.keypoint_names)[order]}
    strange = {"joints": points, "joint_names": np.array([f"Gelenk {number}" for number in range(24)])}
    one = {name: points[:, number] for number, name in enumerate(layout.keypoint_names)}
    for arrays in (named, strange, {"pred_3d": points, "boxes": np.ones((len(points), 4))}, one):
        keypoints = read_keypoints(write("a.npz", npz_bytes(**arrays)))
        assert keypoints.layout.name == "smpl24"
        np.testing.assert_allclose(keypoints.positions, points, atol=1e-6)


def test_quaternions_are_no_positions(write):
    turns = np.random.default_rng(0).normal(size=(4, 24, 4))
    turns /= np.linalg.norm(turns, axis=2, keepdims=True)
    named = [dict(zip(load_layout("smpl24").keypoint_names, frame.tolist(), strict=True)) for frame in turns]
    for path in (write("a.npy", npy_bytes(turns)), write("a.json", json.dumps(named).encode())):
        with pytest.raises(InputError, match=r"these are rotations.*import-motion"):
            read_keypoints(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pixels_with_a_confidence_are_no_positions(write, suffix: str):
    pixels = np.concatenate((500 + 200 * person()[..., :2], np.full((*person().shape[:2], 1), 0.9)), axis=2)
    data = npz_bytes(keypoints=pixels) if suffix == ".npz" else npy_bytes(pixels)
    with pytest.raises(InputError, match=r"2D keypoints in pixels.*--camera camera\.json"):
        read_keypoints(write(f"a{suffix}", data), "coco17")
