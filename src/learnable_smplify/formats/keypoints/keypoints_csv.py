"""Keypoints in CSV: a header `name_x,name_y,name_z`, optionally `name_c` and a time column, then one line a frame."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import (
    MOST_MARKERS,
    check_file,
    fps_from_times,
    keypoints_from_markers,
    parse_number,
    read_text,
)
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout

_COLUMN = re.compile(r"(?P<name>.+?)[_. ](?P<part>x|y|z|c|conf|confidence|score|visibility|likelihood)", re.IGNORECASE)
_TIME_NAMES = ("time", "t", "timestamp", "time_s", "seconds")


def read_keypoints_csv(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> Keypoints:
    """Keypoints of a CSV file (comma, semicolon or tab between fields), in any column order.

    Args:
        path: the file.
        layout: layout name, TOML path or `Layout`; None infers it from the column names.
        fps: frames a second; None takes it from a column `time` [s], else 30 with a note.
        units: of the positions; None detects metres, centimetres or millimetres by the limbs.

    Raises:
        InputError: no such columns, a line of another length, text where a number belongs (with the line).
    """
    path = check_file(path)
    text = read_text(path)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header: list[str] = []
    rows: list[list[float]] = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not header:
                header = [field.strip() for field in fields]
                kept = _numeric_columns(header, path)
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"the line has {len(fields)} fields",
                    path=path,
                    where=f"line {reader.line_num}",
                    expected=f"{len(header)}, as in the header (is the file truncated?)",
                )
            rows.append([_number(fields[column], header[column], path, reader.line_num) for column in kept])
    except csv.Error as error:
        raise InputError(f"not a CSV file ({error})", path=path, where=f"line {reader.line_num}") from error
    if not header:
        raise InputError("the file is empty", path=path, expected="a header such as nose_x,nose_y,nose_z,...")

    table = np.array(rows).reshape(len(rows), len(kept))
    columns = {header[column]: table[:, place] for place, column in enumerate(kept)}
    parts: dict[str, dict[str, str]] = {}
    for column in columns:
        if match := _COLUMN.fullmatch(column):
            part = match["part"].lower()
            parts.setdefault(match["name"].strip(), {})[part if part in "xyz" else "c"] = column
    markers = {name: found for name, found in parts.items() if {"x", "y", "z"} & set(found)}
    for name, found in markers.items():
        if lacking := {"x", "y", "z"} - set(found):
            raise InputError(
                f"'{name}' has no column for {', '.join(sorted(lacking))}",
                path=path,
                where="header",
                expected="x, y and z of every keypoint",
            )
    values = np.stack(
        [np.stack([columns[found[axis]] for axis in "xyz"], axis=-1) for found in markers.values()], axis=1
    )
    confidence = None
    if any("c" in found for found in markers.values()):
        ones = np.ones(len(table))
        confidence = np.stack([columns[f["c"]] if "c" in f else ones for f in markers.values()], axis=1)
    if fps is None:
        times = next((columns[column] for column in columns if column.lower() in _TIME_NAMES), None)
        fps = None if times is None else fps_from_times(times)
    return keypoints_from_markers(
        list(markers), values, path=path, layout=layout, fps=fps, units=units, confidence=confidence
    )


def _numeric_columns(header: list[str], path: Path) -> list[int]:
    """Columns that hold keypoints or time; others (a frame's file name, say) may hold anything."""
    if len(header) > MOST_MARKERS * 4:
        raise InputError(f"the header has {len(header)} columns", path=path, expected=f"at most {MOST_MARKERS * 4}")
    kept = [i for i, name in enumerate(header) if name.lower() in _TIME_NAMES or _COLUMN.fullmatch(name)]
    if not any(re.search(r"[_. ]x$", header[column], re.IGNORECASE) for column in kept):
        shown = ", ".join(header[:6])[:120]
        raise InputError(
            f"the header names no keypoints: {shown}",
            path=path,
            where="header",
            expected="columns such as nose_x,nose_y,nose_z,left_eye_x,...",
        )
    if len(set(header)) != len(header):
        twice = Counter(header).most_common(1)[0][0]
        raise InputError(f"the column '{twice}' is there twice", path=path, where="header", expected="distinct names")
    return kept


def _number(text: str, column: str, path: Path, line: int) -> float:
    try:
        return parse_number(text)
    except ValueError as error:
        raise InputError(
            f"'{text[:40]}' is not a number", path=path, where=f"line {line}, column {column}", expected="a number"
        ) from error
