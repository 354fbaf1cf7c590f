"""Recordings that are no person in space: pictures, lines, wrong sizes, leaps. They are named, not mended."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.errors import InputError, some
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair.joined import find_joint
from learnable_smplify.repair.order import in_no_order, repeated

# Nothing on earth is measured further away [m]; squares of larger numbers overflow.
_FARTHEST = 1e6
# Of all frames' points about their middles: how much thinner than long a body may be, and how much narrower.
_THINNEST, _NARROWEST = 0.02, 0.03
# A body of which this share of the keypoints is seen is thicker, also in a T-pose: 0.05 at least.
_WHOLE, _THINNEST_WHOLE = 0.9, 0.04
# A body whose keypoints are nearer together than this [m] is one point.
_SMALLEST = 0.01
# Bones are at least and at most so many times as long as an adult's: infants have 0.3.
_SHORTEST_BONES, _LONGEST_BONES = 0.27, 1.6
# And of one person they are all so nearly alike against an adult's.
_UNEVEN_BONES = 3.0
# Lengths of real bones vary by a few per cent in bad recordings; noise in place of a body varies by half.
_VARIES = 0.3
# Nobody moves faster [m/s], and a body that does in so many steps was not followed.
_FASTEST, _LEAPS = 20.0, 0.02
# From one frame to the next a body goes on as before but for so much [m] and what it accelerates by [m/s^2]: 50
# in a hard landing. So many jumps are written out.
_JUMP, _HARDEST, _LISTED = 0.2, 60.0, 4
_FEWEST = 4
# As many frames that are equal to the last digit are no measurements.
_FEWEST_REPEATED = 10
# Adult lengths [m], for the size only.
_BONES = (("hip", "knee", 0.40), ("knee", "ankle", 0.41), ("shoulder", "elbow", 0.28), ("elbow", "wrist", 0.26))


@dataclass(frozen=True, eq=False)
class Doubt:
    """What is wrong with a recording as a whole.

    Args:
        keypoints: the recording, without points that no number can be trusted of.
        frames: (T,) which frames are no person.
        reasons: for the user, why.
    """

    keypoints: Keypoints
    frames: Bool[Tensor, " T"]
    reasons: tuple[str, ...]

    def marked(self, motion: Motion) -> Motion:
        """The motion with those frames flagged, and the reasons among its notes."""
        if not self.reasons:
            return motion
        return replace(motion, flagged=motion.flagged | self.frames, notes=(*motion.notes, *self.reasons))


def examine(keypoints: Keypoints, any_size: bool = False) -> Doubt:
    """Look whether a recording can be of a person.

    Args:
        keypoints: one person's, taken as metres.
        any_size: the positions are scaled afterwards, so that their size says nothing.

    Raises:
        InputError: nothing is measured nearer than 1000 km.
    """
    layout = keypoints.layout
    assert isinstance(layout, Layout)
    far = (keypoints.positions.abs() > _FARTHEST).any(dim=-1) & (keypoints.confidence > 0)
    reasons: list[str] = []
    flagged = far.any(dim=1).cpu().numpy()
    if bool(far.any()):
        reasons.append(f"{int(far.sum())} positions lie beyond 1000 km and are taken as missing")
        if not bool(((keypoints.confidence > 0) & ~far).any()):
            raise InputError(
                "every position lies beyond 1000 km",
                expected="positions in metres",
                hint="--units mm (or cm, in, ft), if the numbers are in another unit",
            )
        positions = torch.where(far[..., None], torch.nan, keypoints.positions)
        keypoints = replace(keypoints, positions=positions, confidence=torch.where(far, 0.0, keypoints.confidence))
    valid = keypoints.confidence.cpu().numpy() > 0
    points = np.where(valid[..., None], keypoints.positions.cpu().numpy().astype(np.float64), np.nan)
    everywhere = _shape(points, valid)
    bones = _bones(points, layout)
    limbs = np.stack([length for length, _ in bones], axis=1) if bones else np.full((len(points), 0), np.nan)
    joint = None if everywhere else find_joint(limbs, keypoints.fps)
    if joint is not None:
        reasons.append(joint.reason)
        flagged |= joint.fewer(len(points))
    elif not everywhere:
        everywhere = _variation(bones)
    if not everywhere and not any_size:
        everywhere = _size(bones)
    if everywhere:
        reasons.append(f"{everywhere}: no frame is trusted")
        flagged[:] = True
    elif in_no_order(points, keypoints.fps):
        reasons.append(
            "the frames are in no order, each as far from the next as from any other: shuffled, or single pictures; "
            "no motion leads from one to the next"
        )
        flagged[:] = True
    elif not any_size:
        leaps, jumps = _leaps(points, valid, keypoints.fps)
        if leaps.mean() > _LEAPS and leaps.sum() > 2:  # one frame astray is two leaps
            reasons.append(
                f"the person leaps faster than {_FASTEST:.0f} m/s in {int(leaps.sum())} of {len(leaps)} frames: "
                "several people in one, frames out of order, or a wrong frame rate (--fps)"
            )
            flagged |= leaps
        elif jumps.any():
            at = some(np.flatnonzero(jumps).tolist(), _LISTED)
            reasons.append(
                f"the person is elsewhere from one frame to the next (at frame {at}): takes joined together, "
                "frames left out, or another person; the motion jumps there"
            )
            flagged |= jumps
    if len(points) >= _FEWEST_REPEATED and np.array_equal(points, points[:1].repeat(len(points), 0), equal_nan=True):
        reasons.append(f"all {len(points)} frames are one and the same: there is one pose, and no motion")
    elif often := repeated(points):
        reasons.append(often)
    return Doubt(keypoints, torch.from_numpy(flagged), tuple(reasons))


def _shape(points: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]) -> str:
    """Why the points of all frames do not fill a body's space, or nothing."""
    enough = valid.sum(axis=1) >= _FEWEST
    if not enough.any():
        return ""
    centred = points[enough] - np.nanmedian(points[enough], axis=1, keepdims=True)
    cloud = centred[np.isfinite(centred).all(axis=-1)]
    if not np.abs(cloud).max(initial=0.0) > _SMALLEST:
        return "all keypoints are in one point"
    # Of each frame apart, lest a body that turns fill a ball: the typical frame decides.
    each = np.stack([_extents(frame) for frame in centred[:: max(1, len(centred) // 200)]])
    length, width, _ = np.median(each, axis=0)
    if length > 0 and width < _NARROWEST * length:
        return "all keypoints of a frame are on a line"
    longest, _, thinnest = _extents(cloud)
    limit = (_THINNEST_WHOLE if valid[enough].mean() > _WHOLE else _THINNEST) * longest
    axis = int(np.argmin(cloud.std(axis=0)))
    flat = float(cloud[:, axis].std()) < limit
    if flat or thinnest < _THINNEST * longest:
        where = f" ({'xyz'[axis]} says nothing)" if flat else ""
        return f"all keypoints lie in a plane{where}: 2D keypoints are fitted with --camera or --image-size"
    return ""


def _extents(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3"]:
    """Standard deviations along the main axes, the longest first; 0 of fewer than three points."""
    known = points[np.isfinite(points).all(axis=-1)]
    if len(known) < 3:
        return np.zeros(3)
    return np.linalg.svd(known - known.mean(axis=0), compute_uv=False) / len(known) ** 0.5


def _bones(points: Float[np.ndarray, "T K 3"], layout: Layout) -> list[tuple[np.ndarray, float]]:
    """Measured lengths of limbs over time, NaN where not seen, and an adult's."""
    found = []
    for start, end, usual in _BONES:
        for side in ("left", "right"):
            ends = [layout.index_of_point(f"{side}_{name}") for name in (start, end)]
            if None in ends:
                continue
            length = np.linalg.norm(points[:, ends[0]] - points[:, ends[1]], axis=-1)
            if np.nan_to_num(length).any():  # ends in one point are no bone
                found.append((length, usual))
    return found


def _variation(bones: list[tuple[np.ndarray, float]]) -> str:
    """Why limbs are none, or nothing."""
    seen = [length[np.isfinite(length)] for length, _ in bones]
    if len(seen) < 2 or any(len(length) < _FEWEST for length in seen):
        return ""
    spread = [np.subtract(*np.quantile(length, (0.75, 0.25))) / np.median(length) for length in seen]
    return "the limbs change their length from frame to frame as no bones do" if np.median(spread) > _VARIES else ""


def _size(bones: list[tuple[np.ndarray, float]]) -> str:
    """Why limbs are no person's, or nothing."""
    sizes = [float(np.nanmedian(length)) / usual for length, usual in bones]
    if len(sizes) < 2 or _SHORTEST_BONES < float(np.median(sizes)) < _LONGEST_BONES:
        return ""
    if max(sizes) > _UNEVEN_BONES * min(sizes):
        return (
            f"the limbs are {min(sizes):.2g} to {max(sizes):.2g} times as long as an adult's: the keypoints are in "
            "another order than the layout's (--layout), or not of one person"
        )
    return (
        f"the limbs are {float(np.median(sizes)):.3g} times as long as an adult's (--units if they are not in metres, "
        "--scale-to-body if their scale is unknown)"
    )


def _leaps(
    points: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], fps: float
) -> tuple[Bool[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
    """(T,) frames to which the body's middle came faster than anybody moves, and those to which it jumped."""
    leaps, jumps = np.zeros((2, len(points)), dtype=bool)
    seen = np.flatnonzero(valid.sum(axis=1) >= _FEWEST)
    if len(seen) < 2:
        return leaps, jumps
    # Over keypoints that both frames have: others would move the middle.
    steps = points[seen[1:]] - points[seen[:-1]]
    time = np.diff(seen) / fps
    alike = np.isfinite(steps).all(axis=-1).sum(axis=1) >= _FEWEST
    start, seen, steps, time = seen[:-1][alike], seen[1:][alike], steps[alike], time[alike]
    away = np.linalg.norm(np.nanmedian(np.abs(steps), axis=1), axis=-1)
    leaps[seen] = away / time > _FASTEST
    middle = np.nanmedian(steps, axis=1)
    before = np.concatenate((np.zeros((1, 3)), middle[:-1])) / np.concatenate(([1.0], time[:-1]))[:, None]
    surprise = np.minimum(np.linalg.norm(middle, axis=-1), np.linalg.norm(middle - before * time[:, None], axis=-1))
    jumped = (surprise > _JUMP + _HARDEST * time**2) | leaps[seen]
    for row in np.flatnonzero(jumped[1:] & jumped[:-1]) + 1:  # back from one frame astray
        both, taken = points[seen[row]] - points[start[row - 1]], time[row - 1 : row + 1].sum()
        if np.isfinite(both).all(axis=-1).sum() >= _FEWEST:
            jumped[row] = np.linalg.norm(np.nanmedian(both, axis=0)) > _JUMP + _HARDEST * taken**2
    jumps[seen] = jumped
    return leaps, jumps
