"""Time stamps and numbers of frames: how many frames a second, which frames are lost, when the recording begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DEFAULT_FPS = 30.0
"""Of recordings whose rate nobody tells."""
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
# Frames may be left out of a recording, but numbers that run away are damage and would only fill memory.
_MOST_FRAMES_A_PLACE = 20
# A clock whose steps are nearly all whole multiples of the usual one, within so much, shows single lost frames too.
_REGULAR, _NEARLY_ALL = 0.2, 0.95
# Frames are up to a quarter of a second apart, and 250 a second at most: longer steps are counted in smaller units.
_FINER = ((4e6, 1e-9, "nanoseconds"), (4e3, 1e-6, "microseconds"), (5.0, 1e-3, "milliseconds"))


@dataclass(frozen=True)
class Places:
    """Where in a recording the frames are that a file has.

    Args:
        at: of each, its frame.
        frames: T, how many frames there are with those that are lost.
        notes: lines for the user.
    """

    at: tuple[int, ...]
    frames: int
    notes: tuple[str, ...] = ()

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the file's frames among NaN in those that are lost."""
        if self.at == tuple(range(self.frames)):
            return values
        found = np.full((self.frames, *values.shape[1:]), np.nan)
        found[list(self.at)] = values
        return found


def every_frame(count: int) -> Places:
    """The places of frames of which none is lost."""
    return Places(tuple(range(count)), count)


def places_of_numbers(numbers: Sequence[int], what: str) -> Places:
    """The places of frames that have numbers, which go up: those that are left out are frames without people.

    Args:
        numbers: of the frames; steps that are all multiples of one number are no gaps.
        what: a frame has in the file, for the note.
    """
    step = math.gcd(*np.diff(np.asarray(numbers, dtype=object)).tolist()) or 1
    at = [(number - numbers[0]) // step for number in numbers]
    found = _places(at, what, "the frame numbers leave")
    if step == 1 or found.frames == 1:
        return found
    return Places(
        found.at, found.frames, (f"the frame numbers go up by {step}: taken as one frame after another", *found.notes)
    )


def places_of_times(times: Float[np.ndarray, "T"], what: str) -> Places:
    """The places of frames that have times: steps much longer than most jump over frames that are lost.

    Args:
        times: in any unit; NaN, or times that do not go up, show no gaps.
        what: as in `places_of_numbers`.
    """
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    if not np.isfinite(times).all() or not usual > 0 or steps.min() <= 0:
        return every_frame(len(times))
    counts = np.maximum(np.rint(steps / usual), 1.0)
    if np.mean(np.abs(steps / usual - counts) < _REGULAR) < _NEARLY_ALL:
        counts = np.where(steps > _GAP * usual, counts, 1.0)
    if counts.sum() > _MOST_FRAMES_A_PLACE * len(times):
        counts = np.minimum(counts, _MOST_FRAMES_A_PLACE * len(times) + 1.0)
    return _places([0, *np.cumsum(counts).astype(np.int64).tolist()], what, "the times leave")


def _places(at: list[int], what: str, long: str) -> Places:
    count = at[-1] + 1
    if count > _MOST_FRAMES_A_PLACE * len(at):
        return Places(every_frame(len(at)).at, len(at), (f"{long} long gaps: taken as one after another",))
    lost = count - len(at)
    note = f"{lost} of {count} frames have no {what}: nobody is measured in them"
    return Places(tuple(at), count, (note,) if lost else ())


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
