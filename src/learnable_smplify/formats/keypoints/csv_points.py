"""The points in a table: three columns a keypoint (two in a picture) and a line a frame, or a line for each of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import known_number, number_at
from learnable_smplify.formats.keypoints.csv_headings import (
    CONFIDENCE_WORDS,
    FRAME_WORDS,
    PERSON_WORDS,
    TIME,
    WORLD,
    name_column,
    part_of,
    threes,
    time_scale,
)
from learnable_smplify.formats.keypoints.csv_table import CsvTable
from learnable_smplify.formats.keypoints.follow import MOST_PEOPLE
from learnable_smplify.formats.keypoints.named_people import NamedColumns
from learnable_smplify.formats.keypoints.picture import flat_keypoints
from learnable_smplify.formats.keypoints.source import Source
from learnable_smplify.formats.keypoints.times import (
    clock_unit,
    every_frame,
    fps_from_times,
    places_of_numbers,
    places_of_times,
    start_of,
)

# Larger numbers of frames are damage.
_LARGEST = 1e12


def points_of_table(table: CsvTable, path: Path, axes: str = "xyz") -> NamedColumns:
    """The points of a table with headings, and its clock.

    Args:
        table: of one person, or of several whose names stand in front of the points'.
        path: for messages.
        axes: "xyz", or "xy" in a picture, where a column of depths is passed over.

    Raises:
        InputError: no such columns, one that is there twice or lacks its axes, text where a number belongs.
    """
    found = _in_order(_long_form(table, path, axes) or _wide_form(table, path, axes))
    notes, times = list(table.notes), found.times
    places = every_frame(len(found.values))
    if found.frames is not None:
        places = places_of_numbers([int(number) for number in found.frames], "line")
    if times is not None and places.frames == len(times):
        places = places_of_times(times, "line")
    fps, start = table.fps, 0.0
    if times is not None:
        # Numbers that go up by five and more from frame to frame count in something finer than seconds.
        scale, unit = clock_unit(times)
        notes += [f"the times are taken as {unit}"] * (scale != 1.0)
        fps, start = fps_from_times(places.spread(times * scale)) or fps, start_of(times * scale)
    confidence = None if found.confidence is None else places.spread(found.confidence)
    source = Source(path, fps=fps, units=table.unit, start_s=start, notes=(*notes, *places.notes))
    return NamedColumns(found.names, places.spread(found.values), confidence, source)


def tables_of_people(table: CsvTable, path: Path) -> dict[str, CsvTable]:
    """A table for every person, all over the same frames: with empty lines where somebody is not seen.

    Raises:
        InputError: too many people, or no column that says which frame a line is of.
    """
    column = _columns(table)
    person = next((column[word] for word in PERSON_WORDS if word in column), None)
    names = [] if person is None else list(dict.fromkeys(fields[person] for _, fields in table.rows))
    if person is None or len(names) < 2 or len(names) == len(table.rows) > MOST_PEOPLE:
        return {"": table}  # nobody, or numbers of lines
    if len(names) > MOST_PEOPLE:
        raise InputError(f"the table holds {len(names)} people", path=path, expected=f"at most {MOST_PEOPLE}")
    time = _time_column(column)
    frame = _frame_column(column, time)
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


@dataclass(frozen=True, eq=False)
class _Found:
    """What the lines of a table say: as in `NamedColumns`, with the times (T,) and the numbers of frames (T,)."""

    names: list[str]
    values: np.ndarray
    confidence: np.ndarray | None
    times: np.ndarray | None
    frames: np.ndarray | None


def _in_order(found: _Found) -> _Found:
    """With the frames in the order of their numbers; without numbers where they are no whole ones."""
    frames = found.frames
    if frames is None or not (np.abs(frames) < _LARGEST).all() or (frames != np.rint(frames)).any() or not len(frames):
        return replace(found, frames=None)
    order = np.argsort(frames, kind="stable")
    confidence, times = (None if part is None else part[order] for part in (found.confidence, found.times))
    return replace(found, values=found.values[order], confidence=confidence, times=times, frames=frames[order])


def _wide_form(table: CsvTable, path: Path, axes: str) -> _Found:
    """Names, values (T, M, A), confidence (T, M) and times (T,) of a table with columns for every keypoint."""
    parts: dict[str, dict[str, int]] = {}
    time_column: int | None = None
    in_world = [bool(WORLD.search(heading)) for heading in table.header]
    for column, heading in enumerate(table.header):
        if TIME.fullmatch(heading):
            time_column = column if time_column is None else time_column
        elif told := part_of(heading):
            name, part = told
            if any(in_world) and part in "xyz" and in_world[column] != ("z" in axes):
                continue  # of the picture, where positions in space are asked for, or the other way round
            if part in parts.setdefault(name, {}):
                raise InputError(
                    f"the column '{heading}' is there twice", path=path, where="header", expected="distinct names"
                )
            parts[name][part] = column
    markers = {name: found for name, found in parts.items() if set("xyz") & set(found)} or threes(table.header)
    if not markers:
        shown = ", ".join(table.header[:6])[:120]
        raise InputError(
            f"the header names no keypoints: {shown}",
            path=path,
            where="header",
            expected="columns such as nose_x,nose_y,nose_z,left_eye_x,...",
        )
    if "z" in axes and all(set("xyz") & set(found) == set("xy") for found in markers.values()):
        raise flat_keypoints(path, ": the columns have x and y, and no z", "header")
    for name, found in markers.items():
        if lacking := set(axes) - set(found):
            raise InputError(
                f"'{name}' has no column for {', '.join(sorted(lacking))}",
                path=path,
                where="header",
                expected=f"{', '.join(axes)} of every keypoint",
            )
    kept = [found[part] for found in markers.values() for part in (*axes, "c") if part in found]
    numbers = np.array(
        [
            [number_at(fields[column], path, line, table.header[column]) for column in kept]
            for line, fields in table.rows
        ]
    ).reshape(len(table.rows), len(kept))
    place = {column: index for index, column in enumerate(kept)}
    values = np.stack([numbers[:, [place[found[axis]] for axis in axes]] for found in markers.values()], axis=1)
    confidence = None
    if any("c" in found for found in markers.values()):
        ones = np.ones(len(numbers))
        confidence = np.stack([numbers[:, place[f["c"]]] if "c" in f else ones for f in markers.values()], axis=1)
    times = None
    if time_column is not None:
        scale = time_scale(table.header[time_column]) or 1.0
        times = np.array([_time(fields[time_column]) * scale for _, fields in table.rows])
    frame = _frame_column(_columns(table))
    frames = None if frame is None else np.array([_time(fields[frame]) for _, fields in table.rows])
    numbers_seen, counts = np.unique([] if frames is None else frames, return_counts=True)
    if len(counts) > 1 and counts.min() > 1 and np.isfinite(numbers_seen).all():
        raise InputError(
            f"every frame is there {counts.min()} times or more, and no column says whose a line is",
            path=path,
            where="header",
            expected="a column such as person beside " + table.header[frame or 0],
        )
    return _Found(list(markers), values, confidence, times, frames if (counts == 1).all() else None)


def _long_form(table: CsvTable, path: Path, axes: str) -> _Found | None:
    """The same of a table with a line a keypoint (frame, keypoint, x, y, z); None where it is no such table."""
    column = _columns(table)
    name, time = name_column(column), _time_column(column)
    frame = _frame_column(column, time)
    if name is None or frame is None or not {"x", "y"} <= set(column):
        return None
    if not set(axes) <= set(column):
        raise flat_keypoints(path, ": the columns have x and y, and no z", "header")
    names = {key: place for place, key in enumerate(dict.fromkeys(fields[name] for _, fields in table.rows))}
    frames = {key: place for place, key in enumerate(dict.fromkeys(fields[frame] for _, fields in table.rows))}
    sure = next((column[word] for word in CONFIDENCE_WORDS if word in column), None)
    values = np.full((len(frames), len(names), len(axes)), np.nan)
    confidence = np.zeros((len(frames), len(names)))
    times = np.full(len(frames), np.nan)
    taken: set[tuple[int, int]] = set()
    for line, fields in table.rows:
        spot = frames[fields[frame]], names[fields[name]]
        if spot in taken:
            raise InputError(
                f"'{fields[name]}' of frame {fields[frame]} is there twice, and no column says whose it is",
                path=path,
                where=f"line {line}",
                expected="a column such as person beside " + table.header[frame],
            )
        taken.add(spot)
        values[spot] = [number_at(fields[column[axis]], path, line, axis) for axis in axes]
        if sure is not None:
            confidence[spot] = number_at(fields[sure], path, line, table.header[sure])
        times[spot[0]] = np.nan if time is None else _time(fields[time]) * (time_scale(table.header[time]) or 1.0)
    return _Found(
        list(names),
        values,
        None if sure is None else confidence,
        None if time is None else times,
        np.array([_time(key) for key in frames]) if frame != time else None,
    )


def _columns(table: CsvTable) -> dict[str, int]:
    """The place of every heading, in lower case; of equal ones the first."""
    return {heading.lower(): place for place, heading in reversed(list(enumerate(table.header)))}


def _time_column(column: dict[str, int]) -> int | None:
    return next((place for heading, place in column.items() if TIME.fullmatch(heading)), None)


def _frame_column(column: dict[str, int], otherwise: int | None = None) -> int | None:
    return next((column[word] for word in FRAME_WORDS if word in column), otherwise)


def _time(text: str) -> float:
    """Seconds of a number, a time of day or a date with one; NaN for anything else."""
    if (number := known_number(text)) is not None:
        return number
    try:
        return datetime.fromisoformat(text if "-" in text else f"1970-01-01 {text}+00:00").timestamp()
    except (ValueError, OverflowError, OSError):
        return float("nan")
