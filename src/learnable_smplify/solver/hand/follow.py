"""`HandFollower`: two hands frame after frame, each solved from the frame before and given what the arm says."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.hand.anatomy import PARTS, THUMB, Anatomy
from learnable_smplify.solver.hand.prior import HandPrior
from learnable_smplify.solver.hand.problem import HandProblem, HandSolution, palm_starts, solve_hands

# What a measured coordinate of a hand's point may be off by, and from where on it loses its pull [m].
_POINT_SIGMA, _ROBUST_SCALE = 0.005, 0.04
# A hand with fewer points in a frame is not seen: its fingers go to rest, and it is flagged.
FEWEST = 5
# Mean distance of the points [m] above which a hand is searched anew, and flagged if that is no help.
_LOST_ERROR = 0.02
# What the arm's own idea of the hand's rotation may be off by [rad], and of its place [m].
_TURN_SIGMA, _PLACE_SIGMA = 0.9, 0.03
# How fast joints turn [rad/s], and the time in which an unseen finger goes most of its way to rest [s].
_SPEED, _REST_S = 10.0, 0.35
# Fingers go so far with the mean of the others, of which this many more than are seen count as resting.
_COMPANY, _ALONE = 0.7, 0.4
# Flexions that a search from nothing starts from, besides the relaxed hand [rad]: open, and closed.
_STARTS = (0.05, 1.2)


@dataclass(frozen=True, eq=False)
class HandFrame:
    """Two hands in one frame, as left ones.

    Args:
        found: their poses; `turn` and `place` are the arm's where a hand is unseen.
        seen: (2,) its points were enough.
        flagged: (2,) guessed, or its points do not fit.
    """

    found: HandSolution
    seen: Bool[Tensor, "2"]
    flagged: Bool[Tensor, "2"]


class HandFollower:
    """Keeps nothing but the latest frame.

    Args:
        anatomy: the person's.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._before: Tensor | None = None
        self._known = [False, False]
        self._sides = torch.arange(2, device=anatomy.offsets.device)
        self.measured(anatomy)

    def measured(self, anatomy: Anatomy) -> None:
        """Take these bones from now on; the fingers go on from where they are."""
        self._anatomy, self._prior = anatomy, HandPrior.of(anatomy)
        self._spread = self._prior.precision[0, :, 2, 2].rsqrt().clamp(min=0.3)

    def step(
        self,
        targets: Float[Tensor, "2 21 3"],
        trust: Float[Tensor, "2 21"],
        arm_turn: Float[Tensor, "2 3 3"],
        arm_place: Float[Tensor, "2 3"],
        seconds: float,
    ) -> HandFrame:
        """The next frame.

        Args:
            targets, trust: points [m] as left hands in the order of `POINT_ORDER`, and their confidence, 0 = missing.
            arm_turn, arm_place: where the arms hold the hands, if nothing else is known.
            seconds: since the frame before.
        """
        prior, seen = self._prior, (trust > 0).sum(dim=1) >= FEWEST
        before = prior.mean if self._before is None else self._before
        mean, precision = self._expected(before, trust, seconds)
        problem = HandProblem(
            anatomy=self._anatomy,
            side=self._sides,
            targets=targets,
            weights=torch.where(seen[:, None], trust / _POINT_SIGMA**2, 0.0),
            mean=mean,
            precision=precision,
            prior_turn=arm_turn,
            turn_precision=_TURN_SIGMA**-2,
            prior_place=arm_place,
            place_precision=_PLACE_SIGMA**-2,
            robust_scale=_ROBUST_SCALE,
        )
        turn, place = palm_starts(self._anatomy, targets, trust, arm_turn, arm_place)
        found = solve_hands(problem, turn, place, before, LevenbergMarquardt(max_iterations=10))
        lost = seen & (found.distance > _LOST_ERROR)
        for side in range(2):
            if bool(seen[side]) and (bool(lost[side]) or not self._known[side]):
                found = self._searched(problem, found, turn, place, side)
        self._before = found.turns
        self._known = [bool(value) for value in seen]
        turn = torch.where(seen[:, None, None], found.turn, arm_turn)
        place = torch.where(seen[:, None], found.place, arm_place)
        return HandFrame(replace(found, turn=turn, place=place), seen, ~seen | (found.distance > _LOST_ERROR))

    def _expected(self, before: Tensor, trust: Tensor, seconds: float) -> tuple[Tensor, Tensor]:
        """Mean and precision of the fingers given the frame before: a random walk that is drawn to rest.

        With c times the prior's precision about the frame before, a finger that nobody sees goes 1 / (1 + c) of its way
        to rest; one that is seen is held as loosely as joints are fast.
        """
        prior = self._prior
        if self._before is None:
            return prior.mean, prior.precision
        walk = (self._spread / (_SPEED * seconds)).square().clamp(max=50.0)
        resting = max(_REST_S / (2 * seconds) - 1.0, 0.1)
        fingers = trust[:, 1:].unflatten(1, (5, 4))[:, :, 1:]
        hold = torch.where((fingers > 0).any(dim=-1), walk, torch.full_like(walk, resting))
        mean = (prior.mean + hold[..., None] * before) / (1 + hold[..., None])
        return mean, prior.precision * (1 + hold[..., None, None])

    def _in_company(self, turns: Float[Tensor, "5 9"], weights: Float[Tensor, "21"], side: int) -> Tensor:
        """What is expected of the fingers (5, 9), given how far the others are bent."""
        mean = self._prior.mean[side].clone()
        bend = slice(PARTS.index("flexion"), None, 3)
        away = (turns - mean)[:THUMB, bend]
        seen = (weights[1:].unflatten(0, (5, 4))[:THUMB, 1:] > 0).float().mean(dim=1, keepdim=True)
        others, total = (seen * away).sum(0) - seen * away, seen.sum() - seen
        mean[:THUMB, bend] += _COMPANY * others / (total + _ALONE)
        return mean

    def _searched(
        self, problem: HandProblem, found: HandSolution, turn: Tensor, place: Tensor, side: int
    ) -> HandSolution:
        """The same hands, one of them solved from several starts without the frame before, if that fits better."""
        prior, count = self._prior, 1 + len(_STARTS)
        starts = prior.mean[side].repeat(count, 1, 1)
        for number, bend in enumerate(_STARTS):
            starts[1 + number, :THUMB, PARTS.index("flexion") :: 3] = bend
        rows = self._sides[[side] * count]
        alone = replace(problem, mean=prior.mean, precision=prior.precision).select(rows)
        long = LevenbergMarquardt(max_iterations=30)
        search = solve_hands(alone, turn[rows], place[rows], starts, long)
        best = int(search.cost.argmin())
        # Fingers close together: what the seen ones do is expected of the others too, and all are solved once more.
        alone = replace(alone, mean=self._in_company(search.turns[best], problem.weights[side], side).expand_as(starts))
        search = solve_hands(alone, search.turn, search.place, search.turns, long)
        best = int(search.cost.argmin())
        if self._known[side] and not bool(search.distance[best] < 0.8 * found.distance[side]):
            return found
        for field in fields(found):
            getattr(found, field.name)[side] = getattr(search, field.name)[best]
        return found
