from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints.openpose3d import read_openpose3d
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.jobs.inputs import is_recording
from toy_recording import standing_person


def flat(points: np.ndarray, confidence: float = 0.8) -> list[float]:
    return np.c_[points, np.full(len(points), confidence)].ravel().tolist()


def write_frame(folder: Path, frame: int, people: list[dict], stem: str = "clip") -> None:
    content = {"version": 1.3, "people": people}
    (folder / f"{stem}_{frame:012d}_keypoints.json").write_text(json.dumps(content))


def person(points: np.ndarray, identity: int = -1, confidence: float = 0.8) -> dict:
    return {"person_id": [identity], "pose_keypoints_2d": [], "pose_keypoints_3d": flat(points, confidence)}


@pytest.fixture
def points() -> np.ndarray:
    return standing_person(5)


def test_a_folder_is_read_in_the_order_of_its_frames(tmp_path: Path, points: np.ndarray):
    for frame in (3, 0, 4, 1, 2):
        write_frame(tmp_path, frame, [person(points[frame])])
    keypoints = read_keypoints(tmp_path, fps=50)
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-6)
    assert (keypoints.layout.name, keypoints.fps, keypoints.up_axis, keypoints.person_id) == ("body25", 50, "y", "0")
    assert float(keypoints.confidence.min()) == pytest.approx(0.8)


def test_one_file_is_one_frame(tmp_path: Path, points: np.ndarray):
    write_frame(tmp_path, 7, [person(points[0])])
    (file,) = tmp_path.iterdir()
    assert read_keypoints(file).positions.shape == (1, 25, 3)


def test_a_keypoint_without_confidence_is_missing(tmp_path: Path, points: np.ndarray):
    numbers = flat(points[0])
    numbers[4 * 7 : 4 * 8] = [0, 0, 0, 0]
    write_frame(tmp_path, 0, [{"pose_keypoints_3d": numbers}])
    keypoints = read_keypoints(tmp_path)
    assert keypoints.confidence[0, 7] == 0
    assert (keypoints.confidence[0] > 0).sum() == 24


def test_frames_without_a_person_or_without_a_file_are_missing(tmp_path: Path, points: np.ndarray):
    for frame in (10, 11, 14):
        write_frame(tmp_path, frame, [person(points[frame - 10])])
    write_frame(tmp_path, 12, [])
    keypoints = read_keypoints(tmp_path)
    assert (keypoints.confidence > 0).any(dim=1).tolist() == [True, True, False, False, True]
    assert any("1 of 5 frames have no file" in note for note in keypoints.notes)
    assert any("not seen in 2 of 5 frames" in note for note in keypoints.notes)


def test_every_second_frame_is_no_gap(tmp_path: Path, points: np.ndarray):
    for frame in range(5):
        write_frame(tmp_path, 2 * frame, [person(points[frame])])
    keypoints = read_keypoints(tmp_path)
    assert len(keypoints) == 5
    assert any("go up by 2" in note for note in keypoints.notes)


def test_people_with_ids_are_followed_through_a_list_in_any_order(tmp_path: Path, points: np.ndarray):
    for frame in range(5):
        both = [person(points[frame], 4), person(points[frame] + [2, 0, 0], 9)]
        write_frame(tmp_path, frame, both[:: 1 if frame % 2 else -1] if frame else both[:1])
    first, second = read_people(tmp_path)
    assert (first.person_id, second.person_id) == ("4", "9")
    np.testing.assert_allclose(first.positions, points, atol=1e-6)
    assert (second.confidence[0] == 0).all()
    np.testing.assert_allclose(second.positions[1:], points[1:] + np.array([2, 0, 0]), atol=1e-6)


def test_one_of_several_people_must_be_asked_for(tmp_path: Path, points: np.ndarray):
    for frame in range(5):
        write_frame(tmp_path, frame, [person(points[frame]), person(points[frame] + 1)][: 1 + (frame > 3)])
    with pytest.raises(InputError, match=r"2 people: 0 \(5 of 5 frames\), 1 \(1 of 5 frames\).*--person 0"):
        read_keypoints(tmp_path)
    chosen = read_keypoints(tmp_path, person="1")
    assert chosen.person_id == "1"
    assert any("followed by distance" in note for note in chosen.notes)
    with pytest.raises(InputError, match=r"no person '5'.*0 .*1 "):
        read_keypoints(tmp_path, person="5")


