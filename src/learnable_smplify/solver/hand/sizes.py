"""How long a person's finger bones are, measured on their own hand points.

Betas make hands longer or shorter with the body, but the hands of people and those that a detector imagines have
proportions of their own. A bone's length is known once for the whole recording, from all frames that show both its
ends; short bones, which noise lengthens, and hands that are hardly seen stay near the body's.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.solver.hand.anatomy import Anatomy

# Hands differ from the body's by so much as a whole, and each bone by so much more (logarithms).
_SIZE_SIGMA, _BONE_SIGMA = 0.06, 0.04
# What a measured coordinate may be off by, where nothing tells it [m].
_NOISE = 0.004
# Measurements from which their scatter tells it.
_ENOUGH = 10
# One pose of a hand, however exact its points look, tells its sizes no better than this: detectors bend bones with it.
_POSE_SIGMA = 0.1
# Errors of a detector are alike from frame to frame: so many frames are worth no more than so many independent ones.
_INDEPENDENT = 30
# Ratios beyond this are a wrong unit or another hand.
_LARGEST = 1.6
# The points of each finger (5, 5) from the wrist on.
_CHAINS = torch.tensor([[0, *range(4 * finger + 1, 4 * finger + 5)] for finger in range(5)])


def bone_lengths(
    anatomy: Anatomy, targets: Float[Tensor, "T 2 21 3"], trust: Float[Tensor, "T 2 21"]
) -> Float[Tensor, "5 4"]:
    """How many times as long as the body's the bones of both hands are: posterior means.

    Args:
        anatomy: of the body.
        targets, trust: both hands' points as left hands, in the order of `POINT_ORDER`.
    """
    points, shown = targets.double().flatten(0, 1)[:, _CHAINS], (trust > 0).flatten(0, 1)[:, _CHAINS]
    length, seen = points.diff(dim=2).norm(dim=-1), shown[:, :, 1:] & shown[:, :, :-1]  # of every frame and hand
    count = seen.sum(dim=0)
    squared = length.square()
    known = seen.double()
    mean_square = (squared * known).sum(0) / count.clamp(min=1)
    mean = (length * known).sum(0) / count.clamp(min=1)
    spread = ((length - mean).square() * known).sum(0)
    freedom = (count - 1).clamp(min=0)
    # The same bone of both hands, or of many frames, tells how noisy lengths are; of all bones if one alone has few.
    together = float(spread.sum() / freedom.sum().clamp(min=1))
    together = together if int(freedom.sum()) >= _ENOUGH else 2 * _NOISE**2
    scatter = torch.where(count >= _ENOUGH, spread / freedom.clamp(min=1), torch.full_like(spread, together))
    # A bone d with noise of variance s^2 a coordinate at each end measures E m^2 = d^2 + 6 s^2, and scatters by 2 s^2.
    own = anatomy.offsets.double().norm(dim=-1).mean(dim=0)
    estimate = (mean_square - 3 * scatter).clamp(min=0.25 * own.square()).sqrt()
    ratio = torch.log((estimate / own).clamp(1 / _LARGEST, _LARGEST))
    times = count.clamp(min=1, max=_INDEPENDENT)
    variance = scatter / (own.square() * times) + _POSE_SIGMA**2 / times
    # Log ratio = size + bone's own + noise, all Gaussian about zero; a pose's own error is shared by its bones.
    weight = torch.where(count > 0, 1 / (variance + _BONE_SIGMA**2), 0.0)
    of_size = 1 / weight.sum().clamp(min=1e-9) + _POSE_SIGMA**2 / times.max()
    size = (weight * ratio).sum() / weight.sum().clamp(min=1e-9) * _SIZE_SIGMA**2 / (_SIZE_SIGMA**2 + of_size)
    alone = torch.where(count > 0, _BONE_SIGMA**2 / (variance + _BONE_SIGMA**2), 0.0)
    return torch.exp(size + alone * (ratio - size)).float()
