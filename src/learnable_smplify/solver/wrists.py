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
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX

# Turns up to the first are left alone, and none gets beyond the second [rad].
_FREE, _MOST = math.radians(20), math.radians(31)
_SIDES = ("left", "right")


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
    for side in _SIDES:
        elbow, wrist = JOINT_INDEX[f"{side}_elbow"], JOINT_INDEX[f"{side}_wrist"]
        if trusted and not bool(unseen[wrist]):
            continue
        bone = torch.nn.functional.normalize(folded.rest_joints[wrist] - folded.rest_joints[elbow], dim=0)
        roll = _roll(rotmat[:, elbow], bone)
        turned[:, elbow] = rotmat[:, elbow] @ rotvec_to_rotmat((_bounded(roll) - roll)[:, None] * bone)
        turn = rotmat_to_rotvec(rotmat[:, wrist])
        angle = turn.norm(dim=-1, keepdim=True)
        turned[:, wrist] = rotvec_to_rotmat(turn * (_bounded(angle) / angle.clamp(min=1e-6)))
    return turned


def _roll(rotmat: Float[Tensor, "T 3 3"], axis: Float[Tensor, "3"]) -> Float[Tensor, " T"]:
    """The angle about `axis` of the part of a rotation that leaves the axis where it is (swing after twist) [rad]."""
    trace = rotmat.diagonal(dim1=-2, dim2=-1).sum(-1)
    skew = torch.stack(
        (
            rotmat[:, 2, 1] - rotmat[:, 1, 2],
            rotmat[:, 0, 2] - rotmat[:, 2, 0],
            rotmat[:, 1, 0] - rotmat[:, 0, 1],
        ),
        dim=-1,
    )
    # A unit quaternion (w, v) has 4 w^2 = 1 + trace and 4 w v = skew; the twist about an axis is (w, v . axis).
    return 2 * torch.atan2(skew @ axis, 1 + trace)


def _bounded(angle: Tensor) -> Tensor:
    """As it is when small, drawn in smoothly when large, and nothing at half a turn, whose sense nobody knows."""
    size = torch.minimum(angle.abs(), (math.pi - angle.abs()).clamp(min=0))
    room = _MOST - _FREE
    drawn = torch.where(size > _FREE, _FREE + room * torch.tanh((size - _FREE) / room), size)
    return drawn * angle.sign()
