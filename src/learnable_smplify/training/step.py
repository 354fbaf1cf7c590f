"""One training step's worth of work: damaged pairs in, the loss of every pass and of the hybrid out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import PosedPoints, ShapedPoints
from learnable_smplify.network.pose_mlp import START_KINDS, Memory, PassInput, PassOutput, PoseMlp
from learnable_smplify.training.config import LossWeights
from learnable_smplify.training.corrupt import Corruption, corrupt_keypoints, corrupt_start
from learnable_smplify.training.loss import answer_error, sigma_loss, surface_points
from learnable_smplify.training.pairs import PairBatch
from learnable_smplify.training.refined import refined_rotmat


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
        kind: (B,) places in `START_KINDS`.
        seconds: (B,) time apart, 0 where it is not told.
    """

    start_rotmat: Float[Tensor, "B 24 3 3"]
    target_rotmat: Float[Tensor, "B 24 3 3"]
    keypoints: Float[Tensor, "B 25 3"]
    keypoint_error: Float[Tensor, "B 25"]
    confidence: Float[Tensor, "B 25"]
    betas: Float[Tensor, "B 10"]
    kind: Int[Tensor, " B"]
    seconds: Float[Tensor, " B"]

    def rows(self, rows: slice) -> Sample:
        """Some of the samples: one process's part of a batch."""
        return Sample(*(getattr(self, field.name)[rows] for field in fields(self)))

    @staticmethod
    def measured(pairs: PairBatch, clean: Tensor, keypoints: Tensor, confidence: Tensor) -> Sample:
        """Pairs with what was measured of their targets' clean keypoints, both (B, 25, 3) [m]."""
        error = (keypoints - clean).norm(dim=-1) * confidence
        start, target = pairs.start_rotmat, pairs.target_rotmat
        return Sample(start, target, keypoints, error, confidence, pairs.betas, pairs.kind, pairs.seconds)

    def given(self, rotmat: Tensor, keypoints: Tensor, before: Memory | None) -> PassInput:
        """What a pass sees of them when the poses so far are `rotmat` (B, 24, 3, 3), with these keypoints [m]."""
        return PassInput(
            rotmat=rotmat,
            keypoints=keypoints,
            target=self.keypoints,
            confidence=self.confidence,
            betas=self.betas,
            kind=self.kind,
            seconds=self.seconds,
            before=before,
        )

    @staticmethod
    def joined(samples: list[Sample]) -> Sample:
        """All of several batches."""
        parts = ([getattr(sample, field.name) for sample in samples] for field in fields(Sample))
        return Sample(*map(torch.cat, parts))


@dataclass(frozen=True, eq=False)
class StepLoss:
    """What a step minimises, and its parts for the log.

    Args:
        total: the weighted sum.
        passes: for each pass, mean rotation error [deg] and surface error [mm].
        refined_mm: (N,) the hybrid's surface error on each row that was refined [mm]; None for other networks.
        answer: (N, 24, 3, 3) the hybrid's rotations of these rows, without gradients.
    """

    total: Tensor
    passes: list[tuple[float, float]]
    refined_mm: Float[Tensor, " N"] | None
    answer: Float[Tensor, "N 24 3 3"]


class PairGeometry:
    """The body's part in training: keypoints and surface points of poses, folded, so that no mesh is made."""

    def __init__(self, body: Body, device: torch.device | str) -> None:
        self.keypoints = body.folded("body25", device)
        self.surface = surface_points(body, device)

    @torch.no_grad()
    def clean_keypoints(self, pairs: PairBatch) -> Float[Tensor, "B 25 3"]:
        """The targets' BODY_25 keypoints about the pelvis [m]."""
        return _about_pelvis(self.keypoints.shaped(pairs.betas).pose(pairs.target_rotmat))

    @torch.no_grad()
    def sample(self, pairs: PairBatch, corruption: Corruption, generator: torch.Generator) -> Sample:
        """Damage clean pairs: keypoints of all, starts of those that are told to be an estimator's."""
        clean = self.clean_keypoints(pairs)
        damaged, confidence = corrupt_keypoints(clean, corruption, generator)
        spoiled = corrupt_start(pairs.start_rotmat, corruption, generator)
        estimated = (pairs.kind == START_KINDS.index("estimate"))[:, None, None, None]
        start = torch.where(estimated, spoiled, pairs.start_rotmat)
        return Sample.measured(replace(pairs, start_rotmat=start), clean, damaged, confidence)

    def surface_of(self, shaped: ShapedPoints) -> ShapedPoints:
        """Surface points of people: the mean body's flesh on each person's own bones.

        A single product for the whole batch, and near enough for a loss.
        """
        return ShapedPoints(self.surface.points, self.surface.points.anchor[None], shaped.offsets)

    def losses(
        self,
        network: nn.Module,
        sample: Sample,
        passes: int,
        weights: LossWeights,
        bfloat16: bool,
        refine: slice | None = None,
    ) -> StepLoss:
        """The loss of every pass, and of the hybrid on some rows.

        Gradients flow from one pass into the one before through the network's memory, not through the pose.

        Args:
            refine: rows that are refined by Gauss-Newton steps; None for none.
        """
        with torch.no_grad():
            shaped = self.keypoints.shaped(sample.betas)
            surface = self.surface_of(shaped)
            target_points = _about_pelvis(surface.pose(sample.target_rotmat))
        rotmat, memory, losses, told = sample.start_rotmat, None, [], []
        output: PassOutput | None = None
        for _ in range(passes):
            with torch.no_grad():
                keypoints = _about_pelvis(shaped.pose(rotmat))
            with torch.autocast(rotmat.device.type, dtype=torch.bfloat16, enabled=bfloat16):
                output = network(sample.given(rotmat, keypoints, memory))
            assert output is not None
            points = _about_pelvis(surface.pose(output.rotmat))
            error = answer_error(output.rotmat, points, sample.target_rotmat, target_points, self.surface)
            losses.append(
                error.loss(weights) + sigma_loss(output, error, sample.keypoint_error, sample.confidence, weights)
            )
            told.append(error.told())
            rotmat, memory = output.rotmat.detach(), output.memory
        total = torch.stack(losses).mean()
        if refine is None or not isinstance(network, PoseMlp):
            return StepLoss(total, told, None, rotmat[:0])
        assert output is not None
        rows = sample.rows(refine)
        people = self.keypoints.shaped(rows.betas)
        answer = refined_rotmat(people, network, output.rows(refine), rows.keypoints, rows.confidence)
        points = _about_pelvis(self.surface_of(people).pose(answer))
        error = answer_error(answer, points, rows.target_rotmat, target_points[refine], self.surface)
        total = total + weights.refined * error.loss(weights)
        return StepLoss(total, told, 1000 * error.distance.detach(), answer.detach())


def _about_pelvis(posed: PosedPoints) -> Tensor:
    """Points relative to the pelvis joint, so that no transl is needed."""
    return posed.positions() - posed.joints[:, :1]
