"""Wrists and forearms that nobody saw turn stay near rest.

A keypoint at the wrist says nothing of how the hand is held or the forearm is rolled, and knuckles that one camera
guessed say little. What is left to priors and to noise is bounded: the hand's turn in the wrist, and the forearm's
roll about its own bone, which moves no joint.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.observed import unobserved_mask
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat, twist_angle
from learnable_smplify.skeleton import PARENTS, WRISTS

# Turns up to the first are left alone, and none gets beyond the second [rad].
_FREE, _MOST = math.radians(20), math.radians(31)


def rested_wrists(
    rotmat: Float[Tensor, "T 24 3 3"], folded: FoldedPoints, confidence: Float[Tensor, "T K"], trusted: bool
) -> Float[Tensor, "T 24 3 3"]:
    """The same poses with wrists and rolls of forearms drawn within what people do without effort.

    Args:
        rotmat: local rotations.
        folded: the layout's keypoints on the body.
        confidence: 0 = missing.
        trusted: keypoints that show a hand are the body's own, so that such wrists are as they are.
    """
    unseen: Bool[Tensor, "24"] = unobserved_mask(folded, confidence)
    turned = rotmat.clone()
    for wrist in WRISTS:
        elbow = PARENTS[wrist]
        if trusted and not bool(unseen[wrist]):
            continue
        bone = torch.nn.functional.normalize(folded.rest_joints[wrist] - folded.rest_joints[elbow], dim=0)
        roll = twist_angle(rotmat[:, elbow], bone)
        turned[:, elbow] = rotmat[:, elbow] @ rotvec_to_rotmat((_bounded(roll) - roll)[:, None] * bone)
        turn = rotmat_to_rotvec(rotmat[:, wrist])
        angle = turn.norm(dim=-1, keepdim=True)
        turned[:, wrist] = rotvec_to_rotmat(turn * (_bounded(angle) / angle.clamp(min=1e-6)))
    return turned


def _bounded(angle: Tensor) -> Tensor:
    """As it is when small, drawn in smoothly when large, and nothing at half a turn, whose sense nobody knows."""
    size = torch.minimum(angle.abs(), (math.pi - angle.abs()).clamp(min=0))
    room = _MOST - _FREE
    drawn = torch.where(size > _FREE, _FREE + room * torch.tanh((size - _FREE) / room), size)
    return drawn * angle.sign()
