"""A recording that cameras saw, solved as one problem: `solver.clip.smooth`, with pixels in place of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.clip.problem import ClipState
from learnable_smplify.solver.clip.smooth import (
    REFERENCE_FPS,
    SmoothOptions,
    Source,
    bridged,
    descend,
    first_problem,
    with_bursts,
    without_jitter,
)
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm

# Precision of the prior on betas, 1 for people as they differ: frames err alike (in how far each pose is bent towards
# the camera), and many of them do not tell size from distance. Chosen on held-back train clips.
_SHAPE_PRECISION = 10.0


def smooth_views(
    folded: FoldedPoints,
    sight: SightTerm,
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Float[Tensor, "T 3"],
    betas: Float[Tensor, "10"],
    fps: float,
    priors: Priors,
    options: SmoothOptions,
    *,
    sources: Sequence[Source] = (),
) -> ClipState:
    """Solve a recording of one person as one problem.

    Args:
        folded: the layout's keypoints on the body.
        sight: what the cameras see, pixels in units of what they are off by.
        rotmat, transl: poses to start from.
        betas: of the person; refined if the options say so.
        fps: frames a second.
        priors: over poses.
        sources: others' answers for each frame; `network_weight` weighs them.

    Returns:
        poses, places [m] and betas, in the dtypes of what came in.
    """
    h = REFERENCE_FPS / fps
    seen = (sight.weights > 0).any(dim=2).any(dim=1)
    double = replace(sight, weights=h * sight.weights).to(seen.new_zeros(1, dtype=torch.float64))
    problem = first_problem(folded.double(), double, seen, h, priors, options, sources)
    state = bridged(ClipState(rotmat.double(), transl.double(), betas.double()), seen)
    if options.near_start:
        state = without_jitter(state, fps)
    else:
        state, _ = descend(problem, state, replace(options, refine_shape=False))
    problem = replace(with_bursts(problem, h), shape_precision=_SHAPE_PRECISION)
    state, _ = descend(problem, state, options)
    return ClipState(state.rotmat.to(rotmat), state.transl.to(transl), state.betas.to(betas))
