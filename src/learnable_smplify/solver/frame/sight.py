"""Keypoints near where cameras see them: the term of pixels, beside that of positions in `solver.frame.terms`.

    sum_v sum_k w_vk rho(|s_v (x_vk / z_vk, y_vk / z_vk) - p_vk|),      (x, y, z)_vk = R_v k_k + t_v

with pixels p counted from the principal point, lens distortion taken out of them beforehand, in units of what each
camera's pixels are off by; s is the focal length in these units. A camera's share is of rank 2 in the keypoint's three
coordinates, so however many cameras there are, a frame costs one (3, 3) matrix a keypoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import PosedPoints, ShapedPoints, shape_derivative
from learnable_smplify.camera import Camera
from learnable_smplify.kernels.convert import arrays
from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.solver.frame.terms import Frames, MeasuredTerm, point_derivatives

# Nearer than this to the camera's plane a keypoint is held [m]: a person does not turn inside out through the lens.
NEAREST = 0.1
# Numbers of a camera in `Cameras.packed`: rotation, transl, scale.
CAMERA_SIZE = 14


@dataclass(frozen=True, eq=False)
class Cameras:
    """V cameras without lens distortion.

    Args:
        rotation, transl: (V, 3, 3), (V, 3) world to camera [m].
        scale: (V, 2) focal lengths, in units of what pixels are off by.
    """

    rotation: Float[Tensor, "V 3 3"]
    transl: Float[Tensor, "V 3"]
    scale: Float[Tensor, "V 2"]

    @staticmethod
    def of(cameras: Sequence[Camera], sigma_px: Float[Tensor, " V"]) -> Cameras:
        """Cameras whose pixels are off by so much."""
        focal = torch.tensor([[camera.fx, camera.fy] for camera in cameras]).to(sigma_px)
        return Cameras(
            torch.stack([camera.R_camera_world for camera in cameras]).to(sigma_px),
            torch.stack([camera.t_camera_world for camera in cameras]).to(sigma_px),
            focal / sigma_px[:, None],
        )

    def local(self, points: Float[Tensor, "B K 3"]) -> Float[Tensor, "B V K 3"]:
        """World points in the cameras' frames, metres, held in front of them."""
        local = torch.einsum("vxy,bky->bvkx", self.rotation, points) + self.transl[:, None]
        return torch.cat((local[..., :2], local[..., 2:].clamp(min=NEAREST)), dim=-1)

    def packed(self) -> Float[Tensor, "V 14"]:
        """For the kernels."""
        return torch.cat((self.rotation.flatten(1), self.transl, self.scale), dim=1).contiguous()

    def to(self, like: Tensor) -> Cameras:
        """On the device and in the precision of a tensor."""
        return Cameras(self.rotation.to(like), self.transl.to(like), self.scale.to(like))


@dataclass(frozen=True, eq=False)
class SightTerm(MeasuredTerm):
    """Keypoints near where cameras see them.

    Args:
        cameras: V of them.
        seen: (B, V, K, 2) pixels from the principal point, in units of what pixels are off by.
        weights: (B, V, K), 1 for a pixel as good as its camera's; 0 = missing.
        robust_scale: distance in these units at which a pixel starts to lose its pull (Geman-McClure); None for
            squares.
    """

    cameras: Cameras
    seen: Float[Tensor, "B V K 2"]
    weights: Float[Tensor, "B V K"]
    robust_scale: float | None

    def select(self, rows: slice | Tensor) -> SightTerm:
        """Of some frames."""
        return SightTerm(self.cameras, self.seen[rows], self.weights[rows], self.robust_scale)

    def to(self, like: Tensor) -> SightTerm:
        """On the device and in the precision of a tensor."""
        return SightTerm(self.cameras.to(like), self.seen.to(like), self.weights.to(like), self.robust_scale)

    def residual(self, frames: Frames) -> Float[Tensor, "B V K 2"]:
        """How far the keypoints are off in the pictures."""
        local = self.cameras.local(frames.posed.positions() + frames.transl[:, None])
        return self.cameras.scale[:, None] * local[..., :2] / local[..., 2:] - self.seen

    def linearise(self, frames: Frames) -> LinearisedSight:
        """The term near these poses, as iteratively reweighted squares."""
        positions = frames.posed.positions() + frames.transl[:, None]
        local = self.cameras.local(positions)
        flat, depth = local[..., :2], local[..., 2:]
        residual = self.cameras.scale[:, None] * flat / depth - self.seen
        squared = residual.square().sum(-1)
        weights = self.weights * self.trust(squared)
        # d (x / z) = (dx - (x / z) dz) / z; a depth that is held does not change.
        across = self.cameras.rotation[None, :, None, :2].expand(*local.shape[:3], 2, 3)
        along = (depth > NEAREST)[..., None] * self.cameras.rotation[None, :, None, 2:]
        slope = (self.cameras.scale[:, None] / depth)[..., None] * (across - (flat / depth)[..., None] * along)
        pulled = weights[..., None, None] * slope
        return LinearisedSight(
            cost=self._cost(squared),
            posed=frames.posed,
            matrix=torch.einsum("bvkax,bvkay->bkxy", pulled, slope),
            pull=torch.einsum("bvkax,bvka->bkx", pulled, residual),
        )


@dataclass(frozen=True, eq=False)
class LinearisedSight:
    """A `SightTerm` near some poses, as a quadratic in the keypoints.

    Args:
        cost: (B,) there.
        posed: the body.
        matrix: (B, K, 3, 3) [1/m^2].
        pull: (B, K, 3) half the gradient [1/m].
    """

    cost: Float[Tensor, " B"]
    posed: PosedPoints
    matrix: Float[Tensor, "B K 3 3"]
    pull: Float[Tensor, "B K 3"]

    def add(self, normal: Float[Tensor, "B 75 75"], gradient: Float[Tensor, "B 75"]) -> None:
        """Add to the quadratic, in place."""
        if is_usable(self.matrix, normal, gradient, any_precision=True):
            from learnable_smplify.solver.frame.term_kernels import add_points

            parts = arrays(self.posed.levers(), self.posed.parent_rotmat, self.matrix, self.pull)
            add_points(*parts, normal.numpy(), gradient.numpy())
            return
        derivative = point_derivatives(self.posed)
        normal += derivative.flatten(1, 2).mT @ (self.matrix @ derivative).flatten(1, 2)
        gradient += (derivative.flatten(1, 2).mT @ self.pull.flatten(1)[..., None])[..., 0]

    def by_betas(self) -> tuple[Float[Tensor, "B 75 10"], Float[Tensor, "10 10"], Float[Tensor, "10"]]:
        """What betas that all frames share add: the matrix between unknowns and them, theirs, half their gradient."""
        by_pose, by_shape = point_derivatives(self.posed).flatten(1, 2), shape_derivative(self.posed)
        weighted = (self.matrix @ by_shape).flatten(1, 2)
        flat = by_shape.flatten(0, 2)
        return by_pose.mT @ weighted, flat.mT @ weighted.flatten(0, 1), flat.mT @ self.pull.flatten()


def in_world(
    camera: Camera, points: ShapedPoints, rotmat: Float[Tensor, "T 24 3 3"], transl: Float[Tensor, "T 3"]
) -> tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "T 3"]]:
    """Poses and places in a camera's frame, in its world."""
    turned = rotmat.clone()
    turned[:, 0] = camera.R_camera_world.to(rotmat).T @ rotmat[:, 0]
    # A body turns about its pelvis joint, and transl moves it afterwards.
    pelvis = points.offsets[:, 0]
    return turned, camera.to_world(pelvis + transl) - pelvis
