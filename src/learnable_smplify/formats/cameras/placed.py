"""From the numbers of a calibration file to a `Camera`, and what is checked of one camera and of all together.

What goes wrong between programs: a rotation that goes from camera to world, an axis mirrored or exchanged, translations
in millimetres, focal lengths in millimetres, a camera for fish-eye lenses. Each is named, because a solver fed with it
only answers nonsense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.motion import UpAxis
from learnable_smplify.rotation import rotvec_to_rotmat

CameraUnits = Literal["m", "cm", "mm"]
METRES: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001}

# Cameras that are so far apart, or from the origin [m], stand there in millimetres.
_FARTHEST = 300.0
# Where half of the cameras are within this of their middle [m], one that is far off is not in another unit but wrong.
_TOGETHER = 30.0
_MAX_ROTATION_ERROR = 1e-2
# No lens of a video camera is shorter [px]: such a number is millimetres.
_SHORTEST_FOCAL = 50.0
# How far cameras that look at one place look past it [rad], at most.
_LOOK_AT = np.deg2rad(25.0)
# Cameras must look in ways that differ by this much [rad] before the place they look at is known.
_APART = np.deg2rad(20.0)
# A skewed sensor is not modelled; up to this many pixels nobody would see it.
_MAX_SKEW = 1.0
_LENSES = (4, 5, 8)
_MATRIX = "[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
_FLIP = np.diag([1.0, -1.0, -1.0])
# No rotation vector [rad] is longer.
_LONGEST_TURN = 2 * math.pi + 0.01
_FISHEYES = ("fisheye", "fish_eye", "fish-eye", "equidistant", "omni", "kannala")
_YES = ("true", "yes", "on", "1")
LEVEL = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
"""From a world with Y up to a camera that looks along -Z, held level."""
NO_PLACE = "the camera file has no R and t: motion is in the camera's place, Y up, if level"
"""What is said of a camera of which only the lens is known."""


@dataclass(frozen=True, eq=False)
class RawCamera:
    """A camera as its file has it.

    Args:
        name: what it is called.
        where: its place in the file, for messages.
        matrix: (3, 3) intrinsics [px].
        distortion: in OpenCV's order; empty for none.
        rotation: (3, 3) from world to camera, or (3,) the rotation vector of it.
        translation: (3,) with the rotation: a world point x is at `rotation x + translation`, in the file's unit.
        size: (width, height) of the picture [px], None when unknown.
        fisheye: whether the distortion is OpenCV's fish-eye model.
    """

    name: str
    where: str
    matrix: Float[np.ndarray, "3 3"]
    distortion: Sequence[float]
    rotation: Float[np.ndarray, "*N"]
    translation: Float[np.ndarray, "3"]
    size: tuple[int, int] | None = None
    fisheye: bool = False

    def fail(self, path: Path, what: str, problem: str, expected: str) -> InputError:
        """The error for something (`what`) of this camera."""
        return InputError(f"{what} of camera '{self.name}' {problem}", path=path, where=self.where, expected=expected)


def placed_cameras(
    raw: Sequence[RawCamera],
    path: Path,
    *,
    stated_unit: CameraUnits | None = None,
    units: CameraUnits | None = None,
    up_axis: UpAxis | None = None,
) -> dict[str, Camera]:
    """Cameras of a file by name, checked one by one and together.

    Args:
        raw: as they are in the file.
        path: for messages.
        stated_unit: of the translations, where the format fixes it.
        units: what the user says of the translations; None takes the stated one, else metres, and millimetres where
            the cameras would stand hundreds of metres apart.
        up_axis: which world axis points up, where the format fixes it.

    Raises:
        InputError: no camera, two of one name, a lens or a place that cannot be; the message names the camera.
    """
    if not raw:
        raise InputError("there is no camera in the file", path=path, expected="at least one")
    names = [camera.name for camera in raw]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two cameras are called '{twice}'", path=path, expected="a name of its own for each")
    rotations = {camera.name: _rotation(camera, path) for camera in raw}
    translations = {camera.name: _translation(camera, path) for camera in raw}
    unit, note = _unit(rotations, translations, units or stated_unit, path)
    found: dict[str, Camera] = {}
    for camera in raw:
        focal, centre = _intrinsics(camera, path)
        width, height = (None, None) if camera.size is None else camera.size
        lens = _lens(camera, path)
        try:
            found[camera.name] = Camera(
                *focal,
                *centre,
                torch.as_tensor(rotations[camera.name]),
                torch.as_tensor(translations[camera.name] * METRES[unit]),
                width=width,
                height=height,
                up_axis=up_axis,
                notes=note,
                distortion=lens,
                name=camera.name,
            )
        except InputError as error:
            raise InputError(str(error).rstrip("."), path=path, where=camera.where) from error
        note = ()  # once a file
    check_looks(found, path)
    return found


def unplaced_camera(camera: RawCamera, path: Path) -> dict[str, Camera]:
    """The one camera of a file that knows its lens alone, held level at the origin of a world with Y up.

    Raises:
        InputError: as `placed_cameras`.
    """
    level = replace(camera, rotation=np.array(LEVEL), translation=np.zeros(3))
    found = placed_cameras([level], path, up_axis="y")
    return {name: replace(one, notes=(NO_PLACE,)) for name, one in found.items()}


def says_fisheye(values: Mapping[Any, Any]) -> bool:
    """Whether a camera's keys say that its lens is a fish-eye: a flag, a model's name, or xi of OpenCV's omnidir."""
    for key, value in values.items():
        word, told = str(key).lower(), str(value).lower()
        number = float(value) if isinstance(value, int | float) else 0.0
        if any(name in word for name in _FISHEYES) and (number != 0 or told in _YES):
            return True
        if "model" in word and any(name in told for name in _FISHEYES):
            return True
        if word == "xi" and (np.any(value) if isinstance(value, np.ndarray | list) else number != 0):
            return True
    return False


