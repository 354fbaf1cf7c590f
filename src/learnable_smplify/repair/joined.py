"""Two people in one recording, of whom the second takes the first one's place: all limbs change at one moment."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

# Limbs and frames of each person that are needed.
_LIMBS, _FRAMES = 6, 15
# Limbs are longer by this (logarithm) at least ...
_STEP = 0.06
# ... all but one of them within this share of it, and all but so many frames nearer to their own person's.
_ALIKE, _ASTRAY = 0.35, 0.03
# Neither person's size goes so far the same way, from the first half of their frames to the second.
_LEVEL = 0.2
# The change is made within so many frames, and the first is seen no longer before the second than this [s].
_AT_ONCE, _APART_S = 8, 1.0


@dataclass(frozen=True, eq=False)
class Joint:
    """Where two people meet.

    Args:
        frame: the first of the second person.
        ratio: how many times as long as before all limbs are from there on.
    """

    frame: int
    ratio: float

    @property
    def reason(self) -> str:
        """For the user."""
        percent, word = 100 * abs(self.ratio - 1), "longer" if self.ratio > 1 else "shorter"
        return f"all limbs are {percent:.0f} % {word} from frame {self.frame} on: two people in one recording?"

    def fewer(self, frames: int) -> Bool[np.ndarray, " T"]:
        """The frames of the one seen less long, of a recording of so many."""
        second = np.arange(frames) >= self.frame
        return second if 2 * self.frame > frames else ~second


def find_joint(limbs: Float[np.ndarray, "T L"], fps: float) -> Joint | None:
    """The moment at which all limbs change their length together, once and for good.

    A detector's lengths depend on the pose, on how far away the person is and on chance; but a pose takes time to
    change, and what comes by chance goes again.

    Args:
        limbs: metres; NaN where not seen.
        fps: frames a second.
    """
    rows = np.flatnonzero(np.isfinite(limbs).sum(axis=1) >= _LIMBS)
    if len(rows) < 2 * _FRAMES:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a limb that is never seen
        logs = np.log(np.maximum(limbs[rows], 1e-6))
        size = np.nanmedian(logs - np.nanmedian(logs, axis=0), axis=1)
        count = np.arange(1, len(rows))
        apart = np.abs(np.cumsum(size - size.mean())[:-1]) / np.sqrt(count * (len(rows) - count))
        split = int(apart[_FRAMES - 1 : len(rows) - _FRAMES].argmax()) + _FRAMES
        before, after = (np.nanmedian(part, axis=0) for part in (logs[:split], logs[split:]))
        each = after - before
    old, new = np.median(size[:split]), np.median(size[split:])
    step = float(new - old)
    at_once = _at(size, rows, split, slice(split, split + _AT_ONCE)) - _at(
        size, rows, split, slice(split - _AT_ONCE, split)
    )
    away = np.abs(np.concatenate((size[:split] - old, size[split:] - new)))
    each = each[np.isfinite(each)]
    found = (
        abs(step) > _STEP
        and (np.abs(each - step) > _ALIKE * abs(step)).sum() <= 1
        and abs(at_once - step) < _ALIKE * abs(step)
        and (away > 0.5 * abs(step)).mean() <= _ASTRAY
        and max(_drift(size[:split]), _drift(size[split:])) < _LEVEL * abs(step)
        and rows[split] - rows[split - 1] <= _APART_S * fps
    )
    return Joint(int(rows[split]), float(np.exp(step))) if found else None


def _at(size: Float[np.ndarray, " N"], rows: np.ndarray, split: int, part: slice) -> float:
    """Where the line through some of the sizes is in the middle between the two people."""
    middle = (rows[split - 1] + rows[split]) / 2
    return float(np.polyval(np.polyfit(rows[part] - middle, size[part], 1), 0.0))


def _drift(size: Float[np.ndarray, " N"]) -> float:
    """How much it is another in the second half."""
    half = len(size) // 2
    return abs(float(np.median(size[half:]) - np.median(size[:half])))
