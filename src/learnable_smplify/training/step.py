"""One training step's worth of work: damaged pairs in, the loss of every pass out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import PosedPoints, ShapedPoints
from learnable_smplify.network.pose_mlp import PassInput, PassOutput
from learnable_smplify.training.config import LossWeights
from learnable_smplify.training.corrupt import Corruption, corrupt_keypoints, corrupt_start
from learnable_smplify.training.loss import PassLoss, pass_loss, surface_points
from learnable_smplify.training.pairs import PairBatch


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs as the network meets them.

    Args:
        start_rotmat: (B, 24, 3, 3) possibly wrong start.
        target_rotmat: (B, 24, 3, 3) truth.
        keypoints: (B, 25, 3) measured target keypoints, possibly damaged, metres.
        keypoint_error: (B, 25) length of the damage [m].
        confidence: (B, 25).
        betas: (B, 10).
    """

    start_rotmat: Float[Tensor, "B 24 3 3"]
    target_rotmat: Float[Tensor, "B 24 3 3"]
    keypoints: Float[Tensor, "B 25 3"]
    keypoint_error: Float[Tensor, "B 25"]
    confidence: Float[Tensor, "B 25"]
    betas: Float[Tensor, "B 10"]

    def rows(self, rows: slice) -> Sample:
        """Some of the samples: one process's part of a batch."""
        return Sample(
            self.start_rotmat[rows],
            self.target_rotmat[rows],
            self.keypoints[rows],
            self.keypoint_error[rows],
            self.confidence[rows],
            self.betas[rows],
        )


class PairGeometry:
    """The body's part in training: keypoints and surface points of poses, folded, so that no mesh is made."""

    def __init__(self, body: Body, device: torch.device | str) -> None:
        self.keypoints = body.folded("body25", device)
        self.surface = surface_points(body, device)

    @torch.no_grad()
    def sample(self, pairs: PairBatch, corruption: Corruption, generator: torch.Generator) -> Sample:
        """Damage clean pairs."""
        clean = _about_pelvis(self.keypoints.shaped(pairs.betas).pose(pairs.target_rotmat))
        damaged, confidence = corrupt_keypoints(clean, corruption, generator)
        return Sample(
            start_rotmat=corrupt_start(pairs.start_rotmat, corruption, generator),
            target_rotmat=pairs.target_rotmat,
            keypoints=damaged,
            keypoint_error=(damaged - clean).norm(dim=-1) * confidence,
            confidence=confidence,
            betas=pairs.betas,
        )

    def surface_of(self, shaped: ShapedPoints) -> ShapedPoints:
        """Surface points of people: the mean body's flesh on each person's own bones.

        A single product for the whole batch, and near enough for a loss.
        """
        return ShapedPoints(self.surface, self.surface.anchor[None], shaped.offsets)

    def losses(
        self, network: nn.Module, sample: Sample, passes: int, weights: LossWeights, bfloat16: bool
    ) -> list[PassLoss]:
        """The loss of every pass; gradients do not flow from one pass into the one before."""
        with torch.no_grad():
            shaped = self.keypoints.shaped(sample.betas)
            surface = self.surface_of(shaped)
            target_points = _about_pelvis(surface.pose(sample.target_rotmat))
        rotmat, losses = sample.start_rotmat, []
        for index in range(passes):
            with torch.no_grad():
                keypoints = _about_pelvis(shaped.pose(rotmat))
            given = PassInput(rotmat, keypoints, sample.keypoints, sample.confidence, sample.betas, first=index == 0)
            with torch.autocast(rotmat.device.type, dtype=torch.bfloat16, enabled=bfloat16):
                output: PassOutput = network(given)
            points = _about_pelvis(surface.pose(output.rotmat))
            keypoint_error, confidence = sample.keypoint_error, sample.confidence
            losses.append(
                pass_loss(output, sample.target_rotmat, target_points, points, keypoint_error, confidence, weights)
            )
            rotmat = output.rotmat.detach()
        return losses


def _about_pelvis(posed: PosedPoints) -> Tensor:
    """Points relative to the pelvis joint, so that no transl is needed."""
    return posed.positions() - posed.joints[:, :1]
