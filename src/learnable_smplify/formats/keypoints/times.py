"""Time stamps of frames: how many frames a second they mean, and when the recording begins."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# A step this many times longer than most is a gap in the recording, not the time from one frame to the next.
_GAP = 2.5
# Where the rounding leaves several possible, one of these is meant.
_RARE = 1.04
_FILM_RATES = (24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001)
_COMMON_RATES = (
    *(10.0, 12.0, 12.5, 15.0, 20.0, 24.0, 25.0, 30.0, 50.0, 60.0, 90.0, 100.0, 120.0, 150.0, 200.0, 240.0),
    *_FILM_RATES,
)
_USUAL_RATES = (*(float(rate) for rate in range(1, 1001)), *_FILM_RATES)
_MOST_DECIMALS = 6
# Frames are up to a quarter of a second apart, and 250 a second at most: longer steps are counted in smaller units.
_FINER = ((4e6, 1e-9, "nanoseconds"), (4e3, 1e-6, "microseconds"), (5.0, 1e-3, "milliseconds"))


def clock_unit(times: Float[np.ndarray, "T"]) -> tuple[float, str]:
    """What a clock that does not say counts in, by its steps: in seconds, and its name."""
    steps = np.diff(times[np.isfinite(times)])
    step = float(np.median(steps)) if steps.size else 0.0
    return next(((scale, name) for least, scale, name in _FINER if step >= least), (1.0, "seconds"))


def fps_from_times(times: Float[np.ndarray, "T"]) -> float | None:
    """Frames a second from time stamps in seconds, None when they do not run forward.

    Files round their times: at 30 frames a second the steps are 0.033, 0.033, 0.034. The rate is that of all frames
    together, (n - 1) / (last - first), without the time in gaps; a usual rate that differs from it by less than the
    rounding can explain is meant.
    """
    places = np.flatnonzero(np.isfinite(times))
    times, counts = times[places], np.diff(places)
    with np.errstate(over="ignore"):
        steps = np.diff(times)
    if steps.size == 0 or not np.median(steps) > 1e-5:
        return None
    kept = (steps <= _GAP * counts * np.median(steps)) & (steps >= 0)
    duration, frames = float(steps[kept].sum()), int(counts[kept].sum())
    rate = frames / duration
    slack = max(rate * _rounding(times) / duration, 1e-9 * rate)
    for rates in (_COMMON_RATES, _USUAL_RATES):
        near = [usual for usual in rates if abs(usual - rate) <= slack]
        if near and kept.all():
            # The one whose frames the written times follow best: rounding does not drift.
            return min(near, key=lambda usual: _drift(times, places, usual))
        if near:
            return min(near, key=lambda usual: abs(usual - rate))
    return rate


def _drift(times: Float[np.ndarray, "N"], places: np.ndarray, rate: float) -> float:
    """How far times stray from those of a rate [s]; of a whole rate and a film's beside it, the whole one is usual."""
    return float(np.std(times - places / rate)) * (_RARE if rate in _FILM_RATES else 1.0)


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
