"""Numbers that programs write where a keypoint is missing: the same one in x, y and z, -1 or -9999 as a rule."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_USUAL = (-1.0, *(sign * value for sign in (1.0, -1.0) for value in (999.0, 9999.0, 99999.0, 999999.0, 9999999.0)))
# Noise never repeats one number in x, y and z; a diagonal line that is drawn by hand has other numbers every time.
_OFTEN = 3


def blank_placeholders(positions: Float[np.ndarray, "*T 3"]) -> tuple[str, ...]:
    """Make placeholders NaN, in place: equal x, y and z that are usual or come back.

    Zero is not among them: it may be a place (see `assemble`).

    Returns:
        A note for the user, or nothing.
    """
    first = positions[..., 0]
    same = (positions == first[..., None]).all(axis=-1) & (first != 0)
    if not same.any():
        return ()
    values, counts = np.unique(first[same], return_counts=True)
    chosen = values[(counts >= _OFTEN) | np.isin(values, _USUAL)]
    marked = same & np.isin(first, chosen)
    if not marked.any() or not (np.isfinite(positions).all(axis=-1) & ~marked).any():
        return ()  # nothing else is there: whoever looks for people in one point will name it
    positions[marked] = np.nan
    shown = ", ".join(f"({value:g}, {value:g}, {value:g})" for value in chosen[:3])
    return (f"{int(marked.sum())} keypoints are at {shown} and taken as missing",)
