"""TRC marker files, as Pose2Sim, OpenCap and OpenSim write them."""

from __future__ import annotations

import math
from os import PathLike

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


def read_trc(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> Keypoints:
    """Markers of a TRC file as keypoints; Y is up.

    Markers that are not keypoints of the layout are ignored with a note. Empty fields and NaN are missing values.

    Args:
        path: the file.
        layout: layout name, TOML path or `Layout`; None infers it from the marker names.
        fps: frames a second; None takes the file's DataRate.
        units: of the positions; None obeys the file's Units, unless limb lengths show that it is wrong.

    Raises:
        InputError: not a TRC file, truncated, a row of another length, text where a number belongs (with the line).
    """
    path = check_file(path)
    lines = read_text(path).splitlines()
    if not lines or not lines[0].lstrip().startswith("PathFileType"):
        raise InputError("not a TRC file", path=path, where="line 1", expected="a first line 'PathFileType 4 (X/Y/Z)'")
    if len(lines) < 6:
        raise InputError(
            "the file is truncated in its header", path=path, expected="five header lines, then one line a frame"
        )
    header = dict(zip(_fields(lines[1]), _fields(lines[2]), strict=False))
    names = _marker_names(lines[3])
    if not names:
        raise InputError(
            "there are no marker names",
            path=path,
            where="line 4",
            expected="Frame#, Time, then the names of the markers",
        )

    if len(names) > MOST_MARKERS:
        raise InputError(f"line 4 names {len(names)} markers", path=path, expected=f"at most {MOST_MARKERS}")
    rows: list[list[float]] = []
    width = 2 + 3 * len(names)
    for number, line in enumerate(lines[5:], start=6):
        if not line.strip():
            continue
        fields = _fields(line)
        # A line ends in empty fields where the last markers are missing or the writer ends every field by a tab.
        while len(fields) > width and not fields[-1].strip():
            fields.pop()
        if len(fields) != width:
            raise InputError(
                f"the line has {len(fields)} fields",
                path=path,
                where=f"line {number}",
                expected=f"{width}: frame, time and x, y, z of {len(names)} markers (is the file truncated?)",
            )
        try:
            rows.append([parse_number(field) for field in fields])
        except ValueError as error:
            raise InputError(
                f"a field is not a number ({str(error)[:80]})", path=path, where=f"line {number}", expected="numbers"
            ) from error

    notes = _check_counts(header, len(rows), len(names), path)
    table = np.array(rows).reshape(-1, width)
    rate = _number(header.get("DataRate"))
    measured_rate = fps_from_times(table[:, 1])
    if rate is None:
        rate = measured_rate
    elif fps is None and measured_rate is not None and not 0.98 < measured_rate / rate < 1.02:
        notes.append(f"DataRate says {rate:g} but the times say {measured_rate:.4g} frames a second: DataRate is used")
    return keypoints_from_markers(
        names,
        table[:, 2:].reshape(-1, len(names), 3),
        path=path,
        layout=layout,
        fps=rate if fps is None else fps,
        units=units,
        declared_units=header.get("Units", "").strip() or None,
        up_axis="y",
        notes=notes,
    )


def _fields(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t") if "\t" in line else line.split()


def _marker_names(line: str) -> list[str]:
    # After "Frame#" and "Time" a name is followed by two empty fields (tabs) or by nothing (spaces).
    return [field.strip() for field in _fields(line)[2:] if field.strip()]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _check_counts(header: dict[str, str], frames: int, markers: int, path: PathLike[str]) -> list[str]:
    notes: list[str] = []
    promised = _number(header.get("NumFrames"))
    if promised is not None and frames < promised:
        raise InputError(
            f"the header promises {promised:.0f} frames, the file has {frames}",
            path=path,
            expected="as many lines as NumFrames says (is the file truncated?)",
            hint="copy the file again, or correct NumFrames in line 3",
        )
    if promised is not None and frames > promised:
        notes.append(f"the header promises {promised:.0f} frames, the file has {frames}: all are read")
    named = _number(header.get("NumMarkers"))
    if named is not None and named != markers:
        notes.append(f"the header promises {named:.0f} markers, line 4 names {markers}: the names are used")
    return notes
