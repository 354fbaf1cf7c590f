"""Keypoints in CSV: three columns a keypoint and a line a frame, or a line for every keypoint of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from learnable_smplify.formats.keypoints.csv_headings import (
    FRAME_WORDS,
    PART,
    PERSON_WORDS,
    TIME,
    in_order,
    name_column,
    part_of,
    threes,
    time_scale,
)
from learnable_smplify.formats.keypoints.csv_table import CsvTable, read_table
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.formats.keypoints.follow import MOST_PEOPLE
from learnable_smplify.formats.keypoints.named_people import everybody, owner, several_people
from learnable_smplify.formats.keypoints.times import clock_unit, fps_from_times, start_of
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.layouts.whole_body import hand_columns, whole_body


def read_keypoints_csv(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> list[Keypoints]:
    """The people of a CSV file (comma, semicolon, tab or space between fields; decimal point or comma).

    Columns are called `nose_x`, `nose.x`, `noseX`, `x_nose` or by numbers (`x0`, `0_x`, `landmark_0_x`: in the order of
    the layout), in any order; or names stand above x, y, z. A table with columns frame, name, x, y, z has a line a
    keypoint. A column `person` (`person_id`, `track_id`, ...) tells several people apart.

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
        return [_bare(table, path, layout, fps, units)]
    tables = _tables_of_people(table, path)
    if len(tables) > 1:
        found, problem = everybody(
            tables, lambda name, own: _one_person(own, name, _content(own, path), path, layout, fps, units)
        )
        if not found and problem is not None:
            raise problem
        return found
    content = _content(table, path)
    several = several_people(
        content[0],
        lambda name, columns: _one_person(table, name or None, _own(content, columns), path, layout, fps, units),
    )
    return several or [_one_person(table, None, content, path, layout, fps, units)]


_Found = tuple[list[str], np.ndarray, np.ndarray | None, np.ndarray | None]


def _content(table: CsvTable, path: Path) -> _Found:
    return _long_form(table, path) or _wide_form(table, path)


def _own(content: _Found, columns: Sequence[int]) -> _Found:
    """One person's part of what a table holds."""
    names, values, confidence, times = content
    own = None if confidence is None else confidence[:, columns]
    return [owner(names[column])[1] for column in columns], values[:, columns], own, times


def _tables_of_people(table: CsvTable, path: Path) -> dict[str, CsvTable]:
    """A table for every person, all over the same frames: with empty lines where somebody is not seen."""
    column = {heading.lower(): place for place, heading in reversed(list(enumerate(table.header)))}
    person = next((column[word] for word in PERSON_WORDS if word in column), None)
    names = [] if person is None else list(dict.fromkeys(fields[person] for _, fields in table.rows))
    if person is None or len(names) < 2:
        return {"": table}
    if len(names) > MOST_PEOPLE:
        raise InputError(f"the table holds {len(names)} people", path=path, expected=f"at most {MOST_PEOPLE}")
    time = next((place for heading, place in column.items() if TIME.fullmatch(heading)), None)
    frame = next((column[word] for word in FRAME_WORDS if word in column), time)
    if frame is None:
        raise InputError(
            f"the table holds {len(names)} people, and no column says which frame a line is of",
            path=path,
            where="header",
            expected="a column frame or time beside " + table.header[person],
        )
    empty: dict[str, tuple[int, list[str]]] = {}
    lines: dict[tuple[str, str], list[tuple[int, list[str]]]] = {}
    kept = {place for place in (frame, time, name_column(column)) if place is not None}
    for line, fields in table.rows:
        if fields[frame] not in empty:
            blank = [text if place in kept else "" for place, text in enumerate(fields)]
            empty[fields[frame]] = (line, blank)
        lines.setdefault((fields[person], fields[frame]), []).append((line, fields))
    numbers = {key: _time(key) for key in empty}
    order = sorted(empty, key=lambda key: numbers[key]) if np.isfinite(list(numbers.values())).all() else list(empty)
    return {
        name: replace(table, rows=[row for key in order for row in lines.get((name, key), [empty[key]])])
        for name in names
    }


def _one_person(
    table: CsvTable,
    person: str | None,
    content: _Found,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
) -> Keypoints:
    names, values, confidence, times = content
    notes = list(table.notes)
    rate, start = table.fps, 0.0
    if times is not None:
        times, more = _seconds(times)
        notes += more
        rate, start = fps_from_times(times) or table.fps, start_of(times)
    numbered = None if any(hand_columns(names)) else in_order(names)
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
            person_id=person,
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
        person_id=person,
    )


def _wide_form(table: CsvTable, path: Path) -> _Found:
    """Names, positions (T, M, 3), confidence (T, M) and times (T,) of a table with columns for every keypoint."""
    parts: dict[str, dict[str, int]] = {}
    time_column: int | None = None
    for column, heading in enumerate(table.header):
        if TIME.fullmatch(heading):
            time_column = column if time_column is None else time_column
        elif told := part_of(heading):
            name, part = told
            if part in parts.setdefault(name, {}):
                raise InputError(
                    f"the column '{heading}' is there twice", path=path, where="header", expected="distinct names"
                )
            parts[name][part] = column
    markers = {name: found for name, found in parts.items() if {"x", "y", "z"} & set(found)} or threes(table.header)
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
        scale = time_scale(table.header[time_column]) or 1.0
        times = np.array([_time(fields[time_column]) * scale for _, fields in table.rows])
    return list(markers), values, confidence, times


def _long_form(table: CsvTable, path: Path) -> _Found | None:
    """The same of a table with a line a keypoint (frame, keypoint, x, y, z); None where it is no such table."""
    column = {heading.lower(): place for place, heading in reversed(list(enumerate(table.header)))}
    frame = next((column[word] for word in FRAME_WORDS if word in column), None)
    name = name_column(column)
    time = next((place for heading, place in column.items() if TIME.fullmatch(heading)), None)
    frame = time if frame is None else frame
    if name is None or frame is None or not {"x", "y", "z"} <= set(column):
        return None
    names = {fields[name]: None for _, fields in table.rows}
    frames = {fields[frame]: None for _, fields in table.rows}
    index = ({key: place for place, key in enumerate(frames)}, {key: place for place, key in enumerate(names)})
    sure = next((column[word] for word in PART.split("|")[3:] if word in column), None)
    values = np.full((len(frames), len(names), 3), np.nan)
    confidence = np.zeros((len(frames), len(names)))
    times = np.full(len(frames), np.nan)
    for line, fields in table.rows:
        spot = index[0][fields[frame]], index[1][fields[name]]
        values[spot] = [_number(fields[column[axis]], axis, path, line) for axis in "xyz"]
        confidence[spot] = 1.0 if sure is None else _number(fields[sure], table.header[sure], path, line)
        times[spot[0]] = np.nan if time is None else _time(fields[time]) * (time_scale(table.header[time]) or 1.0)
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


def _seconds(times: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Times in seconds: a recording of numbers that go up by five and more counts in something finer."""
    scale, name = clock_unit(times)
    return times * scale, [f"the times are taken as {name}"] * (scale != 1.0)


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
