"""A whole recording of one person: betas from many frames, then frame after frame, each leaning on the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.solver.cold_start import ColdStart, cold_start
from learnable_smplify.solver.levenberg_marquardt import LevenbergMarquardt, PoseProblem, PoseSolution, solve
from learnable_smplify.solver.limb_lengths import betas_from_lengths, limb_lengths
from learnable_smplify.solver.priors import Priors
from learnable_smplify.solver.shape import refine_betas


@dataclass(frozen=True)
class ClipOptions:
    """How a recording is fitted.

    Args:
        keypoint_sigma: what a measured keypoint coordinate may be off by [m].
        robust_scale: distance [m] at which a keypoint starts to lose its pull; None trusts every keypoint.
        change_share: weight of staying close to the previous frame (1 = a change over 1/6 s costs its natural share;
            higher values follow the previous frame more stiffly).
        shape_frames: frames from which betas are estimated.
        shape_share: weight of the betas' standard normal prior against a frame's keypoints.
        lost_error: mean keypoint error [m] above which a frame is searched again from nothing, and flagged if that
            does not help.
        min_keypoints: a frame with fewer keeps the previous pose, and is flagged.
        optimiser: for one frame.
        search: for frames without a predecessor.
    """

    keypoint_sigma: float = 0.01
    robust_scale: float | None = 0.1
    change_share: float = 1.0
    shape_frames: int = 64
    shape_share: float = 0.5
    lost_error: float = 0.06
    min_keypoints: int = 4
    optimiser: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)
    search: ColdStart = field(default_factory=ColdStart)


@dataclass(frozen=True, eq=False)
class ClipSolution:
    """What was found for a recording of T frames."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]
    flagged: Bool[Tensor, " T"]


def solve_clip(
    folded: FoldedPoints,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    fps: float,
    priors: Priors,
    options: ClipOptions,
    *,
    betas: Float[Tensor, "10"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClipSolution:
    """Fit a recording; see `ClipOptions`."""
    weights = confidence / options.keypoint_sigma**2
    if betas is None:
        betas = estimate_betas(folded, targets, confidence, priors, options)
    return track(folded.shaped(betas[None]), betas, targets, weights, fps, priors, options, progress)


def estimate_betas(
    folded: FoldedPoints,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    priors: Priors,
    options: ClipOptions,
) -> Float[Tensor, "10"]:
    """One shape for the recording: from limb lengths over all frames, then jointly with the poses of some frames."""
    betas = betas_from_lengths(limb_lengths(folded, priors), targets, confidence)
    seen = (confidence > 0).sum(1)
    usable = (seen >= torch.clamp(seen.max() * 3 // 4, min=options.min_keypoints)).nonzero()[:, 0]
    if len(usable) == 0:
        return betas
    count = min(options.shape_frames, len(usable))
    rows = usable[torch.linspace(0, len(usable) - 1, count, device=usable.device).round().long()]
    weights = confidence[rows] / options.keypoint_sigma**2
    found = cold_start(folded.shaped(betas[None]), targets[rows], weights, priors, options.search, options.robust_scale)
    problem = PoseProblem(
        points=folded.shaped(betas[None]),
        targets=targets[rows],
        weights=weights,
        prior_rotmat=_pose_prior_mean(priors, found.rotmat),
        prior_precision=priors.pose_precision,
        prior_transl=found.transl,
        robust_scale=options.robust_scale,
    )
    return refine_betas(folded, problem, found.rotmat, found.transl, betas, options.shape_share)


def track(
    points: ShapedPoints,
    betas: Float[Tensor, "10"],
    targets: Float[Tensor, "T K 3"],
    weights: Float[Tensor, "T K"],
    fps: float,
    priors: Priors,
    options: ClipOptions,
    progress: Callable[[int, int], None] | None = None,
) -> ClipSolution:
    """Frame after frame with known betas: the previous frame's pose is start and prior of the next."""
    frames = targets.shape[0]
    rotmat = priors.pose_mean.expand(frames, -1, -1, -1).clone()
    transl = torch.zeros(frames, 3, dtype=targets.dtype, device=targets.device)
    flagged = torch.zeros(frames, dtype=torch.bool, device=targets.device)
    enough = ((weights > 0).sum(1) >= options.min_keypoints).tolist()
    # The change prior is for 1/6 s; a shorter time allows less change (variance grows with time).
    change_share = options.change_share * fps / 6
    started = False
    for frame in range(frames):
        row = slice(frame, frame + 1)
        if not enough[frame]:
            flagged[frame] = True
            if frame > 0:
                rotmat[frame], transl[frame] = rotmat[frame - 1], transl[frame - 1]
            if progress is not None:
                progress(frame + 1, frames)
            continue
        found: PoseSolution | None = None
        error = float("inf")
        if started:
            previous = slice(frame - 1, frame)
            found = _follow(
                points, rotmat[previous], transl[previous], targets[row], weights[row], priors, options, change_share
            )
            error = fit_error(points, found, targets[row], weights[row])
        if found is None or error > options.lost_error:
            search = cold_start(points, targets[row], weights[row], priors, options.search, options.robust_scale)
            search_error = fit_error(points, search, targets[row], weights[row])
            if found is None or search_error < 0.7 * error:
                found, error = search, search_error
        flagged[frame] = error > options.lost_error
        rotmat[frame], transl[frame] = found.rotmat[0], found.transl[0]
        if not started and frame > 0:  # frames before the first usable one take its pose
            rotmat[:frame], transl[:frame] = rotmat[frame], transl[frame]
        started = True
        if progress is not None:
            progress(frame + 1, frames)
    return ClipSolution(rotmat, transl, betas, flagged)


def fit_error(
    points: ShapedPoints, found: PoseSolution, targets: Float[Tensor, "B K 3"], weights: Float[Tensor, "B K"]
) -> float:
    """Mean distance of the seen keypoints from their measurements, metres."""
    residual = (points.pose(found.rotmat).positions() + found.transl[:, None] - targets).norm(dim=-1)
    seen = weights > 0
    return float((residual * seen).sum() / seen.sum().clamp(min=1))


def _follow(
    points: ShapedPoints,
    previous_rotmat: Tensor,
    previous_transl: Tensor,
    targets: Tensor,
    weights: Tensor,
    priors: Priors,
    options: ClipOptions,
    change_share: float,
) -> PoseSolution:
    mean, precision = priors.around(previous_rotmat, change_share)
    problem = PoseProblem(
        points=points,
        targets=targets,
        weights=weights,
        prior_rotmat=mean,
        prior_precision=precision,
        prior_transl=previous_transl,
        robust_scale=options.robust_scale,
    )
    return solve(problem, previous_rotmat, previous_transl, options.optimiser)


def _pose_prior_mean(priors: Priors, rotmat: Tensor) -> Tensor:
    mean = priors.pose_mean.expand(rotmat.shape[0], -1, -1, -1).clone()
    mean[:, 0] = rotmat[:, 0]
    return mean
