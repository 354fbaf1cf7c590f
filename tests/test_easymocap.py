from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.easymocap import read_easymocap
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints.source import Asked
from toy_recording import standing_person

Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


@pytest.fixture
def points() -> np.ndarray:
    return standing_person(4) @ Z_UP.T


def write(folder: Path, frame: int, content: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{frame:06d}.json").write_text(json.dumps(content))


def rows(points: np.ndarray, confidence: float | None = 0.9) -> list[list[float]]:
    return (points if confidence is None else np.c_[points, np.full(len(points), confidence)]).tolist()


def test_a_folder_is_read_with_ids_and_confidence(tmp_path: Path, points: np.ndarray):
    folder = tmp_path / "keypoints3d"
    for frame in range(4):
        people = [{"id": 3, "keypoints3d": rows(points[frame])}, {"id": 0, "keypoints3d": rows(points[frame] + 1, 0.5)}]
        write(folder, frame, people if frame != 2 else people[:1])
    for path in (folder, tmp_path):
        first, second = read_people(path, fps=30)
        assert (first.person_id, second.person_id, first.layout.name, first.up_axis) == ("3", "0", "body25", "z")
        np.testing.assert_allclose(first.positions, points, atol=1e-6)
        assert (second.confidence[2] == 0).all()
        assert float(second.confidence[0, 0]) == 0.5
    assert read_keypoints(folder, person="3").person_id == "3"


def test_three_columns_and_the_older_name_of_the_id_are_read(tmp_path: Path, points: np.ndarray):
    for frame in range(4):
        table = points[frame].copy()
        table[4] = 0.0
        write(tmp_path, frame, [{"personID": 7, "keypoints3d": rows(table, None)}])
    keypoints = read_keypoints(tmp_path)
    assert keypoints.person_id == "7"
    assert (keypoints.confidence[:, 4] == 0).all()
    assert (keypoints.confidence[:, 5] == 1).all()


@pytest.mark.parametrize("count", [67, 118, 137])
def test_hands_and_face_after_the_body_are_left_out_with_a_note(tmp_path: Path, points: np.ndarray, count: int):
    more = np.concatenate([points[0], np.ones((count - 25, 3))])
    write(tmp_path, 0, [{"id": 0, "keypoints3d": rows(more)}])
    keypoints = read_keypoints(tmp_path)
    np.testing.assert_allclose(keypoints.positions[0], points[0], atol=1e-6)
    assert any(f"{count} keypoints a frame: the first 25 are read as body25" in note for note in keypoints.notes)
    assert read_keypoints(tmp_path, layout="body25").positions.shape == (1, 25, 3)


def test_a_recording_that_starts_empty_is_still_easymocap(tmp_path: Path, points: np.ndarray):
    write(tmp_path, 0, [])
    write(tmp_path, 1, [{"id": 0, "keypoints3d": rows(points[0])}])
    assert (read_keypoints(tmp_path).confidence > 0).any(dim=1).tolist() == [False, True]
    (file,) = tmp_path.glob("000001.json")
    assert len(read_keypoints(file)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"id": 0}, "not a list of people"),
        ([{"id": 0}], "person 0: there is no 'keypoints3d'"),
        ([{"id": 0, "keypoints3d": 3}], "no rows of numbers"),
        ([{"id": 0, "keypoints3d": [[1, 2]]}], "rows of 3 or 4 numbers"),
        ([{"id": 0, "keypoints3d": [[1, 2, 3], [1, 2, 3, 4]]}], "no rows of numbers"),
        ([{"id": 0, "keypoints3d": [[1, 2, "3"]]}], "these are not numbers"),
        ([{"id": 0, "keypoints3d": [[1, 2, 3]]}], "1 keypoints.*25, as before"),
    ],
)
def test_a_damaged_frame_is_named(tmp_path: Path, points: np.ndarray, content: object, message: str):
    write(tmp_path, 0, [{"id": 0, "keypoints3d": rows(points[0])}])
    write(tmp_path, 1, content)
    with pytest.raises(InputError, match=message) as caught:
        read_easymocap(tmp_path, Asked())
    assert "000001.json" in str(caught.value) or "frame 1" in str(caught.value)


def test_a_crowd_of_ghosts_does_not_fill_the_memory(tmp_path: Path, points: np.ndarray):
    for frame in range(60):
        ghost = {"id": 100 + frame, "keypoints3d": rows(points[0])}
        write(tmp_path, frame, [{"id": 1, "keypoints3d": rows(points[0])}, ghost])
    people = read_people(tmp_path)
    assert len(people) == 32
    assert people[0].person_id == "1"
    assert any("29 of 61 people are left out" in note for note in people[0].notes)


def test_a_person_without_any_measured_keypoint_is_passed_over(tmp_path: Path, points: np.ndarray):
    for frame in range(4):
        ghosts = [
            {"id": 8, "keypoints3d": rows(points[0] * 0, None)},
            {"id": 9, "keypoints3d": rows(points[0] + 1e9, None)},
        ]
        write(tmp_path, frame, [*ghosts, {"id": 1, "keypoints3d": rows(points[frame], None)}])
    assert read_keypoints(tmp_path, units="m").person_id == "1"


@pytest.mark.parametrize("name", [-1, 0])
def test_ids_that_tell_nobody_apart_are_not_used(tmp_path: Path, points: np.ndarray, name: int):
    for frame in range(4):
        both = [rows(points[frame]), rows(points[frame] + 2)][:: 1 if frame % 2 else -1]
        write(tmp_path, frame, [{"id": name, "keypoints3d": one} for one in both])
    people = read_people(tmp_path, fps=30)
    assert len(people) == 2
    for one, shift in zip(people, (2, 0), strict=True):
        np.testing.assert_allclose(one.positions, points + shift, atol=1e-6)
    assert name < 0 or any("names are not used" in note for note in people[0].notes)
