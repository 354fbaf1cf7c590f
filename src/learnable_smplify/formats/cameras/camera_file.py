"""Any calibration: the format is told by the suffix, of a folder by what is in it.

A new format is one file with a `read_x` and a line here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from os import PathLike
from pathlib import Path

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.calibration_toml import read_calibration_toml
from learnable_smplify.formats.cameras.camera_json import read_camera_json
from learnable_smplify.formats.cameras.opencap import FILE_NAME, read_opencap_cameras
from learnable_smplify.formats.cameras.opencv_yaml import (
    EXTRINSICS,
    INTRINSICS,
    read_easymocap_cameras,
    read_opencv_cameras,
)
from learnable_smplify.formats.cameras.placed import CameraUnits
from learnable_smplify.formats.cameras.qualisys import read_qualisys

# Formats of one file; OpenCV's and OpenCap's have one a camera.
_READERS = {
    ".json": read_camera_json,
    ".toml": read_calibration_toml,
    ".txt": read_qualisys,
    ".xml": read_qualisys,
}
_YAML, _PICKLE = (".yml", ".yaml"), (".pickle", ".pkl")
# What cameras see across the longer side [degrees], from telephoto to wide angle.
_NARROWEST, _WIDEST = 6.0, 125.0
_EXPECTED = (
    "Qualisys' .qca.txt, Pose2Sim's, Anipose's or Caliscope's .toml, OpenCV's .yml, EasyMocap's intri.yml and "
    f"extri.yml, OpenCap's {FILE_NAME}, or our camera.json; or the folder that holds one of them"
)


def read_camera(path: str | PathLike[str]) -> Camera:
    """The one camera of a calibration file.

    Raises:
        InputError: missing or damaged, of no known kind, or several cameras.
    """
    cameras = read_cameras(path)
    if len(cameras) > 1:
        raise InputError(
            f"there are {len(cameras)} cameras: {', '.join(cameras)}",
            path=path,
            expected="one",
            hint="--cameras, with a folder of what each camera saw",
        )
    return next(iter(cameras.values()))


def read_cameras(path: str | PathLike[str], units: CameraUnits | None = None) -> dict[str, Camera]:
    """The calibrated cameras of a file or folder by name, in its order, in one world.

    Args:
        path: a file of one of the formats, or the folder that holds one.
        units: of the translations, where the file does not say: None is metres, or millimetres where metres would put
            cameras hundreds of metres apart (with a note).

    Returns:
        cameras in metres, OpenCV's axes; `up_axis` where the format fixes it.

    Raises:
        InputError: missing, damaged or of no known kind; rotations that are left-handed or go from camera to world; a
            fish-eye lens; a unit that cannot be. The message names the camera.
    """
    path = Path(path)
    return {name: _doubted(camera) for name, camera in _read(path, units).items()}


def _doubted(camera: Camera) -> Camera:
    """The camera, with a note where its focal length can hardly be one."""
    if camera.width is None or camera.height is None:
        return camera
    longer = max(camera.width, camera.height)
    degrees = 2 * math.degrees(math.atan(longer / 2 / camera.fx))
    if _NARROWEST < degrees < _WIDEST:
        return camera
    note = (
        f"{camera.name or 'the camera'} sees {degrees:.3g} degrees across {longer} px, which hardly a camera does: is "
        f"{camera.fx:.0f} px its focal length?"
    )
    return replace(camera, notes=(*camera.notes, note))


def _read(path: Path, units: CameraUnits | None) -> dict[str, Camera]:
    if path.is_dir():
        return _folder(path, units)
    if not path.is_file():
        raise InputError("there is no such file", path=path, hint=f"ls {path.parent}")
    suffix = path.suffix.lower()
    if suffix in _READERS:
        return _READERS[suffix](path, units)
    if suffix in _PICKLE:
        return read_opencap_cameras([path], path, units)
    if suffix in _YAML:
        if path.name in (INTRINSICS, EXTRINSICS):
            return _folder(path.parent, units)
        return read_opencv_cameras([path], path, units)
    raise InputError(f"files ending in '{path.suffix}' are not known to hold cameras", path=path, expected=_EXPECTED)


def _folder(folder: Path, units: CameraUnits | None) -> dict[str, Camera]:
    pair = [(folder / name).is_file() for name in (INTRINSICS, EXTRINSICS)]
    if all(pair):
        return read_easymocap_cameras(folder, units)
    if any(pair):
        there, missing = (INTRINSICS, EXTRINSICS) if pair[0] else (EXTRINSICS, INTRINSICS)
        raise InputError(f"there is {there} and no {missing}", path=folder, expected="both, as EasyMocap writes them")
    below = sorted(folder.glob(f"*/{FILE_NAME}")) or sorted(folder.glob(f"*/*/{FILE_NAME}"))
    if below:
        return read_opencap_cameras(below, folder, units)
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    kinds = {kind: [file for file in files if file.suffix.lower() in kind] for kind in (_PICKLE, _YAML, (".toml",))}
    kinds[(".txt", ".xml")] = [file for file in files if file.name.lower().endswith((".qca.txt", ".qca.xml"))]
    usable = [(kind, found) for kind, found in kinds.items() if found]
    if len(usable) == 1:
        kind, found = usable[0]
        if kind == _PICKLE:
            return read_opencap_cameras(found, folder, units)
        if kind == _YAML:
            return read_opencv_cameras(found, folder, units)
        if len(found) == 1:
            return read_cameras(found[0], units)
    listed = ", ".join(file.name for _, found in usable for file in found[:4])
    raise InputError(
        f"several files could be the calibration: {listed}" if usable else "there is no calibration in this folder",
        path=folder,
        expected="one of them" if usable else _EXPECTED,
    )
