"""Left and right exchanged for a while: found by where tracks cross over, undone by exchanging them back.

Detectors exchange sides for all of a body or for the legs or arms only. So the whole body, its halves, and then each
section alone are judged one after the other, as chains with two states, straight and exchanged. Changing the state is
paid for unless the tracks continue better crosswise. Being in a state is judged by the body: hips that ankles, knees
and nose contradict, shoulders turned against the hips, limbs that do not fit the joints they hang on.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from learnable_smplify.repair.bones import BoneLengths, bone_lengths, masked_median
from learnable_smplify.repair.neighbours import at, neighbours
from learnable_smplify.repair.parts import PARENT_SECTION, SECTIONS, BodyParts

# Smallest scale on which continuations are compared [m]; the recording's noise and gaps make it larger.
_SCALE = 0.03
# Error of continuing a track over a time h is half of this times h^2 [m/s^2], at most `_LOST` [m].
_ACCELERATION = 20.0
_LOST = 1.0
# Departures of this many scales count fully against a continuation, larger ones no more (Geman-McClure).
_SATURATION = 3.0
# Velocities are taken over at most this time [s].
_VELOCITY_S = 0.1
# Frames for which a pair may be missing at a change and still say when it was.
_LATE = 4
# A change must be this much more likely than none, in nats ...
CHANGE = 4.0
# ... and is not thought of where the tracks say no more firmly than this.
_CANDIDATE = -2.0
# What a second of facing the right way is worth, in nats; what all seconds together can be worth at most; and what a
# second counts for being straight when nothing else is known.
_FACING_RATE, _FACING_MOST, _STRAIGHT_RATE = 30.0, 20.0, 1.0
# A vector shorter than this [m] does not tell a direction well.
_SHORT = 0.05
# Errors of two crossing bones that tell little, in units of the bones' tolerance.
_UNSURE = 1.5
_THROUGHOUT = 0.9
Stage: TypeAlias = tuple[str, ...]
# What is judged together, in this order; the first section that is there tells which way is forward.
STAGES: tuple[Stage, ...] = (
    SECTIONS,
    ("hips", "legs", "feet"),
    ("shoulders", "arms"),
    ("hips",),
    ("legs", "feet"),
    ("legs",),
    ("feet",),
    ("shoulders",),
    ("arms",),
    ("head",),
)
# No section says more than this for or against a change that several make together, in nats.
_ONE_VOICE = 6.0


def find_swaps(
    positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], fps: float, parts: BodyParts
) -> tuple[Bool[np.ndarray, "T K"], tuple[str, ...]]:
    """Keypoints to be exchanged with their partner on the other side.

    Args:
        positions: metres; anything where not valid.
        valid: which of them were measured; single wild ones do no harm.
        fps: frames a second.
        parts: of the layout.

    Returns:
        the mask, the same for both partners, and the sections that look exchanged (almost) throughout: that is not a
        slip of the detector but names or axes that are wrong, and they are left as they are.
    """
    mask = np.zeros(valid.shape, dtype=bool)
    suspect: list[str] = []
    positions, valid = positions.copy(), valid.copy()
    lengths = bone_lengths(parts.bones, positions, valid)
    crossing = _crossing(positions, valid, parts.pairs, fps) if len(parts.pairs) else np.zeros((len(valid), 0))
    for _, present in stages_of(parts):
        rows = parts.in_section(*present)
        change = joint_voice(crossing, present, parts)
        score = facing_score(present[0], positions, valid, parts, lengths)
        straight = (_FACING_RATE * score + _STRAIGHT_RATE) / fps
        exchanged = _most_likely_states(change, straight)
        if exchanged.mean() > _THROUGHOUT:
            suspect.extend(section for section in present if section not in suspect)
            exchanged = ~exchanged
        if not exchanged.any():
            continue
        now = np.zeros_like(mask)
        now[:, parts.pairs[rows].ravel()] = exchanged[:, None]
        exchange(positions, now, parts)
        exchange(valid, now, parts)
        mask ^= now
        crossing[:, rows] = _crossing(positions, valid, parts.pairs[rows], fps)
    return mask, tuple(suspect)


@cache
def stages_of(parts: BodyParts) -> tuple[tuple[Stage, Stage], ...]:
    """The stages that a layout can tell of, and the sections of each that it has."""
    stages = [(stage, tuple(name for name in stage if parts.in_section(name).any())) for stage in STAGES]
    return tuple((stage, present) for stage, present in stages if len(present) >= min(len(stage), 2))


def joint_voice(gain: Float[np.ndarray, "T P"], sections: Stage, parts: BodyParts) -> Float[np.ndarray, " T"]:
    """What the pairs of some sections together say for a change, in nats."""
    voices = [gain[:, parts.in_section(section)].sum(axis=1) for section in sections]
    return voices[0] if len(voices) == 1 else np.clip(voices, -_ONE_VOICE, _ONE_VOICE).sum(axis=0)


def exchange(values: np.ndarray, mask: Bool[np.ndarray, "T K"], parts: BodyParts) -> None:
    """Exchange left and right in place where the mask says so."""
    left, right = parts.pairs.T
    where = mask[:, left].reshape(*mask[:, left].shape, *[1] * (values.ndim - 2))
    one, other = values[:, left], values[:, right]
    values[:, left], values[:, right] = np.where(where, other, one), np.where(where, one, other)


def _crossing(
    positions: Float[np.ndarray, "T K 3"],
    valid: Bool[np.ndarray, "T K"],
    pairs: Int[np.ndarray, "P 2"],
    fps: float,
) -> Float[np.ndarray, "T P"]:
    """How much better the tracks of each pair continue crosswise into each frame than straight, in nats."""
    left, right = pairs.T
    both = valid[:, left] & valid[:, right]
    near = neighbours(both)
    now = np.arange(len(both), dtype=np.int32)[:, None]
    usable = both & (near.before >= 0)
    reach = max(_VELOCITY_S * fps, 1.5)
    sides = (positions[:, left], positions[:, right])

    def velocity(track: np.ndarray, one: np.ndarray, two: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Per frame, between two frames of a track near `start`; zero where there are none."""
        known = (one >= 0) & (two < len(both)) & (two - one <= reach) & (now - near.before <= reach)
        step = (at(track, two) - at(track, one)) / np.maximum(two - one, 1)[..., None]
        return np.where(known[..., None], step, np.float32(0))

    arriving = [velocity(side, near.before2, near.before, near.before) for side in sides]
    leaving = [velocity(side, np.broadcast_to(now, both.shape), near.after, now) for side in sides]
    time = (now - near.before).astype(np.float32)

    def departure(old: int, new: int) -> Float[np.ndarray, "T P"]:
        step = sides[new] - at(sides[old], near.before)
        carried = step - 0.5 * time[..., None] * (arriving[old] + leaving[new])
        return np.fmin(np.linalg.norm(step, axis=-1), np.linalg.norm(carried, axis=-1))

    straight = [departure(0, 0), departure(1, 1)]
    crosswise = [departure(0, 1), departure(1, 0)]
    usual = masked_median(np.concatenate(straight).reshape(-1, 1), np.concatenate((usable, usable)).reshape(-1, 1))[0]
    usual = usual if np.isfinite(usual) else 0.0
    scale = max(_SCALE, float(usual)) ** 2 + np.minimum(0.5 * _ACCELERATION * (time / fps) ** 2, _LOST) ** 2

    gain = saturating_cost(straight[0], scale) + saturating_cost(straight[1], scale)
    gain -= saturating_cost(crosswise[0], scale) + saturating_cost(crosswise[1], scale)
    return _dated(np.where(usable, gain, 0), time)


