"""How much steps are damped: less after one that went as foretold, more and more while none lowers the cost.

Source: Nielsen 1999, "Damping parameter in Marquardt's method", IMM-REP-1999-05.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# What a step that lowers the cost leaves of the damping, at least; and what one that does not multiplies it by, the
# first time: the next time by twice as much.
LEAST_LEFT, FIRST_GROWTH = 1 / 9, 2.0
# More damping than this, and a problem is given up: steps are too short to change anything.
MOST_DAMPING = 1e8
# A foretold fall of the cost is at least this.
LEAST_FORETOLD = 1e-30


@dataclass(frozen=True, eq=False)
class Damping:
    """Marquardt's damping of B problems, or of one with B = (): relative to the diagonal of the normal matrix.

    Args:
        value: the damping.
        growth: what the next refused step multiplies it by.
    """

    value: Float[Tensor, "*B"]
    growth: Float[Tensor, "*B"]

    @staticmethod
    def first(value: float, like: Float[Tensor, "*B"]) -> Damping:
        """Of a search that begins, for problems with costs `like` these."""
        return Damping(torch.full_like(like, value), torch.full_like(like, FIRST_GROWTH))

    def after(
        self,
        better: Bool[Tensor, "*B"],
        worse: Bool[Tensor, "*B"],
        gained: Float[Tensor, "*B"],
        foretold: Float[Tensor, "*B"],
    ) -> Damping:
        """After a step that was taken where `better`, and refused for what it did where `worse`.

        Args:
            gained: by how much it lowered the cost.
            foretold: by how much the quadratic said it would.
        """
        left = torch.clamp(1 - (2 * gained / foretold.clamp(min=LEAST_FORETOLD) - 1) ** 3, min=LEAST_LEFT)
        factor = torch.where(better, left, torch.where(worse, self.growth, 1.0))
        growth = torch.where(better, FIRST_GROWTH, torch.where(worse, 2 * self.growth, self.growth))
        return Damping(self.value * factor, growth)

    def select(self, rows: Tensor) -> Damping:
        """Of the problems at these rows."""
        return Damping(self.value[rows], self.growth[rows])

    def is_stuck(self) -> Bool[Tensor, "*B"]:
        """Where no step helps any more."""
        return self.value > MOST_DAMPING


def foretold_gain(
    step: Float[Tensor, "*B N"], gradient: Float[Tensor, "*B N"], damped: Float[Tensor, "*B N"]
) -> Float[Tensor, "*B"]:
    """By how much the quadratic says that a damped step lowers the cost.

    Args:
        step: with (H + diag(damped)) step = -gradient.
        gradient: half the cost's.
        damped: what was added to the diagonal of H.
    """
    return (step * (damped * step - gradient)).sum(-1)
