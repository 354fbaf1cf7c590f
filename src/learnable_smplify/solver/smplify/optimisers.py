"""Adam and L-BFGS for a batch of independent problems.

A frame's answer must not depend on which frames happen to be solved beside it. Adam works number by number, so one Adam
on the sum of all energies already is one Adam a problem. L-BFGS is not: on the sum it would choose one step length, and
one curvature, for all problems together, and grow worse with the batch. So every problem here has its own history and
its own line search; they only share the evaluations. Problems that are done are no longer evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Energies (P,) of problems at x (P, N); the second argument tells which problems the rows of x are.
Energy = Callable[[Tensor, Tensor], Tensor]

_HISTORY = 10
_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_MAX_TRIALS = 12
# The first step has no curvature to go by; no number moves by more than this [rad, m or units of beta].
_FIRST_STEP = 0.05


def adam(energy: Energy, start: Float[Tensor, "B N"], iterations: int, learning_rate: float) -> Float[Tensor, "B N"]:
    """`iterations` steps of Adam (Kingma, Ba 2015), the learning rate falling to 0 along a half cosine."""
    x = start.clone().requires_grad_(True)
    rows = torch.arange(len(start), device=start.device)
    optimiser = torch.optim.Adam([x], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(iterations, 1))
    for _ in range(iterations):
        optimiser.zero_grad()
        energy(x, rows).sum().backward()
        optimiser.step()
        schedule.step()
    return x.detach()


def lbfgs(
    energy: Energy, start: Float[Tensor, "B N"], iterations: int, tolerance: float = 1e-5
) -> Float[Tensor, "B N"]:
    """At most `iterations` steps of L-BFGS (Nocedal, Wright 2006, alg. 7.5) with a weak Wolfe line search.

    Args:
        tolerance: a problem is done when a step lowers its energy by less than this share.
    """
    x = start.clone()
    active = torch.arange(len(start), device=start.device)
    value, gradient = _evaluate(energy, x, active)
    state = _State(x, value, gradient)
    for _ in range(iterations):
        direction = state.direction()
        slope = (direction * state.gradient).sum(1)
        uphill = slope >= 0  # rounding spoilt the history: start it anew
        direction = torch.where(uphill[:, None], -state.gradient, direction)
        slope = torch.where(uphill, -state.gradient.square().sum(1), slope)
        first = _FIRST_STEP / direction.abs().amax(1).clamp(min=1e-12)
        length = torch.where(uphill | (len(state.steps) == 0), first.clamp(max=1.0), torch.ones_like(first))
        trial = _line_search(energy, state, direction, slope, length, active)
        gain = state.value - trial.value
        x[active] = trial.x
        going = gain > tolerance * state.value.abs().clamp(min=1e-12)
        state = state.moved_to(trial).select(going)
        active = active[going]
        if len(active) == 0:
            break
    return x


@dataclass(eq=False)
class _Point:
    x: Tensor
    value: Tensor
    gradient: Tensor


@dataclass(eq=False)
class _State(_Point):
    """Where the problems are, and the last steps with the changes of the gradient over them."""

    steps: tuple[Tensor, ...] = ()
    turns: tuple[Tensor, ...] = ()

    def direction(self) -> Tensor:
        """Minus the inverse Hessian, as the history has it, times the gradient: the two-loop recursion."""
        q = self.gradient
        taken = []
        for step, turn in zip(reversed(self.steps), reversed(self.turns), strict=True):
            rho = _inverse((step * turn).sum(1))
            alpha = rho * (step * q).sum(1)
            q = q - alpha[:, None] * turn
            taken.append((rho, alpha))
        if self.steps:
            q = q * self._scale()[:, None]
        for step, turn, (rho, alpha) in zip(self.steps, self.turns, reversed(taken), strict=True):
            beta = rho * (turn * q).sum(1)
            q = q + (alpha - beta)[:, None] * step
        return -q

    def _scale(self) -> Tensor:
        step, turn = self.steps[-1], self.turns[-1]
        curvature = (step * turn).sum(1)
        scale = curvature * _inverse(turn.square().sum(1))
        first = _FIRST_STEP / self.gradient.abs().amax(1).clamp(min=1e-12)
        return torch.where(curvature > 0, scale, first)

    def moved_to(self, point: _Point) -> _State:
        step, turn = point.x - self.x, point.gradient - self.gradient
        # A pair without positive curvature would spoil the approximation: zeros take no part in it.
        good = (step * turn).sum(1) > 1e-7 * step.norm(dim=1) * turn.norm(dim=1)
        step, turn = step * good[:, None], turn * good[:, None]
        return _State(
            point.x,
            point.value,
            point.gradient,
            (*self.steps, step)[-_HISTORY:],
            (*self.turns, turn)[-_HISTORY:],
        )

    def select(self, rows: Tensor) -> _State:
        return _State(
            self.x[rows],
            self.value[rows],
            self.gradient[rows],
            tuple(step[rows] for step in self.steps),
            tuple(turn[rows] for turn in self.turns),
        )


def _line_search(
    energy: Energy, state: _State, direction: Tensor, slope: Tensor, length: Tensor, active: Tensor
) -> _Point:
    """Steps that lower the energy enough without being too short, by bisection (Lewis, Overton 2013).

    A problem that finds none keeps the best point it has seen, which may be where it was.
    """
    best = _Point(state.x.clone(), state.value.clone(), state.gradient.clone())
    low, high = torch.zeros_like(length), torch.full_like(length, torch.inf)
    rows = torch.arange(len(length), device=length.device)
    for _ in range(_MAX_TRIALS):
        x = state.x[rows] + length[rows, None] * direction[rows]
        value, gradient = _evaluate(energy, x, active[rows])
        enough = value <= state.value[rows] + _SUFFICIENT_DECREASE * length[rows] * slope[rows]
        flat = (gradient * direction[rows]).sum(1) >= _CURVATURE * slope[rows]
        better = value < best.value[rows]
        kept = rows[better]
        best.x[kept], best.value[kept], best.gradient[kept] = x[better], value[better], gradient[better]
        done = enough & flat
        too_long, too_short = rows[~enough], rows[enough & ~flat]
        high[too_long], low[too_short] = length[too_long], length[too_short]
        rows = rows[~done]
        if len(rows) == 0:
            break
        open_end = torch.isinf(high[rows])
        length[rows] = torch.where(open_end, 2 * low[rows], 0.5 * (low[rows] + high[rows]))
    return best


def _evaluate(energy: Energy, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        variable = x.detach().requires_grad_(True)
        value = energy(variable, rows)
        (gradient,) = torch.autograd.grad(value.sum(), variable)
    value = value.detach()
    # A step so wild that the energy is no number is a step too long.
    broken = ~torch.isfinite(value) | ~torch.isfinite(gradient).all(1)
    return torch.where(broken, torch.inf, value), torch.where(broken[:, None], 0.0, gradient)


def _inverse(value: Tensor) -> Tensor:
    """1 / value, and 0 where a pair of the history takes no part."""
    return torch.where(value > 0, 1 / value.clamp(min=1e-30), 0.0)
