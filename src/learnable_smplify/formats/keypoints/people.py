"""From frames with several people in them to one `Keypoints` a person, on one time axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import keypoints_from_arrays, nothing_usable
from learnable_smplify.formats.keypoints.file_points import FilePoints, file_points, same_count
from learnable_smplify.formats.keypoints.follow import people_by_name
from learnable_smplify.formats.keypoints.picture import refuse_picture
from learnable_smplify.formats.keypoints.placeholders import blank_placeholders
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.units import FARTHEST_M, metres_per_unit
from learnable_smplify.keypoints import Keypoints

# A recording may start long before its person comes, but an empty frame costs three bytes in a file and kilobytes here.
_FREE_FRAMES = 100_000
_MOST_FRAMES_A_SIGHT = 20


@dataclass(frozen=True, eq=False)
class Sight:
    """One person in one frame.

    Args:
        frame: index of the frame.
        person: the person's name in the file; None where it has none, so that they are followed by distance.
        positions: (K, 3) in the file's unit, NaN where missing.
        confidence: (K,) in [0, 1]; None where the file states none.
        hands: (2, 21, 4) left and right with confidence last, where they are not among the positions; NaN where
            missing.
    """

    frame: int
    person: str | None
    positions: Float[np.ndarray, "K 3"]
    confidence: Float[np.ndarray, "K"] | None = None
    hands: Float[np.ndarray, "2 21 4"] | None = None


def people_from_sights(
    sights: Sequence[Sight],
    frames: int,
    asked: Asked,
    source: Source,
    body_first: dict[int, str] | None = None,
    aspect: float | None = None,
) -> list[Keypoints]:
    """The people of a recording, each over all its frames: missing where not seen.

    Args:
        sights: in any order.
        frames: T, the length of the recording.
        asked: without a layout, it is told from the number of keypoints; without units, they are detected, once for
            all people.
        source: what the file says.
        body_first: layouts of this format by number of keypoints K, asked before those of all formats (see
            `file_points`).
        aspect: width over height of the picture, for hands in picture coordinates.

    Returns:
        One `Keypoints` a person, in order of first appearance.

    Raises:
        InputError: nobody in it, a number of keypoints that changes or fits no layout, or frames nearly all empty.
    """
    sights, name_notes = _checked(sights, frames, source.path)
    points = file_points(asked.layout, len(sights[0].positions), source.path, body_first)
    seen = np.stack([sight.positions for sight in sights])
    scored = np.array([sight.confidence is not None for sight in sights])
    trust = np.stack([np.ones(seen.shape[1]) if sight.confidence is None else sight.confidence for sight in sights])
    positions = points.body_of(seen, 1)
    positions[~np.isfinite(positions).all(axis=-1) | ~(points.body_of(trust, 1) > 0)] = np.nan
    # Whether zero is a place or none is told of each person (see `assemble`); until then it says nothing.
    zero = (positions == 0).all(axis=-1)
    positions[zero] = np.nan
    at = [sight.frame for sight in sights]
    people, followed, left_out = people_by_name(
        at, [sight.person for sight in sights], list(positions), source.rate(asked)
    )
    following = ("the file does not follow people over time: they are followed by distance",) if followed > 1 else ()
    notes = (*name_notes, *following, *points.notes, *left_out, *blank_placeholders(positions))
    if asked.units is None:
        refuse_picture(positions, points.layout, source.path)
    # The unit is one for the recording: of all people together, not person by person.
    metres, unit_notes = metres_per_unit(positions, points.layout, units=asked.units)
    positions *= metres
    positions[zero] = 0.0
    hands = _hands(sights, points, seen, np.where(scored[:, None], trust, np.nan))
    found: list[Keypoints] = []
    for name, own in people.items():
        near = (np.abs(positions[own]) < FARTHEST_M).all(axis=-1) & (positions[own] != 0).any(axis=-1)
        if not near.any():
            continue  # a ghost; the others are worth reading
        places = np.array(at)[own]
        absent = frames - len(set(places))
        gone = (f"not seen in {absent} of {frames} frames",) if absent else ()
        confidence: np.ndarray | None = None
        hand_confidence: np.ndarray | None = None
        if scored[own].any():
            confidence = np.nan_to_num(_over_time(points.body_of(trust[own], 1), places, frames))
        if hands is not None and np.isfinite(hands[own, ..., 3]).any():
            hand_confidence = np.nan_to_num(_over_time(hands[own, ..., 3], places, frames))
        person = keypoints_from_arrays(
            _over_time(positions[own], places, frames),
            confidence,
            points.layout,
            replace(asked, units="m"),
            replace(source.noted(*notes, *unit_notes, *gone), person_id=name),
            hands=None if hands is None else _over_time(metres * hands[own, ..., :3], places, frames),
            hand_confidence=hand_confidence,
            whole=points.whole,
            aspect=aspect,
        )
        found.append(person)
    if not found:
        raise nothing_usable(source.path)
    return found


def _checked(sights: Sequence[Sight], frames: int, path: Path) -> tuple[Sequence[Sight], tuple[str, ...]]:
    """The sights of a recording that is one, without their names where these name nobody; and a note on that."""
    if not sights:
        raise InputError("nobody is in any frame", path=path, expected=f"3D keypoints in some of the {frames} frames")
    notes: tuple[str, ...] = ()
    taken = Counter((sight.frame, sight.person) for sight in sights if sight.person is not None)
    if taken and (most := taken.most_common(1)[0])[1] > 1:
        frame, name = most[0]
        notes = (f"frame {frame}: {most[1]} people are called {name}: names are not used",)
        sights = [replace(sight, person=None) for sight in sights]
    same_count([(sight.frame, sight.person, sight.positions) for sight in sights], path)
    if frames > _FREE_FRAMES + _MOST_FRAMES_A_SIGHT * len(sights):
        raise InputError(
            f"{frames - len(sights)} of {frames} frames are empty", path=path, expected="a recording of somebody"
        )
    return sights, notes


def _hands(
    sights: Sequence[Sight],
    points: FilePoints,
    positions: Float[np.ndarray, "S N 3"],
    trust: Float[np.ndarray, "S N"],
) -> Float[np.ndarray, "S 2 21 4"] | None:
    """The hands in every sight with their confidence, NaN where the file states none; None where nobody has hands."""
    if any(sight.hands is not None for sight in sights):
        nothing = np.full((2, 21, 4), np.nan)
        return np.stack([nothing if sight.hands is None else sight.hands for sight in sights])
    return points.hands_of(np.concatenate((positions, trust[..., None]), axis=-1))


def _over_time(seen: np.ndarray, places: np.ndarray, frames: int) -> np.ndarray:
    """Values of some frames among NaN in the others."""
    track = np.full((frames, *seen.shape[1:]), np.nan)
    track[places] = seen
    return track
