"""Everything a report says about a motion and its keypoints, as arrays over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.fit_summary import finger_errors
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.report.stand_off import stand_off

# Distances that a skeleton keeps: between two joints that a layout may measure.
_BONES: tuple[tuple[str, str, str], ...] = (
    ("left upper arm", "left_shoulder", "left_elbow"),
    ("right upper arm", "right_shoulder", "right_elbow"),
    ("left forearm", "left_elbow", "left_wrist"),
    ("right forearm", "right_elbow", "right_wrist"),
    ("left thigh", "left_hip", "left_knee"),
    ("right thigh", "right_hip", "right_knee"),
    ("left shin", "left_knee", "left_ankle"),
    ("right shin", "right_knee", "right_ankle"),
    ("hip to hip", "left_hip", "right_hip"),
    ("shoulder to shoulder", "left_shoulder", "right_shoulder"),
)
_CHUNK = 4096
# In fewer frames where a marker stands explains all that it is off by.
_ENOUGH_FRAMES = 10


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone as it was measured, and as the fitted body has it.

    Args:
        name: for people.
        measured_m: (T,) distance of the two keypoints, NaN where one is missing.
        fitted_m: the same distance on the body (its median: shoulders can be pulled together).
    """

    name: str
    measured_m: Float[np.ndarray, "T"]
    fitted_m: float

    @property
    def median_m(self) -> float:
        """Median of the measured length."""
        return float(np.nanmedian(self.measured_m))

    @property
    def variation(self) -> float:
        """Half the width of the band that holds 68 % of the measured lengths, as a share of the median."""
        low, high = np.nanpercentile(self.measured_m, (16, 84))
        return float((high - low) / 2 / max(self.median_m, 1e-6))


@dataclass(frozen=True, eq=False)
class FitMeasures:
    """A motion against the keypoints it was fitted to. T frames of the motion, K keypoints.

    Args:
        layout: of the keypoints.
        seen: (T, K) whether the keypoint is there.
        confidence: (T, K), 0 where it is missing.
        error_mm: (T, K) distance of the keypoint from the same point of the body, NaN where missing; of a marker on the
            skin, from where it stands beside that point.
        bones: those that the layout measures at both ends.
        time_s, jitter: acceleration of the keypoints, mean over keypoints [m/s^2], and its times: at the keypoints'
            own frames, NaN where too few are seen.
        body_jitter: (T,) the same for the same points of the fitted body, at the motion's frames.
        notes: how frames were matched, for the user.
        finger_error_mm: (T, 42) distance of the hands' points from the body's, NaN where missing; None without hands.
        stand_off_mm: how far markers stand from where the layout has them, on average; None of other keypoints.
    """

    layout: Layout
    seen: Bool[np.ndarray, "T K"]
    confidence: Float[np.ndarray, "T K"]
    error_mm: Float[np.ndarray, "T K"]
    bones: tuple[Bone, ...]
    time_s: Float[np.ndarray, "N"]
    jitter: Float[np.ndarray, "N"]
    body_jitter: Float[np.ndarray, "T"]
    notes: tuple[str, ...]
    finger_error_mm: Float[np.ndarray, "T 42"] | None = None
    stand_off_mm: float | None = None

    def group_error_mm(self) -> dict[str, Float[np.ndarray, "T"]]:
        """Mean error of each part of the body that was measured, over time (NaN where it is missing)."""
        groups = np.array(self.layout.groups)
        measured: dict[str, np.ndarray] = {part: self.error_mm[:, groups == part] for part in self.layout.groups}
        if self.finger_error_mm is not None:
            measured["fingers"] = self.finger_error_mm
        order = ("head", "torso", "arms", "hands", "fingers", "legs", "feet")
        return {part: mean_over(measured[part]) for part in order if part in measured and self.seen_in(part).any()}

    def seen_in(self, part: str) -> Bool[np.ndarray, "T k"]:
        """The columns of `seen` of one part of the body; of the fingers, their own."""
        if part == "fingers":
            assert self.finger_error_mm is not None
            return np.isfinite(self.finger_error_mm)
        return self.seen[:, np.array(self.layout.groups) == part]


