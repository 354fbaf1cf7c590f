"""Whose betas: the estimator's and the average person's both count as prior, keypoints decide where they can."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.motion import Motion
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.shape.limb_lengths import betas_from_lengths, limb_lengths

# With noisier keypoints [m] limbs measure too long, and the search starts from the prior instead.
_LENGTHS_BELOW = 0.025


def known_betas(estimate: Motion, body: Body) -> Float[Tensor, "10"] | None:
    """The estimate's betas; None where they are another body's, and mean other shapes."""
    return estimate.betas if (estimate.body, estimate.gender) == (body.name, body.gender) else None


def shape_centre(estimated: Float[Tensor, "10"] | None, like: Tensor) -> Float[Tensor, "10"]:
    """Middle of the prior on betas: between the estimator's and the average person's, if the estimator knows any.

    The product of N(betas, 1), taking estimators to be off by about one, and of N(0, 1).
    """
    return torch.zeros(10).to(like) if estimated is None else 0.5 * estimated.to(like)


def first_betas(
    folded: FoldedPoints,
    centre: Float[Tensor, "10"],
    priors: Priors,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    noise: float,
) -> Float[Tensor, "10"]:
    """Betas to start from: of the limbs' lengths where the keypoints are good enough to measure them."""
    if noise > _LENGTHS_BELOW:
        return centre
    return centre + betas_from_lengths(limb_lengths(folded.recentred(centre), priors), targets, confidence)