def _dated(gain: Float[np.ndarray, "T P"], time: Float[np.ndarray, "T P"]) -> Float[np.ndarray, "T P"]:
    """A pair that was missing tells of a change late; move that to the frame where the others tell of one."""
    result = gain.copy()
    others = np.where(time == 1, gain, 0).sum(axis=1)
    for missed in range(1, _LATE + 1):
        frame, pair = np.nonzero((time == missed + 1) & (gain > 0))
        told = others[frame[:, None] - np.arange(missed + 1)]
        earlier = np.where(told.max(axis=1) > 0, told.argmax(axis=1), 0)
        np.subtract.at(result, (frame, pair), gain[frame, pair])
        np.add.at(result, (frame - earlier, pair), gain[frame, pair])
    return result


def facing_score(
    section: str,
    positions: Float[np.ndarray, "T K 3"],
    valid: Bool[np.ndarray, "T K"],
    parts: BodyParts,
    lengths: BoneLengths,
) -> Float[np.ndarray, " T"]:
    """What the body says in each frame for a section being straight (up to 1) or exchanged (down to -1)."""
    if section in PARENT_SECTION:
        return _fit_to_parent(section, positions, valid, parts, lengths)
    sideways = _sideways(section, positions, valid, parts)
    pointers = parts.head_leftward if section == "head" else parts.leftward
    along, across = (_vectors(pointers[:, end], positions, valid) for end in (0, 1))
    along /= np.linalg.norm(along, axis=-1, keepdims=True).clip(_SHORT)
    signs = [_cosine(sideways[:, None], np.cross(along, across))]
    if section != "hips":
        base = "hips" if section == "shoulders" else "shoulders"
        signs.append(_cosine(sideways[:, None], _sideways(base, positions, valid, parts)[:, None]))
    cosines = np.concatenate(signs, axis=1)
    return cosines.sum(axis=1) / np.maximum((cosines != 0).sum(axis=1), 1)