def test_millimetres_are_told_once_for_all_people(tmp_path: Path, points: np.ndarray):
    child = points * 0.6
    for frame in range(5):
        write_frame(tmp_path, frame, [person(points[frame] * 1000), person(child[frame] * 1000)])
    adult, small = read_people(tmp_path)
    np.testing.assert_allclose(adult.positions, points, atol=1e-5)
    np.testing.assert_allclose(small.positions, child, atol=1e-5)
    assert "looked like millimetres: divided by 1000" in small.notes
    np.testing.assert_allclose(read_people(tmp_path, units="cm")[0].positions, points * 10, atol=1e-4)


def test_a_camera_frame_with_y_down_is_turned(tmp_path: Path, points: np.ndarray):
    write_frame(tmp_path, 0, [person(points[0] * [1, -1, -1])])
    keypoints = read_keypoints(tmp_path)
    np.testing.assert_allclose(keypoints.positions[0], points[0], atol=1e-6)
    assert keypoints.up_axis == "y"
    np.testing.assert_allclose(read_openpose3d(tmp_path, Asked())[0].positions[0], points[0] * [1, -1, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"people": [', "not valid JSON"),
        ('{"people": 3}', "no list 'people'"),
        ('{"people": [3]}', "person 0: this is not a person"),
        ('{"people": [{"pose_keypoints_3d": [1, 2, 3]}]}', "there are 3 numbers"),
        ('{"people": [{"pose_keypoints_3d": [1, 2, 3, "x"]}]}', "these are not numbers"),
        ('{"people": [{"pose_keypoints_3d": [1, 2, 3, 1]}]}', "a person has 1 keypoints.*25, as before"),
    ],
)
def test_a_damaged_frame_is_named(tmp_path: Path, points: np.ndarray, content: str, message: str):
    write_frame(tmp_path, 0, [person(points[0])])
    (tmp_path / "clip_000000000001_keypoints.json").write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_keypoints(tmp_path)
    assert "000000000001" in str(caught.value) or "frame 1" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("meta.json", '{"fps": 50}'), ("keypoints_info.json", '[{"name": "nose", "id": 0}]')),
        *(
            ("calibration_2024.json", '{"cameras": {}}'),
            ("broken.json", "{"),
            (".hidden.json", "?"),
            (".DS_Store", "?"),
        ),
    ],
)
def test_what_lies_beside_the_frames_is_left_out_and_said(tmp_path: Path, points: np.ndarray, name: str, content: str):
    for frame in range(3):
        write_frame(tmp_path, frame, [person(points[frame])])
    (tmp_path / name).write_text(content)
    keypoints = read_keypoints(tmp_path)
    np.testing.assert_allclose(keypoints.positions, points[:3], atol=1e-6)
    said = any(f"recording: {name}" in note for note in keypoints.notes)
    assert said == (not name.startswith("."))
    assert is_recording(tmp_path)


def test_a_folder_in_which_most_is_no_frame_is_no_recording(tmp_path: Path, points: np.ndarray):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text("[[[0, 1, 2]]]")
    write_frame(tmp_path, 0, [person(points[0])])
    assert not is_recording(tmp_path)
    with pytest.raises(InputError, match=r"a\.json is neither OpenPose's nor EasyMocap's"):
        read_keypoints(tmp_path)


def test_folders_that_hold_something_else_are_refused(tmp_path: Path, points: np.ndarray):
    with pytest.raises(InputError, match=r"no \.json file"):
        read_keypoints(tmp_path)
    write_frame(tmp_path, 0, [])
    with pytest.raises(InputError, match="nobody is in any frame"):
        read_keypoints(tmp_path)
    write_frame(tmp_path, 0, [{"pose_keypoints_2d": [1.0, 2.0, 1.0], "pose_keypoints_3d": []}])
    with pytest.raises(InputError, match="these are 2D keypoints"):
        read_keypoints(tmp_path)
    write_frame(tmp_path, 0, [person(points[0])])
    write_frame(tmp_path, 0, [person(points[0])], stem="other")
    with pytest.raises(InputError, match="two files are for frame 0"):
        read_keypoints(tmp_path)


def test_a_number_of_keypoints_that_several_layouts_have_needs_one(tmp_path: Path, points: np.ndarray):
    write_frame(tmp_path, 0, [person(points[0, :17])])
    with pytest.raises(InputError, match=r"several layouts have 17 keypoints.*coco17, h36m17"):
        read_keypoints(tmp_path)
    assert read_keypoints(tmp_path, layout="coco17").layout.name == "coco17"
