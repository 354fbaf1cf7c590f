"""The 6D form of a rotation: the first two columns of its matrix, not yet orthonormal.

Source: Zhou, Barnes, Lu, Yang, Li 2019, "On the Continuity of Rotation Representations in Neural Networks", section
B. The six numbers are a (3, 2) matrix read row by row, (x1, y1, x2, y2, x3, y3): the identity is (1, 0, 0, 1, 0, 0).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

IDENTITY_ROT6D: tuple[float, ...] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

# Below this length [unit of the input] a vector has no direction; below this sine two vectors are parallel.
_SHORTEST = 1e-6
_SMALLEST_SINE = 1e-6


def rot6d_to_rotmat(rot6d: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of 6D vectors, by Gram-Schmidt on the two columns.

    A zero or parallel column, which has no direction, is replaced by an axis, so that the result is always a rotation.
    """
    columns = rot6d.unflatten(-1, (3, 2))
    first, second = orthonormal_pair(columns[..., 0], columns[..., 1])
    return torch.stack((first, second, torch.linalg.cross(first, second)), dim=-1)


def orthonormal_pair(
    first: Float[Tensor, "*B 3"], second: Float[Tensor, "*B 3"]
) -> tuple[Float[Tensor, "*B 3"], Float[Tensor, "*B 3"]]:
    """Unit vectors along `first`, and along the part of `second` that is perpendicular to it (Gram-Schmidt).

    Where a vector has no direction (zero, not finite, or `second` parallel to `first`) an axis stands in: x for the
    first; for the second the axis that is most perpendicular to the first. No gradient flows through a stand-in.
    """
    axes = torch.eye(3, dtype=first.dtype, device=first.device)
    first, second = _finite_or_zero(first), _finite_or_zero(second)
    unit = _unit_or(first, axes[0].expand_as(first), _SHORTEST)
    stand_in = axes[unit.detach().abs().argmin(dim=-1)]
    shortest = _SHORTEST + _SMALLEST_SINE * torch.linalg.vector_norm(second.detach(), dim=-1, keepdim=True)
    across = _unit_or(_perpendicular(second, unit), _perpendicular(stand_in, unit), shortest)
    # Once more: of two nearly parallel vectors the first subtraction leaves mostly rounding along `unit`.
    across = _perpendicular(across, unit)
    return unit, across / torch.linalg.vector_norm(across, dim=-1, keepdim=True)


def _perpendicular(vector: Tensor, unit: Tensor) -> Tensor:
    return vector - (vector * unit).sum(-1, keepdim=True) * unit


def _finite_or_zero(vector: Tensor) -> Tensor:
    return torch.where(torch.isfinite(vector).all(dim=-1, keepdim=True), vector, 0.0)


def _unit_or(vector: Tensor, stand_in: Tensor, shortest: float | Tensor) -> Tensor:
    # The stand-in is put in before the division, because a gradient through 0/0 is NaN even where it is not used.
    usable = torch.linalg.vector_norm(vector.detach(), dim=-1, keepdim=True) > shortest
    vector = torch.where(usable, vector, stand_in)
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
