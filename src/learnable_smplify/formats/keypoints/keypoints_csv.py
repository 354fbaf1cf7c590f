"""Keypoints in CSV: three columns a keypoint and a line a frame, or a line for every keypoint of every frame."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import (
    check_file,
    keypoints_from_arrays,
    keypoints_from_markers,
)
from learnable_smplify.formats.keypoints.csv_headings import in_order
from learnable_smplify.formats.keypoints.csv_points import TablePoints, points_of_table, table_number, tables_of_people
from learnable_smplify.formats.keypoints.csv_table import CsvTable, read_table
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.formats.keypoints.named_people import everybody, several_people
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
    tables = tables_of_people(table, path)
    if len(tables) > 1:
        found, problem = everybody(
            tables, lambda name, own: _one_person(points_of_table(own, path), table, name, path, layout, fps, units)
        )
        if not found and problem is not None:
            raise problem
        return found
    points = points_of_table(table, path)
    several = several_people(
        points.names,
        lambda name, columns: _one_person(points.of_person(columns), table, name or None, path, layout, fps, units),
    )
    return several or [_one_person(points, table, None, path, layout, fps, units)]


def _one_person(
    found: TablePoints,
    table: CsvTable,
    person: str | None,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
) -> Keypoints:
    names, values, confidence = found.names, found.values, found.confidence
    numbered = None if any(hand_columns(names)) else in_order(names)
    if numbered is None:
        return keypoints_from_markers(
            names,
            values,
            path=path,
            layout=layout,
            fps=found.fps if fps is None else fps,
            units=units,
            declared_units=table.unit,
            confidence=confidence,
            start_s=found.start_s,
            notes=found.notes,
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
        fps=found.fps if fps is None else fps,
        units=units,
        declared_units=table.unit,
        confidence=None if scores is None else points.body_of(scores, 1)[..., 0],
        start_s=found.start_s,
        notes=[*found.notes, *points.notes, f"the columns are numbered: taken in the order of {points.layout.name}"],
        hands=points.hands_of(values),
        hand_confidence=None if of_hands is None else of_hands[..., 0],
        whole=points.whole,
        person_id=person,
    )


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
        [[table_number(text, str(place), path, line) for place, text in enumerate(row)] for line, row in table.rows]
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