def fisheye_error(path: Path, where: str | None = None) -> InputError:
    """The error for a fish-eye lens."""
    return InputError(
        "the camera has a fish-eye lens, which is not modelled",
        path=path,
        where=where,
        expected="OpenCV's k1 k2 p1 p2 [k3]",
        hint="undistort the pictures first (cv2.fisheye.undistortImage)",
    )


def check_looks(cameras: Mapping[str, Camera], path: Path) -> None:
    """Cameras of one recording look at one place; those of a file that means its matrices otherwise do not.

    Raises:
        InputError: they do not as they are, and do if the matrices went the other way or the axes were others.
    """
    if len(cameras) < 2:
        return
    rotations = np.stack([camera.R_camera_world.double().numpy() for camera in cameras.values()])
    translations = np.stack([camera.t_camera_world.double().numpy() for camera in cameras.values()])
    # Cameras that all look the same way may be so, or be level cameras whose matrices go the other way.
    if _looks_past(rotations, translations) < _LOOK_AT:
        return
    others = other_readings(rotations, translations)
    back, moved = others["if its matrices went from camera to world"]
    others["if its matrices went from camera to world, with OpenGL's axes"] = _FLIP @ back, moved @ _FLIP
    past = {what: _looks_past(*read) for what, read in others.items()}
    what = min(past, key=lambda what: past[what] if np.isfinite(past[what]) else np.inf)
    if past[what] < _LOOK_AT:
        raise InputError(
            f"the cameras do not look at one place as the file has them, and would {what}",
            path=path,
            expected="rotations and translations from world to camera in OpenCV's axes: x right, y down, z into the "
            "picture",
        )


