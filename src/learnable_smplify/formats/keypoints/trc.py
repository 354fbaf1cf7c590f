"""TRC marker files, as Pose2Sim, OpenCap and OpenSim write them."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import (
    MOST_MARKERS,
    keypoints_from_markers,
    known_number,
    number_at,
    read_text,
)
from learnable_smplify.formats.keypoints.named_people import NamedColumns, several_people
from learnable_smplify.formats.keypoints.picture import flat_keypoints
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.times import fps_from_times, places_of_times, start_of
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.safe_files.broken_end import broken_line_note, frame_count_notes

PIXELS = ("px", "pixel", "pixels")


def read_trc(path: Path, asked: Asked) -> list[Keypoints]:
    """The people of a TRC file, whose markers are keypoints; Y is up.

    Fields may be parted by tabs, commas, semicolons or spaces. Markers that are not keypoints of the layout, and
    columns beyond the markers, are ignored with a note. Markers such as `Ann:LKnee` and `Bob:LKnee` are two people's.
    Empty fields and NaN are missing values.

    Args:
        path: the file.
        asked: without a layout, it is inferred from the marker names; without fps, the file's DataRate is taken;
            without units, the file's Units are obeyed, unless limb lengths show that they are wrong.

    Raises:
        InputError: not a TRC file, a row of another length, text where a number belongs (with the line).
    """
    columns = read_trc_table(path, asked.fps)
    if (columns.source.units or "").lower() in PIXELS:
        raise flat_keypoints(path, " in pixels (Sports2D's in metres have '_m_' in their name)", "line 3")
    return several_people(columns, lambda own: keypoints_from_markers(own, asked))


def read_trc_table(path: Path, fps: float | None = None) -> NamedColumns:
    """The markers of a TRC file as they are written.

    Args:
        path: the file.
        fps: frames a second; None takes the file's DataRate, else its times.

    Raises:
        InputError: not a TRC file, a row of another length, text where a number belongs (with the line).
    """
    lines = read_text(path).splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    lines = lines[first:]
    if not lines or not lines[0].lstrip(' \t"').startswith("PathFileType"):
        raise InputError("not a TRC file", path=path, where="line 1", expected="a first line 'PathFileType 4 (X/Y/Z)'")
    if len(lines) < 5 or (len(lines) == 5 and not _is_row(lines[4])):
        raise InputError(
            "the file is truncated in its header", path=path, expected="five header lines, then one line a frame"
        )
    header = dict(zip(_fields(lines[1]), _fields(lines[2]), strict=False))
    names = _marker_names(lines[3])
    if not names:
        raise InputError(
            "there are no marker names",
            path=path,
            where=f"line {first + 4}",
            expected="Frame#, Time, then the names of the markers",
        )

    if len(names) > MOST_MARKERS:
        raise InputError(f"line 4 names {len(names)} markers", path=path, expected=f"at most {MOST_MARKERS}")
    begin = 4 if _is_row(lines[4]) else 5  # the line of X1 Y1 Z1 may be left out
    numbered = [(number, _fields(line)) for number, line in enumerate(lines[begin:], start=first + begin + 1)]
    rows = [
        (number, _trimmed(fields, 2 + 3 * len(names))) for number, fields in numbered if any(map(str.strip, fields))
    ]
    start, width = _place(lines[begin - 1], names, [len(fields) for _, fields in rows])
    notes: list[str] = []
    if len(rows) > 1 and len(rows[-1][1]) < width:  # what a program that was stopped leaves behind
        notes.append(broken_line_note(rows[-1][0]))
        rows.pop()
    values: list[list[float]] = []
    for number, fields in rows:
        if len(fields) != width:
            raise InputError(
                f"the line has {len(fields)} fields",
                path=path,
                where=f"line {number}",
                expected=f"{width}: frame, time and x, y, z of {len(names)} markers (is the file truncated?)",
            )
        numbers = [*fields[:2], *fields[start : start + 3 * len(names)]]
        values.append([number_at(field, path, number) for field in numbers])

    notes += _check_counts(header, len(values), len(names))
    if width > 2 + 3 * len(names):
        notes.append(f"{width - 2 - 3 * len(names)} columns belong to no marker and are ignored")
    table = np.array(values).reshape(-1, 2 + 3 * len(names))
    places = places_of_times(table[:, 1], "line")
    notes += places.notes
    table = places.spread(table)
    rate = _number(header.get("DataRate"))
    measured_rate = fps_from_times(table[:, 1])
    if rate is None:
        rate = measured_rate
    elif fps is None and measured_rate is not None and not 0.98 < measured_rate / rate < 1.02:
        notes.append(f"DataRate says {rate:g} but the times say {measured_rate:.4g} frames a second: DataRate is used")
    source = Source(
        path,
        fps=rate,
        units=header.get("Units", "").strip() or None,
        up_axis="y",
        start_s=start_of(table[:, 1]),
        notes=tuple(notes),
    )
    return NamedColumns(names, table[:, 2:].reshape(-1, len(names), 3), None, source)


def _fields(line: str) -> list[str]:
    line = line.rstrip("\r\n")
    for separator in ("\t", ";"):
        if separator in line:
            return [field.strip().strip('"') for field in line.split(separator)]
    # Where fields are parted by spaces, a comma is a decimal sign.
    if "," in line and (", " in line or line.count(",") > len(line.split())):
        return [field.strip().strip('"') for field in line.split(",")]
    return line.split()


def _trimmed(fields: list[str], width: int) -> list[str]:
    """A line ends in empty fields where the last markers are missing or the writer ends every field by a tab."""
    while len(fields) > width and not fields[-1].strip():
        fields.pop()
    return fields


def _marker_names(line: str) -> list[str]:
    """After "Frame#" and "Time" a name is followed by two empty fields (tabs), by one, or by nothing (spaces)."""
    names = [field for field in _fields(line) if field]
    if names and names[0].lower().rstrip("#") in ("frame", "frames", "field"):
        names = names[1:]
    if names and names[0].lower().split("(")[0].strip() in ("time", "times", "time_s", "t"):
        names = names[1:]
    return names[1:] if names and names[0].lower() in ("(s)", "(sec)", "[s]") else names


def _is_row(line: str) -> bool:
    numbers = [known_number(field) for field in _fields(line) if field]
    return len(numbers) > 3 and None not in numbers


def _place(axes: str, names: list[str], lengths: list[int]) -> tuple[int, int]:
    """Where the first marker's x is, and how many fields a line has: an extra column stands in front or behind."""
    plain = 2 + 3 * len(names)
    width = Counter(lengths).most_common(1)[0][0] if lengths else plain
    if width <= plain:
        return 2, plain
    fields = [field.upper() for field in _fields(axes)]
    stated = fields.index("X1") if "X1" in fields else 2
    return (stated if stated + 3 * len(names) <= width else 2), width


def _number(text: str | None) -> float | None:
    value = known_number(text or "")
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _check_counts(header: dict[str, str], frames: int, markers: int) -> list[str]:
    notes: list[str] = []
    promised = _number(header.get("NumFrames"))
    if promised is not None:
        notes += frame_count_notes(promised, frames)
    named = _number(header.get("NumMarkers"))
    if named is not None and named != markers:
        notes.append(f"the header promises {named:.0f} markers, line 4 names {markers}: the names are used")
    return notes
