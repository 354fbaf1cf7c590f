"""Frames that a recorder repeated, and keypoints that a tracker held still while the body went on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from learnable_smplify.repair.neighbours import at, latest, neighbours

# A repeated frame is left alone when it was stale by less than this at its end [m] ...
_STALE_FRAME = 0.015
# ... judged by the keypoint that this share of the others is behind.
_MOVING_SHARE = 0.9
# A single keypoint that stands still is left alone below this [m]; it must stand for more than one frame.
_STALE_KEYPOINT = 0.03
# Time before a repetition over which motion is measured when the recording ends in it [s].
_BEFORE_S = 0.1
_FEWEST = 4


def find_frozen(
    positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], fps: float
) -> Bool[np.ndarray, "T K"]:
    """Keypoints exactly where they were when last seen, though by then the person had moved.

    How stale they are is the jump to the first position that is new; at the end of a recording, where there is none,
    it is the way gone in the tenth of a second before. A person who stands still is not frozen.
    """
    before = neighbours(valid).before
    same = valid & (before >= 0) & (positions == at(positions, before)).all(axis=-1)
    if not same.any():
        return same
    fresh = valid & ~same
    first = latest(fresh)  # where the position was new
    behind = len(valid) - 1 - latest(fresh[::-1])[::-1]
    released = np.linalg.norm(at(positions, behind) - positions, axis=-1)
    back = max(round(_BEFORE_S * fps), 1)
    came = np.linalg.norm(positions - at(positions, first - back), axis=-1) * at(valid, first - back)
    stale = np.where(behind < len(valid), released, np.where(first >= back, came, 0))

    whole = (same | ~valid).all(axis=1) & (same.sum(axis=1) >= _FEWEST)
    ordered = np.sort(np.where(same, stale, 0), axis=1)
    rank = valid.shape[1] - 1 - np.floor((1 - _MOVING_SHARE) * same.sum(axis=1)).astype(int)
    whole &= ordered[np.arange(len(rank)), rank] > _STALE_FRAME

    longer = same & ((behind - first) > 2)
    return (same & whole[:, None]) | (longer & (stale > _STALE_KEYPOINT))
