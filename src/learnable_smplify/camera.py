"""`Camera`: where a picture was taken from, and through which lens (pinhole, lens distortion already removed).

Camera frame as in OpenCV: x right, y down, z into the picture; pixels from the upper left corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.motion import UpAxis

_MAX_ROTATION_ERROR = 1e-2


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

    Raises:
        InputError: focal lengths that are not positive, numbers that are not finite, shapes that do not fit, a matrix
            that is no rotation, an empty picture, or an unknown axis.
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
        rotation = torch.eye(3) if self.R_camera_world is None else _numbers(self.R_camera_world, "R", (3, 3))
        transl = torch.zeros(3) if self.t_camera_world is None else _numbers(self.t_camera_world, "t", (3,))
        off = float((rotation @ rotation.T - torch.eye(3)).abs().max())
        if off > _MAX_ROTATION_ERROR or float(torch.linalg.det(rotation)) < 0:
            raise InputError(
                "R is not a rotation",
                expected="3 x 3, R R^T the identity and determinant 1",
                hint="cv2.Rodrigues(rvec)[0], for a rotation vector of OpenCV",
            )
        if self.up_axis not in (None, "x", "y", "z"):
            raise InputError(f"unknown up axis '{self.up_axis}'", expected="'x', 'y', 'z' or None")
        object.__setattr__(self, "R_camera_world", rotation)
        object.__setattr__(self, "t_camera_world", transl)

    def to_camera(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 3"]:
        """World points in the camera's frame, metres."""
        return points @ self.R_camera_world.to(points).T + self.t_camera_world.to(points)

    def to_world(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 3"]:
        """Points in the camera's frame in the world, metres."""
        return (points - self.t_camera_world.to(points)) @ self.R_camera_world.to(points)

    def project(self, points: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 2"]:
        """Column and row [px] of world points; NaN for points that are not in front of the camera."""
        local = self.to_camera(torch.as_tensor(points))
        depth = local[..., 2:]
        return self.pixels(torch.where(depth > 0, local, torch.nan))

    def pixels(self, points_camera: Float[Tensor, "*N 3"]) -> Float[Tensor, "*N 2"]:
        """Column and row [px] of points in front of the camera, given in the camera's frame."""
        focal, centre = points_camera.new_tensor([self.fx, self.fy]), points_camera.new_tensor([self.cx, self.cy])
        return focal * points_camera[..., :2] / points_camera[..., 2:] + centre


def _numbers(value: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
    tensor = torch.as_tensor(value).detach().to("cpu", torch.float32)
    if tensor.shape != shape:
        raise InputError(f"{name} has shape {tuple(tensor.shape)}", expected=f"{shape}")
    if not bool(torch.isfinite(tensor).all()):
        raise InputError(f"{name} holds NaN or infinity", expected="finite numbers")
    return tensor
