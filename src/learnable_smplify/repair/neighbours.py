"""Where a keypoint should be, judged by the frames around: the nearest valid frames, and curves through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For every entry two valid frames before it and two after, each at least `step` frames from the one nearer to it.

    Args:
        before, before2: (T, K) frame numbers, -1 if there is none.
        after, after2: (T, K) frame numbers, T if there is none.
    """

    before2: Int[np.ndarray, "T K"]
    before: Int[np.ndarray, "T K"]
    after: Int[np.ndarray, "T K"]
    after2: Int[np.ndarray, "T K"]


def neighbours(valid: Bool[np.ndarray, "T K"], step: int = 1) -> Neighbours:
    """Find them (linear in T)."""
    before, before2 = _two_before(valid, step)
    after, after2 = (len(valid) - 1 - frame[::-1] for frame in _two_before(valid[::-1], step))
    return Neighbours(before2, before, after, after2)


def latest(mask: Bool[np.ndarray, "T K"]) -> Int[np.ndarray, "T K"]:
    """The last frame up to each one where `mask` is True, -1 if there is none."""
    frames = np.arange(len(mask), dtype=np.int32)[:, None]
    return np.maximum.accumulate(np.where(mask, frames, np.int32(-1)), axis=0)


def at(values: Float[np.ndarray, "T K *D"], frame: Int[np.ndarray, "T K"]) -> Float[np.ndarray, "T K *D"]:
    """`values[frame[t, k], k]`; frames outside the recording give its first or last."""
    rows = frame.clip(0, len(values) - 1).astype(np.intp) * values.shape[1] + np.arange(values.shape[1])
    return values.reshape(-1, *values.shape[2:]).take(rows, axis=0)


def curve_through(
    positions: Float[np.ndarray, "T K 3"],
    frame: Int[np.ndarray, " N"],
    keypoint: Int[np.ndarray, " N"],
    through: tuple[Int[np.ndarray, " N"], ...],
    reach: float,
) -> Float[np.ndarray, "N 3"]:
    """The value at N entries of the polynomial in time through their positions at the frames `through` (Lagrange).

    Entries that lack one of these frames, or have one more than `reach` frames away, are NaN.
    """
    times = [(other - frame).astype(np.float32) for other in through]
    value = np.zeros((len(frame), 3), dtype=np.float32)
    for index, other in enumerate(through):
        weight = np.ones(len(frame), dtype=np.float32)
        for rest, time in enumerate(times):
            if rest != index:
                apart = times[index] - time
                weight *= -time / np.where(apart == 0, 1, apart)
        value += weight[:, None] * positions[other.clip(0, len(positions) - 1), keypoint]
        value[(other < 0) | (other >= len(positions)) | (np.abs(times[index]) > reach)] = np.nan
    return value


def _two_before(valid: Bool[np.ndarray, "T K"], step: int) -> tuple[Int[np.ndarray, "T K"], Int[np.ndarray, "T K"]]:
    before = np.concatenate((np.full((step, valid.shape[1]), -1, dtype=np.int32), latest(valid)))[: len(valid)]
    return before, np.where(before >= 0, at(before, before), np.int32(-1))
