"""Random people and hands: what round trips and tests start from.

Hands are drawn by how hands move, not from the solver's prior: a hand closes more or less, each finger leaves the
others by some of it, hinges follow each other, and thumbs go anywhere in the middle of their range.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.rotation import random_rotmats, rotmat_to_rotvec
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.hand.anatomy import THUMB, Anatomy

# Flexion [deg] of open and closed fingers: knuckle, middle joint, last joint.
_OPEN_DEG, _CLOSED_DEG = (-8.0, 2.0, 0.0), (78.0, 95.0, 60.0)


def random_people(
    count: int, generator: torch.Generator
) -> tuple[Float[Tensor, "N 24 3"], Float[Tensor, "N 10"], Float[Tensor, "N 3"]]:
    """Poses [rad] of the pose prior, facing anywhere; betas and places [m] N(0, 1)."""
    rotmat = load_priors().poses_of(torch.randn(count, 3 * NUM_JOINTS - 3, generator=generator))
    rotmat[:, 0] = random_rotmats(count, generator)
    betas, transl = torch.randn(count, 10, generator=generator), torch.randn(count, 3, generator=generator)
    return rotmat_to_rotvec(rotmat), betas, transl


def random_hands(anatomy: Anatomy, count: int, generator: torch.Generator) -> Float[Tensor, "N 30 3"]:
    """Rotvecs [rad] of `count` pairs of hands, within their limits."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def normal(degrees: float, *shape: int) -> Tensor:
        return torch.deg2rad(degrees * torch.randn(*shape, generator=generator))

    turns = torch.zeros(count, 2, 5, 9)
    closed = (uniform(count, 2, 1) + 0.25 * torch.randn(count, 2, 5, generator=generator)).clamp(0, 1)
    # A pointing hand, a pinch, a thumb up: some fingers do as they like.
    alone = uniform(count, 2, 5) < 0.15
    closed = torch.where(alone, uniform(count, 2, 5), closed)
    low, high = torch.deg2rad(torch.tensor(_OPEN_DEG)), torch.deg2rad(torch.tensor(_CLOSED_DEG))
    bends = low + (high - low) * closed[..., None]
    turns[..., 2::3] = bends + torch.stack([normal(degrees, count, 2, 5) for degrees in (9.0, 9.0, 5.0)], dim=-1)
    turns[..., 1] = normal(5.0, count, 2, 5) + 0.5 * (anatomy.lower + anatomy.upper)[..., 1]
    turns[..., 0] = normal(2.0, count, 2, 5)
    turns[..., 3:5], turns[..., 6:8] = normal(0.8, count, 2, 5, 2), normal(0.8, count, 2, 5, 2)
    lower, upper = anatomy.lower[:, THUMB], anatomy.upper[:, THUMB]
    turns[:, :, THUMB] = lower + (upper - lower) * (0.25 + 0.5 * uniform(count, 2, 9))
    return anatomy.pose(anatomy.within(turns))
