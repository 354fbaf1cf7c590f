"""Two clocks: keypoints at the times of an estimate's frames, and how much later one recording began."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.timeline import beside

# A time this near a measured frame, in frames, is that frame: interpolation would only blur it.
_SAME_FRAME = 0.1
# Pairs of keypoints whose distances are compared: those that change most.
_PAIRS = 60
# A distance further off than this [m] says no more than one that is off by this.
_WILD = 0.2
_LEAST_OVERLAP = 0.5
_LEAST_FRAMES = 10
# Another offset than none is believed only if it leaves less than this share of the disagreement, ...
_CLEARLY_BETTER = 0.85
# ... and if the motion's distances change at least so much [m].
_LEAST_MOTION = 0.01


@dataclass(frozen=True)
class Offset:
    """How much later than the estimate's clock the keypoints' clock runs.

    Args:
        seconds: an estimate's time plus this is the keypoints' time.
        found: by search, other than none.
        share: what is left of the disagreement, relative to no offset.
    """

    seconds: float
    found: bool = False
    share: float = 1.0


def keypoints_at(keypoints: Keypoints, times: Float[Tensor, " T"]) -> tuple[Tensor, Tensor]:
    """Positions (T, K, 3) [m] and confidence (T, K) at these times [s after the first frame].

    Between two frames positions are interpolated, and as sure as the less sure of both; outside the recording, and
    beside a missing keypoint, they are missing.
    """
    before, after, share, inside = beside(times.to(torch.float64) * keypoints.fps, len(keypoints), _SAME_FRAME)
    share = share.to(keypoints.positions)
    positions = torch.lerp(keypoints.positions[before], keypoints.positions[after], share[:, None, None])
    confidence = torch.minimum(keypoints.confidence[before], keypoints.confidence[after])
    return positions, confidence * inside[:, None]


def find_offset(
    model: Float[Tensor, "T K 3"], fps: float, keypoints: Keypoints, start_s: float, reach_s: float
) -> Offset:
    """The offset within `reach_s` at which the estimate's body and the keypoints change shape together.

    Distances between keypoints are compared, so that no alignment in space is needed, each about its median, so that
    neither a wrong body shape counts.

    Args:
        model: the estimate's own keypoints, metres.
        fps: the estimate's frames a second.
        keypoints: the recording.
        start_s: the recording's time at the estimate's first frame if both clocks agree.
        reach_s: offsets up to this are tried, both ways [s].
    """
    if len(model) < _LEAST_FRAMES:
        return Offset(0.0)
    count = model.shape[1]
    pairs = torch.combinations(torch.arange(count, device=model.device))
    distance = _distances(model, pairs)
    pairs = pairs[distance.std(dim=0).topk(min(_PAIRS, len(pairs))).indices]
    distance = _distances(model, pairs)
    if float(distance.std(dim=0).median()) < _LEAST_MOTION:
        return Offset(0.0)
    step = 1 / max(fps, keypoints.fps)
    number = int(reach_s / step)
    shifts = [index * step for index in range(-number, number + 1)]
    # A time base as fine as the shifts would be too much: the estimate's frames serve every shift.
    times = start_s + torch.arange(len(model), device=model.device) / fps
    costs = [_disagreement(distance, pairs, keypoints, times + shift) for shift in shifts]
    cost = torch.tensor(costs)
    best = int(cost.argmin())
    # Without enough overlap at no offset, any better one is welcome.
    share = float(cost[best] / cost[number]) if costs[number] < torch.inf else 0.0
    if not bool(torch.isfinite(cost[best])) or best == number or share > _CLEARLY_BETTER:
        return Offset(0.0)
    return Offset(shifts[best] + step * _vertex(cost, best), True, share)


def _distances(points: Float[Tensor, "T K 3"], pairs: Tensor) -> Float[Tensor, "T P"]:
    return (points[:, pairs[:, 0]] - points[:, pairs[:, 1]]).norm(dim=-1)


def _disagreement(distance: Float[Tensor, "T P"], pairs: Tensor, keypoints: Keypoints, times: Tensor) -> float:
    positions, confidence = keypoints_at(keypoints, times)
    seen = (confidence[:, pairs[:, 0]] > 0) & (confidence[:, pairs[:, 1]] > 0)
    frames = int(seen.any(dim=1).sum())
    possible = min(len(times), len(keypoints))
    if frames < max(_LEAST_OVERLAP * possible, _LEAST_FRAMES):
        return float("inf")
    off = torch.where(seen, distance - _distances(positions, pairs), torch.nan)
    off = off - off.nanmedian(dim=0).values
    return float(off.abs().clamp(max=_WILD).nanmean())


def _vertex(cost: Tensor, best: int) -> float:
    """Where between the samples the parabola through the best one and its neighbours is lowest, in samples."""
    if best in (0, len(cost) - 1) or not bool(torch.isfinite(cost[best - 1 : best + 2]).all()):
        return 0.0
    left, middle, right = cost[best - 1 : best + 2].tolist()
    bend = left - 2 * middle + right
    return 0.0 if bend <= 0 else float(max(-0.5, min(0.5, 0.5 * (left - right) / bend)))
