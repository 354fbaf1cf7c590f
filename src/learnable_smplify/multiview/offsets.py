"""Which frame of one camera shows the moment of a frame of another: found by how rays meet, or given by the user."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.multiview.rays import Rig, Sightlines, missed

# How far clocks are searched [s], and how many frames are looked at for each lag.
_REACH_S, _LOOKED_AT = 10.0, 240
# What a frame counts at most, in sizes of the person: of somebody else, or of nobody, it says nothing more.
_WORST = 0.1
# Rays of one person miss each other by less.
_SAME_PERSON = 0.05
# A lag is believed where it is better than none by this factor, and where at least so many frames overlap.
_BETTER, _FEWEST = 0.8, 12
_ROUNDS = 6


def find_offsets(lines: Sequence[Sightlines], rig: Rig, fps: float) -> dict[int, int]:
    """Frames by which each camera's recording is ahead: its frame n + offset shows what frame n of the first shows.

    For every pair of cameras and every lag, how far the rays of what moves miss each other; then the offsets that suit
    all pairs best.

    Args:
        lines: everybody in every camera.
        rig: the cameras.
        fps: frames a second.

    Returns:
        an offset for each camera that has a track, 0 for the first.
    """
    cameras = sorted({line.camera for line in lines})
    longest = max(len(line.rays) for line in lines)
    reach = int(min(_REACH_S * fps, longest // 2))
    curves = {
        (first, second): _curve(
            [line for line in lines if line.camera == first],
            [line for line in lines if line.camera == second],
            rig.essential(first, second),
            reach,
        )
        for first, second in itertools.combinations(cameras, 2)
    }
    # Cameras that never see the same person say nothing of each other's clock.
    curves = {pair: curve for pair, curve in curves.items() if float(np.min(curve)) < _SAME_PERSON}
    offsets = dict.fromkeys(cameras, 0)
    # Pairs that know best come first: a chain of them reaches every camera, and all pairs together have the last word.
    sure = sorted(curves, key=lambda pair: float(np.nanmin(curves[pair]) / curves[pair][reach]))
    placed = {cameras[0]}
    while len(placed) < len(cameras):
        pair = next((pair for pair in sure if len(placed & set(pair)) == 1), None)
        if pair is None:
            break
        first, second = pair
        lag = int(np.nanargmin(curves[pair])) - reach
        if curves[pair][lag + reach] > _BETTER * curves[pair][reach]:
            lag = 0
        if first in placed:
            offsets[second] = offsets[first] + lag
        else:
            offsets[first] = offsets[second] - lag
        placed |= {first, second}
    for _ in range(_ROUNDS):
        before = dict(offsets)
        for camera in cameras[1:]:
            offsets[camera] = _best(camera, offsets, curves, reach)
        if offsets == before:
            break
    if _total(offsets, curves, reach) > _BETTER * _total(dict.fromkeys(cameras, 0), curves, reach):
        return dict.fromkeys(cameras, 0)
    return offsets


def parse_offsets(words: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Offsets as the user writes them: `cam02=5`, or `cam02=-3`; 0 for cameras that are not named.

    Raises:
        InputError: not of this form, or a camera that is not there.
    """
    offsets: dict[str, int] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            frames = float(value)
        except ValueError:
            frames = math.nan
        if name not in names or not math.isfinite(frames):
            raise InputError(
                f"--clocks has '{word}'",
                expected=f"CAMERA=FRAMES of {', '.join(names)}",
                hint=f"--clocks {names[-1]}=5",
            )
        offsets[name] = round(frames)
    return offsets


def _curve(first: list[Sightlines], second: list[Sightlines], essential: np.ndarray, reach: int) -> np.ndarray:
    """(2 reach + 1,) how badly the people of two cameras fit for each lag, in sizes of a person; infinite where nothing
    overlaps."""
    costs = np.full(2 * reach + 1, np.inf)
    for place, lag in enumerate(range(-reach, reach + 1)):
        begin, end = max(0, -lag), min(len(first[0].rays), len(second[0].rays) - lag)
        if end - begin < _FEWEST:
            continue
        frames = np.unique(np.linspace(begin, end - 1, min(_LOOKED_AT, end - begin)).astype(int))
        best = np.full(len(frames), np.nan)
        for one, other in itertools.product(first, second):
            size = max(0.5 * (one.size + other.size), 1e-6)
            # A detector may take left for right in one of them.
            for rays in (other.rays[frames + lag], other.rays[frames + lag][:, other.mirror]):
                away = missed(essential, one.rays[frames], rays)
                enough = np.isfinite(away).sum(axis=1) >= 3
                with np.errstate(all="ignore"):
                    found = np.nanmean(np.minimum(away[enough] / size, _WORST), axis=1)
                best[enough] = np.fmin(best[enough], found)
        known = best[np.isfinite(best)]
        if len(known) >= _FEWEST:
            costs[place] = known.mean()
    return costs if np.isfinite(costs[reach]) else np.where(np.isfinite(costs), costs, _WORST)


def _best(camera: int, offsets: Mapping[int, int], curves: Mapping[tuple[int, int], np.ndarray], reach: int) -> int:
    total, told = np.zeros(2 * reach + 1), False
    lags = np.arange(-reach, reach + 1)
    for (first, second), curve in curves.items():
        if camera not in (first, second):
            continue
        told = True
        other = second if camera == first else first
        lag = lags - offsets[other] if camera == second else offsets[other] - lags
        inside = np.abs(lag) <= reach
        total += np.where(inside, curve[np.clip(lag + reach, 0, 2 * reach)], np.inf)
    return int(lags[int(np.argmin(total))]) if told and np.isfinite(total).any() else offsets[camera]


def _total(offsets: Mapping[int, int], curves: Mapping[tuple[int, int], np.ndarray], reach: int) -> float:
    places = {pair: offsets[pair[1]] - offsets[pair[0]] + reach for pair in curves}
    return sum(
        float(min(curve[places[pair]], _WORST)) if 0 <= places[pair] <= 2 * reach else _WORST
        for pair, curve in curves.items()
    )
