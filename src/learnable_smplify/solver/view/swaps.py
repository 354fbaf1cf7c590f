"""Left and right exchanged in a camera's detections: seen against what the other cameras agree on."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.solver.view.observed import Observed

# A keypoint that is farther off than this [rad] is an outlier either way.
_FAR_ANGLE = 0.08
# The exchange must explain a frame better by this much, as a mean over its keypoints [rad].
_CLEARLY = 0.004


def unswapped(
    observed: Observed, points: Float[Tensor, "T K 3"], sure: Float[Tensor, "T K"]
) -> tuple[Observed, Bool[Tensor, "T V"]]:
    """Detections with sides exchanged back, and where they were.

    Args:
        points: where the keypoints are [m], as most cameras have it.
        sure: their confidence, 0 = unknown.
    """
    mirror = list(observed.layout.mirror)
    cameras = observed.sight(torch.ones(len(observed.cameras)).to(points), None).cameras
    local = cameras.local(points)
    expected = local[..., :2] / local[..., 2:]

    def misses(order: list[int]) -> tuple[Tensor, Tensor]:
        away = (observed.rays[:, :, order] - expected).norm(dim=-1).clamp(max=_FAR_ANGLE)
        return away, (observed.confidence[:, :, order] > 0) & (sure > 0)[:, None]

    (as_is, seen), (exchanged, also) = misses(list(range(len(mirror)))), misses(mirror)
    both = seen & also
    gain = ((as_is - exchanged) * both).sum(-1) / both.sum(-1).clamp(min=1)
    swapped = gain > _CLEARLY
    return (
        replace(
            observed,
            pixels=torch.where(swapped[..., None, None], observed.pixels[:, :, mirror], observed.pixels),
            confidence=torch.where(swapped[..., None], observed.confidence[:, :, mirror], observed.confidence),
        ),
        swapped,
    )
