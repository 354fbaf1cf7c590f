"""Bones that change their length, as evidence against the keypoints at their ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

# A bone is wrong when it is off by more than this [m] and this many times its usual spread.
_ERROR, _FACTOR = 0.05, 3.5
# Frames from which lengths are taken.
_FRAMES = 4000


@dataclass(frozen=True, eq=False)
class BoneLengths:
    """What the bones of one person measure.

    Args:
        keypoints: K.
        bones: (E, 2) keypoints.
        length: (E,) median, metres; NaN for a bone never seen.
        tolerance: (E,) metres; infinite for a bone never seen.
    """

    keypoints: int
    bones: Int[np.ndarray, "E 2"]
    length: Float[np.ndarray, " E"]
    tolerance: Float[np.ndarray, " E"]

    def excess(
        self,
        positions: Float[np.ndarray, "T K 3"],
        valid: Bool[np.ndarray, "T K"],
        frame: Int[np.ndarray, " N"],
        keypoint: Int[np.ndarray, " N"],
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """For N keypoints the smallest and the largest error of their bones in units of the bones' tolerance.

        Bones whose other end is not valid do not count; without any bone the results are NaN.
        """
        if not len(frame) or not len(self.bones):
            return np.full(len(frame), np.nan), np.full(len(frame), np.nan)
        bone, far = (table[keypoint] for table in self._attached)
        row = frame[:, None]
        apart = np.linalg.norm(positions[row, keypoint[:, None]] - positions[row, far], axis=-1)
        error = np.abs(apart - self.length[bone]) / self.tolerance[bone]
        counts = (bone >= 0) & valid[row, far]
        none = ~counts.any(axis=1)
        smallest = np.where(counts, error, np.inf).min(axis=1)
        largest = np.where(counts, error, 0).max(axis=1)
        return np.where(none, np.nan, smallest), np.where(none, np.nan, largest)

    @cached_property
    def _attached(self) -> tuple[Int[np.ndarray, "K D"], Int[np.ndarray, "K D"]]:
        """For each keypoint its bones and the keypoints at their other ends, filled up with -1."""
        count = self.keypoints
        rows: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for bone, (one, other) in enumerate(self.bones.tolist()):
            rows[one].append((bone, other))
            rows[other].append((bone, one))
        table = np.full((count, max(map(len, rows)), 2), -1)
        for keypoint, row in enumerate(rows):
            table[keypoint, : len(row)] = row if row else np.zeros((0, 2))
        return table[..., 0], table[..., 1]


def bone_lengths(
    bones: Int[np.ndarray, "E 2"], positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]
) -> BoneLengths:
    """Medians over the recording, and how much a bone's length varies (noise, and bones that are not rigid)."""
    rows = np.unique(np.linspace(0, len(positions) - 1, min(_FRAMES, len(positions))).astype(int))
    first, second = bones.T
    apart = np.linalg.norm(positions[rows][:, first] - positions[rows][:, second], axis=-1)
    seen = valid[rows][:, first] & valid[rows][:, second]
    length = masked_median(apart, seen)
    spread = 1.4826 * masked_median(np.abs(apart - length), seen)
    tolerance = np.where(np.isfinite(spread), np.maximum(_ERROR, _FACTOR * spread), np.inf)
    return BoneLengths(positions.shape[1], bones, np.where(np.isfinite(length), length, 0), tolerance)


def masked_median(values: Float[np.ndarray, "N M"], keep: Bool[np.ndarray, "N M"]) -> Float[np.ndarray, " M"]:
    """Median down each column of the values kept; NaN for a column without any."""
    ordered = np.sort(np.where(keep, values, np.inf), axis=0)
    count = keep.sum(axis=0)
    columns = np.arange(values.shape[1])
    middle = (ordered[(count - 1).clip(0) // 2, columns] + ordered[count.clip(max=len(values) - 1) // 2, columns]) / 2
    return np.where(count > 0, middle, np.nan)