def measure_fit(body: Body, motion: Motion, keypoints: Keypoints) -> FitMeasures:
    """Compare a motion with its keypoints.

    Keypoints with as many frames as the motion are taken frame by frame, others by time.
    """
    layout = load_layout(keypoints.layout)
    frame, inside, notes = match_frames(motion, keypoints)
    confidence = np.where(inside[:, None], keypoints.confidence.cpu().numpy()[frame], 0.0)
    measured = keypoints.positions.cpu().numpy()[frame].astype(np.float64)
    seen = confidence > 0
    betas = motion.betas.cpu().double()
    fitted = _in_chunks(motion, lambda pose, transl: body.keypoints(pose, betas, transl, layout=layout))
    stand_off_mm = None
    if layout.markers and len(motion) >= _ENOUGH_FRAMES:
        beside = stand_off(body, motion, layout, np.where(seen[..., None], measured - fitted, np.nan))
        stand_off_mm = 1000 * float(np.linalg.norm(beside, axis=-1)[seen].mean()) if seen.any() else None
        fitted = fitted + np.nan_to_num(beside)
    error_mm = np.where(seen, 1000 * np.linalg.norm(fitted - measured, axis=-1), np.nan)

    same = len(keypoints) == len(motion)
    rate = motion.fps if same else keypoints.fps
    own_seen = keypoints.confidence.cpu().numpy() > 0
    return FitMeasures(
        layout=layout,
        seen=seen,
        confidence=confidence,
        error_mm=error_mm,
        bones=_bones(layout, measured, seen, fitted),
        time_s=np.arange(len(keypoints)) / rate,
        jitter=acceleration(keypoints.positions.cpu().numpy().astype(np.float64), rate, own_seen),
        # Over the same entries, where frames correspond: a keypoint that comes and goes changes the mean.
        body_jitter=acceleration(fitted, motion.fps, seen if same else np.ones_like(seen)),
        notes=notes,
        finger_error_mm=_finger_error_mm(body, motion, keypoints, frame, inside),
        stand_off_mm=stand_off_mm,
    )


def _finger_error_mm(
    body: Body, motion: Motion, keypoints: Keypoints, frame: np.ndarray, inside: np.ndarray
) -> Float[np.ndarray, "T 42"] | None:
    if keypoints.hands is None:
        return None
    hands = keypoints.hands[torch.from_numpy(frame)]
    hands = replace(hands, confidence=hands.confidence * torch.from_numpy(inside)[:, None, None])
    positions, trust = keypoints.positions[frame], keypoints.confidence[frame]
    at_frames = replace(keypoints, positions=positions, confidence=trust, hands=hands)
    found = finger_errors(body, motion, at_frames)
    return None if found is None else found.reshape(len(motion), -1).double().numpy()


def match_frames(motion: Motion, keypoints: Keypoints) -> tuple[np.ndarray, Bool[np.ndarray, "T"], tuple[str, ...]]:
    """For every frame of the motion the frame of the keypoints, and whether the keypoints last that long."""
    frame = np.arange(len(motion))
    if len(keypoints) == len(motion):
        return frame, np.ones(len(motion), dtype=bool), ()
    frame = (frame / motion.fps * keypoints.fps).round().astype(int)
    inside = frame < len(keypoints)
    note = (
        f"the motion has {len(motion)} frames ({len(motion) / motion.fps:.1f} s) and the keypoints {len(keypoints)} "
        f"({len(keypoints) / keypoints.fps:.1f} s): put together by time, as far as both go"
    )
    return np.minimum(frame, len(keypoints) - 1), inside, (note,)


def acceleration(
    points: Float[np.ndarray, "T K 3"], fps: float, seen: Bool[np.ndarray, "T K"] | None = None
) -> Float[np.ndarray, "T"]:
    """Mean size of the points' acceleration [m/s^2] (second differences); NaN at the ends and where none is seen."""
    result = np.full(len(points), np.nan)
    if len(points) < 3:
        return result
    size = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1) * fps**2
    if seen is not None:
        size = np.where(seen[2:] & seen[1:-1] & seen[:-2], size, np.nan)
    result[1:-1] = mean_over(size)
    return result


def mean_over(values: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "T"]:
    """Mean of every row over what is not NaN; NaN where nothing is left."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def joint_acceleration(body: Body, motion: Motion) -> Float[np.ndarray, "T"]:
    """As `acceleration`, of the body's 24 joints."""
    joints = _in_chunks(motion, lambda pose, transl: body.joints(pose, motion.betas.cpu().double(), transl))
    return acceleration(joints, motion.fps)


def _in_chunks(motion: Motion, points: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
    """Points of the body over the whole motion, from pose and transl of some frames at a time."""
    pieces: list[Tensor] = []
    for first in range(0, len(motion), _CHUNK):
        rows = slice(first, first + _CHUNK)
        # In double: second differences of float32 metres shake by themselves.
        pieces.append(points(motion.pose[rows].cpu().double(), motion.transl[rows].cpu().double()))
    return torch.cat(pieces).numpy()


def _bones(layout: Layout, measured: np.ndarray, seen: np.ndarray, fitted: np.ndarray) -> tuple[Bone, ...]:
    place = {row[0][0]: index for index, row in reversed(list(enumerate(layout.points))) if len(row) == 1}
    bones = []
    for name, start, end in _BONES:
        if start not in place or end not in place:
            continue
        a, b = place[start], place[end]
        both = seen[:, a] & seen[:, b]
        if not both.any():
            continue
        length = np.where(both, np.linalg.norm(measured[:, a] - measured[:, b], axis=-1), np.nan)
        bones.append(Bone(name, length, float(np.median(np.linalg.norm(fitted[:, a] - fitted[:, b], axis=-1)))))
    return tuple(bones)
