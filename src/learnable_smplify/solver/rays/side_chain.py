"""Chains over frames of cameras whose sides are exchanged or not: the cheapest, and by how much."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def cheapest_states(cost: Float[np.ndarray, "T S"], change: Float[np.ndarray, "T V"]) -> Int[np.ndarray, " T"]:
    """The cheapest chain of states by dynamic programming (Viterbi 1967).

    Args:
        cost: of each state in its frame; in the order of `side_costs.labels_of`.
        change: what it costs each of V cameras to be another in a frame than in the one before; may be a gain.
    """
    frames, count = cost.shape
    numbers = np.arange(count)
    flips = [numbers ^ (1 << view) for view in range(change.shape[1])]
    if bool((cost[:, :1] <= cost).all()) and bool((change >= 0).all()):
        return np.zeros(frames, dtype=np.int64)
    best, came = cost[0].copy(), []
    for t in range(1, frames):
        origin = numbers
        for view, flip in enumerate(flips):
            other = best[flip] + change[t, view]
            better = other < best
            best, origin = np.where(better, other, best), np.where(better, origin[flip], origin)
        came.append(origin)
        best = best + cost[t]
    states = [int(best.argmin())]
    for origin in reversed(came):
        states.append(int(origin[states[-1]]))
    return np.array(states[::-1])


def two_state_margins(one: Float[np.ndarray, " T"], change: Float[np.ndarray, " T-1"]) -> Float[np.ndarray, " T"]:
    """By how much the cheapest chain with state 1 in a frame is dearer than the cheapest with state 0 there.

    Args:
        one: what state 1 costs more than state 0, in each frame.
        change: what it costs to be another than in the frame before.
    """

    def messages(own: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """What all frames before say."""
        told = [0.0]
        for value, step in zip(own[:-1].tolist(), steps.tolist(), strict=True):
            limit = abs(step)
            passed = min(max(told[-1] + value, -limit), limit)
            told.append(passed if step >= 0 else -passed)
        return np.array(told)

    margins: np.ndarray = one + messages(one, change) + messages(one[::-1], change[::-1])[::-1]
    return margins
