"""What SMPLify minimises: keypoints against priors (Bogo et al. 2016, eq. 1), as energies in nats a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.camera import Camera

# Nearer than this to the camera's plane a point is held [m]: a person does not turn inside out through the lens.
_NEAREST = 0.1

# Elbows and knees: number of body_pose (69) that bends the joint, and the sign that over-extends it. On SMPL's axes: a
# left elbow bends about -y, a right one about +y, knees about +x. In the 72 numbers of the paper's code, where the
# pelvis comes first, these are 55, 58, 12 and 15.
BEND_COLUMNS = (52, 55, 9, 12)
OVER_EXTENSION = (1.0, -1.0, -1.0, -1.0)


@dataclass(frozen=True, eq=False)
class Measured3D:
    """Keypoints measured in space.

    Args:
        targets: (B, K, 3) metres.
        confidence: (B, K), 0 = missing.
    """

    targets: Float[Tensor, "B K 3"]
    confidence: Float[Tensor, "B K"]

    def squared_error(self, points: Float[Tensor, "B K 3"]) -> Float[Tensor, "B K"]:
        """Squared distance of every keypoint to its measurement [m^2]."""
        return (points - self.targets).square().sum(-1)

    def select(self, rows: Tensor) -> Measured3D:
        """The people at these rows."""
        return Measured3D(self.targets[rows], self.confidence[rows])


@dataclass(frozen=True, eq=False)
class Seen2D:
    """Keypoints seen by a camera; people are in its frame.

    Args:
        camera: its intrinsics.
        pixels: (B, K, 2).
        confidence: (B, K), 0 = missing.
        metres_per_pixel: (B, 2) what a pixel is at the distance the person is guessed at. It turns errors in the
            picture into metres, so that weights mean the same in 3D, in 2D and at every resolution.
    """

    camera: Camera
    pixels: Float[Tensor, "B K 2"]
    confidence: Float[Tensor, "B K"]
    metres_per_pixel: Float[Tensor, "B 2"]

    def squared_error(self, points: Float[Tensor, "B K 3"]) -> Float[Tensor, "B K"]:
        """Squared distance of every keypoint to its measurement, at the person's distance [m^2]."""
        held = torch.cat((points[..., :2], points[..., 2:].clamp(min=_NEAREST)), dim=-1)
        error = (self.camera.pixels(held) - self.pixels) * self.metres_per_pixel[:, None]
        # A point at or behind the lens is pushed forward as well, since there the clamp hides its depth.
        return error.square().sum(-1) + (_NEAREST - points[..., 2]).clamp(min=0).square()

    def select(self, rows: Tensor) -> Seen2D:
        """The people at these rows."""
        return Seen2D(self.camera, self.pixels[rows], self.confidence[rows], self.metres_per_pixel[rows])


DataTerm: TypeAlias = Measured3D | Seen2D


def bend_energy(body_pose: Float[Tensor, "B 69"]) -> Float[Tensor, " B"]:
    """exp(over-extension) summed over elbows and knees: 4 when straight, little when bent (eq. 4)."""
    sign = body_pose.new_tensor(OVER_EXTENSION)
    return (body_pose[:, list(BEND_COLUMNS)] * sign).exp().sum(-1)
