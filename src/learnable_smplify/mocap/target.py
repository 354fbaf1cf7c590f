"""`RetargetTarget`: what a retargeted motion has to know about the SMPL body it moves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.body import Body
from learnable_smplify.body.fingers import RestHands
from learnable_smplify.skeleton import JOINT_INDEX

_SOLE_DEPTH_M = 0.015
_DIRECTIONS = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, -1, 0]])


@dataclass(frozen=True, eq=False)
class RetargetTarget:
    """The rest skeleton, and the points of the feet that touch the floor.

    Args:
        name: name of the body, for `Motion.body`.
        rest_joints: (24, 3) metres, T pose, Y up, Z forward.
        sole_points: (P, 3) metres, in the same pose and frame.
        sole_joints: (P,) the joint each sole point moves with.
        hands: the fingers in the same pose and frame; None for a body without.
    """

    name: str
    rest_joints: Float[Tensor, "24 3"]
    sole_points: Float[Tensor, "P 3"]
    sole_joints: Int[Tensor, "P"]
    hands: RestHands | None = None


def target_from_body(arrays: BodyArrays) -> RetargetTarget:
    """The mean shape of a body as a target: joints from its regressor, soles from its lowest foot vertices."""
    vertices = torch.as_tensor(arrays.v_template, dtype=torch.float64)
    joints = torch.as_tensor(arrays.j_regressor, dtype=torch.float64) @ vertices
    owner = torch.as_tensor(arrays.weights).argmax(dim=1)
    points, owners = [], []
    for name in ("left_ankle", "right_ankle", "left_foot", "right_foot"):
        sole = vertices[(owner == JOINT_INDEX[name]) & (vertices[:, 1] < vertices[:, 1].min() + _SOLE_DEPTH_M)]
        if len(sole) == 0:
            continue
        # The outermost points of the sole are the first to touch whatever way the foot is turned.
        corners = torch.stack([sole[(sole @ way).argmax()] for way in _DIRECTIONS.to(sole)])
        points.append(corners)
        owners.extend([JOINT_INDEX[name]] * len(corners))
    fingered = Body(arrays).hands
    hands = None if fingered is None else fingered.rest(torch.zeros(10, dtype=torch.float64))
    return RetargetTarget(arrays.name, joints, torch.cat(points), torch.tensor(owners), hands)
