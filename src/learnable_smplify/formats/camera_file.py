"""`camera.json`: the intrinsics of a camera and where it stands.

    {"fx": 1450.0, "fy": 1450.0, "cx": 960.0, "cy": 540.0,      pixels
     "width": 1920, "height": 1080,                             optional
     "R": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],                  optional: world to camera, x_camera = R x_world + t
     "t": [0, 1.2, 4],                                          metres, with R
     "up_axis": "y"}                                            optional, with R: which world axis points up

The camera's frame is OpenCV's: x right, y down, z into the picture. Without R and t the world has its origin at the
camera, Y up, and the camera looks along -Z: right for a camera that is held level.
"""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import torch

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.json_frames import read_json
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.budget import shown

_INTRINSICS = ("fx", "fy", "cx", "cy")
_KEYS = (*_INTRINSICS, "width", "height", "R", "t", "up_axis")
_DISTORTION = ("distortion", "dist", "dist_coeffs", "distCoeffs", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
_LEVEL = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
_EXAMPLE = '{"fx": 1450, "fy": 1450, "cx": 960, "cy": 540}'


def read_camera(path: str | PathLike[str]) -> Camera:
    """Read a camera.json.

    Raises:
        InputError: missing or damaged, a key that is missing or unknown, a value of the wrong kind, only one of R and
            t, or lens distortion that is not zero.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("this is not a camera", path=path, expected=_EXAMPLE)
    for key in _DISTORTION:
        if key in content and any(_flat(content[key], path, key)):
            raise InputError(
                "the camera has lens distortion, which is not modelled",
                path=path,
                where=f"key '{key}'",
                expected="a pinhole camera",
                hint="undistort the keypoints (cv2.undistortPoints with P=K) and leave this key out",
            )
    for key in content:
        if key not in _KEYS and key not in _DISTORTION:
            raise InputError(f"unknown key '{key}'", path=path, expected=", ".join(_KEYS))
    for key in _INTRINSICS:
        if key not in content:
            raise InputError(f"the key '{key}' is missing", path=path, expected=_EXAMPLE)
    if ("R" in content) != ("t" in content):
        there, missing = ("R", "t") if "R" in content else ("t", "R")
        raise InputError(f"'{there}' is there and '{missing}' is not", path=path, expected="both, or neither")
    up_axis = content.get("up_axis")
    if up_axis is not None and ("R" not in content or up_axis not in get_args(UpAxis)):
        raise InputError(f"up_axis is {shown(up_axis)}", path=path, expected="'x', 'y' or 'z', with R and t")
    placed = "R" in content
    fx, fy, cx, cy = (_number(content[key], path, key) for key in _INTRINSICS)
    try:
        return Camera(
            fx,
            fy,
            cx,
            cy,
            R_camera_world=torch.tensor(_flat(content["R"], path, "R") if placed else _LEVEL).reshape(_shape(content)),
            t_camera_world=torch.tensor(_flat(content["t"], path, "t") if placed else [0.0, 0.0, 0.0]),
            width=_side(content.get("width"), path, "width"),
            height=_side(content.get("height"), path, "height"),
            up_axis=up_axis if placed else "y",
            notes=()
            if placed
            else ("the camera file has no R and t: motion is in the camera's place, Y up, if level",),
        )
    except InputError as error:
        raise _in_file(error, path) from error


def _shape(content: dict[str, Any]) -> tuple[int, ...]:
    """Of R as it is written; `Camera` says what is wrong with another than (3, 3)."""
    rows = content.get("R", _LEVEL)
    if not isinstance(rows, list | tuple):  # one number, as `_flat` allows it
        return (1,)
    return (len(rows), len(rows[0])) if isinstance(rows[0], list | tuple) else (len(rows),)


def _in_file(error: InputError, path: Path) -> InputError:
    text = str(error)
    return error if text.startswith(str(path)) else InputError(text.rstrip("."), path=path)


def _number(value: Any, path: Path, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, float):
        raise InputError("this is not a number", path=path, where=f"key '{key}'", expected="pixels")
    return value


def _side(value: Any, path: Path, key: str) -> int | None:
    if value is None:
        return None
    side = _number(value, path, key)
    if not (math.isfinite(side) and side > 0):
        raise InputError(f"the value is {side:g}", path=path, where=f"key '{key}'", expected="pixels above 0")
    return round(side)


def _flat(value: Any, path: Path, key: str) -> list[float]:
    """The numbers in a number, a list, or a list of lists of equal length."""
    rows = value if isinstance(value, list) else [value]
    if rows and all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        rows = [number for row in rows for number in row]
    if not all(isinstance(number, float) for number in rows) or (key in ("R", "t") and not rows):
        raise InputError(
            "these are not numbers", path=path, where=f"key '{key}'", expected="3 x 3 numbers for R, 3 for t"
        )
    return rows
