"""JSON as programs write it: points by name, a list a joint, people under ids, names once for all frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.layouts.layout import load_layout
from test_keypoint_files import standing

BODY25, KINECT = load_layout("body25"), load_layout("kinect32")
POINTS = np.repeat(standing(BODY25.keypoint_names, BODY25.points), 3, axis=0)
T = len(POINTS)
ROWS = POINTS.tolist()


def xyz(point: list[float]) -> dict[str, float]:
    return dict(zip("xyz", point, strict=True))


def by_name(frame: int, make: Callable[[list[float]], Any] = list) -> dict[str, Any]:
    return {name: make(point) for name, point in zip(BODY25.keypoint_names, ROWS[frame], strict=True)}


def bones(frame: int) -> dict[str, Any]:
    return {name: {"position": point, "rotation": [0, 0, 0, 1]} for name, point in by_name(frame).items()}


PIXELS = [number for k in range(17) for number in (100 + 9 * k, 200 + 20 * k, k % 3)]
SERIES = {name: [ROWS[t][k] for t in range(T)] for k, name in enumerate(BODY25.keypoint_names)}
COLUMNS = {f"{name}_{axis}": [row[i] for row in rows] for name, rows in SERIES.items() for i, axis in enumerate("xyz")}
SHAPES: dict[str, Any] = {
    "a list a joint": SERIES,
    "a list a joint, and times": {"time": [t / 50 for t in range(T)], **SERIES},
    "a list a joint, inside": {"meta": {"fps": 50}, "data": SERIES},
    "lists of axes": {
        name: dict(zip("xyz", zip(*rows, strict=True), strict=True))  # type: ignore[arg-type]
        for name, rows in SERIES.items()
    },
    "a list a column": COLUMNS,
    "a column as pandas writes it": {name: dict(enumerate(column)) for name, column in COLUMNS.items()},
    "a row of columns a frame": [{name: column[t] for name, column in COLUMNS.items()} for t in range(T)],
    "points by name": [by_name(t) for t in range(T)],
    "points by name, inside": {"frames": [{"joints": by_name(t, xyz)} for t in range(T)]},
    "points by name, under a word of its own": {"data_by_frame": {t: {"seen": by_name(t, xyz)} for t in range(T)}},
    "named points, with turns": {"frames": [{"bones": bones(t)} for t in range(T)]},
    "a list of named points": {
        "frames": [{"bones": [{"name": n, "position": p} for n, p in by_name(t, xyz).items()]} for t in range(T)]
    },
    "names once": {"joint_names": list(BODY25.keypoint_names), "frames": [{"joints": ROWS[t]} for t in range(T)]},
    "numbers for names": [dict(enumerate(ROWS[t])) for t in range(T)],
    "a list a numbered joint": {f"joint_{k}": rows for k, rows in enumerate(SERIES.values())},
    "numbers deep inside": {"results": {"keypoints": ROWS}},
    "flat lists of an object": [{"keypoints": POINTS[t].ravel().tolist()} for t in range(T)],
}


def write(folder: Path, content: Any) -> Path:
    (folder / "clip.json").write_text(json.dumps(content))
    return folder / "clip.json"


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_the_same_recording(tmp_path: Path, shape: str) -> None:
    named = "number" not in shape and "flat" not in shape
    keypoints = read_keypoints(write(tmp_path, SHAPES[shape]), None if named else "body25", up="y")
    np.testing.assert_allclose(keypoints.positions, POINTS, atol=1e-6)
    assert keypoints.layout.name == "body25"
    assert keypoints.fps == (50 if shape in ("a list a joint, and times", "a list a joint, inside") else 30)


def test_names_are_those_of_the_layout_whatever_else_is_there(tmp_path: Path) -> None:
    frames = [
        by_name(t) | {"Hat": [0, 2, 0], "bbox": [1, 2, 3, 4], "LKnee": None if t else [0, 0.5, 0, 0.25]}
        for t in range(T)
    ]
    keypoints = read_keypoints(write(tmp_path, frames), up="y")
    assert keypoints.confidence[:, BODY25.index("LKnee")].tolist() == [0.25] + [0.0] * (T - 1)
    assert keypoints.confidence[0, 0] == 1
    assert any("2 points are not keypoints of body25 and are ignored: Hat, bbox" in note for note in keypoints.notes)


@pytest.mark.parametrize("form", ["beside the frames", "in the frames", "openpose"])
def test_confidence_that_stands_apart_is_read(tmp_path: Path, form: str) -> None:
    trust = np.full((T, 25), 0.5)
    content: Any = {"keypoints": ROWS, "confidence": trust.tolist()}
    if form == "in the frames":
        content = [{"keypoints": ROWS[t], "confidence": trust[t].tolist()} for t in range(T)]
    elif form == "openpose":
        flat = np.concatenate((POINTS, trust[..., None]), axis=2).reshape(T, -1)
        content = [{"people": [{"pose_keypoints_3d": row}]} for row in flat.tolist()]
    keypoints = read_keypoints(write(tmp_path, content), "body25", up="y")
    np.testing.assert_allclose(keypoints.positions, POINTS, atol=1e-6)
    np.testing.assert_allclose(keypoints.confidence, 0.5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 1, 2]] * (T - 1), rf"'LKnee': there are {T - 1} points. Expected {T}, as of 'Nose'"),
        ([[0, 1, 2]] * (T - 1) + [[0, 1]], "'LKnee': this is no point"),
        ([[0, 1, 2]] * (T - 1) + [[0, 1, "a"]], "'LKnee': this is no point"),
    ],
)
def test_ragged_lists_are_refused_by_the_name_of_the_joint(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_keypoints(write(tmp_path, SERIES | {"LKnee": rows}))


@pytest.mark.parametrize("key", ["bodies", "people"])
def test_people_with_ids_are_told_apart_by_them(tmp_path: Path, key: str) -> None:
    def person(number: int, t: int) -> dict[str, Any]:
        return {"id": number, "joints": by_name(t, lambda p: [p[0] + number, *p[1:]])}

    frames = [{"time": t / 25, key: [person(n, t) for n in ((2, 5) if t % 2 else (5, 2))]} for t in range(T)]
    people = {one.person_id: one for one in read_people(write(tmp_path, {"frames": frames}), up="y")}
    for number in (2, 5):
        np.testing.assert_allclose(people[str(number)].positions, POINTS + np.array([number, 0, 0]), atol=1e-5)
        assert people[str(number)].fps == 25


@pytest.mark.parametrize("named", [True, False])
def test_an_entry_a_person_and_frame_is_put_into_its_frame(tmp_path: Path, named: bool) -> None:
    content = [
        {"frame_id": t, **({"id": n} if named else {}), "keypoints": (POINTS[t] + np.array([n, 0, 0])).tolist()}
        for t in range(T)
        for n in (0, 3)
        if (t, n) != (1, 3)
    ]
    people = {one.person_id: one for one in read_people(write(tmp_path, content), "body25", up="y")}
    assert len(people) == 2
    second = people["3" if named else "1"]
    np.testing.assert_allclose(people["0"].positions, POINTS, atol=1e-5)
    assert np.flatnonzero((second.confidence == 0).all(dim=1)).tolist() == [1]
    np.testing.assert_allclose(second.positions[2:], POINTS[2:] + np.array([3, 0, 0]), atol=1e-5)


def test_entries_of_one_coarse_time_are_frames_and_no_people(tmp_path: Path) -> None:
    content = [{"timestamp": 1_700_000_000 + t // 3, "keypoints": ROWS[t]} for t in range(T)]
    (keypoints,) = read_people(write(tmp_path, content), "body25")
    assert len(keypoints) == T


PEOPLE = {"Ann": 0, "Bob": 2}


def series(number: int) -> dict[str, list[list[float]]]:
    return {name: [[x + number, y, z] for x, y, z in rows] for name, rows in SERIES.items()}


@pytest.mark.parametrize(
    "content",
    [
        {name: series(number) for name, number in PEOPLE.items()},
        [{who: {n: rows[t] for n, rows in series(number).items()} for who, number in PEOPLE.items()} for t in range(T)],
    ],
)
def test_people_under_their_names_are_told_apart(tmp_path: Path, content: Any) -> None:
    people = {one.person_id: one for one in read_people(write(tmp_path, content), up="y")}
    assert set(people) == set(PEOPLE)
    for who, number in PEOPLE.items():
        np.testing.assert_allclose(people[who].positions, POINTS + np.array([number, 0, 0]), atol=1e-5)


def test_people_under_numbers_are_told_apart(tmp_path: Path) -> None:
    content = {str(t): {"0": ROWS[t], "7": (POINTS[t] + np.array([2, 0, 0])).tolist()} for t in range(T)}
    assert [one.person_id for one in read_people(write(tmp_path, content), "body25")] == ["0", "7"]


def test_ids_that_never_come_back_are_numbers_of_frames(tmp_path: Path) -> None:
    (keypoints,) = read_people(write(tmp_path, [{"id": t, "keypoints": ROWS[t]} for t in range(T)]), "body25")
    assert len(keypoints) == T


def test_azure_kinects_bodies_are_read_by_their_names_in_millimetres_and_microseconds(tmp_path: Path) -> None:
    points = np.repeat(standing(KINECT.keypoint_names, KINECT.points), 3, axis=0)
    turns = [[1, 0, 0, 0]] * 32
    content = {
        "bone_list": [["SPINE_CHEST", "SPINE_NAVEL"]],
        "joint_names": list(KINECT.keypoint_names),
        "frames": [
            {
                "frame_id": t,
                "timestamp_usec": 40_000 * t,
                "bodies": [{"body_id": 1, "joint_positions": frame, "joint_orientations": turns}],
            }
            for t, frame in enumerate((1000 * points).tolist())
        ],
    }
    keypoints = read_keypoints(write(tmp_path, content), up="y")
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-5)
    assert (keypoints.layout.name, keypoints.fps, keypoints.person_id) == ("kinect32", 25, "1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *(([{n: [100, 200] for n in BODY25.keypoint_names}], "2D keypoints"), ([[[1, 2]] * 17], "2D keypoints")),
        ([{"image_id": "0.jpg", "keypoints": PIXELS}], "2D keypoints in pixels"),
        ({"annotations": [{"keypoints": PIXELS}]}, "2D keypoints in pixels"),
        ([{"predictions": [{"keypoints": [[100, 200]] * 17}]}], "2D keypoints"),
    ],
)
def test_2d_keypoints_are_called_so_with_what_to_type(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"these are {message}.*lsmplify fit .*clip\.json --camera camera\.json"):
        read_keypoints(write(tmp_path, content), "coco17")


def test_json_of_something_else_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no keypoints, but cameras, version"):
        read_keypoints(write(tmp_path, {"cameras": {"a": {"fx": 1}}, "version": 2}))
