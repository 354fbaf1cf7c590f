"""What hands do while nobody sees them, and hands smoothed over time."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.timeline import runs

# A hand that is away for less is taken to have gone straight on [s]; a longer absence goes to rest and comes back,
# each within so long [s].
_BRIDGED_S, _EASE_S = 0.25, 0.5
# Turns accelerate by so much [rad/s^2], at one standard deviation.
_ACCELERATION = 30.0


def filled(
    values: Float[Tensor, "T 2 N"], rest: Float[Tensor, "2 N"], seen: Bool[Tensor, "T 2"], fps: float
) -> Float[Tensor, "T 2 N"]:
    """Values of both hands where the hands are seen; elsewhere bridged, or smoothly to rest and back.

    A hand that is never seen rests.
    """
    out = values.clone()
    frames = len(values)
    for side in range(2):
        for first, end in runs(~seen[:, side].cpu().numpy()):
            step = torch.arange(first, end, device=values.device, dtype=values.dtype)
            before, after = first > 0, end < frames
            if before and after and end - first <= _BRIDGED_S * fps:
                share = ((step - (first - 1)) / (end - first + 1))[:, None]
                out[first:end, side] = torch.lerp(values[first - 1, side], values[end, side], share)
                continue
            away = rest[side].expand(end - first, -1).clone()
            # The two ways overlap in absences between the two times: then neither gets all the way to rest.
            if before:
                away = away + _eased(step - (first - 1), fps)[:, None] * (values[first - 1, side] - rest[side])
            if after:
                away = away + _eased(end - step, fps)[:, None] * (values[end, side] - rest[side])
            out[first:end, side] = away
    return out


def _eased(frames: Float[Tensor, " N"], fps: float) -> Float[Tensor, " N"]:
    """1 at no distance, 0 from `_EASE_S` on, level at both."""
    share = (frames / (_EASE_S * fps)).clamp(0, 1)
    return 0.5 + 0.5 * torch.cos(math.pi * share)


def kept_at_rest(seconds: float) -> float:
    """The share of its way from rest that a hand keeps which has been away for one more frame: for streams."""
    return math.exp(-3 * seconds / _EASE_S)


def smoothed(values: Float[Tensor, "T 2 N"], variance: Float[Tensor, "T 2 N"], fps: float) -> Float[Tensor, "T 2 N"]:
    """The values that are near these and accelerate little: each row a least-squares spline (Whittaker 1923).

    Args:
        values: [rad].
        variance: of each [rad^2]; infinite where nothing was measured.
        fps: frames a second.
    """
    frames = len(values)
    if frames < 3:
        return values
    weight = (1 / variance).nan_to_num(posinf=0.0).flatten(1).double().cpu().numpy() + 1e-6
    bend = (fps * fps / _ACCELERATION) ** 2
    found = _banded(weight, weight * values.flatten(1).double().cpu().numpy(), bend)
    return torch.from_numpy(found).to(values).reshape(values.shape)


def _banded(weight: np.ndarray, right: np.ndarray, bend: float) -> np.ndarray:
    """x with (diag(weight) + bend D^T D) x = right for every column, D the second differences along the rows."""
    from scipy.linalg import solveh_banded

    frames = len(weight)
    bands = np.zeros((3, frames))  # D^T D: diagonal, below it, below that
    for first, values in enumerate(((1.0, 4.0, 1.0), (-2.0, -2.0), (1.0,))):
        for away, value in enumerate(values):
            bands[first, away : away + frames - 2] += value
    bands *= bend
    columns = []
    for own, wanted in zip(weight.T, right.T, strict=True):
        whole = bands.copy()
        whole[0] += own
        columns.append(solveh_banded(whole, wanted, lower=True))
    return np.stack(columns, axis=1)
