from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints.mediapipe import read_mediapipe
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.solver.ground import is_root_relative

TO_MEDIAPIPE = [1.0, -1.0, -1.0]


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    """(T, 33, 3) the open body in MediaPipe's layout, y up, origin between the hips."""
    pose = torch.zeros(4, 24, 3)
    pose[:, 4, 0] = torch.linspace(0.2, 0.8, 4)
    found = load_body().keypoints(pose, torch.zeros(4, 10), torch.zeros(4, 3), layout="mediapipe33").numpy()
    return (found - found[:, 23:25].mean(axis=1, keepdims=True)).astype(np.float64)


def landmarks(frame: np.ndarray, visibility: float = 0.9) -> list[dict]:
    return [{"x": x, "y": y, "z": z, "visibility": visibility} for x, y, z in (frame * TO_MEDIAPIPE).tolist()]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


SPELLINGS = {
    "lists": lambda frames: frames,
    "objects": lambda frames: [{"pose_world_landmarks": frame} for frame in frames],
    "landmark in objects": lambda frames: [{"pose_world_landmarks": {"landmark": frame}} for frame in frames],
    "camel case": lambda frames: {"frames": [{"poseWorldLandmarks": frame} for frame in frames]},
    "tasks, several people": lambda frames: [
        {"pose_world_landmarks": [frame], "pose_landmarks": []} for frame in frames
    ],
    "tasks, objects": lambda frames: [{"worldLandmarks": [{"landmarks": frame}]} for frame in frames],
    "rows": lambda frames: [[[p["x"], p["y"], p["z"], p["visibility"]] for p in frame] for frame in frames],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_upright_person(tmp_path: Path, points: np.ndarray, spelling: str):
    path = write(tmp_path / "a.json", SPELLINGS[spelling]([landmarks(frame) for frame in points]))
    keypoints = read_keypoints(path, fps=30)
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-6)
    assert (keypoints.layout.name, keypoints.up_axis, keypoints.fps) == ("mediapipe33", "y", 30)
    assert keypoints.confidence.min() == pytest.approx(0.9)
    assert is_root_relative(keypoints)
    assert any("y points down" in note for note in keypoints.notes)
    np.testing.assert_allclose(read_mediapipe(path, Asked())[0].positions, points * TO_MEDIAPIPE, atol=1e-6)


def test_a_file_that_was_turned_already_stays_so(tmp_path: Path, points: np.ndarray):
    path = write(tmp_path / "a.json", [landmarks(frame * TO_MEDIAPIPE) for frame in points])
    np.testing.assert_allclose(read_keypoints(path).positions, points, atol=1e-6)


def test_a_file_in_which_only_y_was_negated_is_mirrored_back(tmp_path: Path, points: np.ndarray):
    path = write(tmp_path / "a.json", [landmarks(frame * [1, 1, -1]) for frame in points])
    keypoints = read_keypoints(path)
    assert any("left-handed" in note for note in keypoints.notes)
    np.testing.assert_allclose(keypoints.positions, points * [-1, 1, -1], atol=1e-6)  # a half turn: the same motion


def test_frames_without_anybody_are_missing(tmp_path: Path, points: np.ndarray):
    frames = [
        landmarks(points[0]),
        None,
        [],
        {"pose_world_landmarks": None},
        {"pose_world_landmarks": landmarks(points[1])},
    ]
    keypoints = read_keypoints(write(tmp_path / "a.json", frames))
    assert (keypoints.confidence > 0).any(dim=1).tolist() == [True, False, False, False, True]


def test_the_rate_is_taken_from_the_file_or_its_times(tmp_path: Path, points: np.ndarray):
    frames = [{"timestamp_ms": 20 * t, "pose_world_landmarks": landmarks(points[t])} for t in range(4)]
    assert read_keypoints(write(tmp_path / "a.json", frames)).fps == pytest.approx(50)
    assert read_keypoints(write(tmp_path / "a.json", {"fps": 25, "frames": frames})).fps == 25
    assert read_keypoints(tmp_path / "a.json", fps=60).fps == 60


