"""Keypoints in CSV: three columns a keypoint and a line a frame, or a line for every keypoint of every frame."""

from __future__ import annotations

import re
from datetime import datetime
from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import (
    check_file,
    keypoints_from_arrays,
    keypoints_from_markers,
    parse_number,
)
from learnable_smplify.formats.keypoints.csv_table import CsvTable, read_table
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.formats.keypoints.times import fps_from_times, start_of
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.layouts.whole_body import hand_columns, whole_body

_PART = "x|y|z|c|conf|confidence|score|visibility|likelihood|presence"
_COLUMN = re.compile(rf"(?P<name>.+?)[_. :-](?P<part>{_PART})", re.IGNORECASE)  # nose_x, nose.x, nose:x
_CAPITAL = re.compile(r"(?P<name>.*[a-z0-9])(?P<part>[XYZ])")  # noseX
_IN_FRONT = re.compile(r"(?P<part>[xyz]|visibility)[_. ](?P<name>.+)", re.IGNORECASE)  # x_nose
_NUMBERED = re.compile(r"(?P<part>[xyzvc])[_. ]?(?P<name>\d+)", re.IGNORECASE)  # x12
_POSITION = re.compile(r"[_. ](world_?)?(position|pos|translation|location)$", re.IGNORECASE)
_OTHER_QUANTITY = re.compile(
    r"[_. ](rotation|rot|quat|quaternion|orientation|velocity|vel|acceleration|acc)$", re.IGNORECASE
)
_NUMBER = re.compile(r"(?P<prefix>\D*)(?P<number>\d+)")
# Heading of the time of a frame, without its unit: "time_ms" and "Time (s)" are it too.
_TIME = re.compile(
    r"(time|times|t|timestamp|seconds|time ?stamp)[_ ]?[(\[]?(s|sec|seconds|ms|us|ns)?[)\]]?", re.IGNORECASE
)
_SECONDS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_FRAME_WORDS = ("frame", "frame_number", "frame_id", "frame_idx", "frame_index", "frame#", "fnum", "image")
_NAME_WORDS = ("keypoint", "landmark", "marker", "joint", "bodypart", "trajectory", "point", "name", "label")
_PERSON_WORDS = ("person", "person_id", "subject", "track_id")
_FEWEST_NUMBERED = 8


