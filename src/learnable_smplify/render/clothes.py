"""A plain swimsuit, painted: a shade on the trunk, so that a picture shows a person and not a nude."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from learnable_smplify.render.frame import BODY_COLOR
from learnable_smplify.skeleton import JOINT_INDEX

SUIT_COLOR = (84.0, 104.0, 132.0)  # sRGB, 0..255
_TRUNK = [JOINT_INDEX[name] for name in ("pelvis", "spine1", "spine2", "spine3")]
# The suit ends where the trunk carries this share of the skin, give or take.
_SEAM, _SOFT = 0.5, 0.06


def clothed_colors(weights: Float[np.ndarray, "V 24"]) -> Float[np.ndarray, "V 3"]:
    """Colour of each vertex of a body, sRGB in 0..255, by its skin weights on SMPL's joints."""
    trunk = weights[:, _TRUNK].sum(axis=1)
    suit = np.clip((trunk - _SEAM) / (2 * _SOFT) + 0.5, 0, 1)[:, None]
    return (1 - suit) * np.asarray(BODY_COLOR, dtype=float) + suit * np.asarray(SUIT_COLOR)
