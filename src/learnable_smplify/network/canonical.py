"""Human-centric normalisation: both keypoint sets seen from the body of the start pose.

Translation and heading of the person carry nothing about the pose, so they are taken out: both sets are moved by one
rigid motion that puts the start's mid-hip in the origin and the start's body axes on the axes of the frame. Because
both get the same motion, the movement from start to target survives. Source: Yang et al. 2025, arXiv 2508.13562.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.rot6d import orthonormal_pair

_BODY25 = load_layout("body25")
_NECK, _MID_HIP, _LEFT_HIP, _RIGHT_HIP = (_BODY25.index(name) for name in ("Neck", "MidHip", "LHip", "RHip"))


@dataclass(frozen=True, eq=False)
class CanonicalFrame:
    """The body frame of a start pose: x forward, y to the left, z up along the trunk.

    Args:
        origin_world: (B, 3) the mid-hip [m].
        R_canonical_world: (B, 3, 3), rows are the frame's axes in the world: `canonical = R (world - origin)`.
            Determinant 1, or -1 in a mirrored frame.
    """

    origin_world: Float[Tensor, "B 3"]
    R_canonical_world: Float[Tensor, "B 3 3"]

    @staticmethod
    def of(start_keypoints: Float[Tensor, "B 25 3"], *, mirrored: bool = False) -> CanonicalFrame:
        """The frame of BODY_25 keypoints: y from the right to the left hip, z towards the neck, orthogonal to y.

        Always finite. Hips in one place or not finite: y is the world's x axis. Neck on the line of the hips or not
        finite: z is the world axis most perpendicular to y. Mid-hip not finite: the origin is the mean of the finite
        keypoints, or zero when there are none.

        Args:
            start_keypoints: (B, 25, 3) [m], any frame.
            mirrored: x = z cross y, backwards, which makes the frame left-handed, as the published network was
                trained; needed by its checkpoints only.
        """
        mid_hip, neck = start_keypoints[:, _MID_HIP], start_keypoints[:, _NECK]
        y, z = orthonormal_pair(start_keypoints[:, _LEFT_HIP] - start_keypoints[:, _RIGHT_HIP], neck - mid_hip)
        x = torch.linalg.cross(z, y) if mirrored else torch.linalg.cross(y, z)
        seen = torch.isfinite(start_keypoints).all(dim=-1, keepdim=True)
        middle = torch.where(seen, start_keypoints, 0.0).sum(1) / seen.sum(1).clamp(min=1)
        origin = torch.where(seen[:, _MID_HIP], mid_hip, middle)
        return CanonicalFrame(origin, torch.stack((x, y, z), dim=-2))

    def to_canonical(self, points_world: Float[Tensor, "B K 3"]) -> Float[Tensor, "B K 3"]:
        """Points [m] of the world in this frame; points that are not finite become the origin."""
        offset = points_world - self.origin_world[:, None]
        seen = torch.isfinite(offset).all(dim=-1, keepdim=True)
        return torch.where(seen, offset, 0.0) @ self.R_canonical_world.mT


def canonicalise(
    start_keypoints: Float[Tensor, "B 25 3"], target_keypoints: Float[Tensor, "B 25 3"], *, mirrored: bool = False
) -> tuple[Float[Tensor, "B 25 3"], Float[Tensor, "B 25 3"], CanonicalFrame]:
    """Start and target keypoints [m] in the body frame of the start, and that frame. Differentiable.

    Args:
        start_keypoints: (B, 25, 3) BODY_25, any frame.
        target_keypoints: (B, 25, 3) BODY_25, the same frame.
        mirrored: see `CanonicalFrame.of`.
    """
    frame = CanonicalFrame.of(start_keypoints, mirrored=mirrored)
    return frame.to_canonical(start_keypoints), frame.to_canonical(target_keypoints), frame
