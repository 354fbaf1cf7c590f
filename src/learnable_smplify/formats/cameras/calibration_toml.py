"""Calibrations in TOML, as Pose2Sim, Anipose and Caliscope write them: a table a camera.

    [cam_01]
    name = "cam_01"
    size = [1088.0, 1920.0]
    matrix = [[1681.2, 0.0, 532.9], [0.0, 1681.1, 948.1], [0.0, 0.0, 1.0]]
    distortions = [-0.046, 0.140, 0.0006, 0.0007]
    rotation = [1.2, -0.4, 0.3]          # rotation vector, or 3 x 3, from world to camera
    translation = [0.1, 1.2, 4.0]
    fisheye = false

A file of one camera without a rotation and a translation is of its lens alone. Translations are metres in Pose2Sim's,
and in what the board was given in for the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.placed import (
    LEVEL,
    CameraUnits,
    RawCamera,
    placed_cameras,
    says_fisheye,
    unplaced_camera,
)
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.toml_file import read_toml


def read_calibration_toml(path: Path, units: CameraUnits | None = None) -> dict[str, Camera]:
    """Cameras of a calibration in TOML, by their `name` (or the table's).

    Raises:
        InputError: no such file, not TOML, no table of a camera, a key that is missing, or a fish-eye lens.
    """
    content = read_toml(path, "calibration")
    inner = content.get("cameras")
    tables = inner if isinstance(inner, dict) else content
    found = {
        key: Keyed(path, table, f"[{key}]", "a camera")
        for key, table in tables.items()
        if isinstance(table, dict) and "matrix" in table and table.get("ignore") is not True
    }
    if not found:
        raise InputError(
            f"no table has the 'matrix' of a camera (there are {', '.join(list(tables)[:8]) or 'none'})",
            path=path,
            expected="[cam_01] with size, matrix, distortions, rotation and translation (Pose2Sim, Anipose, Caliscope)",
        )
    if len(found) == 1:
        ((key, table),) = found.items()
        if not (_has(table, "rotation") or _has(table, "translation")):
            return unplaced_camera(_camera(table, key, np.array(LEVEL), np.zeros(3)), path)
    cameras = [_camera(table, key, *_place(table)) for key, table in found.items()]
    return placed_cameras(cameras, path, units=units)


def _has(table: Keyed, key: str) -> bool:
    """Whether there is a value; Caliscope writes "null" for what is not calibrated yet."""
    return table.values.get(key) not in (None, "", "null", [])


def _place(table: Keyed) -> tuple[np.ndarray, np.ndarray]:
    if not (_has(table, "rotation") and _has(table, "translation")):
        raise table.fail(
            "the camera has no place: only its lens is calibrated",
            "rotation and translation, from the calibration of the cameras together (the extrinsics)",
            "write 'ignore = true' there, to leave it out",
        )
    return table.numbers("rotation"), table.numbers("translation").reshape(-1)


def _camera(table: Keyed, key: str, rotation: np.ndarray, translation: np.ndarray) -> RawCamera:
    size = table.numbers("size", shape=(2,)) if table.has("size") else None
    return RawCamera(
        name=_name(table.values, key),
        where=table.where or key,
        matrix=table.numbers("matrix", shape=(3, 3)),
        distortion=table.listed("distortions", "distortion", "dist"),
        rotation=rotation,
        translation=translation,
        size=None if size is None else (_side(size[0]), _side(size[1])),
        fisheye=says_fisheye(table.values),
    )


def _name(values: Any, key: str) -> str:
    name = values.get("name")
    return str(name) if isinstance(name, str | int) and not isinstance(name, bool) and str(name) else key


def _side(value: float) -> int:
    return int(np.clip(value, 0, 1e6))
