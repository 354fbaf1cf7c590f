"""Which joints a set of keypoints says nothing about."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.kinematics import IS_ANCESTOR
from learnable_smplify.skeleton import JOINT_NAMES

# A keypoint closer to a joint than this [m] does not tell how the joint is turned.
_SHORTEST_LEVER = 0.01


def unobserved_joints(folded: FoldedPoints, confidence: Float[Tensor, "*T K"] | None = None) -> tuple[str, ...]:
    """Names of the joints whose rotation moves no measured keypoint: what is said of them comes from the prior alone.

    A joint that turns nothing but itself (a hand whose wrist is the last keypoint) is one of them. One whose keypoints
    leave it the turn about a single axis counts as observed.

    Args:
        folded: the layout's keypoints on the body.
        confidence: (K,) or (T, K), 0 = missing; a keypoint seen in any frame is measured. None: all are.
    """
    unobserved = unobserved_mask(folded, confidence)
    return tuple(name for name, alone in zip(JOINT_NAMES, unobserved.tolist(), strict=True) if alone)


def unobserved_mask(folded: FoldedPoints, confidence: Float[Tensor, "*T K"] | None = None) -> Bool[Tensor, "24"]:
    """As `unobserved_joints`, True where a joint is one of them."""
    shown = shown_joints(folded)
    if confidence is not None:
        shown = shown[(confidence.reshape(-1, shown.shape[0]) > 0).any(dim=0)]
    return ~shown.any(dim=0)


def shown_joints(folded: FoldedPoints) -> Bool[Tensor, "K 24"]:
    """True where a keypoint tells how a joint is turned."""
    return folded.at_rest().levers()[0].norm(dim=-1) >= _SHORTEST_LEVER


def placed_joints(folded: FoldedPoints) -> Bool[Tensor, "24"]:
    """True for joints whose places the layout's keypoints decide: no unobserved joint is above them in the chain."""
    above = torch.tensor(IS_ANCESTOR, device=folded.weight.device) & unobserved_mask(folded)
    return ~above.fill_diagonal_(False).any(dim=1)
