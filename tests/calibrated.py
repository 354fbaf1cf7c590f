"""Cameras round a room, and calibration files of them as other programs write them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from learnable_smplify.camera import Camera

SIZE = (1088, 1920)


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A camera in OpenCV's terms: `rotation @ x + transl` is in its frame."""

    name: str
    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    transl: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return -self.rotation.T @ self.transl

    @property
    def rotvec(self) -> np.ndarray:
        return Rotation.from_matrix(self.rotation).as_rotvec()


def room(count: int = 3, seed: int = 0, z_up: bool = True) -> list[Calibrated]:
    """Cameras at about 1.6 m height on a circle of about 4 m, all looking at its middle."""
    rng = np.random.default_rng(seed)
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count + rng.uniform(-0.3, 0.3)
        place = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.6 + rng.uniform(-0.3, 0.3)])
        ahead = np.array([0, 0, 1.0]) + rng.uniform(-0.2, 0.2, 3) - place
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(ahead, right), ahead])
        if not z_up:
            rotation = rotation @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])
            place = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]) @ place
        focal = rng.uniform(1500, 1700)
        matrix = np.array([[focal, 0, 540 + rng.uniform(-20, 20)], [0, focal + 3, 950.0], [0, 0, 1]])
        lens = np.array([-0.05, 0.13, 0.0006, 0.0009, 0.01]) * rng.uniform(0.7, 1.3)
        cameras.append(Calibrated(f"cam{index + 1:02d}", matrix, lens, rotation, -rotation @ place))
    return cameras


def points(count: int = 40, seed: int = 1) -> np.ndarray:
    """Points about the middle of the room, Z up."""
    return np.random.default_rng(seed).uniform([-0.7, -0.7, 0.1], [0.7, 0.7, 1.9], (count, 3))


def write_qualisys(path: Path, cameras: list[Calibrated]) -> Path:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<calibration><cameras>"]
    for camera in cameras:
        rows = np.diag([1, -1, -1]) @ camera.rotation
        turn = " ".join(f'r{a + 1}{b + 1}="{rows[a, b]!r}"' for a in range(3) for b in range(3)).replace(
            "np.float64", ""
        )
        turn = turn.replace("(", "").replace(")", "")
        x, y, z = camera.centre * 1000
        k1, k2, p1, p2, k3 = camera.distortion
        lines += [
            f'<camera active="1" serial="{camera.name}">',
            f'<fov_video left="0" top="0" right="{SIZE[0] - 1}" bottom="{SIZE[1] - 1}"/>',
            f'<transform {turn} x="{x}" y="{y}" z="{z}"/>',
            f'<intrinsic focalLengthU="{camera.matrix[0, 0] * 64}" focalLengthV="{camera.matrix[1, 1] * 64}" '
            f'centerPointU="{camera.matrix[0, 2] * 64}" centerPointV="{camera.matrix[1, 2] * 64}" sensorMinU="0" '
            f'sensorMinV="0" radialDistortion1="{k1}" radialDistortion2="{k2}" radialDistortion3="{k3}" '
            f'tangentalDistortion1="{p1}" tangentalDistortion2="{p2}"/></camera>',
        ]
    path.write_text("\n".join([*lines, "</cameras></calibration>"]))
    return path


def write_toml(path: Path, cameras: list[Calibrated], scale: float = 1.0, **extra: str) -> Path:
    lines = []
    for camera in cameras:
        lines += [
            f"[{camera.name}]",
            f'name = "{camera.name}"',
            f"size = [{SIZE[0]}.0, {SIZE[1]}.0]",
            f"matrix = {camera.matrix.tolist()}",
            f"distortions = {camera.distortion.tolist()}",
            f"rotation = {camera.rotvec.tolist()}",
            f"translation = {(camera.transl * scale).tolist()}",
            *(f"{key} = {value}" for key, value in extra.items()),
        ]
    path.write_text("\n".join([*lines, "[metadata]", "error = 0.4"]))
    return path


def write_easymocap(folder: Path, cameras: list[Calibrated]) -> Path:
    import cv2

    lenses = cv2.FileStorage(str(folder / "intri.yml"), cv2.FILE_STORAGE_WRITE)
    places = cv2.FileStorage(str(folder / "extri.yml"), cv2.FILE_STORAGE_WRITE)
    for storage in (lenses, places):
        storage.startWriteStruct("names", cv2.FileNode_SEQ)
        for camera in cameras:
            storage.write("", camera.name)
        storage.endWriteStruct()
    for camera in cameras:
        lenses.write(f"K_{camera.name}", camera.matrix)
        lenses.write(f"dist_{camera.name}", camera.distortion[None])
        places.write(f"R_{camera.name}", camera.rotvec[:, None])
        places.write(f"Rot_{camera.name}", camera.rotation)
        places.write(f"T_{camera.name}", camera.transl[:, None])
    lenses.release()
    places.release()
    return folder


def write_opencv(folder: Path, cameras: list[Calibrated]) -> Path:
    import cv2

    for camera in cameras:
        storage = cv2.FileStorage(str(folder / f"{camera.name}.yml"), cv2.FILE_STORAGE_WRITE)
        storage.write("calibration_time", "Fri Nov 27 03:00:00 2026")
        storage.write("image_width", SIZE[0])
        storage.write("image_height", SIZE[1])
        storage.write("camera_matrix", camera.matrix)
        storage.write("distortion_coefficients", camera.distortion[:, None])
        storage.write("rvec", camera.rotvec)
        storage.write("tvec", camera.transl)
        storage.release()
    return folder


def write_opencap(folder: Path, cameras: list[Calibrated]) -> Path:
    for camera in cameras:
        place = folder / "Videos" / camera.name
        place.mkdir(parents=True, exist_ok=True)
        content = {
            "intrinsicMat": camera.matrix,
            "distortion": camera.distortion[None],
            "imageSize": np.array([[SIZE[1]], [SIZE[0]]], dtype=float),
            "rotation": camera.rotation,
            "translation": camera.transl[:, None] * 1000,
            "rotation_EulerAngles": camera.rotvec[:, None],
        }
        (place / "cameraIntrinsicsExtrinsics.pickle").write_bytes(pickle.dumps(content))
    return folder / "Videos"


def write_json(path: Path, cameras: list[Calibrated]) -> Path:
    described = {
        camera.name: {
            "fx": camera.matrix[0, 0],
            "fy": camera.matrix[1, 1],
            "cx": camera.matrix[0, 2],
            "cy": camera.matrix[1, 2],
            "width": SIZE[0],
            "height": SIZE[1],
            "distortion": camera.distortion.tolist(),
            "R": camera.rotation.tolist(),
            "t": camera.transl.tolist(),
            "up_axis": "z",
        }
        for camera in cameras
    }
    path.write_text(json.dumps({"cameras": described}))
    return path


def write_camera_json(cameras: Mapping[str, Camera], path: Path) -> None:
    """Cameras as one file that `read_camera_json` reads."""
    described = {}
    for name, camera in cameras.items():
        values: dict[str, Any] = {key: getattr(camera, key) for key in ("fx", "fy", "cx", "cy")}
        values |= {"distortion": list(camera.distortion)} if camera.distortion else {}
        values |= {key: getattr(camera, key) for key in ("width", "height", "up_axis") if getattr(camera, key)}
        values |= {"R": camera.R_camera_world.double().tolist(), "t": camera.t_camera_world.double().tolist()}
        described[name] = values
    path.write_text(json.dumps({"cameras": described}), encoding="utf-8")
