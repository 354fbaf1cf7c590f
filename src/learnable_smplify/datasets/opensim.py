"""OpenSim: joint angles (.mot) beside the recordings of markers or keypoints (.trc) that they were computed from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import parse_number, read_text

LAYOUT = "X.trc beside X.mot or X_ik.mot (or X_markers.trc and X_motion.mot), anywhere below the folder"


@dataclass(frozen=True, eq=False)
class JointAngles:
    """Angles of an OpenSim model over time.

    Args:
        time_s: (T,).
        columns: (T,) each, by the coordinate's name; rotations in degrees, translations in metres.
    """

    time_s: Float[np.ndarray, " T"]
    columns: dict[str, Float[np.ndarray, " T"]]


def read_mot(path: Path) -> JointAngles:
    """The angles of a .mot file.

    Raises:
        InputError: not such a file, or a line of another length (with the line).
    """
    lines = read_text(path).splitlines()
    end = next((index for index, line in enumerate(lines) if line.strip().lower() == "endheader"), None)
    if end is None or end + 2 > len(lines):
        raise InputError("not an OpenSim motion file", path=path, expected="a header that ends in 'endheader'")
    header = {key.strip().lower(): value.strip().lower() for key, _, value in (s.partition("=") for s in lines[:end])}
    names = lines[end + 1].split()
    rows: list[list[float]] = []
    for number, line in enumerate(lines[end + 2 :], start=end + 3):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != len(names):
            raise InputError(
                f"the line has {len(fields)} fields", path=path, where=f"line {number}", expected=str(len(names))
            )
        try:
            rows.append([parse_number(field) for field in fields])
        except ValueError as error:
            raise InputError("a field is not a number", path=path, where=f"line {number}") from error
    if not rows or names[:1] != ["time"]:
        raise InputError("there are no angles over time", path=path, expected="a first column 'time', and rows")
    table = np.array(rows)
    turn = 1.0 if header.get("indegrees") == "yes" else 180 / np.pi
    columns = {
        name: table[:, place] * (1.0 if name.endswith(("_tx", "_ty", "_tz")) else turn)
        for place, name in enumerate(names)
        if place > 0
    }
    return JointAngles(table[:, 0], columns)


def opensim_trials(root: Path) -> list[tuple[Path, Path]]:
    """The recordings (.trc) below a folder that have angles (.mot), and these; in a fixed order.

    Raises:
        InputError: no such folder, or none in it.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, expected=LAYOUT)
    recordings = sorted(root.rglob("*.trc"))
    found = []
    for angles in sorted(root.rglob("*.mot")):
        name = angles.stem.removesuffix("_ik").removesuffix("_motion")
        same = [path for path in recordings if path.stem.removesuffix("_markers") == name]
        near = [path for path in same if path.parent == angles.parent] or same
        near = near or [path for path in recordings if path.stem.endswith(name)]
        found += [(path, angles) for path in near[:1]]
    if not found:
        raise InputError("no recording with joint angles is here", path=root, expected=LAYOUT)
    return found
