"""The order of frames: frames that stand there several times, and frames in no order at all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Fewer frames show no habit; further ones than this are not looked at for order.
_FEWEST, _MOST = 20, 300
# Frames repeat as a rule if this share of them stands there equally often.
_REGULAR = 0.9
# Below this rate [1/s] the next frame of a fast motion may be anywhere.
_SLOWEST = 15.0
# Frames in no order: frames any time apart, the next among them, are this much as far apart as all are (so many times
# apart are looked at) ...
_AS_FAR, _LAGS = 0.7, 16
# ... and further than noise [m], and noise leaves no frame this much nearer to another than to the next.
_NOISE, _NEARER = 0.03, 0.5


def repeated(points: Float[np.ndarray, "T K 3"]) -> str:
    """What to say of a recording whose frames all stand there several times, or nothing.

    Args:
        points: metres; NaN where not measured.
    """
    same = ((points[1:] == points[:-1]) | np.isnan(points[1:]) & np.isnan(points[:-1])).all(axis=(1, 2))
    often = np.diff(np.flatnonzero(np.concatenate(([True], ~same))))
    if len(points) < _FEWEST or len(often) < 2:
        return ""
    usual = int(np.median(often))
    if usual < 2 or (often == usual).mean() < _REGULAR:
        return ""
    times = "twice" if usual == 2 else f"{usual} times"
    return f"every frame stands there {times}: {int(same.sum())} of {len(points)} repeat the one before"


def in_no_order(points: Float[np.ndarray, "T K 3"], fps: float) -> bool:
    """Whether each frame is as far from the next as from any other, though there are others much nearer to it.

    Noise alone makes all frames equally far from each other, and a motion that repeats itself has frames as near as
    the next after each turn.

    Args:
        points: metres; NaN where not measured.
        fps: frames a second.
    """
    seen = points[np.isfinite(points).all(axis=-1).mean(axis=1) > 0.5][:_MOST]
    if len(seen) < _FEWEST or fps < _SLOWEST:
        return False
    body = seen - np.nanmedian(seen, axis=1, keepdims=True)
    body = body[:, np.isfinite(body).all(axis=(0, 2))]

    def apart(later: int) -> float:
        return float(np.linalg.norm(body[later:] - body[:-later], axis=-1).mean()) if body.size else 0.0

    lags = np.linspace(len(seen) // 4, len(seen) // 2, _LAGS, endpoint=False).astype(int)
    far = float(np.mean([apart(later) for later in lags]))
    if far < _NOISE or any(apart(later) < _AS_FAR * far for later in range(1, len(seen) // 2)):
        return False
    near = []
    for one in body:  # copies of a frame are no neighbours of it in time
        away = np.linalg.norm(body - one, axis=-1).mean(axis=1)
        near.append(float(away[away > 0].min(initial=np.inf)))
    return float(np.median(near)) < _NEARER * apart(1)
