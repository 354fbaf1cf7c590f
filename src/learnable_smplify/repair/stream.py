"""The same repairs a frame at a time, from the past only, in constant memory.

Each keypoint is carried forward by an alpha-beta filter (Kalata 1984). A measurement far from where it was carried to
is a spike until it stays there; pairs whose measurements fit better crosswise have their sides exchanged. What the
two-sided repair sees from the future is missing here, so tolerances are wider, and an exchange that no track shows (a
stream that starts exchanged) is undone only once the body has faced the wrong way for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.repair.bones import bone_lengths
from learnable_smplify.repair.parts import BodyParts, body_parts
from learnable_smplify.repair.plausible import implausible
from learnable_smplify.repair.repair import RepairOptions
from learnable_smplify.repair.spikes import limb_departure
from learnable_smplify.repair.swaps import CHANGE, STAGES, facing_score, joint_voice, saturating_cost, stages_of
from learnable_smplify.timeline import check_rate

# Memory of the filter's positions [s]; its velocities follow from it.
_FILTER_S = 0.03
# A carried keypoint may be off by half of this times the time since squared [m/s^2], at most `_LOST` [m].
_ACCELERATION, _LOST = 60.0, 1.0
# Departure below which nothing is called a spike [m], and the tolerance in units of the usual departure.
_FLOOR, _NOISE_FACTOR = 0.12, 3.0
# Tolerance grows this much for a keypoint whose bones have their length, and shrinks this much for broken ones.
_GOOD_BONES, _BROKEN_BONES = 1.6, 0.75
# A keypoint that was refused for this long is believed where it is [s].
_INSISTS_S = 0.15
# Time over which the usual departure is averaged [s].
_NOISE_S = 1.0
# Cosine of facing, summed over time [s], below which sides are exchanged, and the memory of that sum [s].
_WRONG, _FACING_S = -0.15, 0.8
# Time between looks at which way the body faces [s].
_LOOKS_S = 1 / 15
# Share of the limb's departure that one of its keypoints may have on top.
_LIMB_FACTOR = 1.5
# Motion in the recent past above which a repeated frame is stale [m/s].
_MOVING = 0.3
# Frames kept to measure bones, how far apart [s], and how many must be there.
_BONE_FRAMES, _BONE_EVERY_S, _BONE_FEWEST = 64, 0.1, 5


@dataclass(frozen=True, eq=False)
class RepairedFrame:
    """One frame of K keypoints after repair.

    Args:
        positions: (K, 3) metres; left and right exchanged back where `swapped`.
        confidence: (K,) 0 where missing or removed.
        spike, swapped, frozen: (K,) what was done.
    """

    positions: Float[Tensor, "K 3"]
    confidence: Float[Tensor, " K"]
    spike: Bool[Tensor, " K"]
    swapped: Bool[Tensor, " K"]
    frozen: Bool[Tensor, " K"]

    @property
    def flagged(self) -> bool:
        """Whether anything was repaired."""
        return bool((self.spike | self.swapped | self.frozen).any())


class RepairStream:
    """Repairs a stream of frames of one person.

    Args:
        layout: name of a layout, path of a layout TOML, or a `Layout`.
        fps: frames a second.
        options: None for the defaults; gaps are left to the caller.

    Raises:
        InputError: an unknown layout, or a frame rate that is not positive.
    """

    def __init__(self, layout: str | Layout, fps: float, options: RepairOptions | None = None) -> None:
        check_rate(as_number(fps, "the frame rate"))
        self.layout = load_layout(layout)
        self.fps = float(fps)
        self.options = RepairOptions() if options is None else options
        self._parts: BodyParts = body_parts(self.layout)
        count, pairs = len(self.layout), len(self._parts.pairs)
        self._position = np.zeros((count, 3), dtype=np.float32)
        self._velocity = np.zeros((count, 3), dtype=np.float32)
        self._raw = np.full((count, 3), np.nan, dtype=np.float32)
        self._age = np.full(count, np.inf)  # seconds since a keypoint was last believed
        self._refused = np.zeros(count)  # seconds for which it has been refused
        self._noise = 0.03
        self._exchanged = np.zeros(pairs, dtype=bool)
        self._facing = dict.fromkeys(STAGES, 0.0)
        self._every = max(round(_LOOKS_S * self.fps), 1)  # frames from one look at the facing to the next
        self._history: list[tuple[np.ndarray, np.ndarray]] = []
        self._frame = 0
        nothing = np.zeros((1, count), dtype=bool)
        self._lengths = bone_lengths(self._parts.bones, np.zeros((1, count, 3), dtype=np.float32), nothing)

    def push(
        self, positions: Float[Tensor, "K 3"] | np.ndarray, confidence: Float[Tensor, " K"] | np.ndarray | None = None
    ) -> RepairedFrame:
        """Repair the next frame.

        Args:
            positions: (K, 3) metres; NaN marks a missing keypoint.
            confidence: (K,), 0 = missing; None trusts every finite keypoint.

        Raises:
            InputError: shapes that do not fit.
        """
        points = as_tensor(positions, "the frame").to(torch.float32).numpy().copy()
        trust = np.ones(len(points), dtype=np.float32)
        if confidence is not None:
            trust = as_tensor(confidence, "confidence").to(torch.float32).numpy().copy()
        if points.shape != (len(self.layout), 3) or trust.shape != points.shape[:1]:
            raise InputError(
                f"the frame has shapes {points.shape} and {trust.shape}",
                expected=f"({len(self.layout)}, 3) and ({len(self.layout)},) for layout '{self.layout.name}'",
            )
        trust[~np.isfinite(points).all(axis=1) | ~(trust > 0)] = 0
        points[trust == 0] = 0
        valid = trust > 0
        spike = implausible(points[None], valid[None])[0] if self.options.spikes else np.zeros_like(valid)
        frozen = self._frozen(points, valid) if self.options.frozen else np.zeros_like(valid)
        swapped = np.zeros_like(valid)
        if self.options.swaps and len(self._parts.pairs):
            self._settle_sides(points, valid & ~spike & ~frozen)
            swapped[self._parts.pairs[self._exchanged].ravel()] = True
            for values in (points, trust, spike, frozen):
                _exchange(values, self._parts.pairs[self._exchanged])
        usable = (trust > 0) & ~spike & ~frozen
        if self.options.spikes:
            found = self._spikes(points, usable)
            spike, usable = spike | found, usable & ~found
        self._carry(points, usable, spike)
        trust[~usable] = 0
        return RepairedFrame(*map(torch.from_numpy, (points, trust, spike, swapped & usable, frozen)))

    def _predicted(self) -> tuple[Float[np.ndarray, "K 3"], Float[np.ndarray, " K"]]:
        """Where each keypoint should be now, and how far off acceleration may have taken it [m]."""
        time = self._age + 1 / self.fps
        # A velocity is good for a short time only.
        ahead = self._position + self._velocity * np.where(np.isfinite(time), time, 0).clip(max=0.1)[:, None]
        return ahead, np.minimum(0.5 * _ACCELERATION * time**2, _LOST)

    def _frozen(self, points: Float[np.ndarray, "K 3"], valid: Bool[np.ndarray, " K"]) -> Bool[np.ndarray, " K"]:
        same = valid & (points == self._raw).all(axis=1)
        self._raw[valid] = points[valid]
        moving = np.linalg.norm(self._velocity, axis=1) > _MOVING
        whole = bool((same | ~valid).all()) and int(same.sum()) >= self.options.min_keypoints and bool(moving.any())
        return same if whole else same & moving

    def _settle_sides(self, points: Float[np.ndarray, "K 3"], valid: Bool[np.ndarray, " K"]) -> None:
        pairs = self._parts.pairs
        points, valid = points.copy(), valid.copy()
        for values in (points, valid):
            _exchange(values, pairs[self._exchanged])
        ahead, slack = self._predicted()
        left, right = pairs.T
        known = valid[left] & valid[right] & (slack[left] < _LOST) & (slack[right] < _LOST)
        scale = (1.5 * self._noise) ** 2 + np.maximum(slack[left], slack[right]) ** 2

        def cost(measured: np.ndarray, carried: np.ndarray) -> np.ndarray:
            return saturating_cost(np.linalg.norm(points[measured] - ahead[carried], axis=1), scale)

        gain = np.where(known, cost(left, left) + cost(right, right) - cost(left, right) - cost(right, left), 0)
        looks = self._frame % self._every == 0
        fade = math.exp(-self._every / (_FACING_S * self.fps))
        scores: dict[str, float] = {}
        for stage, present in stages_of(self._parts):
            if looks:
                if present[0] not in scores:
                    score = facing_score(present[0], points[None], valid[None], self._parts, self._lengths)
                    scores[present[0]] = float(score[0])
                if scores[present[0]] != 0:  # 0 says that too little is seen
                    self._facing[stage] = fade * self._facing[stage] + scores[present[0]] * self._every / self.fps
            crossed = float(joint_voice(gain[None], present, self._parts)[0]) > CHANGE
            if not crossed and self._facing[stage] > _WRONG:
                continue
            scores.clear()
            rows = self._parts.in_section(*present)
            self._exchanged[rows] ^= True
            for values in (points, valid):
                _exchange(values, pairs[rows])
            if crossed:
                gain[rows] *= -1
            else:  # the tracks were on the wrong side all along
                for values in (self._position, self._velocity, self._age):
                    _exchange(values, pairs[rows])
            for other in STAGES:
                if set(other) & set(present):
                    self._facing[other] = 0.0

    def _spikes(self, points: Float[np.ndarray, "K 3"], usable: Bool[np.ndarray, " K"]) -> Bool[np.ndarray, " K"]:
        ahead, slack = self._predicted()
        away = np.fmin(np.linalg.norm(points - ahead, axis=1), np.linalg.norm(points - self._position, axis=1))
        known = usable & (slack < _LOST)
        squared = max(_FLOOR, _NOISE_FACTOR * self._noise) ** 2 + slack**2
        suspect = ~known | (away > _BROKEN_BONES * np.sqrt(squared))
        asked = np.flatnonzero(usable & (self._refused < _INSISTS_S) & suspect)
        now = np.zeros(len(asked), dtype=np.int64)
        noise = np.full(len(points), self._noise, dtype=np.float32)
        limb = limb_departure(np.where(known, away, 0)[None], now, asked, self._parts, noise)
        smallest, largest = self._lengths.excess(points[None], usable[None], now, asked)
        tolerance = np.sqrt(squared[asked] + (_LIMB_FACTOR * limb) ** 2)
        tolerance *= np.where(largest < 0.75, _GOOD_BONES, 1) * np.where(smallest > 1, _BROKEN_BONES, 1)
        spike = np.zeros_like(usable)
        spike[asked] = np.where(known[asked], away[asked] > tolerance, smallest > 2)
        return spike

    def _carry(self, points: Float[np.ndarray, "K 3"], usable: Bool[np.ndarray, " K"], spike: np.ndarray) -> None:
        """Advance the filter by one frame."""
        ahead, slack = self._predicted()
        time = np.where(np.isfinite(self._age), self._age, 0) + 1 / self.fps
        follows = usable & (slack < _LOST) & (self._refused < _INSISTS_S)
        error = points - ahead
        if follows.any():
            share = min(1 / (_NOISE_S * self.fps), 1)
            self._noise += share * (float(np.median(np.linalg.norm(error[follows], axis=1))) - self._noise)
        alpha = 1 - np.exp(-time / _FILTER_S)
        beta = alpha**2 / (2 - alpha) / time
        starts = usable & ~follows
        self._position[follows] = (ahead + alpha[:, None] * error)[follows]
        self._velocity[follows] += (beta[:, None] * error)[follows]
        self._position[starts], self._velocity[starts] = points[starts], 0
        self._age = np.where(usable, 0, self._age + 1 / self.fps)
        self._refused = np.where(usable, 0, self._refused + spike / self.fps)
        if self._frame % max(round(_BONE_EVERY_S * self.fps), 1) == 0:
            self._history = [*self._history[1 - _BONE_FRAMES :], (points.copy(), usable.copy())]
            if len(self._history) >= _BONE_FEWEST:
                seen = np.stack([row[1] for row in self._history])
                self._lengths = bone_lengths(self._parts.bones, np.stack([row[0] for row in self._history]), seen)
        self._frame += 1


def _exchange(values: np.ndarray, pairs: np.ndarray) -> None:
    values[pairs] = values[pairs[:, ::-1]]
