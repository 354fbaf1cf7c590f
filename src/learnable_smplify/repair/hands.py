"""Faults of hands that the body shows: the other side's, a hand far from its wrist, points far from their hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.hands import SIDES, HandKeypoints
from learnable_smplify.layouts.layout import Layout

# A hand whose wrist is farther from the body's than this [m] is the other side's if it is near that, or nobody's.
_FAR_M = 0.3
_EXCHANGED_M, _NEARER = 0.12, 0.5
# No point of an adult's hand is farther from its wrist [m].
_REACH_M = 0.28


def repair_hands(
    hands: HandKeypoints,
    positions: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    layout: Layout,
    repeated: Bool[Tensor, " T"],
) -> tuple[HandKeypoints, tuple[str, ...]]:
    """Hands at the wrists of the repaired body, and what was done, for the user.

    Args:
        hands: as measured.
        positions: of the body [m], repaired.
        confidence: of the body.
        layout: of the body.
        repeated: frames that repeat the one before, in which hands say nothing either.
    """
    points, trust = hands.positions.clone(), hands.confidence.clone()
    trust[repeated] = 0
    notes: list[str] = []
    columns = [layout.index_of_point(f"{side}_wrist") for side in SIDES]
    left, right = columns
    if left is not None and right is not None and layout.name != "hands":
        wrists = positions[:, [left, right]].to(points)
        known = confidence[:, [left, right]] > 0
        root = trust[:, :, 0] > 0
        away = _distance(points, wrists, root & known)
        crosswise = _distance(points, wrists.flip(1), root & known.flip(1))
        both = torch.isfinite(away) & torch.isfinite(crosswise)
        straight, crossed = (torch.where(both, cost, 0.0).sum(dim=1) for cost in (away, crosswise))
        swapped = both.any(dim=1) & (crossed < _NEARER * straight) & (straight > _EXCHANGED_M * both.sum(dim=1))
        if bool(swapped.any()):
            points[swapped], trust[swapped] = points[swapped].flip(1), trust[swapped].flip(1)
            away = torch.where(swapped[:, None], crosswise.flip(1), away)
            notes.append(f"{int(swapped.sum())} frames: left and right hand exchanged back")
        lost = torch.isfinite(away) & (away > _FAR_M)
        if bool(lost.any()):
            trust[lost] = 0
            notes.append(f"{int(lost.any(dim=1).sum())} frames: a hand far from its wrist is ignored")
    spread = (points - points[:, :, :1]).norm(dim=-1)
    outside = (trust > 0) & (trust[:, :, :1] > 0) & (spread > _REACH_M)
    if bool(outside.any()):
        trust[outside] = 0
        notes.append(f"{int(outside.sum())} points of hands far from their hand are ignored")
    return replace(hands, positions=points, confidence=trust), tuple(notes)


def _distance(
    points: Float[Tensor, "T 2 21 3"], wrists: Float[Tensor, "T 2 3"], known: Bool[Tensor, "T 2"]
) -> Float[Tensor, "T 2"]:
    return torch.where(known, (points[:, :, 0] - wrists).norm(dim=-1), torch.nan)
