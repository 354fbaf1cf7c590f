"""`Camera`: where a picture was taken from, and through which lens (pinhole, with OpenCV's distortion).

Camera frame as in OpenCV: x right, y down, z into the picture; pixels from the upper left corner.

Source of the lens: OpenCV's calib3d, "Detailed Description" (radial, rational and tangential terms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.errors import InputError
from learnable_smplify.motion import UpAxis, checked_numbers

_MAX_ROTATION_ERROR = 1e-2
_GUESSED_DEG = 55.0
# Detectors guess what is a little outside the picture.
_MARGIN = 0.05
# How many distortion coefficients a lens may have (OpenCV: none; k1 k2 p1 p2; and k3; and k4 k5 k6).
_LENSES = (0, 4, 5, 8)
# Steps of Newton's method that find the ray of a pixel, and how near to it the lens must show that ray [focal lengths].
_LENS_STEPS, _LENS_TOLERANCE = 20, 1e-6


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera.

    Args:
        fx, fy: focal lengths [px].
        cx, cy: principal point [px].
        R_camera_world: (3, 3) rotation that takes world directions to camera directions; None is the identity: the
            world is the camera's frame.
        t_camera_world: (3,) metres: a world point x is at `R_camera_world x + t_camera_world` in the camera's frame.
        width, height: of the picture [px], None when unknown.
        up_axis: which world axis points up, None when unknown.
        notes: what a reader assumed, to be shown to the user.
        distortion: of the lens, in OpenCV's order: k1 k2 p1 p2 [k3 [k4 k5 k6]]; none for a pinhole.
        name: what the camera is called, where there are several.

    Raises:
        InputError: focal lengths that are not positive, numbers that are not finite, shapes that do not fit, a matrix
            that is no rotation, an empty picture, an unknown axis, or another number of distortion coefficients.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    R_camera_world: Float[Tensor, "3 3"] = None  # type: ignore[assignment]  # filled in below
    t_camera_world: Float[Tensor, "3"] = None  # type: ignore[assignment]  # filled in below
    width: int | None = None
    height: int | None = None
    up_axis: UpAxis | None = None
    notes: tuple[str, ...] = field(default=())
    distortion: tuple[float, ...] = ()
    name: str | None = None

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            value = float(getattr(self, name))
            if not math.isfinite(value) or (name in ("fx", "fy") and value <= 0):
                raise InputError(f"{name} is {value:g}", expected="pixels" + (" above 0" if name[0] == "f" else ""))
            object.__setattr__(self, name, value)
        for name in ("width", "height"):
            side = getattr(self, name)
            if side is not None and side <= 0:
                raise InputError(f"the picture's {name} is {side}", expected="pixels above 0")
        rotation = torch.eye(3)
        if self.R_camera_world is not None:
            rotation = checked_numbers(self.R_camera_world, "R", (3, 3)).cpu()
        transl = torch.zeros(3)
        if self.t_camera_world is not None:
            transl = checked_numbers(self.t_camera_world, "t", (3,)).cpu()
        off = float((rotation @ rotation.T - torch.eye(3)).abs().max())
        if off > _MAX_ROTATION_ERROR or float(torch.linalg.det(rotation)) < 0:
            raise InputError(
                "R is not a rotation",
                expected="3 x 3, R R^T the identity and determinant 1",
                hint="cv2.Rodrigues(rvec)[0], for a rotation vector of OpenCV",
            )
        if self.up_axis not in (None, "x", "y", "z"):
            raise InputError(f"unknown up axis '{self.up_axis}'", expected="'x', 'y', 'z' or None")
        lens = tuple(float(value) for value in self.distortion)
        if len(lens) not in _LENSES or not all(math.isfinite(value) for value in lens):
            raise InputError(
                f"distortion is {lens}", expected="no number, or finite k1 k2 p1 p2 [k3 [k4 k5 k6]], as OpenCV has them"
            )
        object.__setattr__(self, "distortion", lens if any(lens) else ())
        object.__setattr__(self, "R_camera_world", rotation)
        object.__setattr__(self, "t_camera_world", transl)

    @staticmethod
    def guessed(width: int, height: int) -> Camera:
        """A level camera of which only the picture's size is known, at the origin of a world with Y up.

        Its field of view is what cameras have without zoom, 55 degrees across the longer side; a wrong one leaves
        poses nearly as they are and puts people nearer or farther away than they were.

        Raises:
            InputError: an empty picture.
        """
        focal = max(width, height) / 2 / math.tan(math.radians(_GUESSED_DEG / 2))
        return Camera(
            fx=max(focal, 1.0),
            fy=max(focal, 1.0),
            cx=width / 2,
            cy=height / 2,
            R_camera_world=torch.diag(torch.tensor([1.0, -1.0, -1.0])),
            t_camera_world=torch.zeros(3),
            width=width,
            height=height,
            up_axis="y",
            notes=(
                f"the camera is guessed: {_GUESSED_DEG:g} degrees across {max(width, height)} px (focal length "
                f"{focal:.0f} px), held level; distances from it are only as good",
            ),
        )

    def to_camera(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 3"]:
        """World points in the camera's frame, metres."""
        return points @ self.R_camera_world.to(points).T + self.t_camera_world.to(points)

    def to_world(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 3"]:
        """Points in the camera's frame in the world, metres."""
        return (points - self.t_camera_world.to(points)) @ self.R_camera_world.to(points)

    def project(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 2"]:
        """Column and row [px] of world points; NaN for points that are not in front of the camera."""
        local = self.to_camera(as_tensor(points, "points"))
        depth = local[..., 2:]
        return self.pixels(torch.where(depth > 0, local, torch.nan))

    def pixels(self, points_camera: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 2"]:
        """Column and row [px] of points in front of the camera, given in the camera's frame."""
        points = as_tensor(points_camera, "points")
        rays = points[..., :2] / points[..., 2:]
        if self.distortion:
            rays = _bent(rays, self.distortion)
        return points.new_tensor([self.fx, self.fy]) * rays + points.new_tensor([self.cx, self.cy])

    def share_outside(self, pixels: Float[Tensor, "*N 2"]) -> float | None:
        """What share of pixels is clearly outside the picture; NaN counts as nothing. None where its size is unknown,
        or there is no pixel."""
        known = pixels[torch.isfinite(pixels).all(dim=-1)]
        if self.width is None or self.height is None or not len(known):
            return None
        size = known.new_tensor([self.width, self.height])
        return float(((known < -_MARGIN * size) | (known > (1 + _MARGIN) * size)).any(dim=-1).float().mean())

    @property
    def pinhole(self) -> Camera:
        """The same camera without distortion."""
        return replace(self, distortion=())

    def undistorted(self, pixels: Float[Tensor, "*N 2"]) -> Float[Tensor, "*N 2"]:
        """Where `pinhole` would show what this camera shows at these pixels; NaN where its lens shows nothing."""
        pixels = as_tensor(pixels, "pixels")
        if not self.distortion:
            return pixels
        focal = torch.tensor([self.fx, self.fy], dtype=torch.float64, device=pixels.device)
        centre = torch.tensor([self.cx, self.cy], dtype=torch.float64, device=pixels.device)
        seen = (pixels.double() - centre) / focal
        rays = seen.clone()
        for _ in range(_LENS_STEPS):
            xx, yy, xy = _lens_slopes(rays, self.distortion)
            dx, dy = (_bent(rays, self.distortion) - seen).unbind(-1)
            rays = rays - torch.stack((yy * dx - xy * dy, xx * dy - xy * dx), dim=-1) / (xx * yy - xy * xy)[..., None]
        xx, yy, xy = _lens_slopes(rays, self.distortion)
        near = (_bent(rays, self.distortion) - seen).norm(dim=-1) < _LENS_TOLERANCE
        # Beyond the rim the polynomial comes back, and shows rays of the other side.
        unfolded = (xx + yy > 0) & (xx * yy > xy * xy) & ((rays * seen).sum(-1) >= 0)
        return (focal * torch.where((near & unfolded)[..., None], rays, torch.nan) + centre).to(pixels.dtype)

    def rays(self, pixels: Float[Tensor, "*N 2"]) -> Float[Tensor, "*N 2"]:
        """x / z and y / z in the camera's frame (float64) of what is seen at these pixels; NaN as `undistorted`."""
        straight = self.undistorted(pixels.double())
        return (straight - straight.new_tensor([self.cx, self.cy])) / straight.new_tensor([self.fx, self.fy])


def _bent(rays: Float[Tensor, "*N 2"], lens: tuple[float, ...]) -> Float[Tensor, "*N 2"]:
    """Where a lens shows rays (x / z, y / z), in focal lengths."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens, *(0.0,) * (8 - len(lens)))
    x, y = rays.unbind(-1)
    square = x * x + y * y
    above = 1 + square * (k1 + square * (k2 + square * k3))
    below = 1 + square * (k4 + square * (k5 + square * k6))
    radial = above / below
    return torch.stack(
        (
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ),
        dim=-1,
    )


def _lens_slopes(rays: Float[Tensor, "*N 2"], lens: tuple[float, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """d x'/d x, d y'/d y and d x'/d y = d y'/d x of `_bent`."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens, *(0.0,) * (8 - len(lens)))
    x, y = rays.unbind(-1)
    square = x * x + y * y
    above = 1 + square * (k1 + square * (k2 + square * k3))
    below = 1 + square * (k4 + square * (k5 + square * k6))
    by_above, by_below = k1 + square * (2 * k2 + 3 * k3 * square), k4 + square * (2 * k5 + 3 * k6 * square)
    radial = above / below
    slope = (by_above - radial * by_below) / below  # d radial / d square
    return (
        radial + 2 * slope * x * x + 2 * p1 * y + 6 * p2 * x,
        radial + 2 * slope * y * y + 6 * p1 * y + 2 * p2 * x,
        2 * slope * x * y + 2 * p1 * x + 2 * p2 * y,
    )
