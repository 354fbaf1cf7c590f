"""Poses that one camera's picture may show: guesses of the lifting network, each solved against the pixels.

    sum_k w_k rho(|p_k(R, t) - y_k|)  +  sum_j |log(R_j G_j^T)|^2 / s_j^2  +  sum_j (z_j(R) - z_j(G))^2 / d_j^2
    +  6 sum_j log s_j  +  2 sum_j log d_j  -  2 log share

with a guess G, its spreads s of rotations and d of joints' depths z beside the pelvis, and its share of the mixture:
twice the negative log of what it makes of the frame. Across the view pixels tell where joints are. Depths are linear in
small turns, so that they go into one Gaussian with the rotations.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.fold import PosedPoints, ShapedPoints
from learnable_smplify.body.kinematics import subtree_matrix
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.lifter import Lifter, lifter_input
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseProblem
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.view.place import place_in_view
from learnable_smplify.solver.view.sweeps import sight_problem, solve_side_by_side

# Weight of the network's Gaussians of rotations, which is surer of people it was not trained on than it should be; of
# those of depths, as the errors of a limb's joints go together; and of the pose prior besides, with habits left open.
_GUESS_WEIGHT, _DEPTH_WEIGHT, POSE_WEIGHT = 0.3, 0.3, 0.5
# Frames whose hypotheses are solved at once.
_CHUNK = 256
_TRY = LevenbergMarquardt(8, step_tolerance=1e-3, initial_damping=1e-3)


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """M poses that each of T frames may show, in the camera's frame.

    Args:
        rotmat: (T, M, 24, 3, 3) solved local rotations; the pelvis in the camera's frame.
        transl: (T, M, 3) metres, in the camera's frame.
        mean: (T, M, 24, 3, 3) the network's guess.
        precision, depth_precision: (T, M, 24) of its rotations [1/rad^2] and of its joints' depths [1/m^2].
        axis: (T, M, 3) along which depth is.
        cost: (T, M) twice the negative log of how well a guess explains the frame, and how likely it is.
        surprise: (T, M) the part of `cost` that does not hang on the pixels.
    """

    rotmat: Float[Tensor, "T M 24 3 3"]
    transl: Float[Tensor, "T M 3"]
    mean: Float[Tensor, "T M 24 3 3"]
    precision: Float[Tensor, "T M 24"]
    depth_precision: Float[Tensor, "T M 24"]
    axis: Float[Tensor, "T M 3"]
    cost: Float[Tensor, "T M"]
    surprise: Float[Tensor, "T M"]

    def scaled(self, weight: Float[Tensor, "T 1"]) -> Hypotheses:
        """With guesses of another weight in every frame."""
        return replace(
            self,
            precision=weight[..., None] * self.precision,
            depth_precision=weight[..., None] * self.depth_precision,
            surprise=weight * self.surprise,
        )

    def chosen(self, index: Int[Tensor, " T"]) -> Guess:
        """One of each frame."""
        at = torch.arange(len(index), device=index.device), index
        return Guess(*(getattr(self, field.name)[at] for field in fields(Guess)))

    def flat(self) -> Guess:
        """All, frame by frame."""
        return Guess(*(getattr(self, field.name).flatten(0, 1) for field in fields(Guess)))


@dataclass(frozen=True, eq=False)
class Guess:
    """One hypothesis of each of T frames; fields as in `Hypotheses`."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    mean: Float[Tensor, "T 24 3 3"]
    precision: Float[Tensor, "T 24"]
    depth_precision: Float[Tensor, "T 24"]
    axis: Float[Tensor, "T 3"]

    def select(self, rows: Tensor) -> Guess:
        """Of some frames."""
        return Guess(*(getattr(self, field.name)[rows] for field in fields(Guess)))

    def turned(self, turn: Float[Tensor, "3 3"]) -> Guess:
        """Poses and guesses turned as a whole about the pelvis; the place stays."""
        rotmat, mean = self.rotmat.clone(), self.mean.clone()
        rotmat[:, 0], mean[:, 0] = turn @ rotmat[:, 0], turn @ mean[:, 0]
        return replace(self, rotmat=rotmat, mean=mean, axis=self.axis @ turn.mT)

    def whole_precision(self, points: ShapedPoints) -> Float[Tensor, "T 72 72"]:
        """Of rotations and depths together [1/rad^2]: depths are linear in small turns away from the mean."""
        slope = depth_slopes(points.pose(self.mean), self.axis)
        pulled = self.depth_precision[..., None] * slope
        return slope.mT @ pulled + torch.diag_embed(self.precision.repeat_interleave(3, dim=-1))


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
        points: the people, one or as many as frames.
        sight: of all frames.
    """
    parts = [
        _hypotheses(lifter, observed, part, points.select(part), sight.select(part), priors)
        for part in rows.split(_CHUNK)
    ]
    return Hypotheses(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Hypotheses)))


def _hypotheses(
    lifter: Lifter, observed: Observed, rows: Tensor, points: ShapedPoints, sight: SightTerm, priors: Priors
) -> Hypotheses:
    """Of these frames at once; points and sight are theirs."""
    rays, trust = moments(observed, rows, lifter.config.seconds)
    shown, least = Body25View.of(observed.layout, rays.device).apply(rays.flatten(0, 1), trust.flatten(0, 1))
    seen = (least > 0).to(rays).unflatten(0, trust.shape[:2])
    given = lifter_input(shown.unflatten(0, trust.shape[:2]) * seen[..., None], seen)
    guesses = lifter(given.features)
    count = guesses.log_share.shape[1]
    mean = guesses.rotmat.clone()
    mean[:, :, 0] = given.turn.mT[:, None] @ mean[:, :, 0]
    each = torch.arange(len(rows), device=rows.device).repeat_interleave(count)
    transl = place_in_view(points.select(each).pose(mean.flatten(0, 1)).positions(), sight.select(each))
    depth = guesses.away[..., 1]
    surprise = _GUESS_WEIGHT * (
        6 * guesses.sigma[..., : NUM_JOINTS - 2].log().sum(-1) - 2 * guesses.log_share
    ) + _DEPTH_WEIGHT * 2 * depth[..., 1:].log().sum(-1)
    unsolved = Hypotheses(
        rotmat=mean,
        transl=transl.unflatten(0, (-1, count)),
        mean=mean,
        precision=_GUESS_WEIGHT / guesses.sigma.square(),
        depth_precision=_DEPTH_WEIGHT / depth.square(),
        axis=given.turn[:, None, 2].expand(-1, count, -1),
        cost=torch.zeros_like(surprise),
        surprise=surprise,
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
    guess = several.flat()
    problem = problem_of(guess, points.select(each), sight.select(each), priors)
    found = solve_side_by_side(problem, guess.rotmat, guess.transl, steps)
    return replace(
        several,
        rotmat=found.rotmat.unflatten(0, (-1, count)),
        transl=found.transl.unflatten(0, (-1, count)),
        cost=found.cost.unflatten(0, (-1, count)) + several.surprise,
    )


def problem_of(guess: Guess, points: ShapedPoints, sight: SightTerm, priors: Priors) -> PoseProblem:
    """Frames against their pixels, near the network's guesses and what is human."""
    pinned, whole = priors.and_human(guess.mean, guess.whole_precision(points), POSE_WEIGHT)
    return sight_problem(points, sight, pinned, whole, guess.transl)


def depth_slopes(posed: PosedPoints, axis: Float[Tensor, "B 3"]) -> Float[Tensor, "B 24 72"]:
    """d depth of joints beside the pelvis / d turns of the joints in their parents' frames [m/rad].

    Args:
        axis: along which depth is counted.
    """
    levers = posed.joints[:, :, None] - posed.joints[:, None]  # (B, joint, turned joint, 3)
    below = subtree_matrix(levers.dtype, levers.device)
    # axis . (w x lever) = w . (lever x axis)
    turned = torch.linalg.cross(levers * below[..., None], axis[:, None, None].expand_as(levers), dim=-1)
    return torch.einsum("bjyx,bijy->bijx", posed.parent_rotmat, turned).flatten(2)