def saturating_cost(away: Float[np.ndarray, "..."], scale: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Cost of a departure [m] in nats for a squared scale [m^2]: quadratic, and level from a few scales on."""
    squared = away**2 / scale
    return 0.5 * _SATURATION**2 * squared / (squared + _SATURATION**2)


def _fit_to_parent(
    section: str,
    positions: Float[np.ndarray, "T K 3"],
    valid: Bool[np.ndarray, "T K"],
    parts: BodyParts,
    lengths: BoneLengths,
) -> Float[np.ndarray, " T"]:
    """From -1 (the bones to the section above fit crosswise) to 1 (they fit straight); 0 without such bones."""
    above = parts.pairs[parts.in_section(PARENT_SECTION[section])]
    score = np.zeros(len(positions), dtype=np.float32)
    count = np.zeros_like(score)
    for left, right in parts.pairs[parts.in_section(section)]:
        for left_above, right_above in above:
            one, other = parts.bone(left, left_above), parts.bone(right, right_above)
            if one is None or other is None or not np.isfinite(lengths.tolerance[[one, other]]).all():
                continue
            ends = np.array([[left, left_above], [right, right_above], [left, right_above], [right, left_above]])
            apart = np.linalg.norm(positions[:, ends[:, 0]] - positions[:, ends[:, 1]], axis=-1)
            known = valid[:, ends].all(axis=(1, 2))
            error = np.abs(apart - lengths.length[[one, other]].mean())
            # Lengths are as uncertain as the recording is noisy: legs side by side must not decide by chance.
            unsure = _UNSURE * lengths.tolerance[[one, other]].mean()
            gain = (error[:, 2:].sum(axis=1) - error[:, :2].sum(axis=1)) / unsure
            score += np.where(known, np.tanh(gain), 0)
            count += known
    return score / np.maximum(count, 1)


def _sideways(
    section: str, positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"], parts: BodyParts
) -> Float[np.ndarray, "T 3"]:
    """The vector from right to left, summed over the section's pairs; zero where none is seen."""
    left, right = parts.pairs[parts.in_section(section)].T
    both = (valid[:, left] & valid[:, right])[..., None]
    return np.where(both, positions[:, left] - positions[:, right], 0).sum(axis=1)


def _vectors(
    rows: Float[np.ndarray, "F K"], positions: Float[np.ndarray, "T K 3"], valid: Bool[np.ndarray, "T K"]
) -> Float[np.ndarray, "T F 3"]:
    """Weighted sums of positions; zero where one that is needed is not valid."""
    known = ~(~valid[:, None] & (rows != 0)).any(axis=-1)
    return np.where(known[..., None], rows @ positions, 0)


def _cosine(one: Float[np.ndarray, "T F 3"], other: Float[np.ndarray, "T F 3"]) -> Float[np.ndarray, "T F"]:
    """Cosine of the angle between vectors, less for short ones; 0 where one of them is zero."""
    length = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    short = _SHORT * np.maximum(np.linalg.norm(one, axis=-1), np.linalg.norm(other, axis=-1)).clip(_SHORT)
    return (one * other).sum(axis=-1) / (length + short)


def _most_likely_states(change: Float[np.ndarray, " T"], straight: Float[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
    """The most likely chain of states (Viterbi), True where exchanged, over the stretches between possible changes."""
    starts = np.concatenate(([0], 1 + np.flatnonzero(change[1:] > _CANDIDATE)))
    worth = np.add.reduceat(straight, starts)
    worth = _FACING_MOST * np.tanh(worth / _FACING_MOST)
    gain = change[starts] - CHANGE
    best = (float(worth[0]), -float(worth[0]))
    came: list[tuple[bool, bool]] = []  # for each later stretch and state: whether the state before was the other one
    for value, bonus in zip(worth[1:].tolist(), gain[1:].tolist(), strict=True):
        changed = (best[1] + bonus > best[0], best[0] + bonus > best[1])
        best = (max(best[0], best[1] + bonus) + value, max(best[1], best[0] + bonus) - value)
        came.append(changed)
    state = best[1] > best[0]
    states = [state]
    for changed in reversed(came):
        state = state != changed[int(state)]
        states.append(state)
    return np.repeat(np.array(states[::-1]), np.diff(np.concatenate((starts, [len(change)]))))
