"""Poses that one camera's picture may show: guesses of the lifting network, each solved against the pixels.

    sum_k w_k rho(|p_k(R, t) - y_k|)  +  sum_j |log(R_j G_j^T)|^2 / s_j^2  +  6 sum_j log s_j  -  2 log share

with a guess G, its spreads s and its share of the mixture: twice the negative log of what it makes of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.lifter import Lifter, lifter_input
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.view.observed import Observed
from learnable_smplify.solver.view.place import place_in_view
from learnable_smplify.solver.view.sweeps import sight_problem, solve_side_by_side

# Weight of the network's Gaussians, which is surer of people it was not trained on than it should be; and of the pose
# prior besides.
_GUESS_WEIGHT, POSE_WEIGHT = 0.3, 0.1
_TRY = LevenbergMarquardt(8, step_tolerance=1e-3, initial_damping=1e-3)


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """M poses that each of T frames may show, in the camera's frame.

    Args:
        rotmat: (T, M, 24, 3, 3) solved local rotations; the pelvis in the camera's frame.
        transl: (T, M, 3) metres, in the camera's frame.
        mean, precision: (T, M, 24, 3, 3), (T, M, 24) the network's guess and 1 / variance of its rotations [1/rad^2].
        cost: (T, M) twice the negative log of how well a guess explains the frame, and how likely it is.
        surprise: (T, M) the part of `cost` that does not hang on the pixels.
    """

    rotmat: Float[Tensor, "T M 24 3 3"]
    transl: Float[Tensor, "T M 3"]
    mean: Float[Tensor, "T M 24 3 3"]
    precision: Float[Tensor, "T M 24"]
    cost: Float[Tensor, "T M"]
    surprise: Float[Tensor, "T M"]

    @staticmethod
    def join(parts: Sequence[Hypotheses]) -> Hypotheses:
        """Of all frames."""
        names = ("rotmat", "transl", "mean", "precision", "cost", "surprise")
        return Hypotheses(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def chosen(self, index: Int[Tensor, " T"]) -> Guess:
        """One of each frame."""
        at = torch.arange(len(index), device=index.device), index
        return Guess(self.rotmat[at], self.transl[at], self.mean[at], self.precision[at])


@dataclass(frozen=True, eq=False)
class Guess:
    """One hypothesis of each of T frames; fields as in `Hypotheses`."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    mean: Float[Tensor, "T 24 3 3"]
    precision: Float[Tensor, "T 24"]


def moments(observed: Observed, rows: Tensor, seconds: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """What the network sees at some frames: rays (B, S, K, 2) and their confidence (B, S, K), 0 beyond the ends."""
    steps = torch.tensor([round(value * observed.fps) for value in seconds], device=rows.device)
    there = rows[:, None] + steps
    inside = (there >= 0) & (there < len(observed)) & ((steps == 0) | (not observed.independent))
    there = there.clamp(0, len(observed) - 1)
    return observed.rays[there][:, :, 0], observed.confidence[there][:, :, 0] * inside[..., None]


def hypotheses(
    lifter: Lifter,
    observed: Observed,
    rows: Tensor,
    points: ShapedPoints,
    sight: SightTerm,
    priors: Priors,
) -> Hypotheses:
    """Every guess at these frames, solved.

    Args:
        observed: by one camera, whose frame is the world of `sight`.
        points: the people at these frames (one, or as many as rows).
        sight: of these frames.
    """
    rays, trust = moments(observed, rows, lifter.config.seconds)
    shown, least = Body25View.of(observed.layout, rays.device).apply(rays.flatten(0, 1), trust.flatten(0, 1))
    seen = (least > 0).to(rays).unflatten(0, trust.shape[:2])
    given = lifter_input(shown.unflatten(0, trust.shape[:2]) * seen[..., None], seen)
    guesses = lifter(given.features)
    count = guesses.log_share.shape[1]
    mean = guesses.rotmat.clone()
    mean[:, :, 0] = given.turn.mT[:, None] @ mean[:, :, 0]
    precision = _GUESS_WEIGHT / guesses.sigma.square()
    each = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
    transl = place_in_view(points.select(each).pose(mean.flatten(0, 1)).positions(), sight.select(each))
    surprise = 6 * guesses.sigma[..., : NUM_JOINTS - 2].log().sum(-1) - 2 * guesses.log_share
    unsolved = Hypotheses(
        rotmat=mean,
        transl=transl.unflatten(0, (-1, count)),
        mean=mean,
        precision=precision,
        cost=torch.zeros_like(surprise),
        surprise=_GUESS_WEIGHT * surprise,
    )
    return solved(unsolved, points, sight, priors, _TRY)


def solved(
    several: Hypotheses,
    points: ShapedPoints,
    sight: SightTerm,
    priors: Priors,
    steps: LevenbergMarquardt,
) -> Hypotheses:
    """Hypotheses improved from where they are."""
    frames, count = several.surprise.shape
    each = torch.arange(frames, device=several.cost.device).repeat_interleave(count)
    precision = torch.diag_embed(several.precision.flatten(0, 1).repeat_interleave(3, dim=-1))
    pinned, whole = priors.and_human(several.mean.flatten(0, 1), precision, POSE_WEIGHT)
    transl = several.transl.flatten(0, 1)
    problem = sight_problem(points.select(each), sight.select(each), pinned, whole, transl)
    found = solve_side_by_side(problem, several.rotmat.flatten(0, 1), transl, steps)
    return replace(
        several,
        rotmat=found.rotmat.unflatten(0, (-1, count)),
        transl=found.transl.unflatten(0, (-1, count)),
        cost=found.cost.unflatten(0, (-1, count)) + several.surprise,
    )
