"""When feet touch the ground: points of the feet that are slow, and as low as they come to be.

The ground is taken to be flat and level. Each point has its own height when it rests (an ankle is higher than the ball
of the foot), so the ground is estimated for each pair of points, from the recording itself.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.skeleton import JOINT_INDEX

CONTACT_JOINTS: tuple[str, ...] = ("left_ankle", "right_ankle", "left_foot", "right_foot")
# A resting foot is slower than this [m/s] ...
_MAX_SPEED = 0.3
# ... and at most so far [m] above where such points rest.
_MAX_HEIGHT = 0.06
# Touches, and breaks of them, that are shorter [s] are not believed.
_SHORTEST = 0.1
# Speeds are those over this time to either side [s]: less, and noise would be speed.
_HALF_SPAN = 1 / 30
# Share of slow moments that lie below the ground: outliers.
_BELOW = 0.1


def detect_contacts(
    joints: Float[Tensor, "T 24 3"], fps: float, up_axis: Literal["x", "y", "z"] | None = None
) -> Bool[Tensor, "T 4"]:
    """When the joints `CONTACT_JOINTS` rest on the ground.

    Args:
        joints: positions in the world, metres.
        fps: frames a second.
        up_axis: which axis points up; None takes the one along which heads are farthest from ankles, either way.
    """
    feet = joints[:, [JOINT_INDEX[name] for name in CONTACT_JOINTS]]
    height = feet @ up_direction(joints, up_axis)
    span = max(1, round(fps * _HALF_SPAN))
    frames = torch.arange(len(joints), device=joints.device)
    before, after = (frames - span).clamp(min=0), (frames + span).clamp(max=len(joints) - 1)
    seconds = (after - before).clamp(min=1) / fps
    slow = (feet[after] - feet[before]).norm(dim=-1) / seconds[:, None] < _MAX_SPEED
    touching = torch.zeros_like(slow)
    for pair in ([0, 1], [2, 3]):
        resting = height[:, pair][slow[:, pair]]
        if len(resting) > 0:
            touching[:, pair] = slow[:, pair] & (height[:, pair] < resting.quantile(_BELOW) + _MAX_HEIGHT)
    reach = round(_SHORTEST * fps / 2)
    filled = ~_spread(~_spread(touching, reach), reach)
    return _spread(~_spread(~filled, reach), reach)


def up_direction(joints: Float[Tensor, "T 24 3"], up_axis: Literal["x", "y", "z"] | None) -> Float[Tensor, "3"]:
    """The unit vector that points up: along the axis given, or along the one on which heads stand over ankles."""
    up = torch.zeros(3, dtype=joints.dtype, device=joints.device)
    if up_axis is not None:
        up["xyz".index(up_axis)] = 1
        return up
    ankles = joints[:, [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]].mean(dim=1)
    upright = (joints[:, JOINT_INDEX["head"]] - ankles).median(dim=0).values
    axis = int(upright.abs().argmax())
    up[axis] = torch.sign(upright[axis])
    return up


def _spread(mask: Bool[Tensor, "T 4"], reach: int) -> Bool[Tensor, "T 4"]:
    """True also so many frames before and after."""
    wide = torch.nn.functional.max_pool1d(mask.T.float(), 2 * reach + 1, stride=1, padding=reach)
    return wide.T > 0
