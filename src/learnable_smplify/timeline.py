"""Frames of a recording: some of them, evenly, and what lies between those that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.arrays import as_number
from learnable_smplify.errors import InputError
from learnable_smplify.rotation import rotmat_between

# Frame rates that differ by a smaller share are one: 29.97 and 30.
_SAME_RATE = 0.005
_FASTEST = 1e5


def is_rate(fps: float) -> bool:
    """Whether a number can be a frame rate: above 0, and below what any recording is."""
    return 0 < fps < _FASTEST  # False for NaN too


def check_rate(fps: float | None, option: str = "--fps", path: Path | None = None) -> None:
    """Refuse a frame rate that is none; None says nothing.

    Raises:
        InputError: it is not above 0, or as no recording is.
    """
    if fps is not None and not is_rate(fps := as_number(fps, "the frame rate")):
        expected = "frames a second above 0"
        raise InputError(f"the frame rate is {fps:g}", path=path, expected=expected, hint=f"{option} 30")


def rate_ratio(one: float, other: float) -> float:
    """How often a frame rate goes into another; 1 where they are the same but for how they are written (29.97, 30)."""
    return 1.0 if abs(one - other) <= _SAME_RATE * max(one, other) else one / other


def evenly(count: int, most: int) -> Int[Tensor, " N"]:
    """Rows 0 .. count - 1, or `most` of them at even steps, the first and the last among them."""
    return torch.linspace(0, count - 1, min(count, most)).round().long()


def runs(mask: Bool[np.ndarray, " T"]) -> list[tuple[int, int]]:
    """Stretches of frames where `mask` is True: the first, and the one after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def run_names(mask: Bool[np.ndarray, " T"]) -> list[str]:
    """Those stretches as people write them: 3, 10-12."""
    return [f"{first}" if end == first + 1 else f"{first}-{end - 1}" for first, end in runs(mask)]


def around(known: Int[Tensor, " N"], frames: int) -> tuple[Int[Tensor, " T"], Int[Tensor, " T"], Float[Tensor, " T"]]:
    """For each of T frames the places in `known` of the frames before and after it, and its share of the way.

    A known frame is both its neighbours; beyond the first and the last, these are.

    Args:
        known: numbers of frames, rising.
        frames: T.
    """
    at = torch.arange(frames, device=known.device)
    after = torch.searchsorted(known, at).clamp(max=len(known) - 1)
    before = (torch.searchsorted(known, at, right=True) - 1).clamp(min=0)
    return before, after, ((at - known[before]) / (known[after] - known[before]).clamp(min=1)).clamp(0, 1)


def beside(
    places: Float[Tensor, " N"], frames: int, near: float
) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"], Float[Tensor, " N"], Bool[Tensor, " N"]]:
    """The frames before and after each place, in frames of a recording of T, its share of the way, and whether it is
    inside the recording.

    Args:
        places: in any order.
        frames: T.
        near: a place this near to a frame, in frames, is that frame.
    """
    places, last = places.to(torch.float64), frames - 1
    nearest = places.round()
    places = torch.where((places - nearest).abs() <= near, nearest, places)
    before, after = places.floor().clamp(0, last).long(), places.ceil().clamp(0, last).long()
    return before, after, (places - before).clamp(0, 1), (places >= 0) & (places <= last)


def between(values: Float[Tensor, "N *D"], known: Int[Tensor, " N"], frames: int) -> Float[Tensor, "T *D"]:
    """Values at all frames, on straight lines between those at the `known` ones; beyond them as they are there."""
    before, after, share = around(known, frames)
    return torch.lerp(values[before], values[after], share.to(values).reshape(-1, *[1] * (values.ndim - 1)))


def rotations_between(
    rotmat: Float[Tensor, "N J 3 3"], known: Int[Tensor, " N"], frames: int
) -> Float[Tensor, "T J 3 3"]:
    """Rotations at all frames, turned evenly between those at the `known` ones; beyond them as they are there."""
    before, after, share = around(known, frames)
    return rotmat_between(rotmat[before], rotmat[after], share.to(rotmat)[:, None, None])


def averaged(values: Float[Tensor, "T D"], usable: Bool[Tensor, " T"], reach: int) -> Float[Tensor, "T D"]:
    """Values averaged over the usable frames up to `reach` before and after (weights of a Hann window).

    Frames that have none so near lie between those around that do.
    """
    window = torch.hann_window(2 * reach + 3, periodic=False)[1:-1].to(values)
    mask = usable.to(values)[:, None]
    sums = torch.nn.functional.conv1d(
        torch.cat((values * mask, mask), dim=1).T[:, None], window[None, None], padding=reach
    )[:, 0].T
    total = sums[:, -1:]
    known = (total[:, 0] > 1e-3).nonzero()[:, 0]
    return between(sums[known, :-1] / total[known], known, len(values))