def turned(rotations: Float[np.ndarray, "N 3 3"], vectors: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    """Each vector by its rotation."""
    found: np.ndarray = np.einsum("nij,nj->ni", rotations, vectors)
    return found


def other_readings(
    rotations: Float[np.ndarray, "N 3 3"], translations: Float[np.ndarray, "N 3"]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cameras as they would be if their file meant its matrices in another way, by what that is."""
    back = rotations.transpose(0, 2, 1)
    return {
        "if its matrices went from camera to world": (back, -turned(back, translations)),
        "if y pointed up and z backwards in its cameras (OpenGL's axes)": (_FLIP @ rotations, translations @ _FLIP),
        "if its translations were where the cameras stand": (rotations, -turned(rotations, translations)),
    }


def _looks_past(rotations: Float[np.ndarray, "N 3 3"], translations: Float[np.ndarray, "N 3"]) -> float:
    """How far the cameras look past the point nearest to all their axes [rad], the worst; NaN where nothing tells.

    Nothing tells where they all look the same way.
    """
    axes = rotations[:, 2]
    centres = -np.einsum("nij,ni->nj", rotations, translations)
    apart = np.arccos(np.clip(axes @ axes.T, -1, 1)).max()
    if apart < _APART:
        return float("nan")
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    point = np.linalg.lstsq(across.sum(axis=0), np.einsum("nij,nj->i", across, centres), rcond=None)[0]
    towards = point - centres
    distance = np.linalg.norm(towards, axis=1)
    return float(np.arccos(np.clip((towards * axes).sum(axis=1) / np.maximum(distance, 1e-9), -1, 1)).max())


def _rotation(camera: RawCamera, path: Path) -> Float[np.ndarray, "3 3"]:
    given = np.asarray(camera.rotation, dtype=np.float64)
    if given.size not in (3, 9) or not np.isfinite(given).all():
        expected = "3 finite numbers (a rotation vector [rad]) or 3 x 3"
        raise camera.fail(path, "the rotation", f"has shape {given.shape}", expected)
    length = float(np.linalg.norm(given))
    if given.size == 3 and length > _LONGEST_TURN:
        problem = f"is {length:.3g} long, which would be degrees"
        raise camera.fail(path, "the rotation vector", problem, "radians, as cv2.Rodrigues has them")
    if given.size == 3:
        return rotation_from_vector(given.reshape(3))
    matrix = given.reshape(3, 3)
    off = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if off <= _MAX_ROTATION_ERROR and np.linalg.det(matrix) < 0:
        raise camera.fail(
            path,
            "the rotation",
            "is left-handed (determinant -1): one axis is mirrored, or two are exchanged",
            "world and camera both right-handed, the camera's axes x right, y down, z into the picture",
        )
    if off > _MAX_ROTATION_ERROR:
        problem = f"is no rotation (R R^T is off by {off:.2g})"
        raise camera.fail(path, "the rotation", problem, "a rotation vector [rad], or 3 x 3 with R R^T the identity")
    # What a file rounds to four digits is put right, as the nearest rotation.
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def rotation_from_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """The matrix of a rotation vector [rad] in double precision."""
    return rotvec_to_rotmat(torch.as_tensor(vector, dtype=torch.float64)).numpy()


def _unit(
    rotations: Mapping[str, np.ndarray], translations: Mapping[str, np.ndarray], told: CameraUnits | None, path: Path
) -> tuple[CameraUnits, tuple[str, ...]]:
    centres = np.stack([-rotations[name].T @ translations[name] for name in rotations])
    span = np.linalg.norm(centres[:, None] - centres[None], axis=-1).max() if len(centres) > 1 else 0.0
    reach = float(max(span, np.linalg.norm(centres, axis=1).min()))
    if told is not None:
        if reach * METRES[told] > _FARTHEST:
            raise InputError(
                f"the cameras are {reach * METRES[told]:.0f} m apart or from the origin",
                path=path,
                expected=f"translations in {told}",
                hint="--camera-units mm",
            )
        return told, ()
    if reach <= _FARTHEST:
        return "m", ()
    away = np.linalg.norm(centres - np.median(centres, axis=0), axis=-1)
    if np.median(away) < _TOGETHER:
        name = list(rotations)[int(np.argmax(away))]
        raise InputError(
            f"camera '{name}' stands {away.max():.0f} from the others, which are {np.median(away):.3g} apart",
            path=path,
            expected="translations of one unit, and a place of each camera that was measured",
        )
    if reach * METRES["mm"] > _FARTHEST:
        raise InputError(
            f"the cameras are {reach:.3g} apart or from the origin", path=path, expected="translations in metres"
        )
    return "mm", (f"translations of {reach:.0f} in {path.name}: taken as millimetres (--camera-units)",)


def _intrinsics(camera: RawCamera, path: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    matrix = np.asarray(camera.matrix, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        expected = f"3 x 3 finite numbers: {_MATRIX} in pixels"
        raise camera.fail(path, "the matrix", f"has shape {matrix.shape}", expected)
    focal, centre = (float(matrix[0, 0]), float(matrix[1, 1])), (float(matrix[0, 2]), float(matrix[1, 2]))
    if abs(matrix[0, 1]) > _MAX_SKEW or np.abs(matrix[[1, 2, 2], [0, 0, 1]]).max() > 1e-6:
        raise camera.fail(path, "the matrix", "is skewed or transposed", _MATRIX)
    if 0 < min(focal) < _SHORTEST_FOCAL:
        expected = "pixels: the picture's width times the focal length, by the width of the sensor"
        raise camera.fail(path, "the focal length", f"is {min(focal):g}, which would be millimetres", expected)
    if camera.size is not None and (min(camera.size) < 8 or max(focal) > 60 * max(camera.size)):
        problem = f"a focal length of {max(focal):.0f} px for a picture of {camera.size[0]} x {camera.size[1]}"
        raise InputError(problem, path=path, where=camera.where, expected="both in pixels")
    return focal, centre


def _lens(camera: RawCamera, path: Path) -> tuple[float, ...]:
    values = [float(value) for value in np.asarray(camera.distortion, dtype=np.float64).reshape(-1)]
    if camera.fisheye:
        raise fisheye_error(path, camera.where)
    while len(values) > 8 and values[-1] == 0:
        values.pop()
    if len(values) in (1, 2, 3, 6, 7):  # Anipose writes k1 alone, others k1 and k2
        values += [0.0] * (min(length for length in _LENSES if length >= len(values)) - len(values))
    if values and len(values) not in _LENSES:
        raise InputError(
            f"camera '{camera.name}' has {len(values)} distortion coefficients",
            path=path,
            where=camera.where,
            expected="OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]]; thin prisms and tilted sensors are not modelled",
        )
    return tuple(values)


def _translation(camera: RawCamera, path: Path) -> Float[np.ndarray, "3"]:
    vector = np.asarray(camera.translation, dtype=np.float64).reshape(-1)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise camera.fail(path, "the translation", f"has {vector.size} numbers", "3 finite numbers")
    return vector
