"""The order of frames: frames that stand there several times."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Fewer frames show no habit.
_FEWEST = 20
# Frames repeat as a rule if this share of them stands there equally often.
_REGULAR = 0.9


def repeated(points: Float[np.ndarray, "T K 3"]) -> str:
    """What to say of a recording whose frames all stand there several times, or nothing.

    Args:
        points: metres; NaN where not measured.
    """
    same = ((points[1:] == points[:-1]) | np.isnan(points[1:]) & np.isnan(points[:-1])).all(axis=(1, 2))
    often = np.diff(np.flatnonzero(np.concatenate(([True], ~same))))
    if len(points) < _FEWEST or len(often) < 2:
        return ""
    usual = int(np.median(often))
    if usual < 2 or (often == usual).mean() < _REGULAR:
        return ""
    times = "twice" if usual == 2 else f"{usual} times"
    return f"every frame stands there {times}: {int(same.sum())} of {len(points)} repeat the one before"
