"""The shapes in which programs write frames of keypoints as JSON: lists, objects by number, lines, a list a joint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.array_shapes import points_a_frame
from learnable_smplify.formats.keypoints.assemble import check_file
from learnable_smplify.formats.keypoints.csv_headings import FRAME_WORDS, TIME, part_of, time_scale
from learnable_smplify.formats.keypoints.json_names import FEWEST_NAMES, are_rows, point_row
from learnable_smplify.formats.keypoints.times import (
    Places,
    clock_unit,
    every_frame,
    places_of_numbers,
    places_of_times,
)
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.safe_files.json_file import parse_json
from learnable_smplify.safe_files.whole_file import read_bytes

WORLD_KEYS = (
    "pose_world_landmarks",
    "poseWorldLandmarks",
    "world_landmarks",
    "worldLandmarks",
    "landmarks",
    "landmark",
    "keypoints3D",
)
# Plain numbers (T, K, 3) or (T, K, 4), or points by name, under a name of their own.
ARRAY_KEYS = (
    *("keypoints", "keypoints3d", "keypoints_3d", "keypoint", "joints", "joints3d", "joints_3d", "joint_positions"),
    *("positions", "poses_3d", "points", "Joints"),
)
SCORES_KEYS = ("keypoint_scores", "keypoint_confidence", "scores", "confidences", "confidence", "visibility")
_FRAME_KEYS = ("frames", "results", "data", "instance_info", "data_by_frame", "Frames")
_NAMES_KEYS = (
    "joint_names",
    "keypoint_names",
    "keypoint_id2name",
    "landmark_names",
    "marker_names",
    "names",
    "bodyparts",
    "joints",
    "keypoints",
)
_RATE_KEYS = ("fps", "framerate", "samplingrate", "samplerate", "capturerate", "camerafps")
_NUMBER = re.compile(r"(\D{0,20})(\d{1,20})(\.[a-z]{3,4})?")  # 12, frame_12, 000012.jpg
# Frames may be left out, but numbers that run away are damage and would only fill memory.
_MOST_FRAMES_A_KEY = 20
_MOST_DEEP = 4
_LARGEST_NUMBER = 1e12
# Numbers behind such words count points, not frames.
_POINT_WORDS = (
    *("joint", "keypoint", "kp", "landmark", "marker", "point"),
    *("joint_", "keypoint_", "kp_", "landmark_", "marker_", "point_"),
)


def read_frames(path: Path) -> Any:
    """The content of a JSON file, or the values of a file with one a line.

    Raises:
        InputError: missing, too large, or not JSON.
    """
    data = read_bytes(check_file(path))
    try:
        return parse_json(data, path, "a complete JSON file", floats=True)
    except InputError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        try:
            return [parse_json(line, path, "a complete JSON file", floats=True) for line in lines]
        except InputError:
            pass
        raise


def frames_in(content: Any, path: Path) -> Any:
    """The frames of a file, from the objects around them: a list as a rule, else what is one frame itself.

    Raises:
        InputError: a list for every joint, and one of another length.
    """
    for _ in range(_MOST_DEEP):
        if not isinstance(content, dict):
            break
        points = next((content[key] for key in ARRAY_KEYS if _holds_points(content.get(key))), None)
        if points is None:
            points = next((content[key] for key in _FRAME_KEYS if isinstance(content.get(key), list | dict)), None)
        if points is None:
            # The whole recording under the name of one frame's landmarks: a list of lists of them.
            points = next((content[key] for key in WORLD_KEYS if _is_list_of_lists(content.get(key))), None)
        if points is None:
            break
        content = _with_scores(points, content)
    if isinstance(content, dict):
        content = _numbered_frames(content) or _by_joint(content, path) or _by_person(content, path) or content
    return [content] if are_rows(content) or isinstance(content, dict) else content


def stated_names(content: Any) -> list[str]:
    """The names of the points, where a file states them once at its top or in a description there; [] where not."""
    if not isinstance(content, dict):
        return []
    parts = [content, *(inner for inner in content.values() if isinstance(inner, dict))]
    found = [part[key] for part in parts for key in _NAMES_KEYS if key in part]
    found = [(_numbered_frames(names) if isinstance(names, dict) else names) or [] for names in found]
    return next((names for names in found if isinstance(names, list) and _are_names(names)), [])


def stated_rate(content: Any) -> float | None:
    """Frames a second, as a file states it at its top or in a description there."""
    if not isinstance(content, dict):
        return None
    for part in (content, *(inner for inner in content.values() if isinstance(inner, dict))):
        told = {key.lower().replace("_", ""): value for key, value in part.items()}
        rate = next((told[key] for key in _RATE_KEYS if isinstance(told.get(key), float)), None)
        if rate is not None:
            return rate
    return None


def _numbered_frames(content: dict[str, Any]) -> list[Any] | None:
    """The frames of an object that has them by number, {"0": ..., "1": ...}; None for any other object."""
    found = [match for key in content if (match := _NUMBER.fullmatch(key)) and match[1].lower() not in _POINT_WORDS]
    places = [int(match[2]) for match in found]
    if not places or len(places) < len(content) or len(set(places)) < len(places):
        return None
    first, count = min(places), max(places) - min(places) + 1
    if count > _MOST_FRAMES_A_KEY * len(places):
        return [content[key] for _, key in sorted(zip(places, content, strict=True))]
    frames: list[Any] = [None] * count
    for place, value in zip(places, content.values(), strict=True):
        frames[place - first] = value
    return frames


def _by_joint(content: dict[str, Any], path: Path) -> list[Any] | None:
    """The frames of an object that has a list of points for every joint; None for any other object.

    Raises:
        InputError: lists of different lengths.
    """
    # pandas writes a column as an object, {"0": ..., "1": ...}
    content = {k: (isinstance(value, dict) and _numbered_frames(value)) or value for k, value in content.items()}
    series = {name: rows for name, value in content.items() if (rows := _series(value)) is not None}
    columns: dict[str, dict[str, list[Any]]] = {}
    for heading, value in content.items():
        if are_numbers(value) and (told := part_of(heading)):
            columns.setdefault(told[0], {})[told[1]] = value
    series |= {name: rows for name, parts in columns.items() if (rows := _series(parts)) is not None}
    if len(series) < FEWEST_NAMES:
        return None
    first = next(iter(series))
    frames = len(series[first])
    for name, rows in series.items():
        if len(rows) != frames:
            expected = f"{frames}, as of '{first}'"
            raise InputError(f"there are {len(rows)} points", path=path, where=f"'{name}'", expected=expected)
    for key, value in content.items():
        if TIME.fullmatch(key) and are_numbers(value) and len(value) == frames:
            series[key] = value
    return [{name: value[t] for name, value in series.items()} for t in range(frames)]


def _by_person(content: dict[str, Any], path: Path) -> list[Any] | None:
    """The frames of an object that has such lists for every person; None for any other object."""
    people = {key: _by_joint(value, path) for key, value in content.items() if isinstance(value, dict)}
    lengths = {len(frames) if frames else 0 for frames in people.values()}
    if len(lengths) != 1 or 0 in lengths:
        return None
    return [{key: frames[t] for key, frames in people.items() if frames} for t in range(lengths.pop())]


def _series(value: Any) -> list[Any] | None:
    """The points of one joint over time, from a list of them or from a list for each axis; None for anything else."""
    if isinstance(value, dict):
        told = {key.lower(): inner for key, inner in value.items()}
        lists = [told[key] for key in ("x", "y", "z", "c", "confidence", "score") if are_numbers(told.get(key))]
        whole = {"x", "y", "z"} <= set(told) and len(lists) in (3, 4) and len({len(inner) for inner in lists}) == 1
        return [list(row) for row in zip(*lists, strict=True)] if whole else None
    if not isinstance(value, list):
        return None
    known = next((entry for entry in value if entry is not None), None)
    return value if point_row(known) is not None else None


def frame_times(frames: Sequence[Any]) -> np.ndarray:
    """(T,) seconds, NaN where a frame does not say."""
    objects = [frame if isinstance(frame, dict) else {} for frame in frames]
    stated = (key for frame in objects for key, value in frame.items() if isinstance(value, float))
    key = next((key for key in stated if TIME.fullmatch(key)), "")
    times = np.array([frame[key] if isinstance(frame.get(key), float) else np.nan for frame in objects])
    scale = time_scale(key)
    return times * (clock_unit(times)[0] if scale is None else scale)


def frame_places(frames: Sequence[Any], times: np.ndarray) -> Places:
    """Where in the recording each entry of a list is, by the number of its frame, which several may share (a person
    each), or by its time: clocks may be coarse, so that entries of one time are not of one frame.

    Args:
        frames: the entries.
        times: of them, as in `frame_times`.
    """
    numbers = np.array([_frame_number(frame) for frame in frames], dtype=np.float64)
    counted = len(numbers) > 0 and bool((np.abs(numbers) < _LARGEST_NUMBER).all())
    stated = numbers if counted else times
    if not len(stated) or not np.isfinite(stated).all():
        return every_frame(len(frames))
    kept, entry = np.unique(stated, return_inverse=True)
    if not counted and len(kept) < len(stated):
        return every_frame(len(frames))
    places = places_of_numbers([int(number) for number in kept], "entry") if counted else places_of_times(kept, "entry")
    return replace(places, at=tuple(places.at[place] for place in entry))


def _frame_number(frame: Any) -> float:
    """The number of the frame that an entry is of; NaN where it does not say."""
    told = {key.lower(): value for key, value in frame.items()} if isinstance(frame, dict) else {}
    return next((told[word] for word in FRAME_WORDS if isinstance(told.get(word), float)), np.nan)


def unflattened(frames: Sequence[Any], layout: str | Layout | None) -> list[Any]:
    """Frames that are x, y, z of every keypoint in one list of numbers, as lists of rows; other frames as they are."""
    width = points_a_frame(layout) or 33  # MediaPipe's, where nobody says
    lengths = {len(frame) if isinstance(frame, list) else 0 for frame in frames if frame}
    length = lengths.pop() if len(lengths) == 1 else 0
    if length not in (3 * width, 4 * width) or not all(isinstance(v, float) for f in frames if f for v in f):
        return list(frames)
    step = length // width
    return [f and [f[place : place + step] for place in range(0, length, step)] for f in frames]


def _with_scores(frames: Any, content: dict[str, Any]) -> Any:
    """Frames of rows with the confidence that stands beside them in a list of its own, a list a frame."""
    scores = next((content[key] for key in SCORES_KEYS if isinstance(content.get(key), list)), None)
    if not isinstance(frames, list) or scores is None or len(scores) != len(frames) or are_rows(frames):
        return frames
    return [{ARRAY_KEYS[0]: rows, SCORES_KEYS[0]: trust} for rows, trust in zip(frames, scores, strict=True)]


def _holds_points(value: Any) -> bool:
    return isinstance(value, list | dict) and not (isinstance(value, list) and _are_names(value))


def _are_names(value: list[Any]) -> bool:
    return len(value) >= FEWEST_NAMES and all(isinstance(name, str) for name in value)


def are_numbers(value: Any) -> TypeGuard[list[Any]]:
    """Whether JSON is a list of numbers, some of them perhaps missing."""
    return isinstance(value, list) and bool(value) and all(v is None or isinstance(v, float) for v in value)


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(v is None or are_rows(v) for v in value)
