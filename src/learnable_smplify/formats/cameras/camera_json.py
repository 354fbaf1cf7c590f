"""`camera.json`: the lens of a camera and where it stands; or several cameras in one file.

    {"fx": 1450.0, "fy": 1450.0, "cx": 960.0, "cy": 540.0,      pixels
     "width": 1920, "height": 1080,                             optional
     "distortion": [-0.05, 0.14, 0.0006, 0.0007, 0],            optional: OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]]
     "R": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],                  optional: world to camera, x_camera = R x_world + t
     "t": [0, 1.2, 4],                                          metres, with R
     "up_axis": "y"}                                            optional, with R: which world axis points up

    {"cameras": {"left": {...}, "right": {...}}}                each as above, with R and t

The camera's frame is OpenCV's: x right, y down, z into the picture. Without R and t the world has its origin at the
camera, Y up, and the camera looks along -Z: right for a camera that is held level.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.placed import (
    LEVEL,
    NO_PLACE,
    CameraUnits,
    RawCamera,
    fisheye_error,
    placed_cameras,
    rotation_from_vector,
    says_fisheye,
)
from learnable_smplify.formats.keypoints.json_frames import read_json
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.budget import shown

_INTRINSICS = ("fx", "fy", "cx", "cy")
_LENS = ("distortion", "dist", "dist_coeffs", "distCoeffs")
# The same one by one, in OpenCV's order.
_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
# Other programs' words: OpenCV's matrix, RealSense's centre, sizes as pairs.
_MATRICES = ("K", "camera_matrix", "cameraMatrix", "intrinsics", "intrinsic", "intrinsic_matrix", "mtx")
_SIZES = ("image_size", "size", "resolution", "imageSize")
_OURS = {
    "ppx": "cx",
    "ppy": "cy",
    "coeffs": "distortion",
    "distortion_coefficients": "distortion",
    "image_width": "width",
    "image_height": "height",
    "tvec": "t",
    "T": "t",
}
_NOT_NEEDED = (
    *("name", "id", "model", "rms", "error", "reprojection_error", "distortion_model", "camera_model", "flags"),
    *("avg_reprojection_error", "calibration_time"),
)
# Flags of fish-eye lenses that say no.
_LENS_FLAGS = ("fisheye", "is_fisheye", "fisheye_model", "xi")
_KEYS = (*_INTRINSICS, "width", "height", "distortion", "R", "t", "up_axis")
_EXAMPLE = '{"fx": 1450, "fy": 1450, "cx": 960, "cy": 540}'


def read_camera_json(path: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """The cameras of a camera.json by name; a single one is named like its file.

    Raises:
        InputError: missing or damaged, a key that is missing or unknown, a value of the wrong kind, or only one of R
            and t; of several cameras, one without R and t.
    """
    content = read_json(path)
    alone = content if isinstance(content, list) else list(content.values()) if isinstance(content, dict) else []
    if alone and all(isinstance(camera, dict) and ("fx" in camera or "R" in camera) for camera in alone):
        content = {"cameras": content}
    if not isinstance(content, dict):
        raise InputError("this is not a camera", path=path, expected=_EXAMPLE)
    if "cameras" not in content:
        return {path.stem: replace(_camera(content, path), name=path.stem)}
    listed = content["cameras"]
    if isinstance(listed, list) and all(isinstance(camera, dict) for camera in listed):
        listed = {str(camera.get("name", camera.get("id", place))): camera for place, camera in enumerate(listed)}
    if not isinstance(listed, dict) or not all(isinstance(camera, dict) for camera in listed.values()):
        raise InputError(
            "these are no cameras", path=path, where="key 'cameras'", expected='{"cameras": {"left": {"fx": ...}, ...}}'
        )
    raw, ups = [], set()
    for name, values in listed.items():
        where = f"camera {shown(name)}"
        try:
            values = _in_our_words(values, path)
            # The place is checked with the others' (`placed`), where what is wrong with it is told.
            camera = _camera({key: value for key, value in values.items() if key not in ("R", "t", "up_axis")}, path)
        except InputError as error:
            raise InputError(
                str(error).removeprefix(f"{path}").lstrip(":, ").rstrip("."), path=path, where=where
            ) from error
        if not ("R" in values and "t" in values):
            raise InputError("the camera has no R and t", path=path, where=where, expected="the place of each camera")
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        rotation, transl = np.array(_flat(values["R"], path, "R")), np.array(_flat(values["t"], path, "t"))
        size = (camera.width, camera.height) if camera.width and camera.height else None
        raw.append(RawCamera(name, where, matrix, camera.distortion, rotation, transl, size))
        ups.add(values.get("up_axis"))
    return placed_cameras(raw, path, units=units, up_axis=ups.pop() if len(ups) == 1 else None)


def _in_our_words(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """A camera whose focal lengths are in a matrix, and whose size is a pair, with our keys."""
    if says_fisheye(content):
        raise fisheye_error(path)
    # OpenCV's FileStorage has matrices as {"rows": 3, "cols": 3, "data": [...]}.
    words = {
        _OURS.get(key, key): value["data"] if isinstance(value, dict) and "data" in value else value
        for key, value in content.items()
    }
    if "rvec" in words:
        turn = _flat(words.pop("rvec"), path, "rvec")
        if len(turn) != 3:
            raise InputError(f"rvec holds {len(turn)} numbers", path=path, expected="3: a rotation vector [rad]")
        words["R"] = rotation_from_vector(np.array(turn)).tolist()
    for key in _MATRICES:
        if key in words and not isinstance(words[key], dict):
            numbers = _flat(words.pop(key), path, key)
            if len(numbers) != 9:
                raise InputError(f"{key} holds {len(numbers)} numbers", path=path, expected="3 rows of 3")
            words |= {"fx": numbers[0], "fy": numbers[4], "cx": numbers[2], "cy": numbers[5]}
        elif key in words:
            words |= words.pop(key)
    for key in _SIZES:
        if key in words:
            size = _flat(words.pop(key), path, key)
            if len(size) != 2:
                raise InputError(f"{key} holds {len(size)} numbers", path=path, expected="width and height")
            words |= {"width": size[0], "height": size[1]}
    return {key: value for key, value in words.items() if key not in (*_NOT_NEEDED, *_LENS_FLAGS)}


def _camera(content: dict[str, Any], path: Path) -> Camera:
    content = _in_our_words(content, path)
    for key in content:
        if key not in _KEYS and key not in (*_LENS, *_COEFFICIENTS):
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
    width, height = (_side(content.get(key), path, key) for key in ("width", "height"))
    lens, rotation, transl = _lens(content, path), torch.tensor(LEVEL), torch.zeros(3)
    if placed:
        # In the shape it is written in: `Camera` says what is wrong with another than (3, 3).
        rotation = torch.tensor(_flat(content["R"], path, "R")).reshape(np.shape(content["R"]))
        transl = torch.tensor(_flat(content["t"], path, "t"))
    else:
        up_axis = "y"
    notes = () if placed else (NO_PLACE,)
    try:
        return Camera(fx, fy, cx, cy, rotation, transl, width, height, up_axis, notes=notes, distortion=lens)
    except InputError as error:
        raise InputError(str(error).rstrip("."), path=path) from error


def _lens(content: dict[str, Any], path: Path) -> tuple[float, ...]:
    key = next((key for key in _LENS if key in content), None)
    if key is None:
        single = [_number(content.get(name, 0.0), path, name) for name in _COEFFICIENTS]
        return tuple(single) if any(single) else ()
    values = _flat(content[key], path, key)
    if len(values) not in (0, 4, 5, 8):
        raise InputError(
            f"there are {len(values)} distortion coefficients",
            path=path,
            where=f"key '{key}'",
            expected="OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]]",
        )
    return tuple(values)


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
