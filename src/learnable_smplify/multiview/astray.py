"""Where one camera's track goes astray: it still is near the person, and is of somebody in front of them, or of nobody.

Who is who is settled for whole windows and forgives much, so that people are not lost. A camera that disagrees with
others that agree with each other is better left out for the moment: it would take the sides of the body with it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from learnable_smplify.multiview.people import window_costs
from learnable_smplify.multiview.rays import Rig, Sightlines

# Tracks are looked at over this time [s].
_WINDOW_S = 0.1
# A camera is astray when its rays miss the others' by this much on average, in sizes of the person, and the others miss
# each other by less than this share of it.
_ASTRAY, _OTHERS = 0.055, 0.5


def astray(lines: Sequence[Sightlines], rig: Rig, fps: float) -> Bool[np.ndarray, "V T"]:
    """In which frames each camera's track of one person is left out.

    Args:
        lines: of one person, one for each camera of the rig.
        rig: the cameras.
        fps: frames a second.
    """
    frames = len(lines[0].rays)
    out = np.zeros((len(lines), frames), dtype=bool)
    if len(lines) < 3:
        return out
    step = max(1, round(_WINDOW_S * fps))
    for begin in range(0, frames, step):
        window = slice(begin, min(begin + step, frames))
        for index in _outsiders(window_costs(lines, rig, window)):
            out[index, window] = True
    return out


def _outsiders(costs: Float[np.ndarray, "V V"]) -> list[int]:
    """The cameras that miss those that agree: from the pair that agrees best on, whoever agrees with them joins."""
    known = {
        (one, two): float(costs[one, two])
        for one, two in itertools.combinations(range(len(costs)), 2)
        if np.isfinite(costs[one, two])
    }
    if not known:
        return []
    inside = list(min(known.items(), key=lambda pair: pair[1])[0])
    left = [index for index in range(len(costs)) if index not in inside and np.isfinite(costs[index, inside]).all()]
    while left:
        nearest = min(left, key=lambda index: float(costs[index, inside].mean()))
        away = float(costs[nearest, inside].mean())
        among = np.mean([costs[one, two] for one, two in itertools.combinations(inside, 2)])
        if away > _ASTRAY and among < _OTHERS * away:
            return left
        inside.append(nearest)
        left.remove(nearest)
    return []
