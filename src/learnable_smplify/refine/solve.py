"""Both sources at once: keypoints as measurements, the estimate as a prior, each with its own precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.refine.levels import Levels, joint_precision
from learnable_smplify.rotation import rotmat_between
from learnable_smplify.solver.clip.smooth import SmoothOptions, robust_scale, smooth_clip
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseProblem, solve
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.timeline import around

# Where keypoints have no say, the estimate's own stand in for them, this uncertain [m]; and so long [s] after the last
# frame with a say, the motion is the estimate again.
_STAND_IN_SIGMA = 0.05
_FADE_S = 0.5
# Of the pose prior: what keypoints do not show is the estimate's to say, in its own convention. (On clips of the train
# split with every joint turned by 12 degrees, ten times the weight left 5.0 mm of 74 instead of 3.8.)
POSE_WEIGHT = 0.02


@dataclass(frozen=True, eq=False)
class People:
    """T poses of one person.

    Args:
        rotmat: (T, 24, 3, 3) local rotations.
        pelvis: (T, 3) place of the pelvis joint, metres.
        betas: (10,).
    """

    rotmat: Float[Tensor, "T 24 3 3"]
    pelvis: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]

    def transl(self, folded: FoldedPoints) -> Float[Tensor, "T 3"]:
        """SMPL's `transl` [m]."""
        return self.pelvis - rest_pelvis(folded, self.betas)


def rest_pelvis(folded: FoldedPoints, betas: Float[Tensor, "10"]) -> Float[Tensor, "3"]:
    """Where the pelvis joint of a person with these betas is when `transl` is zero [m]."""
    return folded.rest_joints[0] + folded.rest_joints_shape[0] @ betas


def solve_together(
    folded: FoldedPoints,
    priors: Priors,
    estimate: People,
    start: People,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    used: Bool[Tensor, " T"],
    levels: Levels,
    fps: float,
    *,
    shape_centre: Float[Tensor, "10"] | None,
    smooth: bool,
) -> People:
    """The person who is likely given the estimate and the keypoints.

    Args:
        folded: the layout's keypoints on the body.
        priors: over poses.
        estimate: aligned.
        start: where to start; its betas count.
        targets, confidence: measured keypoints.
        used: frames in which they have a say.
        levels: what both are off by.
        fps: frames a second.
        shape_centre: middle of the prior on betas; None keeps the start's.
        smooth: the recording as a whole, else frame by frame.
    """
    stand_in = folded.shaped(start.betas[None]).pose(estimate.rotmat).positions()
    stand_in = stand_in + (estimate.pelvis - rest_pelvis(folded, start.betas))[:, None]
    weight = min((levels.keypoint_sigma / _STAND_IN_SIGMA) ** 2, 1.0)
    targets = torch.where(used[:, None, None], targets, stand_in)
    confidence = torch.where(used[:, None], confidence, weight)
    if not smooth or len(targets) < 3:
        return _faded(_frame_by_frame(folded, estimate, start, targets, confidence, levels), estimate, used, fps)
    centre = start.betas if shape_centre is None else shape_centre
    precision = joint_precision(levels.estimate_deg, levels.estimate_s) * torch.eye(72).to(targets)
    found = smooth_clip(
        folded.recentred(centre),
        targets,
        confidence,
        start.rotmat,
        start.transl(folded),
        fps,
        priors,
        SmoothOptions(
            keypoint_sigma=levels.keypoint_sigma,
            pose_weight=POSE_WEIGHT,
            network_weight=1.0,
            refine_shape=shape_centre is not None,
        ),
        start.betas - centre,
        sources=[(estimate.rotmat, precision)],
    )
    betas = found.betas + centre
    whole = People(found.rotmat, found.transl + rest_pelvis(folded, betas), betas)
    return _faded(whole, estimate, used, fps)


def _frame_by_frame(
    folded: FoldedPoints, estimate: People, start: People, targets: Tensor, confidence: Tensor, levels: Levels
) -> People:
    transl = start.transl(folded)
    problem = PoseProblem(
        points=folded.shaped(start.betas[None]),
        targets=targets,
        weights=confidence / levels.keypoint_sigma**2,
        prior_rotmat=estimate.rotmat,
        prior_precision=joint_precision(levels.estimate_deg) * torch.eye(72).to(targets),
        prior_transl=transl,
        robust_scale=robust_scale(levels.keypoint_sigma),
    )
    found = solve(problem, start.rotmat, transl, LevenbergMarquardt())
    return People(found.rotmat, found.transl + rest_pelvis(folded, start.betas), start.betas)


def _faded(found: People, estimate: People, used: Bool[Tensor, " T"], fps: float) -> People:
    """The estimate itself where no keypoint had a say for long."""
    frames, known = torch.arange(len(used), device=used.device), used.nonzero()[:, 0]
    before, after, _ = around(known, len(used))
    away = torch.minimum((frames - known[before]).abs(), (frames - known[after]).abs()) / fps
    share = (away / _FADE_S).clamp(max=1).to(found.rotmat)
    rotmat = rotmat_between(found.rotmat, estimate.rotmat, share[:, None, None])
    return People(rotmat, torch.lerp(found.pelvis, estimate.pelvis, share[:, None]), found.betas)
