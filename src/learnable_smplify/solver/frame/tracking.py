"""A whole recording of one person: betas from many frames, then frame after frame, each leaning on the one before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.arrays import check_above_zero
from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.cold_start import cold_start
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    solve,
)
from learnable_smplify.solver.frame.priors import Priors, load_priors

# From a frame's predecessor (1, 24, 3, 3), its transl (1, 3), keypoints (1, K, 3), confidence (1, K) and the time since
# the predecessor [s], the frame's solution.
Follower = Callable[[Tensor, Tensor, Tensor, Tensor, float], PoseSolution]
# From a frame's keypoints and confidence alone, its solution.
Searcher = Callable[[Tensor, Tensor], PoseSolution]

# A search from nothing replaces a tracked pose only if its error is below this share of the tracked one's.
_CLEARLY_BETTER = 0.7


@dataclass(frozen=True)
class ClipOptions:
    """How a recording is fitted.

    Args:
        keypoint_sigma: what a measured keypoint coordinate may be off by [m].
        robust_scale: distance [m] at which a keypoint starts to lose its pull; None trusts every keypoint.
        pose_weight: weight of the pose prior in every frame that the network solves.
        variance_weight: of the keypoint variances that the network tells its Gauss-Newton steps. Below 1 the keypoints
            are followed closer: a recording's errors are mostly the same in every frame (a detector's hip is not the
            skeleton's), so such a fit is steady all the same.
        lost_error: mean keypoint error [m] above which a frame is searched again from nothing, and flagged if that
            does not help.
        min_keypoints: a frame with fewer keeps the previous pose, and is flagged.
    """

    keypoint_sigma: float = 0.01
    robust_scale: float | None = 0.1
    pose_weight: float = 1.0
    variance_weight: float = 0.2
    lost_error: float = 0.06
    min_keypoints: int = 4

    def __post_init__(self) -> None:
        check_above_zero(
            keypoint_sigma=self.keypoint_sigma, robust_scale=self.robust_scale, variance_weight=self.variance_weight
        )


@dataclass(frozen=True, eq=False)
class ClipSolution:
    """What was found for a recording of T frames; `sigma` [rad] where a network said how sure it is, NaN elsewhere."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    flagged: Bool[Tensor, " T"]
    sigma: Float[Tensor, "T 24"] | None


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """One frame's answer; batch dimension 1. `sigma` (1, 24) [rad] where a network said how sure it is."""

    rotmat: Float[Tensor, "1 24 3 3"]
    transl: Float[Tensor, "1 3"]
    flagged: bool
    sigma: Float[Tensor, "1 24"] | None


@dataclass(frozen=True, eq=False)
class Finder:
    """How one person with known betas is found in a frame, by whatever solver: from the frame before, or alone."""

    follow: Follower
    search: Searcher


class Tracker:
    """Frame after frame of one person; keeps nothing but the latest pose.

    Args:
        finder: of the person.
        options: when a frame counts as lost.
        fps: frames a second.
        start: local rotations (1, 24, 3, 3) and transl (1, 3) just before the first frame, if known.
    """

    def __init__(
        self, finder: Finder, options: ClipOptions, fps: float, start: tuple[Tensor, Tensor] | None = None
    ) -> None:
        self.finder, self._options, self._fps = finder, options, fps
        self.pose = start  # of the latest solved frame
        self._frames_since = 0
        self.min_keypoints = options.min_keypoints

    def step(self, measured: Float[Tensor, "1 K D"], trust: Float[Tensor, "1 K"]) -> TrackedFrame:
        """The next frame: solved from the one before, or from nothing where that fails.

        A frame with too few keypoints keeps the pose before it (or the mean pose) and is flagged.
        """
        self._frames_since += 1
        if int((trust > 0).sum()) < self._options.min_keypoints:
            if self.pose is None:
                mean = load_priors().pose_mean.to(measured)[None]
                return TrackedFrame(mean, measured.new_zeros(1, 3), True, None)
            return TrackedFrame(*self.pose, True, None)
        seconds = self._frames_since / self._fps
        found = None if self.pose is None else self.finder.follow(*self.pose, measured, trust, seconds)
        if found is None or float(found.distance) > self._options.lost_error:
            search = self.finder.search(measured, trust)
            if found is None or float(search.distance) < _CLEARLY_BETTER * float(found.distance):
                found = search
        self.pose, self._frames_since = (found.rotmat, found.transl), 0
        flagged = float(found.distance) > self._options.lost_error
        return TrackedFrame(found.rotmat, found.transl, flagged, found.sigma)


def track(
    tracker: Tracker,
    targets: Float[Tensor, "T K D"],
    confidence: Float[Tensor, "T K"],
    progress: Callable[[int, int], None] | None = None,
) -> ClipSolution:
    """A whole recording, frame by frame.

    Without a start, frames before the first usable one take its pose; they are flagged.
    """
    frames, knows_start = targets.shape[0], tracker.pose is not None
    tracked = []
    for frame in range(frames):
        tracked.append(tracker.step(targets[frame : frame + 1], confidence[frame : frame + 1]))
        if progress is not None:
            progress(frame + 1, frames)
    usable = (confidence > 0).sum(1) >= tracker.min_keypoints
    first = 0 if knows_start else int(usable.float().argmax())
    tracked[:first] = [TrackedFrame(tracked[first].rotmat, tracked[first].transl, True, None)] * first
    unknown = torch.full((1, NUM_JOINTS), torch.nan, dtype=targets.dtype, device=targets.device)
    known = any(frame.sigma is not None for frame in tracked)
    return ClipSolution(
        rotmat=torch.cat([frame.rotmat for frame in tracked]),
        transl=torch.cat([frame.transl for frame in tracked]),
        flagged=torch.tensor([frame.flagged for frame in tracked], device=targets.device),
        sigma=torch.cat([unknown if frame.sigma is None else frame.sigma for frame in tracked]) if known else None,
    )


def numeric_follower(points: ShapedPoints, priors: Priors, options: ClipOptions) -> Follower:
    """The numerical solver's way from one frame to the next: near the previous pose, and human."""

    def follow(rotmat: Tensor, transl: Tensor, targets: Tensor, confidence: Tensor, seconds: float) -> PoseSolution:
        mean, precision = priors.and_human(rotmat, priors.change_over(seconds))
        problem = PoseProblem(
            points=points,
            targets=targets,
            weights=confidence / options.keypoint_sigma**2,
            prior_rotmat=mean,
            prior_precision=precision,
            prior_transl=transl,
            robust_scale=options.robust_scale,
        )
        return solve(problem, rotmat, transl, LevenbergMarquardt())

    return follow


def numeric_searcher(points: ShapedPoints, priors: Priors, options: ClipOptions) -> Searcher:
    """The numerical solver's way from keypoints alone."""

    def search(targets: Tensor, confidence: Tensor) -> PoseSolution:
        weights = confidence / options.keypoint_sigma**2
        return cold_start(points, targets, weights, priors, options.robust_scale)

    return search
