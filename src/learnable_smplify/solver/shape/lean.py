"""Whether a pelvis leans only because the body's limbs and trunk are not as long as the person's.

Betas explain some proportions of people. What is left of longer legs below a shorter trunk is off in every frame alike,
and a fit to the body's own points pays for it with posture: the pelvis tips, the belly comes out, the head hangs. The
estimate of a shape knows what stays the same from frame to frame, and holds the pelvis without that.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.shape.estimate import ShapeEstimate

# A pelvis that tips further [deg] makes up for lengths. In recordings of real people, and of two in three whose
# detector errs as detectors do (train clips), it tips by less; where legs are a tenth longer or shorter, by 9 to 23.
_TIPS_DEG = 7.0


def lean_deg(told: ShapeEstimate, rotmat: Float[Tensor, "T 24 3 3"]) -> float:
    """By how much the pelvis of a fit tips forward (negative: back) of where the shape's estimate has it [deg].

    The median over the frames of the estimate; 0 where that takes the keypoints for the body's own.
    """
    if told.offsets is None or told.frames is None or told.pelvis is None:
        return 0.0
    turn = rotmat_to_rotvec(told.pelvis.mT @ rotmat[told.frames, 0].to(told.pelvis))
    return float(torch.rad2deg(turn[:, 0].median()))


def makes_up_for_lengths(lean: float) -> bool:
    """Whether a lean [deg] is larger than what detectors' errors mostly cause."""
    return abs(lean) > _TIPS_DEG


def lean_note(lean: float, error_mm: float) -> str:
    """What a user should know of a fit that meets directions of bones rather than places.

    Args:
        lean: of a fit to the body's own points [deg].
        error_mm: what those are off by on average.
    """
    return (
        f"the limbs and trunk that the keypoints show are not as long as the body's can be: it stays {error_mm:.0f} mm "
        f"beside them, or the pelvis would tip {'forward' if lean > 0 else 'back'} by {abs(lean):.0f} degrees to make "
        "up for it; how trunk and head are held is less certain"
    )
