"""A first estimate of betas from how long the limbs measure, before any pose is known.

Distances between keypoints that the pose (almost) does not change are compared with the body's, whose lengths are
close to linear in betas. Medians over the frames make it deaf to noise and to single wild frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.priors import Priors

# Keypoint pairs whose distance varies more than this over poses [m] say nothing about shape.
_MAX_POSE_SPREAD = 0.03
_MIN_LENGTH = 0.05
# What is assumed between a measured length and the body's, on top of the spread over poses [m].
_LENGTH_SIGMA = 0.01
_POSES = 64
_SHAPE_STEP = 1.0


@dataclass(frozen=True, eq=False)
class LimbLengths:
    """Lengths of a layout on a body, as linear functions of betas.

    Args:
        pairs: (P, 2) keypoint indices.
        length: (P,) at betas 0, metres, mean over poses.
        by_betas: (P, 10) change per unit of each beta, metres.
        sigma: (P,) what a measured length may be off by, metres.
    """

    pairs: Int[Tensor, "P 2"]
    length: Float[Tensor, " P"]
    by_betas: Float[Tensor, "P 10"]
    sigma: Float[Tensor, " P"]


def pair_distances(
    pairs: Int[Tensor, "P 2"], positions: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]
) -> Float[Tensor, "T P"]:
    """Distances of pairs of keypoints [m], NaN where one of them is missing."""
    first, second = pairs.unbind(1)
    seen = (confidence[:, first] > 0) & (confidence[:, second] > 0)
    return torch.where(seen, (positions[:, first] - positions[:, second]).norm(dim=-1), torch.nan)


def limb_lengths(folded: FoldedPoints, priors: Priors) -> LimbLengths:
    """Find the pairs of keypoints whose distance tells the shape, over poses drawn from the pose prior."""
    pairs, lengths = _telling(folded, priors)
    rotmat, number = _usual_poses(priors), folded.anchor_shape.shape[-1]
    steps = torch.eye(number, dtype=folded.weight.dtype, device=folded.weight.device) * _SHAPE_STEP

    def mean(betas: Tensor) -> Tensor:
        return _lengths(folded, betas, rotmat, pairs).mean(0)

    return LimbLengths(
        pairs=pairs,
        length=lengths.mean(0),
        by_betas=torch.stack([(mean(step) - mean(-step)) / (2 * _SHAPE_STEP) for step in steps], dim=-1),
        sigma=(lengths.std(dim=0).square() + _LENGTH_SIGMA**2).sqrt(),
    )


def mean_lengths(folded: FoldedPoints, priors: Priors) -> tuple[Int[Tensor, "P 2"], Float[Tensor, " P"]]:
    """`pairs` and `length` of `limb_lengths` alone, at a twentieth of the work."""
    pairs, lengths = _telling(folded, priors)
    return pairs, lengths.mean(0)


def _telling(folded: FoldedPoints, priors: Priors) -> tuple[Int[Tensor, "P 2"], Float[Tensor, "N P"]]:
    """The pairs of keypoints whose distance tells the shape, and those distances at betas 0 in N poses."""
    pairs = torch.combinations(torch.arange(folded.weight.shape[0], device=folded.weight.device))
    betas = folded.weight.new_zeros(folded.anchor_shape.shape[-1])
    lengths = _lengths(folded, betas, _usual_poses(priors), pairs)
    keep = (lengths.std(dim=0) < _MAX_POSE_SPREAD) & (lengths.mean(0) > _MIN_LENGTH)
    return pairs[keep], lengths[:, keep]


def _usual_poses(priors: Priors) -> Float[Tensor, "N 24 3 3"]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(NUM_JOINTS * 3 - 3, _POSES, generator=generator).to(priors.pose_mean)
    return priors.poses_of(noise.T)


def _lengths(
    folded: FoldedPoints, betas: Float[Tensor, "10"], rotmat: Float[Tensor, "N 24 3 3"], pairs: Int[Tensor, "P 2"]
) -> Float[Tensor, "N P"]:
    points = folded.shaped(betas[None]).pose(rotmat).positions()
    return (points[:, pairs[:, 0]] - points[:, pairs[:, 1]]).norm(dim=-1)


def betas_from_lengths(
    limbs: LimbLengths, positions: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]
) -> Float[Tensor, "10"]:
    """Betas that explain the measured lengths best, under a standard normal prior (robust ridge regression)."""
    median = pair_distances(limbs.pairs, positions, confidence).nanmedian(dim=0).values
    usable = torch.isfinite(median)
    measured = torch.where(usable, median, limbs.length)
    # Many pairs share a keypoint, so they are not independent: count them as about one per keypoint.
    share = positions.shape[1] / max(int(usable.sum()), 1)
    weight = usable * share / limbs.sigma.square()
    betas = torch.zeros_like(limbs.by_betas[0])
    identity = torch.eye(len(betas), dtype=betas.dtype, device=betas.device)
    for _ in range(10):
        error = measured - limbs.length - limbs.by_betas @ betas
        robust = weight / (1 + (error / (3 * limbs.sigma)).square())
        normal = limbs.by_betas.T @ (robust[:, None] * limbs.by_betas) + identity
        betas = torch.linalg.solve(normal, limbs.by_betas.T @ (robust * (measured - limbs.length)))
    return betas


def scale_of(
    pairs: Int[Tensor, "P 2"],
    length: Float[Tensor, " P"],
    positions: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
) -> float:
    """What to multiply positions by to give pairs these lengths [m]: 1 where nothing can be measured."""
    median = pair_distances(pairs, positions, confidence).nanmedian(dim=0).values
    usable = median > 0  # False for NaN too
    return float((length[usable] / median[usable]).median()) if bool(usable.any()) else 1.0
