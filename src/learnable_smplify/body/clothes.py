"""A plain swimsuit, painted on the trunk, so that a picture shows a person and not a nude."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from learnable_smplify.skeleton import JOINT_INDEX

# sRGB, 0..255.
BODY_COLOR, SUIT_COLOR = (176.0, 190.0, 205.0), (84.0, 104.0, 132.0)
_TRUNK = [JOINT_INDEX[name] for name in ("pelvis", "spine1", "spine2", "spine3")]
# The suit ends where the trunk carries this share of the skin, give or take.
_SEAM, _SOFT = 0.5, 0.06


def suit_cover(weights: Float[np.ndarray, "V J"]) -> Float[np.ndarray, " V"]:
    """How much of the suit covers each vertex, 0..1, by its skin weights; SMPL's joints come first."""
    trunk = weights[:, _TRUNK].sum(axis=1)
    return np.clip((trunk - _SEAM) / (2 * _SOFT) + 0.5, 0, 1)


def clothed_colors(weights: Float[np.ndarray, "V J"]) -> Float[np.ndarray, "V 3"]:
    """Colour of each vertex of a body, sRGB in 0..255. Argument as in `suit_cover`."""
    suit = suit_cover(weights)[:, None]
    return (1 - suit) * np.asarray(BODY_COLOR) + suit * np.asarray(SUIT_COLOR)
