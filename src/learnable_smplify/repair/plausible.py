"""Sizes that no person has."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from learnable_smplify.repair.bones import masked_median

# From the middle of the body to a fingertip or toe no person reaches further [m].
_REACH = 2.2
# The 90th percentile of the distance of keypoints from the body's middle lies between these for people [m], and above
# this where less than half of the layout's keypoints are seen: a head, a hand.
_SMALLEST, _LARGEST, _SMALLEST_PART = 0.15, 2.5, 0.05
_FEWEST = 4


def implausible(positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]) -> Bool[np.ndarray, "T K"]:
    """Keypoints further from the middle of their frame's keypoints than an arm or a leg reaches."""
    enough = valid.sum(axis=1) >= _FEWEST
    return valid & enough[:, None] & (_from_middle(positions, valid) > _REACH)


def size_note(positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]) -> str | None:
    """A line for the user when the whole recording has a size no person has (wrong units), else None."""
    enough = valid & (valid.sum(axis=1) >= _FEWEST)[:, None]
    if not enough.any():
        return None
    size = float(np.quantile(_from_middle(positions, valid)[enough], 0.9))
    whole = float(valid.any(axis=0).mean()) > 0.5
    if (_SMALLEST if whole else _SMALLEST_PART) < size < _LARGEST:
        return None
    return (
        f"the body spans {2 * size:.3g} m: the units are probably wrong (--units, or --scale-to-body if the scale is "
        "unknown), so nothing was repaired"
    )


def _from_middle(positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]) -> Float[np.ndarray, "T K"]:
    middle = np.stack([masked_median(positions[..., axis].T, valid.T) for axis in range(3)], axis=-1)
    return np.linalg.norm(positions - np.nan_to_num(middle)[:, None], axis=-1)
