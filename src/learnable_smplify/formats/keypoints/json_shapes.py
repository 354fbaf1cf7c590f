"""The shapes in which programs write frames of keypoints as JSON: lists, objects by number or by name, lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.array_shapes import points_a_frame
from learnable_smplify.formats.keypoints.assemble import check_file, matched_layout
from learnable_smplify.formats.keypoints.times import clock_unit
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.safe_files.json_file import parse_json
from learnable_smplify.safe_files.safe_pickle import read_bytes

_NUMBER = re.compile(r"\D{0,20}(\d{1,12})")
# Frames may be left out, but numbers that run away are damage and would only fill memory.
_MOST_FRAMES_A_KEY = 20
_FEWEST_NAMES = 5
_TIME_KEYS = ("timestamp_ms", "timestampMs", "time_ms", "timestamp_us", "timestamp", "time", "time_s", "t")


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


def numbered_frames(content: dict[str, Any]) -> list[Any] | None:
    """The frames of an object that has them by number, {"0": ..., "1": ...}; None for any other object."""
    found = [_NUMBER.fullmatch(key) for key in content]
    places = [int(match[1]) for match in found if match is not None]
    if not places or len(places) < len(content) or len(set(places)) < len(places):
        return None
    first, count = min(places), max(places) - min(places) + 1
    if count > _MOST_FRAMES_A_KEY * len(places):
        return [content[key] for _, key in sorted(zip(places, content, strict=True))]
    frames: list[Any] = [None] * count
    for place, value in zip(places, content.values(), strict=True):
        frames[place - first] = value
    return frames


def frame_times(frames: Sequence[Any]) -> np.ndarray:
    """(T,) seconds, NaN where a frame does not say."""
    key = next(
        (key for key in _TIME_KEYS if any(isinstance(f, dict) and isinstance(f.get(key), float) for f in frames)), ""
    )
    times = np.array([f[key] if isinstance(f, dict) and isinstance(f.get(key), float) else np.nan for f in frames])
    if key.lower().endswith("ms"):
        return times / 1e3
    return times * (1e-6 if key.endswith("us") else clock_unit(times)[0])


def named_points(value: Any) -> dict[str, list[Any]] | None:
    """Rows [x, y, z] or [x, y, z, confidence] of an object that has them by name; None for anything else."""
    if not isinstance(value, dict):
        return None
    rows = {name: row for name, point in value.items() if (row := _row(point)) is not None}
    return rows if len(rows) >= _FEWEST_NAMES else None


def unflattened(frames: Sequence[Any], layout: str | Layout | None) -> list[Any]:
    """Frames that are x, y, z of every keypoint in one list of numbers, as lists of rows; other frames as they are."""
    width = points_a_frame(layout) or 33  # MediaPipe's, where nobody says
    lengths = {len(frame) if isinstance(frame, list) else 0 for frame in frames if frame}
    length = lengths.pop() if len(lengths) == 1 else 0
    if length not in (3 * width, 4 * width) or not all(isinstance(v, float) for f in frames if f for v in f):
        return list(frames)
    step = length // width
    return [f and [f[place : place + step] for place in range(0, length, step)] for f in frames]


def in_order(frames: Sequence[Any], layout: str | Layout | None, path: Path) -> tuple[list[Any], str | Layout | None]:
    """Frames of named points as lists in the order of a layout, and that layout; other frames as they are.

    Raises:
        InputError: the names are of no layout.
    """
    named = [named_points(frame) for frame in frames]
    names = list(dict.fromkeys(name for frame in named if frame for name in frame))
    if not names:
        return list(frames), layout
    chosen, places = matched_layout(layout, names, path)
    width = max(len(row) for frame in named if frame for row in frame.values())
    lists: list[Any] = []
    for frame in named:
        rows: list[list[Any]] = [[None] * width for _ in range(len(chosen))]
        for name, place in places.items():
            if frame and name in frame:
                rows[place] = [*frame[name], *[None] * width][:width]
        lists.append(rows if frame else None)
    return lists, chosen


def _row(point: Any) -> list[Any] | None:
    if isinstance(point, dict) and {"x", "y", "z"} <= set(point):
        score = next((point[key] for key in ("visibility", "score", "confidence", "c") if key in point), None)
        return [point["x"], point["y"], point["z"], *([] if score is None else [score])]
    if isinstance(point, list) and len(point) in (3, 4) and all(v is None or isinstance(v, float) for v in point):
        return point
    return None