def read_keypoints_csv(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> Keypoints:
    """Keypoints of a CSV file (comma, semicolon or tab between fields; decimal point or comma), in any column order.

    Columns are called `nose_x`, `nose.x`, `noseX`, `x_nose` or by numbers (`x0`, `0_x`, `landmark_0_x`: in the order of
    the layout); or names stand above x, y, z. A table with columns frame, name, x, y, z has a line a keypoint.

    Args:
        path: the file.
        layout: layout name, TOML path or `Layout`; None infers it from the column names.
        fps: frames a second; None takes it from a column `time` [s] (or `time_ms`), else 30 with a note.
        units: of the positions; None detects metres, centimetres or millimetres by the limbs.

    Raises:
        InputError: no such columns, a line of another length, text where a number belongs (with the line).
    """
    path = check_file(path)
    table = read_table(path)
    if not table.header:
        return _bare(table, path, layout, fps, units)
    names, values, confidence, times = _long_form(table, path) or _wide_form(table, path)
    notes: list[str] = []
    rate, start = table.fps, 0.0
    if times is not None:
        times, more = _seconds(times)
        notes += more
        rate, start = fps_from_times(times) or table.fps, start_of(times)
    numbered = None if any(hand_columns(names)) else _in_order(names)
    if numbered is None:
        return keypoints_from_markers(
            names,
            values,
            path=path,
            layout=layout,
            fps=rate if fps is None else fps,
            units=units,
            declared_units=table.unit,
            confidence=confidence,
            start_s=start,
            notes=notes,
        )
    points = file_points(layout, len(names), path)
    values = values[:, numbered]
    scores = None if confidence is None else confidence[:, numbered, None]
    of_hands = None if scores is None else points.hands_of(scores)
    return keypoints_from_arrays(
        points.body_of(values, 1),
        path=path,
        layout=points.layout,
        fps=rate if fps is None else fps,
        units=units,
        declared_units=table.unit,
        confidence=None if scores is None else points.body_of(scores, 1)[..., 0],
        start_s=start,
        notes=[*notes, *points.notes, f"the columns are numbered: taken in the order of {points.layout.name}"],
        hands=points.hands_of(values),
        hand_confidence=None if of_hands is None else of_hands[..., 0],
        whole=points.whole,
    )


_Found = tuple[list[str], np.ndarray, np.ndarray | None, np.ndarray | None]


def _wide_form(table: CsvTable, path: Path) -> _Found:
    """Names, positions (T, M, 3), confidence (T, M) and times (T,) of a table with columns for every keypoint."""
    parts: dict[str, dict[str, int]] = {}
    time_column: int | None = None
    for column, heading in enumerate(table.header):
        if _TIME.fullmatch(heading):
            time_column = column if time_column is None else time_column
        elif told := _part_of(heading):
            name, part = told
            if part in parts.setdefault(name, {}):
                raise InputError(
                    f"the column '{heading}' is there twice", path=path, where="header", expected="distinct names"
                )
            parts[name][part] = column
    markers = {name: found for name, found in parts.items() if {"x", "y", "z"} & set(found)}
    if not markers:
        shown = ", ".join(table.header[:6])[:120]
        raise InputError(
            f"the header names no keypoints: {shown}",
            path=path,
            where="header",
            expected="columns such as nose_x,nose_y,nose_z,left_eye_x,...",
        )
    for name, found in markers.items():
        if lacking := {"x", "y", "z"} - set(found):
            raise InputError(
                f"'{name}' has no column for {', '.join(sorted(lacking))}",
                path=path,
                where="header",
                expected="x, y and z of every keypoint",
            )
    kept = [column for found in markers.values() for column in found.values()]
    numbers = np.array(
        [[_number(fields[column], table.header[column], path, line) for column in kept] for line, fields in table.rows]
    ).reshape(len(table.rows), len(kept))
    place = {column: index for index, column in enumerate(kept)}
    values = np.stack([numbers[:, [place[found[axis]] for axis in "xyz"]] for found in markers.values()], axis=1)
    confidence = None
    if any("c" in found for found in markers.values()):
        ones = np.ones(len(numbers))
        confidence = np.stack([numbers[:, place[f["c"]]] if "c" in f else ones for f in markers.values()], axis=1)
    times = None
    if time_column is not None:
        scale = _time_scale(table.header[time_column])
        times = np.array([_time(fields[time_column]) * scale for _, fields in table.rows])
    return list(markers), values, confidence, times


def _long_form(table: CsvTable, path: Path) -> _Found | None:
    """The same of a table with a line a keypoint (frame, keypoint, x, y, z); None where it is no such table."""
    column = {heading.lower(): place for place, heading in reversed(list(enumerate(table.header)))}
    frame = next((column[word] for word in _FRAME_WORDS if word in column), None)
    name = next(
        (column[w + end] for w in _NAME_WORDS for end in ("", "_name", "_id", "_index") if w + end in column), None
    )
    time = next((place for heading, place in column.items() if _TIME.fullmatch(heading)), None)
    frame = time if frame is None else frame
    if name is None or frame is None or not {"x", "y", "z"} <= set(column):
        return None
    person = next((column[word] for word in _PERSON_WORDS if word in column), None)
    if person is not None and len(people := {fields[person] for _, fields in table.rows}) > 1:
        raise InputError(f"the table holds {len(people)} people", path=path, expected="one person a file")
    names = {fields[name]: None for _, fields in table.rows}
    frames = {fields[frame]: None for _, fields in table.rows}
    index = ({key: place for place, key in enumerate(frames)}, {key: place for place, key in enumerate(names)})
    sure = next((column[word] for word in _PART.split("|")[3:] if word in column), None)
    values = np.full((len(frames), len(names), 3), np.nan)
    confidence = np.zeros((len(frames), len(names)))
    times = np.full(len(frames), np.nan)
    for line, fields in table.rows:
        spot = index[0][fields[frame]], index[1][fields[name]]
        values[spot] = [_number(fields[column[axis]], axis, path, line) for axis in "xyz"]
        confidence[spot] = 1.0 if sure is None else _number(fields[sure], table.header[sure], path, line)
        times[spot[0]] = np.nan if time is None else _time(fields[time]) * _time_scale(table.header[time])
    return list(names), values, None if sure is None else confidence, None if time is None else times


def _bare(table: CsvTable, path: Path, layout: str | Layout | None, fps: float | None, units: str | None) -> Keypoints:
    """A table without headings: x, y, z of the layout's keypoints in order, maybe with a frame's number in front."""
    width = len(table.rows[0][1])
    if layout is None:
        raise InputError(
            f"the header names no keypoints: there are only {width} columns of numbers",
            path=path,
            expected="a header such as nose_x,nose_y,nose_z,...",
            hint="--layout NAME, where they are x, y, z of its keypoints in order",
        )
    whole = whole_body(layout) if isinstance(layout, str) else None
    count = len(load_layout(layout)) if whole is None or width < 3 * whole.count else whole.count
    extra = width - 3 * count
    if extra not in (0, 1, 2):
        raise InputError(
            f"the file has {width} columns and no header",
            path=path,
            expected=f"{3 * count}: x, y, z of the keypoints of layout '{load_layout(layout).name}'",
        )
    numbers = np.array(
        [[_number(text, str(place), path, line) for place, text in enumerate(row)] for line, row in table.rows]
    )
    points, values = file_points(layout, count, path), numbers[:, extra:].reshape(len(numbers), count, 3)
    return keypoints_from_arrays(
        points.body_of(values, 1),
        path=path,
        layout=points.layout,
        fps=fps,
        units=units,
        notes=["the file has no header: its columns are taken in the order of the layout", *points.notes],
        hands=points.hands_of(values),
        whole=points.whole,
    )


def _part_of(heading: str) -> tuple[str, str] | None:
    """The keypoint that a column is about, and "x", "y", "z" or "c"; None for columns of other kinds."""
    for pattern in (_COLUMN, _CAPITAL, _NUMBERED, _IN_FRONT):
        if match := pattern.fullmatch(heading):
            name, part = match["name"].strip(), match["part"].lower()
            name = _POSITION.sub("", name)
            if _OTHER_QUANTITY.search(name):
                return None
            return name, part if part in "xyz" else "c"
    return None


def _in_order(names: list[str]) -> list[int] | None:
    """Where the keypoints are that names call 0, 1, 2, ... or 1, 2, 3, ...; None where the names are names."""
    found = [_NUMBER.fullmatch(name) for name in names]
    numbers = [int(match["number"]) for match in found if match is not None]
    prefixes = {match["prefix"] for match in found if match is not None}
    first = min(numbers, default=-1)
    if len(numbers) != len(names) or len(names) < _FEWEST_NUMBERED or len(prefixes) > 1 or first not in (0, 1):
        return None
    place = {number: column for column, number in enumerate(numbers)}
    wanted = range(first, first + len(names))
    return [place[number] for number in wanted] if set(wanted) == set(place) else None


def _seconds(times: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Times in seconds: a recording of whole numbers that go up by five and more counts in milliseconds."""
    steps = np.diff(times[np.isfinite(times)])
    if steps.size and np.median(steps) >= 5:
        return times * 1e-3, ["the times are taken as milliseconds"]
    return times, []


def _time_scale(heading: str) -> float:
    match = _TIME.fullmatch(heading)
    return 1.0 if match is None or match[2] is None else _SECONDS.get(match[2].lower(), 1.0)


def _time(text: str) -> float:
    """Seconds of a number, a time of day or a date with one; NaN for anything else."""
    try:
        return parse_number(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text if "-" in text else f"1970-01-01 {text}+00:00").timestamp()
    except (ValueError, OverflowError, OSError):
        return float("nan")


def _number(text: str, column: str, path: Path, line: int) -> float:
    try:
        return parse_number(text)
    except ValueError as error:
        raise InputError(
            f"'{text[:40]}' is not a number", path=path, where=f"line {line}, column {column}", expected="a number"
        ) from error
