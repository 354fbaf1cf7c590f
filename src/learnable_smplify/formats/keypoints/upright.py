"""Along which axis people stand, and whether they do: what a body says of which way is up.

A body that lies, crawls or rolls has a long axis too. A statement of the file, or a habit of its format, is overruled
only by people of whom something shows that they stand: legs and trunk in one line over flat soles, and feet that rest
on the floor at zero, or that stay where they are while the body moves, as toes do in push-ups, of people who would
else lie on that floor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from learnable_smplify.formats.keypoints.body_points import (
    FEET,
    HIPS,
    SHOULDERS,
    TOP,
    either,
    mean_of,
    measured,
    unit,
)
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import direction_vector
from learnable_smplify.skeleton import sided

AXES = ("x", "y", "z")

# The body stands along an axis when the median direction from feet to head is within 37 degrees of it, and that
# axis is the nearest in most frames.
_CLEAR_COSINE = 0.8
_CLEAR_SHARE = 0.6
# A frame shows somebody standing when the trunk is within 40 degrees of the axis, hips are above ankles by this share
# of the leg, and a sole is within 30 degrees of level.
_TRUNK_COSINE, _STRAIGHT_LEG, _LEVEL_SOLE = 0.77, 0.8, 0.5
# In this share of frames somebody must stand; a person who gets up for this share confirms the file's own axis.
_STANDING_SHARE, _CONFIRMED_SHARE = 0.3, 0.1
# The soles of people who stand are mostly within 17 degrees of level; the toes of people who lie point down.
_FLAT_SOLE = 0.3
# Ankles of people who stand on a floor at zero; hips of people who lie on one, and how little of the body is below [m].
_ANKLE_HEIGHTS, _LYING_HIPS, _LYING_LOWEST = (0.0, 0.2), (0.02, 0.35), -0.05
# Wrists of people who stand on their hands, on such a floor [m].
_HAND_HEIGHTS = (-0.1, 0.3)
# The body moves at least so fast [m/s], and the slower foot at most at this share of it, where feet carry it.
_LEAST_SPEED, _STANCE_SHARE = 0.06, 0.5
# Hips of people who squat, sit down or jump go up and down by this, of people who walk sideways by more than this [m].
_HEAVES, _WALKS = (0.15, 0.8), 0.5
# Speeds are taken over this time [s]: over less, noise is speed.
_SPAN_S = 0.3
# On hands and knees the thighs stand off the trunk by more than 45 degrees, and the soles point back or the feet move
# along the trunk by more than this [m], as those of people who sit do not.
_BENT_COSINE, _POINTED_SOLE, _FEET_TRAVEL = 0.7, 0.5, 0.4


def standing_direction(people: Sequence[Keypoints], arms_tell: bool = False) -> str | None:
    """The axis along which the bodies stand, feet to head: "x", "-x", ..., or None where none is clear.

    Hips stand for feet that are not measured, shoulders for hips. People lie, bend and somersault; only a direction
    that most frames share counts. Of people on hands and knees, it is the way from their limbs to the trunk.

    Args:
        people: of one recording.
        arms_tell: of people without hips and head, arms do: they hang more often than not.
    """
    whole = [_upward(person) for person in people]
    if any(np.isfinite(directions).any() for directions in whole):
        return _shared_axis(np.concatenate(whole))
    busts = [_upward_of_bust(person) for person in people]
    if arms_tell and not any(np.isfinite(directions).any() for directions in busts):
        busts = [_upward_of_arms(person) for person in people]
    return _shared_axis(np.concatenate([np.zeros((0, 3)), *busts]))


def overrules(people: Sequence[Keypoints], direction: str, habit: str) -> bool:
    """Whether people who stand along `direction` show that it is up, and not `habit` as is usual in such files.

    A body that stands along the habit's axis, only the other way round, shows it, unless it stands on its hands.
    """
    up, usual = direction_vector(direction), direction_vector(habit)
    if direction[-1] == habit[-1]:
        upright = _share([_standing(person, usual) for person in people]) > _CONFIRMED_SHARE
        return not upright and not all(_on_hands(person, usual) for person in people)
    standing = [_standing(person, up) for person in people]
    if _share(standing) < _STANDING_SHARE or _share([_standing(person, usual) for person in people]) > _CONFIRMED_SHARE:
        return False
    lying = _lying(people, usual)
    return (_on_floor(people, up) and not lying) or any(
        _carried_by_feet(person, there) and (not lying or _goes(person, up, usual))
        for person, there in zip(people, standing, strict=True)
    )


def told_by_floor(people: Sequence[Keypoints], direction: str) -> str | None:
    """Which way is up where people along `direction` lie on a floor at height zero, or stand on their hands there.

    Args:
        people: of one recording whose file says nothing of its axes.
        direction: their direction from feet to head.

    Returns:
        the axis, None where nothing shows that `direction` is not up. Nothing does for people who are bent, whose soles
        are level or not measured, or whose feet are on a floor already.
    """
    up = direction_vector(direction)
    if all(_on_hands(person, -up) for person in people):
        return direction[1:] if direction.startswith("-") else f"-{direction}"
    straight = [_straight(person, up) for person in people]
    level = [part & _on_soles(person, up, _FLAT_SOLE) for part, person in zip(straight, people, strict=True)]
    if _share(straight) < _STANDING_SHARE or _share(level) >= _STANDING_SHARE or _on_floor(people, up):
        return None
    beside = [axis for axis in AXES[1:] if axis != direction[-1] and _lying(people, direction_vector(axis))]
    return beside[0] if len(beside) == 1 else None


def _upward(person: Keypoints) -> Float[np.ndarray, "T 3"]:
    """Unit vectors from feet to head, NaN where unknown."""
    points, layout = measured(person)
    shoulders, hips = mean_of(points, layout, SHOULDERS), mean_of(points, layout, HIPS)
    top, feet = mean_of(points, layout, TOP), mean_of(points, layout, FEET)
    # Of legs alone, the hips are the top.
    whole = unit(either(top, hips) - either(feet, hips))
    knees, wrists = (mean_of(points, layout, {f"left_{name}", f"right_{name}"}) for name in ("knee", "wrist"))
    with np.errstate(invalid="ignore"):
        bent = np.abs((unit(shoulders - hips) * unit(knees - hips)).sum(axis=-1)) < _BENT_COSINE
        if bent.mean() > _CLEAR_SHARE and _on_all_fours(points, layout, whole):
            return unit(shoulders + hips - knees - wrists)
    return whole


def _upward_of_bust(person: Keypoints) -> Float[np.ndarray, "T 3"]:
    """The same where neither hips nor feet are measured: the head is above the shoulders, elbows mostly below."""
    points, layout = measured(person)
    left, right = _of_sides(points, layout, ("shoulder",))
    elbows = mean_of(points, layout, {"left_elbow", "right_elbow"})
    crown = mean_of(points, layout, {"left_ear", "right_ear", "head_top", "head"})  # a face is in front, not above
    arms = unit((left + right) / 2 - elbows)
    return unit(unit(crown - (left + right) / 2) + np.where(np.isfinite(arms), arms, 0.0) / 2)


def _upward_of_arms(person: Keypoints) -> Float[np.ndarray, "T 3"]:
    points, layout = measured(person)
    elbows, wrists = (mean_of(points, layout, {f"left_{name}", f"right_{name}"}) for name in ("elbow", "wrist"))
    return unit(mean_of(points, layout, SHOULDERS) - either(elbows, wrists))


def _on_all_fours(points: Float[np.ndarray, "T K 3"], layout: Layout, along: Float[np.ndarray, "T 3"]) -> bool:
    """Whether bent people can not be sitting: their soles point down `along` the trunk, or their feet travel along."""
    toes = _of_sides(points, layout, ("big_toe", "small_toe", "foot"))
    heels = _of_sides(points, layout, ("heel",))
    ankles = _of_sides(points, layout, ("ankle",))
    middle = np.nanmedian(along, axis=0)
    with np.errstate(invalid="ignore"):
        soles = [(unit(toe - heel) * along).sum(axis=-1) for toe, heel in zip(toes, heels, strict=True)]
        pointed = _median(np.stack(soles))
        height = np.stack(ankles) @ middle
    travel = [np.nanquantile(foot, 0.95) - np.nanquantile(foot, 0.05) for foot in height if np.isfinite(foot).any()]
    return pointed < -_POINTED_SOLE or (bool(travel) and min(travel) > _FEET_TRAVEL)


def _standing(person: Keypoints, up: Float[np.ndarray, "3"]) -> np.ndarray:
    """(T,) whether hips and ankles are seen and somebody stands: trunk and legs along `up`, a sole level."""
    return _straight(person, up) & _on_soles(person, up, _LEVEL_SOLE)


def _on_soles(person: Keypoints, up: Float[np.ndarray, "3"], level: float) -> np.ndarray:
    """(T,) whether the sine of a sole's slope is below `level`, or the sole is not seen."""
    points, layout = measured(person)
    heels, toes = _of_sides(points, layout, ("heel",)), _of_sides(points, layout, ("big_toe", "small_toe", "foot"))
    soles = np.zeros(len(points), dtype=bool)
    with np.errstate(invalid="ignore"):
        for heel, toe in zip(heels, toes, strict=True):
            slope = np.abs(unit(toe - heel) @ up)
            soles |= (slope < level) | ~np.isfinite(slope)
    return soles


