"""People in single pictures of one camera, which have no neighbours in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.network.lifter import Lifter
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.shape.habit import open_priors
from learnable_smplify.solver.view.cameras import ROBUST
from learnable_smplify.solver.view.flips import best_sides
from learnable_smplify.solver.view.hypotheses import hypotheses, solved
from learnable_smplify.solver.view.single import doubt

# What pixels are taken to be off by at first, as a share of how large the person appears (root mean square), ...
_FIRST_SHARE = 0.025
# ... and later: what a fit leaves, times this for what it has swallowed; within these shares; found anew so often.
_SWALLOWED, _LEAST_SHARE, _MOST_SHARE, _ROUNDS = 1.3, 0.001, 0.06, 2
# Guesses weigh what they do in clips at this share, less where pixels are sharper, more where they are not: the network
# is surest of people like those it was trained on, and sharp pixels tell more than it does. Within these multiples.
_USUAL_SHARE, _LEAST_TRUST, _MOST_TRUST = 0.02, 0.03, 2.0
_AGAIN = LevenbergMarquardt(12, step_tolerance=1e-3, initial_damping=1e-3)


@dataclass(frozen=True, eq=False)
class Pictured:
    """B people in the camera's frame, and which could be in another pose."""

    rotmat: Float[Tensor, "B 24 3 3"]
    transl: Float[Tensor, "B 3"]
    doubtful: Bool[Tensor, " B"]


def solve_alone(observed: Observed, points: ShapedPoints, lifter: Lifter, priors: Priors) -> Pictured:
    """Every picture by itself: the best of its hypotheses, with every bone tried on its other side.

    How noisy the pixels are shows only in what the poses leave, so there are several rounds.

    Args:
        observed: by one camera that stands at the origin.
        points: the people: one, or one for each picture.
    """
    observed, priors = replace(observed, independent=True), open_priors(priors)
    rows = torch.arange(len(observed), device=observed.pixels.device)
    size = _size_px(observed)
    unit = (_FIRST_SHARE * size.median()).clamp(min=1e-3)[None]
    sight = observed.sight(unit, ROBUST)
    guesses = hypotheses(lifter, observed, rows, points, _weighed(sight, _FIRST_SHARE * size / unit), priors)
    several, sharp = guesses, sight
    for _ in range(_ROUNDS):
        best = several.chosen(several.cost.argmin(1))
        left = _left(sight, Frames.of(points, best.rotmat, best.transl)) * unit / size
        share = (_SWALLOWED * left).clamp(_LEAST_SHARE, _MOST_SHARE)
        trust = (share / _USUAL_SHARE).clamp(_LEAST_TRUST, _MOST_TRUST)[:, None]
        weighed = replace(guesses.scaled(trust), rotmat=several.rotmat, transl=several.transl)
        sharp = _weighed(sight, share * size / unit)
        several = solved(weighed, points, sharp, priors, _AGAIN)
    chosen = several.cost.argmin(1)
    cost = (several.cost - several.surprise).gather(1, chosen[:, None])[:, 0]
    best = best_sides(several.chosen(chosen), cost, points, sharp, priors)
    return Pictured(best.rotmat, best.transl, doubt(several, points, chosen, (-0.5 * several.cost).softmax(dim=1)))


def _weighed(sight: SightTerm, sigma: Float[Tensor, " B"]) -> SightTerm:
    """Pixels that are off by other amounts in every picture, in the sight's units."""
    return replace(sight, weights=sight.weights / sigma.square()[:, None, None])


def _size_px(observed: Observed) -> Float[Tensor, " B"]:
    """Root mean square distance of the seen keypoints from their middle."""
    weight = (observed.confidence[:, 0] > 0).to(observed.pixels)
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1))[..., None]
    pixels = observed.pixels[:, 0]
    return (share * (pixels - (share * pixels).sum(1, keepdim=True)).square()).sum((1, 2)).sqrt().clamp(min=1.0)


def _left(sight: SightTerm, frames: Frames) -> Float[Tensor, " B"]:
    """What coordinates are off by, picture by picture."""
    away = torch.where(sight.weights > 0, sight.residual(frames).norm(dim=-1), torch.nan).flatten(1)
    return away.nanmedian(dim=1).values.nan_to_num(1.0) / 1.1774
