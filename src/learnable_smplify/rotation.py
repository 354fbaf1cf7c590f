"""Rotation maths beyond `roma`: what the solver's derivatives and the SMPL conventions need.

Vocabulary: rotvec (..., 3) axis times angle [rad]; rotmat (..., 3, 3). Conversions come from `roma`.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Float
from torch import Tensor


def rotvec_to_rotmat(rotvec: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of axis-angle vectors [rad] (Rodrigues)."""
    return roma.rotvec_to_rotmat(rotvec)


def rotmat_to_rotvec(rotmat: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis-angle vectors [rad], angle in [0, pi], of rotation matrices."""
    return roma.rotmat_to_rotvec(rotmat)


def rotvec_between(
    start: Float[Tensor, "*B 3"], end: Float[Tensor, "*B 3"], share: Float[Tensor, "*B 1"]
) -> Float[Tensor, "*B 3"]:
    """Rotations [rad] on the short way from `start` (share 0) to `end` (share 1), at even speed (slerp)."""
    first, last = roma.rotvec_to_unitquat(start), roma.rotvec_to_unitquat(end)
    turn = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(first), last))
    return roma.unitquat_to_rotvec(roma.quat_product(first, roma.rotvec_to_unitquat(turn * share)))


def skew(vector: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The matrix `[v]x` with `[v]x w = v x w`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def left_jacobian_inverse(rotvec: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Inverse of the left Jacobian of SO(3), for angles below 2 pi.

    Source: Sola, Deray, Atchuthan 2018, "A micro Lie theory for state estimation in robotics", eq. 146.
    """
    squared = rotvec.square().sum(-1)[..., None, None]
    small = squared < 1e-6
    angle = torch.where(small, 1.0, squared).sqrt()
    factor = 1 / angle**2 - 1 / (2 * angle * (angle / 2).tan())
    factor = torch.where(small, 1 / 12 + squared / 720, factor)
    cross = skew(rotvec)
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity - 0.5 * cross + factor * (cross @ cross)


def closest_rotmat(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """The rotation R that maximises trace(R^T matrix): the answer of the weighted Procrustes (Kabsch) problem."""
    return roma.special_procrustes(matrix)
