"""One shape for a recording, before its frames are solved."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.frame.cold_start import cold_start
from learnable_smplify.solver.frame.levenberg_marquardt import PoseProblem
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.shape.joint_estimate import refine_betas
from learnable_smplify.solver.shape.limb_lengths import betas_from_lengths, limb_lengths

# Frames from which betas are estimated together with the poses.
_FRAMES = 64
# Keypoint errors below this share of `keypoint_sigma` are not taken at their word when shape is estimated.
_SMALLEST_ERROR = 0.15


def estimate_betas(
    folded: FoldedPoints,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    priors: Priors,
    options: ClipOptions,
) -> Float[Tensor, "10"]:
    """One shape for the recording: from limb lengths over all frames, then jointly with the poses of some frames."""
    betas = betas_from_lengths(limb_lengths(folded, priors), targets, confidence)
    rows = telling_frames(confidence, _FRAMES, options.min_keypoints)
    if len(rows) == 0:
        return betas
    weights = confidence[rows] / options.keypoint_sigma**2
    found = cold_start(folded.shaped(betas[None]), targets[rows], weights, priors, options.robust_scale)
    problem = PoseProblem(
        points=folded.shaped(betas[None]),
        targets=targets[rows],
        weights=weights,
        prior_rotmat=priors.mean_facing(found.rotmat),
        prior_precision=priors.pose_precision,
        prior_transl=found.transl,
        robust_scale=options.robust_scale,
    )
    betas, error = refine_betas(folded, problem, found.rotmat, found.transl, betas)
    # Keypoints that fit better than assumed may say more about the shape.
    weight = min(max(error, _SMALLEST_ERROR), 1.0) ** 2
    return refine_betas(folded, problem, found.rotmat, found.transl, betas, weight)[0]


def telling_frames(confidence: Float[Tensor, "T K"], count: int, min_keypoints: int) -> Int[Tensor, " N"]:
    """At most so many frames, spread over a recording, that show about as much of the person as any."""
    seen = (confidence > 0).sum(1)
    usable = (seen >= torch.clamp(seen.max() * 3 // 4, min=min_keypoints)).nonzero()[:, 0]
    count = min(count, len(usable))
    return usable[torch.linspace(0, len(usable) - 1, count, device=usable.device).round().long()]
