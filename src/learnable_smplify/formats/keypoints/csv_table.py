"""A table of text with one heading a column, from CSV as spreadsheets and capture programs write it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import MOST_MARKERS, parse_number, read_text
from learnable_smplify.formats.keypoints.units import unit_in_metres

# The heading is looked for in so many lines; capture programs write titles and rates above it.
_HEADING_LINES = 12
_AXES = ("x", "y", "z")
_UNIT = re.compile(r"\s*_?[(\[]\s*([A-Za-z]+)\s*[)\]]$")


@dataclass(frozen=True)
class CsvTable:
    """What a CSV file holds.

    Args:
        header: headings, without units; () where the file has none.
        rows: (number of the line, fields), as many fields as headings.
        unit: of the positions, where the headings state one.
        fps: frames a second, where a line above the headings states it.
    """

    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    unit: str | None
    fps: float | None


def read_table(path: Path) -> CsvTable:
    """The table of a CSV file: fields parted by semicolons, tabs or commas, in any of a spreadsheet's dialects.

    The heading is one line, or one of names above one of axes (x, y, z under each name, as Vicon and DeepLabCut write
    them). Lines that begin with "#" and a first line "sep=;" are passed over.

    Raises:
        InputError: an empty file, or a line of another length (with its number).
    """
    lines = _fields(path)
    if not lines:
        raise InputError("the file is empty", path=path, expected="a header such as nose_x,nose_y,nose_z,...")
    place = _axes_line(lines[:_HEADING_LINES])
    if place is not None:
        header, above, body = _two_lines(lines[place - 1][1], lines[place][1]), lines[: place - 1], lines[place + 1 :]
    elif _is_numbers(lines[0][1]):
        header, above, body = [], [], lines
    else:
        header, above, body = lines[0][1], [], lines[1:]
    units = {unit for name in header if (unit := _unit_of(name)) is not None}
    if body and header and (stated := _line_of_units(body[0][1])):
        units, body = units | stated, body[1:]
    width = len(header) or len(lines[0][1])
    if width > 4 * MOST_MARKERS:
        raise InputError(f"the file has {width} columns", path=path, expected=f"at most {4 * MOST_MARKERS}")
    for number, fields in body:
        while len(fields) > width and not fields[-1]:
            fields.pop()
        if len(fields) != width:
            raise InputError(
                f"the line has {len(fields)} fields",
                path=path,
                where=f"line {number}",
                expected=f"{width}, as in the header (is the file truncated?)",
            )
    return CsvTable(
        header=tuple(name if _unit_of(name) is None else _UNIT.sub("", name) for name in header),
        rows=body,
        unit=units.pop() if len(units) == 1 else None,
        fps=next((rate for _, fields in above if (rate := _lone_number(fields)) is not None), None),
    )


def _fields(path: Path) -> list[tuple[int, list[str]]]:
    text = read_text(path)
    head = text.splitlines()[:_HEADING_LINES]
    if head and head[0].lower().startswith("sep="):
        text = "\n" + text.split("\n", 1)[-1]
    # Decimal commas come with semicolons or tabs, so many of these settle it.
    delimiter = next((mark for mark in ";\t" if any(line.count(mark) >= 2 for line in head)), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for fields in reader:
            if any(field.strip() for field in fields) and not (fields[0].startswith("#") and len(lines) == 0):
                lines.append((reader.line_num, [field.strip() for field in fields]))
    except csv.Error as error:
        raise InputError(f"not a CSV file ({error})", path=path, where=f"line {reader.line_num}") from error
    return lines


def _axes_line(lines: list[tuple[int, list[str]]]) -> int | None:
    """The place of a line of axes below a line of names."""
    for place, (_, fields) in enumerate(lines):
        axes = [field for field in fields if _plain_axis(field) in _AXES]
        if place and len(axes) >= 6 and len(axes) >= 0.5 * len([field for field in fields if field]):
            return place
    return None


def _plain_axis(field: str) -> str:
    return _UNIT.sub("", field).lower()


def _two_lines(names: list[str], axes: list[str]) -> list[str]:
    header: list[str] = []
    name = ""
    for column, axis in enumerate(axes):
        above = names[column] if column < len(names) else ""
        name = above or name
        header.append(f"{name.rpartition(':')[2]}_{axis}" if _plain_axis(axis) in _AXES or above else axis)
    return header


def _line_of_units(fields: list[str]) -> set[str]:
    """The units of a line that holds nothing else."""
    words = {field for field in fields if field}
    try:
        return {unit_in_metres(word)[0] for word in words if word.lower() not in ("s", "sec", "deg")}
    except InputError:
        return set()


def _unit_of(name: str) -> str | None:
    found = _UNIT.search(name)
    try:
        return None if found is None else unit_in_metres(found[1])[0]
    except InputError:
        return None


def _is_numbers(fields: list[str]) -> bool:
    try:
        return all(parse_number(field) is not None for field in fields) and sum(map(bool, fields)) >= 6
    except ValueError:
        return False


def _lone_number(fields: list[str]) -> float | None:
    filled = [field for field in fields if field]
    try:
        number = parse_number(filled[0]) if len(filled) == 1 else 0.0
    except ValueError:
        return None
    return number if 0 < number < 1e5 else None
