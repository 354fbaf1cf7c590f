"""Any keypoint file: the format is told by the suffix. A new format is one file with a `read_x` and a line here."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints_csv import read_keypoints_csv
from learnable_smplify.formats.keypoints_npy import read_keypoints_npy
from learnable_smplify.formats.keypoints_npz import read_keypoints_npz, write_keypoints_npz
from learnable_smplify.formats.trc import read_trc
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout

_READERS = {
    ".npz": read_keypoints_npz,
    ".npy": read_keypoints_npy,
    ".csv": read_keypoints_csv,
    ".trc": read_trc,
}


def read_keypoints(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> Keypoints:
    """Read 3D keypoints of one person from a .npz, .npy, .csv or .trc file.

    What had to be assumed or converted is in the result's `notes`, for the user to see.

    Args:
        path: the file.
        layout: layout name ("body25"), path of a layout TOML, or `Layout`; None infers it where the file allows.
        fps: frames a second; None takes the file's own, else 30 with a note.
        units: "m", "cm", "mm", "in" or "ft"; None obeys the file and detects millimetres and centimetres.

    Returns:
        Keypoints in metres; missing ones have confidence 0.

    Raises:
        InputError: missing, damaged or unknown file; the message names the place and the remedy.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"files ending in '{path.suffix}' are not known to hold keypoints",
            path=path,
            expected="one of " + ", ".join(_READERS),
        )
    return reader(path, layout=layout, fps=fps, units=units)


def write_keypoints(keypoints: Keypoints, path: str | PathLike[str]) -> None:
    """Write keypoints as .npz (see `write_keypoints_npz`).

    Raises:
        InputError: the path does not end in .npz or cannot be written.
    """
    write_keypoints_npz(keypoints, path)
