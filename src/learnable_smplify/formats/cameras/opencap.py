"""OpenCap's `cameraIntrinsicsExtrinsics.pickle`, one a camera in `Videos/Cam0`, `Cam1`, ...: read without running it.

`intrinsicMat` (3, 3), `distortion` (5,), `imageSize` (2,), `rotation` (3, 3) and `translation` (3,) [mm] from the world
of the checkerboard to the camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.placed import CameraUnits, RawCamera, placed_cameras
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.safe_pickle import load_pickle

FILE_NAME = "cameraIntrinsicsExtrinsics.pickle"


def read_opencap_cameras(paths: list[Path], path: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """Cameras of OpenCap's files: by the folder where the file has OpenCap's name, else by the file's own.

    Args:
        paths: the files.
        path: the file or the folder of them, for messages.

    Raises:
        InputError: not a pickle of plain data, or a key that is missing.
    """
    return placed_cameras([_camera(file) for file in paths], path, stated_unit="mm", units=units)


def _camera(file: Path) -> RawCamera:
    content = load_pickle(file)
    if not isinstance(content, Mapping):
        raise InputError(
            f"this pickle holds a {type(content).__name__}",
            path=file,
            expected=f"a camera, as in OpenCap's {FILE_NAME}",
        )
    values = Keyed(file, content, None, "a camera of OpenCap")
    if not values.has("rotation"):
        raise values.fail("the camera has no place: only its lens is calibrated", f"'rotation', as in {FILE_NAME}")
    matrix = values.numbers("intrinsicMat", shape=(3, 3))
    name = file.parent.name if file.name == FILE_NAME else file.stem
    return RawCamera(
        name=name,
        where=f"camera {name}",
        matrix=matrix,
        distortion=values.listed("distortion"),
        rotation=values.numbers("rotation"),
        translation=values.numbers("translation").reshape(-1),
        size=_size(values, matrix),
    )


def _size(values: Keyed, matrix: np.ndarray) -> tuple[int, int] | None:
    """Width and height: which is which the file does not say, but the principal point is near the middle."""
    if not values.has("imageSize"):
        return None
    first, second = (int(np.clip(side, 0, 1e6)) for side in values.numbers("imageSize").reshape(-1)[:2])
    ways = ((first, second), (second, first))
    return min(ways, key=lambda way: abs(matrix[0, 2] - way[0] / 2) + abs(matrix[1, 2] - way[1] / 2))
