"""Keypoints that stay in one place all the time while the body moves: a tracker's constant, taken as missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.repair.neighbours import at, latest, neighbours
from learnable_smplify.repair.parts import body_parts
from learnable_smplify.repair.plausible import size_note

# A keypoint that never moves again is held if it stood for so many frames, this share of those in which it was seen ...
_LONG, _MOST = 10, 0.5
# ... and the bones that lead away from it change their length by more than this [m], and than so many times what the
# softest of the others do, but for this share: shoulders that are shrugged, noise.
_STRAY, _FACTOR, _SOFT = 0.06, 2.5, 0.9


def without_held(keypoints: Keypoints) -> Keypoints:
    """The recording without them, each named in a note; the same recording where there are none."""
    layout = keypoints.layout
    assert isinstance(layout, Layout)
    positions, valid = keypoints.positions.cpu().numpy(), keypoints.confidence.cpu().numpy() > 0
    if size_note(positions, valid) is not None:  # the limits are in metres
        return keypoints
    held = find_held(positions, valid, body_parts(layout).bones)
    if not held.any():
        return keypoints
    confidence = torch.where(torch.from_numpy(held).to(keypoints.confidence.device), 0.0, keypoints.confidence)
    return replace(keypoints, confidence=confidence, notes=(*keypoints.notes, *held_notes(held, layout)))


def held_notes(held: Bool[np.ndarray, "T K"], layout: Layout) -> tuple[str, ...]:
    """Lines for the user, one a keypoint."""
    return tuple(
        f"{layout.keypoint_names[index]} does not move while the body does: taken as missing in "
        f"{int(held[:, index].sum())} frames"
        for index in np.flatnonzero(held.any(axis=0))
    )


def find_held(
    positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], bones: Int[np.ndarray, "E 2"]
) -> Bool[np.ndarray, "T K"]:
    """Keypoints in one place up to the recording's end, maybe from its start, that the body moved away from.

    Nothing is released here, and no way came before; the bones tell. A foot that is planted, a hand on a table and the
    root of a body about its root stand as still, but their bones keep their length. Keypoints held together (a foot)
    are judged by the bones that lead out of them.

    Args:
        positions: metres; anything where not valid.
        valid: which of them were measured.
        bones: keypoints whose distance hardly changes.
    """
    before = neighbours(valid).before
    fresh = valid & ~((before >= 0) & (positions == at(positions, before)).all(axis=-1))
    still = valid & (np.arange(len(valid))[:, None] >= latest(fresh)[-1])
    stands = still.sum(axis=0) >= np.maximum(_LONG, _MOST * valid.sum(axis=0))
    if not stands.any():
        return np.zeros_like(valid)
    still &= stands
    spread = np.array([_spread(positions, valid, still[:, pair].any(axis=1), pair) for pair in bones])
    ends = stands[bones]
    own = spread[~ends.any(axis=1)]
    limit = max(_STRAY, _FACTOR * float(np.nanquantile(own, _SOFT)) if np.isfinite(own).any() else 0.0)
    group = np.arange(len(stands))
    for _ in group:  # the lowest number of all that are linked
        for one, other in bones[ends.all(axis=1)]:
            group[[one, other]] = group[[one, other]].min()
    held = np.zeros_like(stands)
    for number in np.unique(group[stands]):
        members = stands & (group == number)
        leading = spread[(members[bones].sum(axis=1) == 1) & np.isfinite(spread)]
        held |= members & (len(leading) > 0 and bool((leading > limit).all()))
    return still & held


def _spread(
    positions: Float[np.ndarray, "T K 3"],
    valid: Bool[np.ndarray, "T K"],
    still: Bool[np.ndarray, " T"],
    pair: Int[np.ndarray, "2"],
) -> float:
    """By how much a bone's length varies [m] while one of its ends stands still, or ever; NaN where it is not seen."""
    rows = valid[:, pair].all(axis=1) & (still | ~still.any())
    if rows.sum() < _LONG:
        return float("nan")
    length = np.linalg.norm(positions[rows, pair[0]] - positions[rows, pair[1]], axis=-1)
    return float(np.subtract(*np.quantile(length, (0.95, 0.05))))
