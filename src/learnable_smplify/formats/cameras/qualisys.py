"""Qualisys' `.qca.txt`: XML, one `<camera>` with its place (millimetres) and its lens (64ths of a pixel).

The rows r11..r33 take world directions to a camera whose y points up and whose z points back: with y and z negated they
are OpenCV's. x, y, z are where the camera stands. `fov_video` says which part of the sensor the picture is.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError, reason
from learnable_smplify.formats.cameras.placed import CameraUnits, RawCamera, placed_cameras
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.whole_file import read_bytes

_SUBPIXELS = 64.0
_TO_OPENCV = np.diag([1.0, -1.0, -1.0])
_LARGEST = 4_000_000
# Which axis is up is the user's choice when calibrating with Qualisys' L-frame, and nearly always this one.
_UP: UpAxis = "z"


def read_qualisys(path: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """Cameras of a `.qca.txt`, by serial number.

    Raises:
        InputError: no such file, no calibration of Qualisys, or a value that is missing or no number.
    """
    cameras = []
    for number, element in enumerate(_root(path).iter("camera"), start=1):
        name = element.get("serial") or f"camera {number}"
        where = f"camera {name}"
        if element.get("active", "1") == "0":
            continue
        place, lens = element.find("transform"), element.find("intrinsic")
        if place is None or lens is None:
            tag = "transform" if place is None else "intrinsic"
            raise InputError(f"there is no <{tag}>", path=path, where=where, expected="<transform> and <intrinsic>")
        rows = np.array([[_number(place, f"r{row}{column}", path, where) for column in (1, 2, 3)] for row in (1, 2, 3)])
        stands = np.array([_number(place, axis, path, where) for axis in "xyz"])
        left, top, size = _picture(element, path, where)
        rotation = _TO_OPENCV @ rows
        focal = [_number(lens, f"focalLength{axis}", path, where) / _SUBPIXELS for axis in "UV"]
        centre = [
            (_number(lens, f"centerPoint{axis}", path, where) - _number(lens, f"sensorMin{axis}", path, where, 0.0))
            / _SUBPIXELS
            for axis in "UV"
        ]
        matrix = np.array([[focal[0], 0, centre[0] - left], [0, focal[1], centre[1] - top], [0, 0, 1]])
        names = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
        distortion = [_number(lens, key, path, where, 0.0) for key in (*names, "radialDistortion3")]
        cameras.append(RawCamera(name, where, matrix, distortion, rotation, -rotation @ stands, size))
    return placed_cameras(cameras, path, stated_unit="mm", units=units, up_axis=_UP)


def _root(path: Path) -> ElementTree.Element:
    data = read_bytes(path, "calibration", _LARGEST)
    # A document may define its own entities, and a few lines of them unfold to gigabytes: no calibration has any.
    if re.search(rb"<!\s*(DOCTYPE|ENTITY)", data):
        raise InputError("this is no calibration: it has definitions of its own", path=path)
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(
            f"not readable as XML ({reason(error)})", path=path, expected="a calibration that QTM exported"
        ) from error
    if root.tag == "opencv_storage":
        raise InputError("this is a calibration of OpenCV in XML", path=path, expected="the same as .yml or .json")
    if root.find(".//camera/transform") is None:
        raise InputError(
            f"there is no camera in it ('{root.tag[:40]}')", path=path, expected="a calibration that QTM exported"
        )
    return root


def _picture(element: ElementTree.Element, path: Path, where: str) -> tuple[float, float, tuple[int, int] | None]:
    """Left and upper edge of the picture on the sensor, and its size."""
    seen = element.find("fov_video")
    if seen is None:
        return 0.0, 0.0, None
    left, top, right, bottom = (_number(seen, key, path, where) for key in ("left", "top", "right", "bottom"))
    return left, top, (round(right - left) + 1, round(bottom - top) + 1)


def _number(element: ElementTree.Element, key: str, path: Path, where: str, default: float | None = None) -> float:
    text = element.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not np.isfinite(value) or abs(value) > 1e12:
        raise InputError(f"'{key}' of <{element.tag}> is {text!r}", path=path, where=where, expected="a number")
    return value
