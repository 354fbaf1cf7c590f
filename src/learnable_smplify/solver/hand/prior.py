"""What fingers do when nobody sees them: near the relaxed hand, by what hands do and what joints can.

The widths were taken from 1,466 hands of the CC0 animations of mesh2motion (140 animations, five frames a second; the
fingers fitted with this room's own solver) and widened where the animators used less than anatomy has: their hinges
only bend, and their fingers spread little. Hinges keep the play of their ligaments; last joints follow middle ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.hands import relaxed_hands
from learnable_smplify.solver.hand.anatomy import THUMB, Anatomy

# Standard deviations [deg] of twist, spread and flexion: knuckle, middle joint, last joint; and correlations of the
# flexions: of first and second joint, second and third, first and third.
_FINGER = (2.5, 6.5, 32.0, 1.2, 1.0, 34.0, 1.2, 1.0, 22.0), (0.5, 0.92, 0.45)
_THUMB = (12.0, 14.0, 14.0, 5.0, 6.0, 22.0, 1.5, 1.5, 30.0), (0.2, 0.5, 0.1)


@dataclass(frozen=True, eq=False)
class HandPrior:
    """Mean (2, 5, 9) [rad] and precision (2, 5, 9, 9) [1/rad^2] of the turns of each hand's fingers."""

    mean: Float[Tensor, "2 5 9"]
    precision: Float[Tensor, "2 5 9 9"]

    @staticmethod
    def of(anatomy: Anatomy) -> HandPrior:
        """About the relaxed hand, as far as the person's anatomy allows it."""
        relaxed = anatomy.within(anatomy.turns(relaxed_hands()[None].to(anatomy.offsets)))[0]
        precision = torch.stack(
            [_precision(*(_THUMB if finger == THUMB else _FINGER)) for finger in range(relaxed.shape[1])]
        )
        return HandPrior(relaxed, precision.to(relaxed).expand(2, -1, -1, -1))


def _precision(sigma_deg: tuple[float, ...], bends: tuple[float, float, float]) -> Float[Tensor, "9 9"]:
    sigma = torch.deg2rad(torch.tensor(sigma_deg, dtype=torch.float64))
    correlation = torch.eye(9, dtype=torch.float64)
    for (first, second), value in zip(((2, 5), (5, 8), (2, 8)), bends, strict=True):
        correlation[first, second] = correlation[second, first] = value
    return torch.linalg.inv(correlation * sigma[:, None] * sigma).float()
