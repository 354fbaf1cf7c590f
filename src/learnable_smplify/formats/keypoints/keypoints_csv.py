"""Keypoints in CSV: three columns a keypoint and a line a frame, or a line for every keypoint of every frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import keypoints_from_markers, keypoints_in_order, number_at
from learnable_smplify.formats.keypoints.csv_headings import in_order
from learnable_smplify.formats.keypoints.csv_points import points_of_table, tables_of_people
from learnable_smplify.formats.keypoints.csv_table import CsvTable, read_table
from learnable_smplify.formats.keypoints.named_people import NamedColumns, everybody, several_people
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.layouts.whole_body import hand_columns, whole_body


def read_keypoints_csv(path: Path, asked: Asked) -> list[Keypoints]:
    """The people of a CSV file (comma, semicolon, tab or space between fields; decimal point or comma).

    Columns are called `nose_x`, `nose.x`, `noseX`, `x_nose` or by numbers (`x0`, `0_x`, `landmark_0_x`: in the order of
    the layout), in any order; or names stand above x, y, z. A table with columns frame, name, x, y, z has a line a
    keypoint. A column `person` (`person_id`, `track_id`, ...) tells several people apart.

    Args:
        path: the file.
        asked: without a layout, it is inferred from the column names; without fps, a column `time` [s] (or `time_ms`)
            tells it, else it is 30 with a note; without units, the limbs tell metres, centimetres or millimetres.

    Raises:
        InputError: no such columns, a line of another length, text where a number belongs (with the line).
    """
    table = read_table(path)
    if not table.header:
        return [_bare(table, path, asked)]
    tables = tables_of_people(table, path)
    if len(tables) == 1:
        return several_people(points_of_table(table, path), lambda own: _one_person(own, asked))

    def person(name: str, own: CsvTable) -> Keypoints:
        points = points_of_table(own, path)
        return _one_person(replace(points, source=replace(points.source, person_id=name)), asked)

    found, problem = everybody(tables, person)
    if not found and problem is not None:
        raise problem
    return found


def _one_person(points: NamedColumns, asked: Asked) -> Keypoints:
    numbered = None if any(hand_columns(points.names)) else in_order(points.names)
    if numbered is None:
        return keypoints_from_markers(points, asked)
    trust = None if points.confidence is None else points.confidence[:, numbered]
    found = keypoints_in_order(points.values[:, numbered], trust, asked, points.source)
    return found.with_note(f"the columns are numbered: taken in the order of {load_layout(found.layout).name}")


def _bare(table: CsvTable, path: Path, asked: Asked) -> Keypoints:
    """A table without headings: x, y, z of the layout's keypoints in order, maybe with a frame's number in front."""
    width = len(table.rows[0][1])
    if asked.layout is None:
        raise InputError(
            f"the header names no keypoints: there are only {width} columns of numbers",
            path=path,
            expected="a header such as nose_x,nose_y,nose_z,...",
            hint="--layout NAME, where they are x, y, z of its keypoints in order",
        )
    layout = load_layout(asked.layout)
    whole = whole_body(asked.layout) if isinstance(asked.layout, str) else None
    count = len(layout) if whole is None or width < 3 * whole.count else whole.count
    extra = width - 3 * count
    if extra not in (0, 1, 2):
        raise InputError(
            f"the file has {width} columns and no header",
            path=path,
            expected=f"{3 * count}: x, y, z of the keypoints of layout '{layout.name}'",
        )
    numbers = np.array(
        [[number_at(text, path, line, str(place)) for place, text in enumerate(row)] for line, row in table.rows]
    )
    source = Source(path, notes=("the file has no header: its columns are taken in the order of the layout",))
    return keypoints_in_order(numbers[:, extra:].reshape(len(numbers), count, 3), None, asked, source)
