"""How noisy a recording is, before anything is fitted to it."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

# The highest order of differences looked at.
_ORDER = 4
# Fewer differences than this say nothing of noise.
_LEAST_SAMPLES = 20


def keypoint_noise(targets: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]) -> float:
    """Standard deviation [m] of what changes from frame to frame in keypoint coordinates and is not motion.

    The median size of high differences along time, which motion hardly has (of fast motion at 30 fps, some 2 mm are
    left) and outliers do not sway. Recordings too short or broken for them use lower ones; 0 where there is nothing.
    """
    for tried in range(min(_ORDER, len(targets) - 1), 0, -1):
        values, seen = targets, confidence > 0
        for _ in range(tried):
            values, seen = values[1:] - values[:-1], seen[1:] & seen[:-1]
        if int(seen.sum()) >= _LEAST_SAMPLES:
            # Half of a normal variable lies within 0.6745 sigma; differences of order n add up (2n choose n) of them.
            return float(values[seen].abs().median()) / 0.6745 / math.comb(2 * tried, tried) ** 0.5
    return 0.0