def test_two_people_in_a_frame_are_two(tmp_path: Path, points: np.ndarray):
    frames = [{"pose_world_landmarks": [landmarks(frame), landmarks(frame, 0.4)]} for frame in points]
    first, second = read_people(write(tmp_path / "a.json", frames))
    assert (first.person_id, second.person_id) == ("0", "1")
    assert float(second.confidence.max()) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"pose_landmarks": [{"x": 0.5, "y": 0.5, "z": 0}]}], "no keypoints, but pose_landmarks.*picture coordinates"),
        ([{"hand": 3}], "frame 0: there are no keypoints, but hand"),
        (3, "there are no frames"),
        ([3], "frame 0: these are no landmarks"),
        ([[{"x": 1, "y": 2}]], r"frame 0: these are 2D keypoints.*lsmplify fit .*--camera"),
        ([[{"x": 1, "y": 2, "z": "3"}]], "these are not numbers"),
        ([], "nobody is in any frame"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path: Path, content: object, message: str):
    with pytest.raises(InputError, match=message):
        read_keypoints(write(tmp_path / "a.json", content))


@pytest.mark.parametrize("count", [33, 75, 553])
def test_a_freemocap_array_in_millimetres_is_read(tmp_path: Path, points: np.ndarray, count: int):
    z_up = points @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).T
    array = np.concatenate([z_up, np.ones((4, count - 33, 3))], axis=1) * 1000
    array[1, 15] = np.nan
    np.save(tmp_path / "skeleton.npy", array)
    keypoints = read_keypoints(tmp_path / "skeleton.npy", fps=30)
    expected = z_up.copy()
    expected[1, 15] = 0
    np.testing.assert_allclose(keypoints.positions, expected, atol=1e-6)
    assert (keypoints.layout.name, keypoints.up_axis) == ("mediapipe33", "z")
    assert keypoints.confidence[1, 15] == 0
    assert any("looked like millimetres" in note for note in keypoints.notes)


TIMED = {
    "seconds": lambda frames: [{"timestamp": n / 25, "landmarks": f} for n, f in enumerate(frames)],
    "microseconds": lambda frames: [{"timestamp_us": n * 40000.0, "landmarks": f} for n, f in enumerate(frames)],
    "milliseconds without a word": lambda frames: [
        {"time": 7e5 + n * 40, "landmarks": f} for n, f in enumerate(frames)
    ],
    "numbers": lambda frames: {"fps": 25, "frames": {str(n + 7): f for n, f in enumerate(frames)}},
    "the whole recording under a frame's key": lambda frames: {"fps": 25, "landmarks": frames},
}


@pytest.mark.parametrize("spelling", TIMED)
def test_frames_say_their_time_in_many_ways(tmp_path: Path, points: np.ndarray, spelling: str):
    people = read_people(write(tmp_path / "a.json", TIMED[spelling]([landmarks(frame) for frame in points])))
    assert [one.fps for one in people] == [25]
    np.testing.assert_allclose(people[0].positions, points, atol=1e-6)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_frame_a_line_is_read(tmp_path: Path, points: np.ndarray, suffix: str):
    path = tmp_path / f"a{suffix}"
    path.write_text("\n".join(json.dumps({"pose_world_landmarks": landmarks(frame)}) for frame in points))
    np.testing.assert_allclose(read_keypoints(path).positions, points, atol=1e-6)


def test_points_by_name_and_numbers_in_a_row_are_read(tmp_path: Path, points: np.ndarray):
    names = load_layout("mediapipe33").keypoint_names
    rows = [dict(zip(reversed(names), (frame * TO_MEDIAPIPE)[::-1].tolist(), strict=True)) for frame in points]
    for content in (rows, [{name: dict(zip("xyz", p, strict=True)) for name, p in row.items()} for row in rows]):
        np.testing.assert_allclose(read_keypoints(write(tmp_path / "a.json", content)).positions, points, atol=1e-6)
    flat = (points * TO_MEDIAPIPE).reshape(len(points), -1).tolist()
    np.testing.assert_allclose(read_keypoints(write(tmp_path / "a.json", flat)).positions, points, atol=1e-6)


def test_frames_that_are_left_out_by_number_are_frames_without_anybody(tmp_path: Path, points: np.ndarray):
    content = {"10": landmarks(points[0]), "13": landmarks(points[3])}
    keypoints = read_keypoints(write(tmp_path / "a.json", content))
    assert (keypoints.confidence > 0).any(dim=1).tolist() == [True, False, False, True]


def test_an_empty_file_is_called_empty(tmp_path: Path):
    (tmp_path / "a.json").write_text("\n")
    with pytest.raises(InputError, match="the file is empty"):
        read_keypoints(tmp_path / "a.json")
