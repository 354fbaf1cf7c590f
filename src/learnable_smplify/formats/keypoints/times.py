"""Time stamps of frames: how many frames a second they mean, and when the recording begins."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# A step this many times longer than most is a gap in the recording, not the time from one frame to the next.
_GAP = 2.5
_USUAL_RATES = (*(float(rate) for rate in range(1, 1001)), 24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001)
_MOST_DECIMALS = 6


def fps_from_times(times: Float[np.ndarray, "T"]) -> float | None:
    """Frames a second from time stamps in seconds, None when they do not run forward.

    Files round their times: at 30 frames a second the steps are 0.033, 0.033, 0.034. The rate is that of all frames
    together, (n - 1) / (last - first), without the time in gaps; a usual rate that differs from it by less than the
    rounding can explain is meant.
    """
    times = times[np.isfinite(times)]
    with np.errstate(over="ignore"):
        steps = np.diff(times)
    if steps.size == 0 or not np.median(steps) > 1e-5:
        return None
    steps = steps[(steps <= _GAP * np.median(steps)) & (steps >= 0)]
    duration = float(steps.sum())
    rate = len(steps) / duration
    slack = rate * _rounding(times) / duration
    near = [usual for usual in _USUAL_RATES if abs(usual - rate) <= max(slack, 1e-9 * rate)]
    return min(near, key=lambda usual: abs(usual - rate)) if near else rate


def start_of(times: Float[np.ndarray, "T"]) -> float:
    """The first time stamp [s]; 0 where there is none."""
    return float(times[0]) if len(times) and abs(times[0]) < 1e12 else 0.0


def _rounding(times: Float[np.ndarray, "T"]) -> float:
    """The unit of the last decimal that the times are written with [s]."""
    # Clocks that count from 1970 have no more digits than these.
    close = max(1e-9, 4 * float(np.spacing(np.abs(times).max())))
    for decimals in range(_MOST_DECIMALS):
        if np.allclose(times, np.round(times, decimals), rtol=0, atol=close):
            return float(10.0**-decimals)
    return float(10.0**-_MOST_DECIMALS)
