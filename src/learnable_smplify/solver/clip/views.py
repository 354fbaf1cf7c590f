"""A recording that cameras saw, solved as one problem: `solver.clip.smooth`, with pixels in place of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.clip.problem import ClipState
from learnable_smplify.solver.clip.smooth import (
    QUIET,
    REFERENCE_FPS,
    SmoothOptions,
    bridged,
    descend,
    double_points,
    first_problem,
)
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import GaussianTerm


@dataclass(frozen=True, eq=False)
class SmoothViews:
    """A recording's poses (T, 24, 3, 3), places (T, 3) [m] and betas (10,)."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]


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
    shape_precision: float = 1.0,
    sources: Sequence[tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "*T 72 72"]]] = (),
) -> SmoothViews:
    """Solve a recording of one person as one problem.

    Args:
        folded: the layout's keypoints on the body.
        sight: what the cameras see, pixels in units of what they are off by.
        rotmat, transl: poses to start from.
        betas: of the person; refined if the options say so.
        fps: frames a second.
        priors: over poses.
        shape_precision: of betas about 0. A detector's errors are mostly the same in every frame, so it must grow with
            the recording where they are large.
        sources: others' answers for each frame and their precision in 1/30 s [1/rad^2]; `network_weight` weighs them.

    Returns:
        the recording, in the dtypes of what came in.
    """
    h = REFERENCE_FPS / fps
    seen = (sight.weights > 0).any(dim=2).any(dim=1)
    double = replace(sight, weights=h * sight.weights).to(seen.new_zeros(1, dtype=torch.float64))
    problem = first_problem(double_points(folded), double, seen, h, priors, options, None, None)
    others = [
        GaussianTerm(mean.double(), h * options.network_weight * precision.double().reshape(-1, 72, 72), exact=True)
        for mean, precision in sources
    ]
    problem = replace(problem, priors=(*problem.priors, *others), shape_precision=shape_precision)
    state = bridged(ClipState(rotmat.double(), transl.double(), betas.double()), seen)
    state, _, _ = descend(problem, state, replace(options, refine_shape=False))
    if options.refine_shape or options.burst is not None:
        quiet = 1.0 if options.burst is None else QUIET**2
        problem = replace(
            problem,
            turn_weight=problem.turn_weight / quiet,
            move_weight=problem.move_weight / quiet,
            burst=None if options.burst is None else options.burst * h**0.5,
        )
        state, _, _ = descend(problem, state, options)
    return SmoothViews(state.rotmat.to(rotmat), state.transl.to(transl), state.betas.to(betas))
