"""How a motion is shared between neighbouring joints, drawn anew for every sample.

Sources differ not only in constant turns (see `conventions`) but in which joint moves: one has rigid collars and
another turns them with the arms, one bends the back in two joints and another in three, one locks the ankle and lets
the toes do its work. A part of one joint's motion is handed to its neighbour, so that everything beyond the two stays
where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX


@dataclass(frozen=True)
class Neighbours:
    """A joint and its child.

    Args:
        parent, child: their names.
        axis: 0 (x) or 1 (y) where only turns about the bone are handed on, None where all are.
        to_parent: largest part of the child's motion that the parent takes.
    """

    parent: str
    child: str
    axis: int | None = None
    to_parent: float = 1.0


def _both_sides(parent: str, child: str, axis: int | None = None, to_parent: float = 1.0) -> tuple[Neighbours, ...]:
    return tuple(Neighbours(f"{side}_{parent}", f"{side}_{child}", axis, to_parent) for side in ("left", "right"))


# Nobody is named twice in a stage, so that a stage is computed at once.
_STAGES: tuple[tuple[Neighbours, ...], ...] = (
    (
        Neighbours("spine1", "spine2"),
        Neighbours("neck", "head"),
        *_both_sides("collar", "shoulder", to_parent=0.35),  # more would carry the shoulder away
        *_both_sides("elbow", "wrist", axis=0),
        *_both_sides("hip", "knee", axis=1),
        *_both_sides("ankle", "foot"),
    ),
    (
        Neighbours("spine2", "spine3"),
        *_both_sides("shoulder", "elbow", axis=0),
        *_both_sides("knee", "ankle", axis=1),
    ),
)
_PAIRS = sum(len(stage) for stage in _STAGES)


@dataclass(frozen=True)
class Sharing:
    """How often motion is shared in another way.

    Args:
        share: samples in which it is.
        each: chance of each two neighbours in such a sample.
        whole: chance that one of them hands on all that it may; otherwise it is any part, evenly.
    """

    share: float = 0.4
    each: float = 0.4
    whole: float = 0.3


def draw_amounts(
    options: Sharing, batch: int, device: torch.device, generator: torch.Generator
) -> Float[Tensor, "B P"]:
    """For every two neighbours the part that is handed on: above 0 parent to child, below 0 child to parent."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    amount = 2 * uniform(batch, _PAIRS) - 1
    amount = torch.where(uniform(batch, _PAIRS) < options.whole, amount.sign(), amount)
    limits = torch.tensor([two.to_parent for stage in _STAGES for two in stage], device=device)
    amount = torch.where(amount < 0, amount * limits, amount)
    chosen = (uniform(batch, _PAIRS) < options.each) & (uniform(batch, 1) < options.share)
    return amount * chosen


def share_motion(
    rotmat: Float[Tensor, "*F B 24 3 3"], reference: Float[Tensor, "B 24 3 3"], amounts: Float[Tensor, "B P"]
) -> Float[Tensor, "*F B 24 3 3"]:
    """Poses whose joints share their motion, counted from a reference pose of each sample, in another way.

    With P of the parent and Q of the child, P' = P exp(d) and Q' = exp(-d) Q: the product stays. d is a part of the
    child's motion log(Q Q_ref^T), or less a part of the parent's, log(P_ref^T P), both in the frame between them. The
    reference pose itself stays.
    """
    by_stage = amounts.split([len(stage) for stage in _STAGES], dim=1)
    for stage, handed_on in zip(_STAGES, by_stage, strict=True):
        parents = [JOINT_INDEX[two.parent] for two in stage]
        children = [JOINT_INDEX[two.child] for two in stage]
        amount = handed_on[..., None]
        axes = torch.stack([torch.ones(3) if two.axis is None else torch.eye(3)[two.axis] for two in stage]).to(rotmat)
        parent, child = rotmat[..., parents, :, :], rotmat[..., children, :, :]
        of_child = rotmat_to_rotvec(child @ reference[:, children].mT)
        of_parent = rotmat_to_rotvec(reference[:, parents].mT @ parent)
        handed = axes * torch.where(amount < 0, -amount * of_child, -amount * of_parent)
        turn = rotvec_to_rotmat(handed)
        rotmat = rotmat.clone()
        rotmat[..., parents, :, :] = parent @ turn
        rotmat[..., children, :, :] = turn.mT @ child
    return rotmat
