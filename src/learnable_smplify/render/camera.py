"""`Camera`: where a picture is taken from, and how to place it so that a person or a clip fills the frame.

Camera frame as in OpenCV: x right, y down, z into the picture. The picture's upper left corner is (0, 0), so the
centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.motion import direction_vector

View: TypeAlias = Literal["front", "three-quarter", "side"]

# Degrees the camera stands to the person's left of straight ahead.
_AZIMUTH_DEG: dict[str, float] = {"front": 0.0, "three-quarter": 35.0, "side": 90.0}
# Vertical field of view, a long lens that keeps limbs in proportion, and how far the camera looks down [rad].
_FOV, _ELEVATION = float(np.deg2rad(24.0)), float(np.deg2rad(9.0))
# Share of the picture left free at each border.
_MARGIN = 0.07


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with square pixels and its principal point in the middle.

    Args:
        position: (3,) camera centre in the world, metres.
        R_camera_world: (3, 3) rotation that takes world directions to camera directions.
        fov: vertical field of view [rad].
        up: (3,) unit vector of the world's up.
    """

    position: Float[np.ndarray, "3"]
    R_camera_world: Float[np.ndarray, "3 3"]
    fov: float
    up: Float[np.ndarray, "3"]

    def focal(self, height: int) -> float:
        """Focal length in pixels for a picture of this height."""
        return 0.5 * height / float(np.tan(0.5 * self.fov))

    def to_camera(self, points: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """World points in the camera frame, metres."""
        return (points - self.position) @ self.R_camera_world.T

    def project(self, points: Float[np.ndarray, "*N 3"], size: tuple[int, int]) -> Float[np.ndarray, "*N 3"]:
        """Column, row [px] and depth [m] of world points in a picture of `size` (width, height)."""
        camera = self.to_camera(points)
        width, height = size
        depth = camera[..., 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = camera[..., :2] * (self.focal(height) / depth) + np.array([0.5 * width, 0.5 * height])
        return np.concatenate([pixels, depth], axis=-1)

    def moved(self, offset: Float[np.ndarray, "3"]) -> Camera:
        """The same camera, carried by `offset` (world, metres)."""
        return replace(self, position=self.position + offset)


def up_vector(up_axis: str | None) -> Float[np.ndarray, "3"]:
    """Unit vector of an up axis; None means "y", the axis of SMPL and of most estimators.

    Raises:
        InputError: an axis other than x, y, z.
    """
    if up_axis not in (None, "x", "y", "z"):
        raise InputError(f"the up axis is '{up_axis}'", expected="x, y or z")
    return direction_vector(up_axis or "y")


def horizontal(direction: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    """Unit vector of `direction` without its vertical part; some horizontal axis when nothing is left of it."""
    flat = np.asarray(direction, float) - np.dot(direction, up) * up
    length = float(np.linalg.norm(flat))
    if length > 1e-3:
        return flat / length
    # The person faces straight up or down, or turns full circles: any side is as good as another.
    return np.array([0.0, 0.0, 1.0]) if abs(up[2]) < 0.5 else np.array([0.0, -1.0, 0.0])


def fit_camera(
    points: Float[np.ndarray, "*N 3"],
    *,
    up_axis: str | None = None,
    forward: Float[np.ndarray, "3"] | None = None,
    view: View = "three-quarter",
    size: tuple[int, int] = (480, 480),
) -> Camera:
    """A camera that sees every point and is no further away than it must be.

    Args:
        points: (..., 3) world points, metres: one frame's vertices or a whole clip's; NaN is left out.
        up_axis: "x", "y" or "z"; None means "y".
        forward: (3,) direction the person faces; its vertical part is ignored. None means SMPL's rest direction
            (+Z for Y up, -Y for Z up).
        view: from straight ahead, from ahead and 35 degrees to the person's left, or from the person's left.
        size: (width, height) of the picture; only the ratio matters.

    Raises:
        InputError: no finite point, or an unknown axis or view.
    """
    if view not in _AZIMUTH_DEG:
        raise InputError(f"the view is '{view}'", expected="one of " + ", ".join(_AZIMUTH_DEG))
    up = up_vector(up_axis)
    cloud = np.asarray(points, dtype=float).reshape(-1, 3)
    cloud = cloud[np.isfinite(cloud).all(axis=1)]
    if not len(cloud):
        raise InputError("there is nothing to point the camera at: no point is finite")
    if len(cloud) > 200_000:
        cloud = cloud[:: len(cloud) // 100_000]

    ahead = horizontal(np.zeros(3) if forward is None else np.asarray(forward, float), up)
    left = np.cross(up, ahead)
    azimuth = np.deg2rad(_AZIMUTH_DEG[view])
    outward = np.cos(_ELEVATION) * (np.cos(azimuth) * ahead + np.sin(azimuth) * left) + np.sin(_ELEVATION) * up
    z_axis = -outward
    x_axis = np.cross(z_axis, up)
    x_axis /= np.linalg.norm(x_axis)
    rotation = np.stack([x_axis, np.cross(z_axis, x_axis), z_axis])

    local = cloud @ rotation.T
    limit_y = np.tan(0.5 * _FOV) * (1.0 - 2.0 * _MARGIN)
    limit = np.array([limit_y * size[0] / size[1], limit_y])
    # A point is in frame when |xy - centre| <= limit * (z + distance). Both sides of each axis are linear in
    # (centre, distance), so per axis the tightest pair gives the centre and the distance in closed form.
    high = (local[:, :2] - limit * local[:, 2:]).max(axis=0)
    low = (local[:, :2] + limit * local[:, 2:]).min(axis=0)
    centre = 0.5 * (high + low)
    needed = 0.5 * (high - low) / limit
    # Not closer than a hand's breadth in front of the nearest point (matters for a single point).
    distance = max(float(needed.max()), 0.1 - float(local[:, 2].min()))
    position = rotation.T @ np.array([centre[0], centre[1], -distance])
    return Camera(position=position, R_camera_world=rotation, fov=_FOV, up=up)


def follow_cameras(
    points: Float[np.ndarray, "T N 3"],
    *,
    up_axis: str | None = None,
    forward: Float[np.ndarray, "3"] | None = None,
    view: View = "three-quarter",
    size: tuple[int, int] = (480, 480),
    window: int = 1,
    follow: bool | None = None,
) -> list[Camera]:
    """One camera a frame, all looking the same way at the same distance, carried along with the person.

    Args:
        points: (T, N, 3) the person in every frame, world, metres.
        window: frames the camera's path is averaged over; 1 keeps the person exactly in the middle.
        follow: False keeps the camera still and the whole clip in view; None follows only when the person moves
            more than 1.2 m.

    The other arguments and errors are those of `fit_camera`.
    """
    cloud = np.asarray(points, dtype=float)
    up = up_vector(up_axis)
    with np.errstate(invalid="ignore"):
        centres = 0.5 * (np.nanmin(cloud, axis=1) + np.nanmax(cloud, axis=1))
    centres = centres - (centres @ up)[:, None] * up
    if follow is None:
        follow = float(np.linalg.norm(np.ptp(centres, axis=0))) > 1.2
    # Twice, so that the camera neither starts nor stops with a jerk.
    path = steadied(steadied(centres, window), window) if follow else np.zeros_like(centres)
    camera = fit_camera(cloud - path[:, None], up_axis=up_axis, forward=forward, view=view, size=size)
    return [camera.moved(offset) for offset in path]


def steadied(path: Float[np.ndarray, "T 3"], window: int) -> Float[np.ndarray, "T 3"]:
    """Moving average over about `window` frames, with the ends held."""
    half = min(window, len(path)) // 2
    if half == 0:
        return path
    padded = np.pad(path, ((half + 1, half), (0, 0)), mode="edge")
    total = np.cumsum(padded - path[0], axis=0)
    return path[0] + (total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1)