def _straight(person: Keypoints, up: Float[np.ndarray, "3"]) -> np.ndarray:
    """(T,) whether hips and ankles are seen and trunk and a leg are along `up`."""
    points, layout = measured(person)
    hips, knees, ankles = (_of_sides(points, layout, (name,)) for name in ("hip", "knee", "ankle"))
    legs = np.zeros(len(points), dtype=bool)
    with np.errstate(invalid="ignore"):
        trunk = unit(mean_of(points, layout, SHOULDERS) - mean_of(points, layout, HIPS)) @ up > _TRUNK_COSINE
        for hip, knee, ankle in zip(hips, knees, ankles, strict=True):
            length = np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)
            legs |= (hip - ankle) @ up > _STRAIGHT_LEG * length
    return trunk & legs


def _on_hands(person: Keypoints, up: Float[np.ndarray, "3"]) -> bool:
    """Whether the hands are below the head and on a floor at height zero, as in a handstand, most of the time."""
    points, layout = measured(person)
    hands = mean_of(points, layout, {"left_wrist", "right_wrist"}) @ up
    head = mean_of(points, layout, TOP) @ up
    with np.errstate(invalid="ignore"):
        return float(((hands < head) & (hands > _HAND_HEIGHTS[0]) & (hands < _HAND_HEIGHTS[1])).mean()) > _CLEAR_SHARE


