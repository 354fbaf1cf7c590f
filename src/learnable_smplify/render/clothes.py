"""The swimsuit of `body.clothes` as colours of vertices."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from learnable_smplify.body.clothes import SUIT_COLOR, suit_cover
from learnable_smplify.render.frame import BODY_COLOR


def clothed_colors(weights: Float[np.ndarray, "V 24"]) -> Float[np.ndarray, "V 3"]:
    """Colour of each vertex of a body, sRGB in 0..255, by its skin weights on SMPL's joints."""
    suit = suit_cover(weights)[:, None]
    return (1 - suit) * np.asarray(BODY_COLOR, dtype=float) + suit * np.asarray(SUIT_COLOR)
