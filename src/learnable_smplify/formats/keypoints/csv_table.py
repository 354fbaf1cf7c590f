"""A table of text with one heading a column, from CSV as spreadsheets and capture programs write it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import MOST_MARKERS, known_number, read_text
from learnable_smplify.formats.keypoints.csv_headings import PERSON_WORDS
from learnable_smplify.formats.keypoints.units import known_unit
from learnable_smplify.safe_files.broken_end import broken_line_note
from learnable_smplify.timeline import is_rate

# The heading is looked for in so many lines; capture programs write titles and rates above it.
_HEADING_LINES = 15
_AXES = ("x", "y", "z")
_UNIT = re.compile(r"\s*_?[(\[]\s*([A-Za-z]+)\s*[)\]]$")
_UNIT_BEHIND = re.compile(r"(?<=[_. ][xyz])[_ ](mm|cm|m|in|ft)$|(?<=^[xyz])[_ ](mm|cm|m|in|ft)$", re.IGNORECASE)
# What the lines above the heading say of the recording: "Export Frame Rate,60", "# fps: 30", "Units;mm".
_RATE = re.compile(r"(?<!analog_)(?:fps|rate|frequency|hz)\b[^0-9A-Za-z]{1,8}(\d+(?:\.\d+)?)", re.IGNORECASE)
_STATED_UNIT = re.compile(r"\bunits?\b[^0-9A-Za-z]{1,8}([A-Za-z]+)", re.IGNORECASE)
# What a column of a name is, where capture programs say so in a line of its own.
_QUANTITIES = ("position", "rotation", "quaternion", "mean marker error", "marker quality")
# Vicon's sections of one file; the markers are in this one.
_SECTION = "trajectories"
_PEOPLE_WORDS = ("individuals", "individual", "animals", "people")


@dataclass(frozen=True)
class CsvTable:
    """What a CSV file holds.

    Args:
        header: headings, without units; () where the file has none.
        rows: (number of the line, fields), as many fields as headings.
        unit: of the positions, where the headings or a line above them state one.
        fps: frames a second, where a line above the headings states it.
        notes: lines for the user.
    """

    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    unit: str | None
    fps: float | None
    notes: tuple[str, ...] = ()


_Lines = list[tuple[int, list[str]]]


def read_table(path: Path) -> CsvTable:
    """The table of a CSV file: fields parted by semicolons, tabs, commas or spaces, in any of a spreadsheet's dialects.

    The heading is one line, or one of names above one of axes (x, y, z under each name, as Vicon, Motive and DeepLabCut
    write them), below any titles. A last line that breaks off is left out, and so is another table behind this one.

    Raises:
        InputError: an empty file, or a line of another length (with its number).
    """
    lines = _section(_fields(path))
    if not lines:
        raise InputError("the file is empty", path=path, expected="a header such as nose_x,nose_y,nose_z,...")
    header, above, body = _parted(lines)
    units = {unit for name in header if (unit := _unit_of(name)) is not None}
    if body and header and (stated := _line_of_units(body[0][1])):
        units, body = units | stated, body[1:]
    told = "\n".join(",".join(fields) for _, fields in above)
    if not units and (said := [unit for word in _STATED_UNIT.findall(told) if (unit := known_unit(word))]):
        units = {said[-1]}
    width = len(header) or len(lines[0][1])
    body, notes = _of_width(body, width, path)
    rates = [rate for _, fields in above if (rate := _lone_number(fields)) is not None]
    rates += [float(rate) for rate in reversed(_RATE.findall(told)) if is_rate(float(rate))]
    return CsvTable(
        header=tuple(_without_unit(name) for name in header),
        rows=body,
        unit=units.pop() if len(units) == 1 else None,
        fps=rates[0] if rates else None,
        notes=notes,
    )


def _fields(path: Path) -> _Lines:
    text = read_text(path)
    head = [line for line in text.splitlines()[: 2 * _HEADING_LINES] if line.strip()]
    if head and head[0].lower().startswith("sep="):
        text = "\n" + text.split("\n", 1)[-1]
    # Decimal commas come with semicolons or tabs, so many of these settle it.
    delimiter = next((mark for mark in ";\t" if any(line.count(mark) >= 2 for line in head)), ",")
    if delimiter == "," and not any(line.count(",") >= 2 for line in head):
        delimiter = " "  # as numpy.savetxt and R write
    reader = csv.reader(_narrow(text, delimiter, path), delimiter=delimiter, skipinitialspace=True)
    lines: _Lines = []
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                lines.append((reader.line_num, [field.strip() for field in fields]))
    except csv.Error as error:
        raise InputError(f"not a CSV file ({error})", path=path, where=f"line {reader.line_num}") from error
    return lines


def _narrow(text: str, delimiter: str, path: Path) -> Iterator[str]:
    """The lines of a text, none of which has more columns than markers have: told before any is taken apart."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if (columns := 1 + line.count(delimiter)) > 4 * MOST_MARKERS:
            raise InputError(
                f"the file has {columns} columns",
                path=path,
                where=f"line {number}",
                expected=f"at most {4 * MOST_MARKERS}",
            )
        yield line


def _section(lines: _Lines) -> _Lines:
    """The lines from the section of markers on, where a file has several."""
    place = next((place for place, (_, fields) in enumerate(lines) if fields[0].lower() == _SECTION), 0)
    return lines[place:]


