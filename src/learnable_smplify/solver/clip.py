"""A whole recording of one person: betas from many frames, then frame after frame, each leaning on the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.cold_start import ColdStart, cold_start
from learnable_smplify.solver.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    fit_error,
    solve,
)
from learnable_smplify.solver.limb_lengths import betas_from_lengths, limb_lengths
from learnable_smplify.solver.priors import Priors
from learnable_smplify.solver.shape import refine_betas

# From a frame's predecessor (1, 24, 3, 3), its transl (1, 3), keypoints (1, K, 3) and confidence (1, K), its solution.
Follower = Callable[[Tensor, Tensor, Tensor, Tensor], PoseSolution]

# A search from nothing replaces a tracked pose only if its error is below this share of the tracked one's.
_CLEARLY_BETTER = 0.7
# Keypoint errors below this share of `keypoint_sigma` are not taken at their word when shape is estimated.
_SMALLEST_ERROR = 0.15


@dataclass(frozen=True)
class ClipOptions:
    """How a recording is fitted.

    Args:
        keypoint_sigma: what a measured keypoint coordinate may be off by [m].
        robust_scale: distance [m] at which a keypoint starts to lose its pull; None trusts every keypoint.
        change_share: weight of staying close to the previous frame (1 = a change over 1/6 s costs its natural share;
            higher values follow the previous frame more stiffly).
        pose_share: weight of the pose prior in every frame that the network solves.
        variance_share: share of the keypoint variance that the network predicts which the Gauss-Newton steps assume. A
            recording's keypoint errors are mostly the same in every frame (a detector's hip is not the skeleton's), so
            a fit that follows them closely is steady all the same.
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
    pose_share: float = 1.0
    variance_share: float = 0.2
    shape_frames: int = 64
    shape_share: float = 1.0
    lost_error: float = 0.06
    min_keypoints: int = 4
    optimiser: LevenbergMarquardt = field(default_factory=LevenbergMarquardt)
    search: ColdStart = field(default_factory=ColdStart)


@dataclass(frozen=True, eq=False)
class ClipSolution:
    """What was found for a recording of T frames; `sigma` [rad] where a network said how sure it is, NaN elsewhere."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    flagged: Bool[Tensor, " T"]
    sigma: Float[Tensor, "T 24"] | None


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
        prior_rotmat=priors.mean_facing(found.rotmat),
        prior_precision=priors.pose_precision,
        prior_transl=found.transl,
        robust_scale=options.robust_scale,
    )
    betas, error = refine_betas(folded, problem, found.rotmat, found.transl, betas, options.shape_share)
    # Keypoints that fit better than assumed may say more about the shape.
    share = options.shape_share * min(max(error, _SMALLEST_ERROR), 1.0) ** 2
    return refine_betas(folded, problem, found.rotmat, found.transl, betas, share)[0]


def track(
    points: ShapedPoints,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    priors: Priors,
    options: ClipOptions,
    follow: Follower,
    progress: Callable[[int, int], None] | None = None,
    start: tuple[Tensor, Tensor] | None = None,
) -> ClipSolution:
    """Frame after frame with known betas: each frame is solved from the one before, or from nothing where that fails.

    Args:
        points: the person's keypoints.
        follow: solves a frame from its predecessor's pose.
        start: local rotations (1, 24, 3, 3) and transl (1, 3) just before the first frame, if known.
    """
    frames = targets.shape[0]
    rotmat = priors.pose_mean.expand(frames, -1, -1, -1).clone()
    transl = torch.zeros(frames, 3, dtype=targets.dtype, device=targets.device)
    sigma = torch.full((frames, NUM_JOINTS), torch.nan, dtype=targets.dtype, device=targets.device)
    flagged = torch.zeros(frames, dtype=torch.bool, device=targets.device)
    enough = ((confidence > 0).sum(1) >= options.min_keypoints).tolist()
    before = start
    for frame in range(frames):
        if enough[frame]:
            row = slice(frame, frame + 1)
            measured, trust = targets[row], confidence[row]
            found = None if before is None else follow(*before, measured, trust)
            found, error = _or_from_nothing(points, found, measured, trust, priors, options)
            flagged[frame] = error > options.lost_error
            rotmat[frame], transl[frame] = found.rotmat[0], found.transl[0]
            if found.sigma is not None:
                sigma[frame] = found.sigma[0]
            if before is None:  # frames before the first usable one take its pose
                rotmat[:frame], transl[:frame] = rotmat[frame], transl[frame]
            before = (rotmat[row], transl[row])
        else:
            flagged[frame] = True
            if frame > 0:
                rotmat[frame], transl[frame] = rotmat[frame - 1], transl[frame - 1]
        if progress is not None:
            progress(frame + 1, frames)
    known = bool(torch.isfinite(sigma).any())
    return ClipSolution(rotmat, transl, flagged, sigma if known else None)


def numeric_follower(
    folded: FoldedPoints, betas: Float[Tensor, "10"], fps: float, priors: Priors, options: ClipOptions
) -> Follower:
    """The numerical solver's way from one frame to the next: near the previous pose, and human."""
    points = folded.shaped(betas[None])
    # The change prior is for 1/6 s; a shorter time allows less change (variance grows with time).
    change_share = options.change_share * fps / 6

    def follow(rotmat: Tensor, transl: Tensor, targets: Tensor, confidence: Tensor) -> PoseSolution:
        mean, precision = priors.around(rotmat, change_share)
        problem = PoseProblem(
            points=points,
            targets=targets,
            weights=confidence / options.keypoint_sigma**2,
            prior_rotmat=mean,
            prior_precision=precision,
            prior_transl=transl,
            robust_scale=options.robust_scale,
        )
        return solve(problem, rotmat, transl, options.optimiser)

    return follow


def _or_from_nothing(
    points: ShapedPoints,
    found: PoseSolution | None,
    targets: Tensor,
    confidence: Tensor,
    priors: Priors,
    options: ClipOptions,
) -> tuple[PoseSolution, float]:
    """The solution of a frame and its error [m]; searched from nothing where there is none yet, or a bad one."""
    error = float("inf") if found is None else float(fit_error(points, found, targets, confidence))
    if found is not None and error <= options.lost_error:
        return found, error
    weights = confidence / options.keypoint_sigma**2
    search = cold_start(points, targets, weights, priors, options.search, options.robust_scale)
    search_error = float(fit_error(points, search, targets, confidence))
    if found is None or search_error < _CLEARLY_BETTER * error:
        return search, search_error
    return found, error
