"""Keypoints that jump for a few frames and come back: found by where their neighbours in time and on the body put them.

A keypoint is compared with a line and a cubic through the nearest valid frames on both sides; real motion agrees with
one of them, up to noise and to acceleration times time squared. What is allowed on top comes from the recording: how
much the rest of the limb departs from its own curves in that frame (a kick moves the whole leg), and whether the bones
kept their length. Longer bursts look smooth from inside, so curves are also drawn through frames further away; a
keypoint is then a spike only if its bones changed their length too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from learnable_smplify.repair.bones import BoneLengths, bone_lengths, masked_median
from learnable_smplify.repair.neighbours import Neighbours, at, curve_through, neighbours
from learnable_smplify.repair.parts import BodyParts

# Departure below which nothing is called a spike [m]: the solver's robust weights handle those.
_FLOOR = 0.08
# Tolerance in units of the recording's own median departure; about one noisy keypoint in 2,000 exceeds 3.
_NOISE_FACTOR = 3.0
# Lines from one side only are this much less exact.
_ONE_SIDED = 2.0
# Acceleration that people reach often [m/s^2].
_ACCELERATION = 40.0
# Share of the limb's departure that one of its keypoints may have on top.
_LIMB_FACTOR = 1.5
# A keypoint whose bones all have their length may depart this much further.
_GOOD_BONES = 1.5
# A bone error, in units of its tolerance, that convicts a keypoint without neighbours in time.
_BROKEN_BONE = 2.0
# How far apart frames are in the passes that look for bursts [s].
_BURSTS_S = (1 / 15, 2 / 15)
# No curve is drawn over longer gaps [s].
_LONGEST_GAP_S = 0.3
# A removed keypoint comes back if its departure from what is left is below this share of the tolerance.
_RETURN = 0.7
_ROUNDS = 4


def find_spikes(
    positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], fps: float, parts: BodyParts
) -> Bool[np.ndarray, "T K"]:
    """Which valid keypoints are spikes.

    Args:
        positions: metres; anything where not valid.
        valid: which of them were measured.
        fps: frames a second.
        parts: of the layout.
    """
    lengths = bone_lengths(parts.bones, positions, valid)
    kept = valid.copy()
    for step in (1, *(round(seconds * fps) for seconds in _BURSTS_S if seconds * fps >= 1.5)):
        near = neighbours(kept, step)
        judge = _judge(positions, kept, near, fps, parts, lengths)
        suspect = kept & ~(judge.away <= judge.floor)
        for round_ in range(_ROUNDS):
            near = neighbours(kept, step) if round_ else near
            frames, keypoints = np.nonzero(suspect & kept)
            ratio = np.zeros(kept.shape, dtype=np.float32)
            ratio[frames, keypoints] = judge.ratio(frames, keypoints, kept, near, burst=step > 1)
            worst = ratio > 1
            for frame in (near.before, near.after):  # of two neighbours that contradict each other, the worse one
                other = _take(ratio, frame[frames, keypoints], keypoints)
                worst[frames, keypoints] &= ~(other > ratio[frames, keypoints])
            if not worst.any():
                break
            kept &= ~worst
    # What was removed returns if it agrees with frames that were all kept.
    near, (frames, keypoints) = neighbours(kept), np.nonzero(valid & ~kept)
    judge = _judge(positions, kept, near, fps, parts, lengths)
    kept[frames, keypoints] |= judge.ratio(frames, keypoints, kept, near, burst=False) < _RETURN
    return valid & ~kept


@dataclass(frozen=True, eq=False)
class _Judge:
    """What is tolerated in one recording, and how far each keypoint is from a line through its neighbours [m]."""

    positions: Float[np.ndarray, "T K 3"]
    fps: float
    parts: BodyParts
    lengths: BoneLengths
    away: Float[np.ndarray, "T K"]
    noise: Float[np.ndarray, " K"]
    floor: Float[np.ndarray, " K"]

    def ratio(
        self,
        frame: Int[np.ndarray, " N"],
        keypoint: Int[np.ndarray, " N"],
        kept: Bool[np.ndarray, "T K"],
        near: Neighbours,
        burst: bool,
    ) -> Float[np.ndarray, " N"]:
        """Distance of single entries from the curves in units of what is tolerated; NaN where nothing can be said."""
        order = (near.before2, near.before, near.after, near.after2)
        before2, before, after, after2 = (each[frame, keypoint] for each in order)
        away = np.fmin(
            self._distance(frame, keypoint, (before, after)),
            self._distance(frame, keypoint, (before2, before, after, after2)),
        )
        alone = np.isnan(away)
        one_sided = np.fmin(
            self._distance(frame, keypoint, (before2, before)), self._distance(frame, keypoint, (after, after2))
        )
        span = np.where(alone, 2, (frame - before) * (after - frame)) / self.fps**2
        limb = limb_departure(np.where(kept, np.nan_to_num(self.away), 0), frame, keypoint, self.parts, self.noise)
        squared = self.floor[keypoint] ** 2 + (0.5 * _ACCELERATION * span) ** 2 + (_LIMB_FACTOR * limb) ** 2
        smallest, largest = self.lengths.excess(self.positions, kept, frame, keypoint)
        tolerance = np.sqrt(squared) * np.where(alone, _ONE_SIDED, 1) * np.where(largest < 0.75, _GOOD_BONES, 1)
        ratio = np.where(alone, one_sided, away) / tolerance
        if burst:
            return np.where(smallest > 1, ratio, 0)
        return np.where(np.isnan(ratio), smallest / _BROKEN_BONE, ratio)

    def _distance(
        self, frame: Int[np.ndarray, " N"], keypoint: Int[np.ndarray, " N"], through: tuple[np.ndarray, ...]
    ) -> Float[np.ndarray, " N"]:
        curve = curve_through(self.positions, frame, keypoint, through, max(_LONGEST_GAP_S * self.fps, 3))
        return np.linalg.norm(self.positions[frame, keypoint] - curve, axis=-1)


def _judge(
    positions: Float[np.ndarray, "T K 3"],
    kept: Bool[np.ndarray, "T K"],
    near: Neighbours,
    fps: float,
    parts: BodyParts,
    lengths: BoneLengths,
) -> _Judge:
    now = np.arange(len(kept), dtype=np.int32)[:, None]
    known = (near.before >= 0) & (near.after < len(kept)) & (near.after - near.before <= 2 * _LONGEST_GAP_S * fps + 2)
    share = ((now - near.before) / (near.after - near.before)).astype(np.float32)[..., None]
    start = at(positions, near.before)
    away = np.linalg.norm(positions - start - share * (at(positions, near.after) - start), axis=-1)
    away[~known] = np.nan
    noise = masked_median(away, kept & known)
    usual = float(np.median(noise[np.isfinite(noise)])) if np.isfinite(noise).any() else 0.0
    noise = np.where(np.isfinite(noise), noise.clip(0.5 * usual, 2 * usual), usual).astype(np.float32)
    return _Judge(positions, fps, parts, lengths, away, noise, np.maximum(_FLOOR, _NOISE_FACTOR * noise))


def limb_departure(
    away: Float[np.ndarray, "T K"],
    frame: Int[np.ndarray, " N"],
    keypoint: Int[np.ndarray, " N"],
    parts: BodyParts,
    noise: Float[np.ndarray, " K"],
) -> Float[np.ndarray, " N"]:
    """How far the other keypoints of the limb are from their curves, beyond noise: about their median [m]."""
    result = np.zeros(len(frame), dtype=np.float32)
    for own in np.unique(keypoint):
        others = np.flatnonzero((parts.limb == parts.limb[own]) & (np.arange(len(parts.limb)) != own))
        rows = np.flatnonzero(keypoint == own)
        if len(others) and len(rows):
            beyond = away[frame[rows][:, None], others] - 2 * noise[others]
            result[rows] = np.sort(beyond, axis=1)[:, len(others) // 2].clip(0)
    return result


def _take(values: Float[np.ndarray, "T K"], frame: np.ndarray, keypoint: np.ndarray) -> Float[np.ndarray, " N"]:
    """`values[frame, keypoint]`, 0 outside the recording."""
    inside = (frame >= 0) & (frame < len(values))
    return np.where(inside, values[frame.clip(0, len(values) - 1), keypoint], 0)
