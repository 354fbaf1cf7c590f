"""The people in one frame of JSON: which objects and lists they are in, and their points as tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError, some
from learnable_smplify.formats.keypoints.json_frames import number_list
from learnable_smplify.formats.keypoints.json_names import FEWEST_NAMES, NamedPoints, are_rows, point_row, stated_person
from learnable_smplify.formats.keypoints.json_shapes import ARRAY_KEYS, SCORES_KEYS, WORLD_KEYS
from learnable_smplify.formats.keypoints.picture import flat_keypoints

_OPENPOSE_KEY = "pose_keypoints_3d"  # flat x, y, z, confidence
_FLAT_KEYS = ("pose_keypoints_2d", "keypoints_2d", "keypoints2d")
PICTURE_KEYS = ("pose_landmarks", "poseLandmarks", "normalized_landmarks")
EXPECTED = 'a list of frames, each a list of 33 {"x": 0.1, "y": -0.5, "z": 0.0, "visibility": 0.9}'
PEOPLE_KEYS = (
    "instances",
    "bodies",
    "people",
    "persons",
    "skeletons",
    "users",
    "body_list",
    "Bodies",
    "predictions",
    "annotations",
)
_POSE_COUNT = 33
# Objects in objects, as the solutions, the tasks and the JavaScript API write them.
_MOST_DEEP = 5

Person = tuple[str | None, "list[Any] | NamedPoints"]
"""Who it is, where the file says so, and their points."""


def people_in_frame(value: Any, path: Path, where: str, depth: int = 0) -> Iterator[Person]:
    """The people in one frame, nobody where it is empty.

    Args:
        value: what JSON has for the frame, its named points found (`with_named_points`).
        path, where: for messages.
        depth: how far inside the frame it lies.

    Raises:
        InputError: no landmarks where they belong, or only those in picture coordinates.
    """
    if isinstance(value, NamedPoints):
        yield value.person, value
    elif not value:
        return
    elif are_rows(rows := _unflattened(value)):
        yield None, rows
    elif _are_flat(value):
        raise flat_keypoints(path, " in a picture: x, y", where)
    elif depth == _MOST_DEEP or not isinstance(value, dict | list):
        raise InputError("these are no landmarks", path=path, where=where, expected=EXPECTED)
    elif isinstance(value, list):
        for inner in value:
            yield from people_in_frame(inner, path, where, depth + 1)
    else:
        inner = _inside(value)
        if inner is None and (people := _people_by_key(value)):
            yield from people
            return
        if inner is None and None in value.values() and not any(isinstance(v, dict | list) for v in value.values()):
            return
        if inner is None and any(value.get(key) for key in _FLAT_KEYS):
            raise flat_keypoints(path, "", where)
        if inner is None:
            raise InputError(
                f"there are no keypoints, but {some(list(value))}",
                path=path,
                where=where,
                expected="points by name, rows x, y, z, or MediaPipe's 'pose_world_landmarks' in metres "
                "(pose_landmarks are picture coordinates)",
            )
        who, scores = stated_person(value), next((value[key] for key in SCORES_KEYS if key in value), None)
        for person, points in people_in_frame(inner, path, where, depth + 1):
            yield person or who, points if isinstance(points, NamedPoints) else _scored(points, scores)


def points_table(landmarks: list[Any], path: Path, where: str) -> Float[np.ndarray, "K D"]:
    """Landmarks as rows of x, y, z and, where they have one, confidence.

    Raises:
        InputError: one that is not like the others.
    """
    width = 0
    rows: list[Any] = []
    for index, landmark in enumerate(landmarks):
        row = point_row(landmark) or _raw(landmark)
        width = width or len(row)
        if index >= _POSE_COUNT and len(row) == 3 < width:
            row = [*row, None]  # hands and face behind the pose have no visibility
        if len(row) != width or width not in (3, 4):
            raise InputError(
                "the landmark is not like the others", path=path, where=f"{where}, landmark {index}", expected=EXPECTED
            )
        rows += row
    return number_list(rows, path, where).reshape(len(landmarks), width)


def _raw(landmark: Any) -> list[Any]:
    """What stands where a point should be, for the message."""
    if isinstance(landmark, dict):
        return [landmark.get(axis) for axis in "xyz"]
    return landmark if isinstance(landmark, list) else []


def _are_flat(value: Any) -> bool:
    """Whether JSON is a list or an object of points that have no depth."""
    if isinstance(value, dict) and isinstance(value.get("x"), list) and isinstance(value.get("y"), list):
        return "z" not in value
    points = value[:1] if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    flat = [
        ({"x", "y"} <= set(point) and "z" not in point) if isinstance(point, dict) else _are_numbers(point, 2)
        for point in points
    ]
    return sum(flat) >= (1 if isinstance(value, list) else FEWEST_NAMES)


def _are_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(number, float) for number in value)


def _unflattened(value: Any, width: int = 3) -> Any:
    """A flat list x, y, z, x, y, z, ... as rows; anything else as it is."""
    whole = isinstance(value, list) and len(value) >= width * FEWEST_NAMES and len(value) % width == 0
    if not whole or not _are_numbers(value, len(value)):
        return value
    return [value[place : place + width] for place in range(0, len(value), width)]


def _inside(value: dict[str, Any]) -> Any:
    """What of an object holds its people: under a known key, or the only named points that are in it."""
    if _OPENPOSE_KEY in value:
        return _unflattened(value[_OPENPOSE_KEY], 4) or []
    known = next((value[key] or [] for key in (*PEOPLE_KEYS, *WORLD_KEYS, *ARRAY_KEYS) if key in value), None)
    if known is not None:
        return known
    named = [inner for inner in value.values() if isinstance(inner, NamedPoints)]
    return named[0] if len(named) == 1 else None


def _people_by_key(value: dict[str, Any]) -> list[Person]:
    """The people of an object that has several under their names, or under numbers."""
    named = {key: inner for key, inner in value.items() if isinstance(inner, NamedPoints)}
    rows = {key: inner for key, inner in value.items() if key.isdecimal() and are_rows(inner)}
    found = named if len(named) > 1 else rows
    return list(found.items())


def _scored(rows: list[Any], scores: Any) -> list[Any]:
    """Rows [x, y, z] with their scores, which stand in a list of their own, as a fourth number."""
    scores = scores[0] if isinstance(scores, list) and len(scores) == 1 and isinstance(scores[0], list) else scores
    if not isinstance(scores, list) or len(scores) != len(rows):
        return rows
    return [[*row[:3], score] if isinstance(row, list) else row for row, score in zip(rows, scores, strict=True)]
