"""Pairs by the numerical solver alone: Levenberg-Marquardt with the change prior about the start pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from learnable_smplify.arrays import check_above_zero
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.cold_start import align_trunk
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    solve,
)
from learnable_smplify.solver.frame.pair_input import PairInput
from learnable_smplify.solver.frame.priors import Priors


@dataclass(frozen=True)
class PairOptions:
    """How the numerical solver weighs keypoints against the start pose.

    Args:
        keypoint_sigma: what a keypoint coordinate may be off by [m].
        robust_scale: distance [m] at which a keypoint starts to lose its pull (Geman-McClure); None trusts all.
        optimiser: when to stop.
    """

    keypoint_sigma: float = 0.003
    robust_scale: float | None = None
    optimiser: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)

    def __post_init__(self) -> None:
        check_above_zero(keypoint_sigma=self.keypoint_sigma, robust_scale=self.robust_scale)


def numeric_pairs(
    folded: FoldedPoints, pairs: PairInput, priors: Priors, options: PairOptions, seconds: float = 0.0
) -> PoseSolution:
    """Solve every pair from its own start, `seconds` before (0: nobody knows)."""
    problem = numeric_problem(folded, pairs, priors, options, seconds)
    return solve(problem, problem.prior_rotmat, problem.prior_transl, options.optimiser)


def numeric_problem(
    folded: FoldedPoints, pairs: PairInput, priors: Priors, options: PairOptions, seconds: float
) -> PoseProblem:
    """What `numeric_pairs` minimises, from its prior mean on: the start, laid on the keypoints."""
    rotmat, transl = placed_start(folded, pairs)
    return PoseProblem(
        points=folded.shaped(pairs.betas),
        targets=pairs.keypoints,
        weights=pairs.confidence / options.keypoint_sigma**2,
        prior_rotmat=rotmat,
        prior_precision=priors.change_over(seconds),
        prior_transl=transl,
        robust_scale=options.robust_scale,
    )


def placed_start(folded: FoldedPoints, pairs: PairInput) -> tuple[Tensor, Tensor]:
    """The start poses, turned and moved as a whole onto the keypoints: (B, 24, 3, 3) and transl (B, 3).

    A person who turned or moved is no further from their pose. Problems with fewer than three keypoints keep their
    start.
    """
    start = rotvec_to_rotmat(pairs.start_pose)
    seen = (pairs.confidence > 0).sum(1) >= 3
    turn, transl = align_trunk(folded.shaped(pairs.betas), pairs.keypoints, pairs.confidence, start)
    rotmat = start.clone()
    rotmat[:, 0] = torch.where(seen[:, None, None], turn @ start[:, 0], start[:, 0])
    held = torch.zeros_like(transl) if pairs.start_transl is None else pairs.start_transl
    return rotmat, torch.where(seen[:, None], transl, held)