def _lying(people: Sequence[Keypoints], up: Float[np.ndarray, "3"]) -> bool:
    """Whether people lie on a floor at height zero or are on hands and feet there, with nothing below."""

    def height(*names: str) -> float:
        heights = np.concatenate([mean_of(*measured(person), names) @ up for person in people])
        return float(np.nanmedian(heights)) if np.isfinite(heights).any() else np.inf

    lowest = min(float(np.nanquantile(measured(person)[0] @ up, 0.05)) for person in people)
    ends = (height(*sided("wrist")), height(*sided("ankle")))
    down = all(_HAND_HEIGHTS[0] < end < _HAND_HEIGHTS[1] for end in ends)
    return lowest > _LYING_LOWEST and (down or _LYING_HIPS[0] < height(*HIPS) < _LYING_HIPS[1])


def _on_floor(people: Sequence[Keypoints], up: Float[np.ndarray, "3"]) -> bool:
    """Whether feet rest at height zero along `up`."""
    feet = np.concatenate([foot @ up for person in people for foot in _of_sides(*measured(person), ("ankle",))])
    return np.isfinite(feet).any() and bool(_ANKLE_HEIGHTS[0] < np.nanquantile(feet, 0.05) < _ANKLE_HEIGHTS[1])


def _carried_by_feet(person: Keypoints, there: np.ndarray) -> bool:
    """Whether one foot stays where it is while the body moves and the hands do not stay too, as in steps and squats."""
    points, layout = measured(person)
    span = max(1, round(person.fps * _SPAN_S))
    if len(points) <= 2 * span:
        return False
    both = there[span:] & there[:-span]
    feet = np.stack([_speed(foot, span, person.fps) for foot in _of_sides(points, layout, ("ankle", "heel"))])
    hands = np.stack([_speed(hand, span, person.fps) for hand in _of_sides(points, layout, ("wrist",))])
    body = _speed(mean_of(points, layout, HIPS), span, person.fps)
    known = both & np.isfinite(body) & np.isfinite(feet).all(axis=0)
    if known.sum() < max(span, 0.1 * len(points)):
        return False
    moving = float(np.median(body[known]))
    held = float(np.median(hands.max(axis=0)[known])) < _STANCE_SHARE * moving  # False for hands that are not seen
    return moving > _LEAST_SPEED and float(np.median(feet.min(axis=0)[known])) < _STANCE_SHARE * moving and not held


def _goes(person: Keypoints, up: Float[np.ndarray, "3"], usual: Float[np.ndarray, "3"]) -> bool:
    """Whether hips go up and down along `up`, or beside it, as nobody's who lies do over planted feet."""
    points, layout = measured(person)
    hips = mean_of(points, layout, HIPS)
    if not np.isfinite(hips).any():
        return False
    low, high = np.nanquantile(hips, (0.05, 0.95), axis=0)
    heave, aside = abs((high - low) @ up), abs((high - low) @ np.cross(up, usual))
    return bool(_HEAVES[0] < heave < _HEAVES[1] or aside > _WALKS)


def _speed(points: Float[np.ndarray, "T 3"], span: int, fps: float) -> Float[np.ndarray, "N"]:
    return np.linalg.norm(points[span:] - points[:-span], axis=-1) * fps / span


def _of_sides(
    points: Float[np.ndarray, "T K 3"], layout: Layout, names: tuple[str, ...]
) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, "T 3"]]:
    left, right = (mean_of(points, layout, {f"{side}_{name}" for name in names}) for side in ("left", "right"))
    return left, right


def _shared_axis(directions: Float[np.ndarray, "N 3"]) -> str | None:
    """The axis that most directions are near to; None where there is none."""
    directions = directions[np.isfinite(directions).all(axis=-1)]
    if not len(directions):
        return None
    middle = np.median(directions, axis=0)
    axis = int(np.abs(middle).argmax())
    length = float(np.linalg.norm(middle))
    if not abs(middle[axis]) >= _CLEAR_COSINE * max(length, 1e-9) or length < _CLEAR_COSINE:
        return None
    signed = np.sign(middle[axis]) * directions[:, axis]
    if np.mean(signed >= np.abs(directions).max(axis=-1)) < _CLEAR_SHARE:
        return None
    return ("-" if middle[axis] < 0 else "") + AXES[axis]


def _share(marks: Sequence[np.ndarray]) -> float:
    return float(np.concatenate(marks).mean())


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0
