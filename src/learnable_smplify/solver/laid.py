"""Starts of people who turned while hips or shoulders are hidden, laid on the keypoints before the network sees them.

The network lays the start's trunk on the measured one, so that it need not tell how far a person turned. A trunk of
which no three points off a line are seen leaves that open: the network then meets a person who faces elsewhere, and
turns limbs to make up for it. There the other keypoints say how the person turned, where a turn of the whole explains
nearly all that has changed. Whoever moves otherwise is left to the network.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.kernels.convert import fast_closest_rotmat
from learnable_smplify.network.pose_mlp import trunk_indices
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.priors import CHANGE_SECONDS

_TRUNK = trunk_indices().tolist()
# Points that spread less than this across their line [m] do not tell how a trunk is turned about it.
_ON_A_LINE = 0.05
# Weight of the other keypoints beside the trunk's: they settle what it leaves open.
_OTHERS = 0.03
# So far [rad] and so fast [rad/s] people turn, and the network is asked.
_SMALL_TURN, _TURNING = math.radians(10), math.radians(200)
# Fewer keypoints than this fit a turn of the whole whatever moved.
_FEWEST = 8
# The turn of the whole leaves at most this share of the squared way from start to target.
_LEFT = 0.1


def laid_start(
    rotmat: Float[Tensor, "B 24 3 3"],
    body25: FoldedPoints,
    betas: Float[Tensor, "B 10"],
    target: Float[Tensor, "B 25 3"],
    confidence: Float[Tensor, "B 25"],
    seconds: float,
) -> Float[Tensor, "B 24 3 3"]:
    """The start poses; those of people who turned while their trunk hides it with another pelvis.

    Args:
        rotmat: local rotations of the starts.
        body25: BODY_25 on the body.
        betas: of the people; one row may serve all.
        target, confidence: BODY_25 keypoints [m], 0 = missing.
        seconds: time from start to target; 0 where nobody knows.
    """
    # Nearly always all are seen, and the first question is the quicker one.
    if not confidence.numel() or float(confidence.min()) > 0 or bool((confidence[:, _TRUNK] > 0).all()):
        return rotmat
    seen = (confidence > 0).to(target)
    on_trunk = torch.zeros_like(seen)
    on_trunk[:, _TRUNK] = seen[:, _TRUNK]
    hidden = (_across(target, on_trunk) < _ON_A_LINE) & (seen.sum(1) >= _FEWEST)
    rows = (hidden & (_across(target, seen) > _ON_A_LINE)).nonzero()[:, 0]
    if not len(rows):
        return rotmat
    people = betas if len(betas) == 1 else betas[rows]
    source, there, seen = body25.shaped(people).pose(rotmat[rows]).positions(), target[rows], seen[rows]
    weight = torch.where(on_trunk[rows] > 0, 1.0, _OTHERS) * seen
    source, there = _centred(source, weight), _centred(there, weight)
    identity = torch.eye(3, dtype=source.dtype, device=source.device)
    turn = fast_closest_rotmat((weight[..., None] * there).mT @ source + 1e-9 * identity)
    way, left = (seen * (there - part).square().sum(-1) for part in (source, source @ turn.mT))
    least = _SMALL_TURN + _TURNING * (seconds if seconds > 0 else CHANGE_SECONDS)
    turned = (rotmat_to_rotvec(turn).norm(dim=-1) > least) & (left.sum(1) < _LEFT * way.sum(1))
    laid = rotmat.clone()
    laid[rows[turned], 0] = turn[turned] @ rotmat[rows[turned], 0]
    return laid


def _across(points: Float[Tensor, "B K 3"], weight: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """How far points spread across the line that is nearest to them [m]."""
    centred = _centred(points, weight) * weight[..., None]
    spread = centred.mT @ centred / weight.sum(1).clamp(min=1)[:, None, None]
    return torch.linalg.eigvalsh(spread)[:, 1].clamp(min=0).sqrt()


def _centred(points: Float[Tensor, "B K 3"], weight: Float[Tensor, "B K"]) -> Float[Tensor, "B K 3"]:
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-9))[..., None]
    return points - (share * points).sum(1, keepdim=True)
