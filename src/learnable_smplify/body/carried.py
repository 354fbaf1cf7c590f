"""Which joint carries each keypoint: in whose frame what a keypoint is off by stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.observed import unobserved_mask
from learnable_smplify.layouts.bias import KeypointBias
from learnable_smplify.skeleton import JOINT_INDEX, PARENTS, WAYS_UP, sided

# A keypoint hangs on the joint that carries this share of it, else on the joint all its joints hang on.
_MAIN_SHARE = 0.6
# What is seen of a hip is fixed to the pelvis rather than to the thigh, and of a shoulder to the collar.
_ON_PARENT = tuple(JOINT_INDEX[name] for name in sided("hip", "shoulder"))


def hanging_joint(folded: FoldedPoints) -> Int[Tensor, " K"]:
    """The joint each keypoint hangs on.

    The one of largest weight, or for a keypoint shared by several (the middle of the hips) the nearest joint that all
    of them hang on. But none that no keypoint shows turning: a wrist that is the last keypoint of its arm hangs on the
    elbow, or its offset would be a lever to spin the hand with.
    """
    joints = folded.weight.argmax(dim=1).tolist()
    unseen = unobserved_mask(folded).tolist()
    for keypoint, weights in enumerate(folded.weight.tolist()):
        if max(weights) < _MAIN_SHARE:
            chains = [WAYS_UP[joint] for joint, weight in enumerate(weights) if weight > 0.1]
            joints[keypoint] = next(joint for joint in chains[0] if all(joint in chain for chain in chains))
        joints[keypoint] = next(joint for joint in WAYS_UP[joints[keypoint]] if joint == 0 or not unseen[joint])
    return torch.tensor(joints, device=folded.weight.device)


def error_joints(folded: FoldedPoints) -> Int[Tensor, " K"]:
    """The joint in whose frame each keypoint's constant error is."""
    parent = torch.tensor(PARENTS, device=folded.weight.device)
    hanging = hanging_joint(folded)
    on_parent = torch.isin(hanging, torch.tensor(_ON_PARENT, device=hanging.device))
    return torch.where(on_parent, parent[hanging], hanging)


def moved_by(folded: FoldedPoints, biases: Sequence[KeypointBias]) -> FoldedPoints:
    """The points where these biases put them: markers on the skin beside the joints that they belong to."""
    anchor = folded.anchor.clone()
    keypoints = torch.arange(len(anchor), device=anchor.device)
    anchor[keypoints, error_joints(folded)] += anchor.new_tensor([bias.mean for bias in biases])
    return replace(folded, anchor=anchor)
