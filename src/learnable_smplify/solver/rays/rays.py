"""Rays of several cameras: where they meet, and by how much they miss a place.

Coordinates are arrays of their own, of any shape: many times as fast as small vectors and matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Vector = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays of one camera, or of several whose centres are arrays along the first axis.

    Args:
        direction: (3, ...) unit vectors in the world.
        centre: (3, ...) where they come from [m].
    """

    direction: Float[Tensor, "3 *N"]
    centre: Float[Tensor, "3 *N"]

    def squared_distance(self, place: Vector) -> Tensor:
        """Of places from the cameras [m^2], tiny at least."""
        o_x, o_y, o_z = (part - from_ for part, from_ in zip(place, self.centre, strict=True))
        return (o_x * o_x + o_y * o_y + o_z * o_z).clamp(min=1e-9)

    def angle(self, place: Vector) -> Tensor:
        """Sine of the angle [rad] by which each misses its place; 1 for places behind its camera."""
        (x, y, z), (c_x, c_y, c_z) = self.direction, self.centre
        along = x * (place[0] - c_x) + y * (place[1] - c_y) + z * (place[2] - c_z)
        along = along.clamp(min=0)
        return (1 - along * along / self.squared_distance(place)).clamp(min=0).sqrt()

    def select(self, rows: slice) -> Rays:
        """Those of some cameras."""
        return Rays(self.direction[:, rows], self.centre[:, rows])


def world_directions(rays: Float[Tensor, "*N V 2"], rotation: Float[Tensor, "V 3 3"]) -> Float[Tensor, "3 V *N"]:
    """Unit vectors in the world of rays (x / z, y / z) in V cameras' frames."""
    towards = torch.nn.functional.normalize(torch.nn.functional.pad(rays, (0, 1), value=1.0), dim=-1)
    return torch.einsum("vyx,...vy->xv...", rotation, towards).contiguous()


def camera_centres(rotation: Float[Tensor, "V 3 3"], transl: Float[Tensor, "V 3"]) -> Float[Tensor, "V 3"]:
    """Where cameras stand in the world [m]; `rotation` and `transl` take the world to theirs."""
    return -torch.einsum("vyx,vy->vx", rotation, transl)


def meeting(rays: Sequence[Rays], pulls: Sequence[Tensor]) -> Vector:
    """The places nearest to all rays: sum w (1 - d d^T) p = sum w (1 - d d^T) c, solved by cofactors."""
    least = 1e-12
    none = torch.zeros_like(pulls[0])
    xx, yy, zz, xy, xz, yz = none + least, none + least, none + least, none, none, none
    right = [none, none, none]
    for ray, pull in zip(rays, pulls, strict=True):
        (x, y, z), (c_x, c_y, c_z) = ray.direction, ray.centre
        w_x, w_y, w_z = pull * x, pull * y, pull * z
        xx, yy, zz = xx + pull - w_x * x, yy + pull - w_y * y, zz + pull - w_z * z
        xy, xz, yz = xy - w_x * y, xz - w_x * z, yz - w_y * z
        along = c_x * x + c_y * y + c_z * z
        foot = (pull * c_x - along * w_x, pull * c_y - along * w_y, pull * c_z - along * w_z)
        right = [total + part for total, part in zip(right, foot, strict=True)]
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    size = (xx * a + xy * b + xz * c).clamp(min=least**3)
    x, y, z = right
    return (a * x + b * y + c * z) / size, (b * x + d * y + e * z) / size, (c * x + e * y + f * z) / size
