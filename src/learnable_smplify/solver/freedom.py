"""Joints that the network holds, and keypoints that it is not shown: hands.

The network knows the 25 points of BODY_25, none of which lies beyond a wrist: what it says of a wrist was never held
against a hand, and leaves it next to no turn. Where a layout shows the hand, Gauss-Newton steps that hold on to such a
wrist roll the forearm and the shoulder instead, frame after frame, until no elbow bends that way. There the wrist may
turn as people turn it in that time.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.observed import shown_joints, unobserved_mask
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS
from learnable_smplify.solver.frame.priors import Priors

# So many times what people turn it: where it turns from was found in the frame before, and is a little off itself.
_FREER = 1.5


def freed(
    stiffness_sigma: Float[Tensor, "B 66"],
    error_precision: Float[Tensor, "66 66"],
    folded: FoldedPoints,
    body25: FoldedPoints,
    view: Body25View,
    confidence: Float[Tensor, "B K"],
    priors: Priors,
    seconds: float,
) -> Float[Tensor, "B 66"]:
    """How far the steps may turn each joint about its axes [rad], where keypoints that were seen say it as well.

    Args:
        stiffness_sigma: what the network says.
        error_precision: in units of it.
        folded, body25: keypoints of the layout and of BODY_25 on the body.
        view: from the one to the other.
        confidence: of the layout's keypoints, 0 = missing.
        priors: for how people turn joints.
        seconds: time between start and target; 0 where nobody knows.
    """
    shows = None if view.is_body25 else _beyond(folded, body25, view)
    if shows is None:
        return stiffness_sigma
    seen = ((confidence > 0).to(shows) @ shows > 0)[..., None]
    solved = 3 * SOLVED_JOINTS
    # About any axis alike: the prior's are the parent's axes, the network's the joint's own.
    turn = priors.change_over(seconds).diagonal()[:solved].reshape(SOLVED_JOINTS, 3).reciprocal().mean(1).sqrt()
    least = _FREER * turn[:, None] * error_precision.diagonal().reshape(SOLVED_JOINTS, 3).sqrt()
    told = stiffness_sigma.unflatten(-1, (SOLVED_JOINTS, 3))
    return torch.where(seen, torch.maximum(told, least), told).flatten(1)


@lru_cache(maxsize=16)
def _beyond(folded: FoldedPoints, body25: FoldedPoints, view: Body25View) -> Float[Tensor, "K 22"] | None:
    """1 where a keypoint that the network is not shown tells how a joint is turned that no point of BODY_25 tells of.

    None where there is no such keypoint.
    """
    shows = shown_joints(folded) & ~view.needs.any(dim=0)[:, None] & unobserved_mask(body25)
    return shows[:, :SOLVED_JOINTS].float() if bool(shows[:, :SOLVED_JOINTS].any()) else None
