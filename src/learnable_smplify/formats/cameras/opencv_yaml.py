"""OpenCV's FileStorage in YAML, and EasyMocap's pair of them: `intri.yml` and `extri.yml`.

Read with a small parser of our own: OpenCV writes a dialect (`%YAML:1.0`, `!!opencv-matrix`) that YAML libraries
refuse, and of YAML only maps, lists, numbers and text.

EasyMocap: `names`, then `K_01`, `dist_01` in intri.yml; `R_01` (rotation vector) or `Rot_01` (3 x 3) and `T_01` in
extri.yml. A file of one camera: `camera_matrix`, `distortion_coefficients`, and where known `rvec` or `R`, `tvec` or
`T`, `image_width`, `image_height`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.placed import (
    CameraUnits,
    RawCamera,
    placed_cameras,
    says_fisheye,
    unplaced_camera,
)
from learnable_smplify.formats.cameras.yaml_subset import read_yaml
from learnable_smplify.safe_files.keyed import Keyed

INTRINSICS, EXTRINSICS = "intri.yml", "extri.yml"
_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "intrinsic_matrix", "K")
_LENS = ("distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "distortion", "D", "dist")
_ROTATION = ("R", "Rot", "rvec", "rotation", "rotation_matrix", "rotation_vector")
_TRANSLATION = ("T", "t", "tvec", "translation", "translation_vector")
_WIDTH, _HEIGHT = ("image_width", "width", "image_Width"), ("image_height", "height", "image_Height")


def read_easymocap_cameras(folder: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """Cameras of a folder that holds EasyMocap's `intri.yml` and `extri.yml`, by name.

    Raises:
        InputError: a file that is missing or damaged, or a camera that only one of them has.
    """
    lenses = Keyed(folder / INTRINSICS, read_yaml(folder / INTRINSICS), None, "EasyMocap's intrinsics")
    places = Keyed(folder / EXTRINSICS, read_yaml(folder / EXTRINSICS), None, "EasyMocap's extrinsics")
    with_lens, placed = _names(lenses, ("K_",)), _names(places, ("Rot_", "R_"))
    for names, others, where in ((with_lens, placed, EXTRINSICS), (placed, with_lens, INTRINSICS)):
        missing = [name for name in names if name not in others]
        if missing:
            raise InputError(
                f"camera {', '.join(missing)} is missing", path=folder / where, expected=f"all of {', '.join(names)}"
            )
    cameras = []
    for name in with_lens:
        sides = [_whole(lenses, f"{letter}_{name}") for letter in "WH"]
        rotation = places.numbers(f"Rot_{name}" if places.has(f"Rot_{name}") else f"R_{name}")
        cameras.append(
            RawCamera(
                name=name,
                where=f"camera {name}",
                matrix=lenses.numbers(f"K_{name}", shape=(3, 3)),
                distortion=lenses.listed(f"dist_{name}", f"D_{name}"),
                rotation=rotation,
                translation=places.numbers(f"T_{name}", f"t_{name}").reshape(-1),
                size=(sides[0], sides[1]) if sides[0] and sides[1] else None,
                fisheye=says_fisheye(lenses.values),
            )
        )
    return placed_cameras(cameras, folder / INTRINSICS, units=units)


def read_opencv_cameras(paths: list[Path], path: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """Cameras of OpenCV's files, one a file, by the files' names.

    Args:
        paths: the files.
        path: the file or the folder of them, for messages.

    Raises:
        InputError: damaged, not of a camera, a fish-eye lens, or no place in the world where there are several.
    """
    cameras = []
    for file in paths:
        values = Keyed(file, read_yaml(file), None, "a camera")
        matrix = values.numbers(*_MATRIX, shape=(3, 3))
        placed = values.has(*_ROTATION) and values.has(*_TRANSLATION)
        if not placed and len(paths) > 1:
            raise values.fail(
                "the camera has no place: only its lens is calibrated", "rvec (or R) and tvec (or T), world to camera"
            )
        width, height = (
            next((_whole(values, name) for name in names if values.has(name)), 0) for names in (_WIDTH, _HEIGHT)
        )
        cameras.append(
            RawCamera(
                name=file.stem,
                where=file.name,
                matrix=matrix,
                distortion=values.listed(*_LENS),
                rotation=values.numbers(*_ROTATION) if placed else np.zeros(3),
                translation=values.numbers(*_TRANSLATION).reshape(-1) if placed else np.zeros(3),
                size=(width, height) if width and height else None,
                fisheye=says_fisheye(values.values),
            )
        )
        if not placed:
            return unplaced_camera(cameras[0], path)
    return placed_cameras(cameras, path, units=units)


def _names(values: Keyed, prefixes: tuple[str, ...]) -> list[str]:
    """Names of the cameras: as the file lists them, else by its keys."""
    listed = values.values.get("names")
    listed = listed if isinstance(listed, list) else []
    found = [key.removeprefix(prefix) for prefix in prefixes for key in values.values if str(key).startswith(prefix)]
    # Without quotes the name 01 is a number, whose digits the keys have.
    digits = {float(name): name for name in found if name.isdecimal()}
    listed = [digits.get(name, name) if isinstance(name, float) else name for name in listed]
    names = [str(name) for name in listed] or list(dict.fromkeys(found))
    if not names:
        raise values.fail("there is no camera", f"names, and {prefixes[0]}NAME of each")
    return [name for name in names if not name.endswith("_inv")]


def _whole(values: Keyed, key: str) -> int:
    value: Any = values.values.get(key)
    if isinstance(value, Mapping) or value is None:
        return 0
    sides = values.numbers(key).reshape(-1)
    return int(np.clip(sides[0], 0, 1e6)) if sides.size else 0