def _parted(lines: _Lines) -> tuple[list[str], _Lines, _Lines]:
    """The headings, the lines above them and the lines below."""
    place = _axes_line(lines[:_HEADING_LINES])
    if place is not None:
        return _two_lines([fields for _, fields in lines[:place]], lines[place][1]), lines[:place], lines[place + 1 :]
    # Titles may be as many as lines of a short recording, but hold less.
    width = max(Counter(len(fields) for _, fields in lines).items(), key=lambda pair: pair[0] * pair[1])[0]
    long = (number for number, (_, fields) in enumerate(lines[:_HEADING_LINES]) if 2 * len(fields) > width)
    first = next(long, 0)
    if _is_numbers(lines[first][1]):
        return _stated_names(lines[:first], width), lines[:first], lines[first:]
    header = list(lines[first][1])
    if header[0] == "#":  # "# time x y z": the mark is a field of its own where spaces part fields
        header = header[1:]
    header[0] = header[0].removeprefix("#").strip()
    return header, lines[:first], lines[first + 1 :]


def _stated_names(above: _Lines, width: int) -> list[str]:
    """The headings of columns without any, from Qualisys's line of names; [] where there is none."""
    names = next((fields[1:] for _, fields in above if fields[0].lower() == "marker_names"), [])
    ahead = ["Frame", "Time"][: width - 3 * len(names)] if names else []
    header = [*ahead, *(f"{name}_{axis}" for name in names for axis in _AXES)]
    return header if len(header) == width else []


def _of_width(body: _Lines, width: int, path: Path) -> tuple[_Lines, tuple[str, ...]]:
    """The lines of a table, which all have `width` fields; and what is left out."""
    rows: _Lines = []
    for place, (number, fields) in enumerate(body):
        while len(fields) > width and not fields[-1]:
            fields.pop()
        if len(fields) == width:
            rows.append((number, fields))
        elif rows and sum(map(bool, fields)) < 3 and known_number(fields[0]) is None:  # the title of another table
            return rows, (f"the lines from {number} on belong to another table and are left out",)
        elif rows and place == len(body) - 1 and len(fields) < width:
            return rows, (broken_line_note(number),)
        elif not fields[0].startswith("#"):
            raise InputError(
                f"the line has {len(fields)} fields",
                path=path,
                where=f"line {number}",
                expected=f"{width}, as in the header (is the file truncated?)",
            )
    return rows, ()


def _axes_line(lines: _Lines) -> int | None:
    """The place of a line of axes below a line of names."""
    for place, (_, fields) in enumerate(lines):
        axes = [field for field in fields if _plain_axis(field).rstrip("'") in _AXES]
        if place and len(axes) >= 6 and len(axes) >= 0.5 * len([field for field in fields if field]):
            return place
    return None


def _plain_axis(field: str) -> str:
    return _UNIT.sub("", field).lower()


def _two_lines(above: list[list[str]], axes: list[str]) -> list[str]:
    """Headings from a line of axes and those above it: names, and in some programs identifiers and quantities."""
    kinds = next((fields for fields in above if _QUANTITIES[0] in map(str.lower, fields)), [])
    # The names are in the line that says so, else in that of most words: others say one thing of all columns.
    others = [fields for fields in reversed(above) if fields is not kinds] or above
    named = next((fields for fields in above if "name" in (field.lower() for field in fields[:2])), None)
    named = named or max(others, key=lambda fields: len(set(fields)))
    people = next((fields for fields in above if fields[0].lower() in (*PERSON_WORDS, *_PEOPLE_WORDS)), None)
    header: list[str] = []
    name = ""
    for column, axis in enumerate(axes):
        here = named[column] if column < len(named) else ""
        name = here or name
        kind = kinds[column].lower() if column < len(kinds) else ""
        quantity = "" if kind in ("", _QUANTITIES[0]) else f"_{kind}"
        is_part = _plain_axis(axis) in _AXES or (here and axis)
        # DeepLabCut has the people in a line of their own.
        person = f"{people[column]}:" if people is not None and column < len(people) and people[column] else ""
        header.append(f"{person}{name}{quantity}_{axis}" if is_part else axis)
    return header


def _line_of_units(fields: list[str]) -> set[str]:
    """The units of length in a line of words, among which may be others: mm/s, deg, N."""
    words = {field for field in fields if field}
    if any(known_number(word) is not None for word in words):
        return set()
    return {unit for word in words if (unit := known_unit(word)) is not None}


def _unit_of(name: str) -> str | None:
    behind = _UNIT_BEHIND.search(name)
    found = _UNIT.search(name)
    return known_unit(behind[0].strip("_ ")) if behind else None if found is None else known_unit(found[1])


def _without_unit(name: str) -> str:
    if _unit_of(name) is None:
        return name
    return _UNIT.sub("", _UNIT_BEHIND.sub("", name))


def _is_numbers(fields: list[str]) -> bool:
    return None not in map(known_number, fields) and sum(map(bool, fields)) >= 6


def _lone_number(fields: list[str]) -> float | None:
    filled = [field for field in fields if field]
    number = known_number(filled[0]) if len(filled) == 1 else None
    return number if number is not None and is_rate(number) else None
