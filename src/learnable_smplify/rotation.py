"""Rotation maths beyond `roma`: what the solver's derivatives and the SMPL conventions need.

Vocabulary: rotvec (..., 3) axis times angle [rad]; rotmat (..., 3, 3). Conversions come from `roma`.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Float
from torch import Tensor

# Halvings of the angle between Horn's power and its eigenvector: enough where they are 1e-6 apart.
_SQUARINGS = 24
# Sine of half an angle below which a turn is its own sine.
_NO_TURN = 1e-7


def rotvec_to_rotmat(rotvec: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation matrices of axis-angle vectors [rad] (Rodrigues)."""
    return roma.rotvec_to_rotmat(rotvec)


def rotmat_to_rotvec(rotmat: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3"]:
    """Axis-angle vectors [rad], angle in [0, pi], of rotation matrices."""
    if torch.compiler.is_exporting():  # roma sorts matrices into cases, which no graph of fixed operations can
        return _quaternion_to_rotvec(_longest_column(_attitude(rotmat) + torch.eye(4, dtype=rotmat.dtype)))
    return roma.rotmat_to_rotvec(rotmat)


def random_rotmats(count: int, generator: torch.Generator) -> Float[Tensor, "N 3 3"]:
    """Rotations that may be any, all alike, on the generator's device."""
    numbers = torch.randn(count, 4, generator=generator, device=generator.device)
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(numbers, dim=-1))


def rotvec_between(
    start: Float[Tensor, "*B 3"], end: Float[Tensor, "*B 3"], share: Float[Tensor, "*B 1"]
) -> Float[Tensor, "*B 3"]:
    """Rotations [rad] on the short way from `start` (share 0) to `end` (share 1), at even speed (slerp)."""
    first, last = roma.rotvec_to_unitquat(start), roma.rotvec_to_unitquat(end)
    turn = roma.unitquat_to_rotvec(roma.quat_product(roma.quat_conjugation(first), last))
    return roma.unitquat_to_rotvec(roma.quat_product(first, roma.rotvec_to_unitquat(turn * share)))


def rotmat_between(
    start: Float[Tensor, "*B 3 3"], end: Float[Tensor, "*B 3 3"], share: Float[Tensor, "*#B 1"] | float
) -> Float[Tensor, "*B 3 3"]:
    """`rotvec_between` of matrices."""
    return rotvec_to_rotmat(share * rotmat_to_rotvec(end @ start.mT)) @ start


def shortest_turn(start: Float[Tensor, "*B 3"], end: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """The rotation by the smallest angle that takes one direction to another; for opposite ones about any axis."""
    start, end = (torch.nn.functional.normalize(direction, dim=-1) for direction in (start, end))
    axis = torch.linalg.cross(start, end)
    sine, cosine = axis.norm(dim=-1, keepdim=True), (start * end).sum(-1, keepdim=True)
    least = torch.eye(3).to(start)[start.abs().argmin(-1)]
    across = torch.nn.functional.normalize(torch.linalg.cross(start, least), dim=-1)
    axis = torch.where((sine < _NO_TURN**2) & (cosine < 0), across, axis / sine.clamp(min=_NO_TURN**2))
    return rotvec_to_rotmat(axis * torch.atan2(sine, cosine))


def twist_angle(rotmat: Float[Tensor, "*B 3 3"], axis: Float[Tensor, "*#B 3"]) -> Float[Tensor, "*B"]:
    """The angle [rad], at most half a turn, of the part of a rotation that is about a unit axis and leaves it alone."""
    rotvec = rotmat_to_rotvec(rotmat)
    half = 0.5 * rotvec.norm(dim=-1).clamp(min=1e-9)
    return 2 * torch.atan2((rotvec * axis).sum(-1) * half.sin() / (2 * half), half.cos())


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
    if torch.compiler.is_exporting():  # ONNX has no singular values
        return _closest_by_squaring(matrix)
    return roma.special_procrustes(matrix)


def _closest_by_squaring(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """`closest_rotmat` in sums and products: the power of Horn's matrix (1987) is its largest eigenvector's."""
    power = _attitude(matrix.double())
    power = power / torch.linalg.matrix_norm(power, keepdim=True) + torch.eye(4, dtype=torch.float64)
    for _ in range(_SQUARINGS):
        power = power @ power
        power = power / power.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    w, x, y, z = _longest_column(power).unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3)).to(matrix.dtype)


def _attitude(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 4 4"]:
    """Horn's symmetric matrix: q^T N q = trace(R(q)^T matrix) for unit quaternions q, real part first."""
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in matrix.unbind(-2))
    rows = (
        *(a + e + i, h - f, c - g, d - b),
        *(h - f, a - e - i, b + d, c + g),
        *(c - g, b + d, e - a - i, f + h),
        *(d - b, c + g, f + h, i - a - e),
    )
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def _longest_column(matrix: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4"]:
    """The vector of a matrix that is a multiple of v v^T, of length 1."""
    longest = matrix.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*matrix.shape[:-1], 1)
    vector = torch.gather(matrix, -1, longest)[..., 0]
    return vector / torch.linalg.vector_norm(vector, dim=-1, keepdim=True)


def _quaternion_to_rotvec(quaternion: Float[Tensor, "*B 4"]) -> Float[Tensor, "*B 3"]:
    """Rotation vectors [rad] of unit quaternions, real part first."""
    near = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)  # -q turns as q does
    real, vector = near[..., :1], near[..., 1:]
    sine = torch.linalg.vector_norm(vector, dim=-1, keepdim=True)
    return vector * torch.where(sine > _NO_TURN, 2 * torch.atan2(sine, real) / sine.clamp(min=_NO_TURN), 2.0)
