"""From frames with several people in them to one `Keypoints` a person, on one time axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import FARTHEST_M, keypoints_from_arrays
from learnable_smplify.formats.keypoints.file_points import FilePoints, file_points
from learnable_smplify.formats.keypoints.follow import most_seen, name_people
from learnable_smplify.formats.keypoints.frame_folder import FrameFolder
from learnable_smplify.formats.keypoints.picture import refuse_picture
from learnable_smplify.formats.keypoints.placeholders import blank_placeholders
from learnable_smplify.formats.keypoints.units import to_metres
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout

# A recording may start long before its person comes, but an empty frame costs three bytes in a file and kilobytes here.
_FREE_FRAMES = 100_000
_MOST_FRAMES_A_SIGHT = 20
# Of a recording whose rate nobody told.
_USUAL_FPS = 30.0


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


def people_of_folder(
    sights: Sequence[Sight],
    folder: FrameFolder,
    *,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
) -> list[Keypoints]:
    """`people_from_sights` of a folder with a file a frame, as OpenPose and EasyMocap write: 25 points are BODY_25."""
    return people_from_sights(
        sights,
        folder.frames,
        path=path,
        layout=layout,
        fps=fps,
        units=units,
        body_first={25: "body25"},
        notes=folder.notes,
    )


def people_from_sights(
    sights: Iterable[Sight],
    frames: int,
    *,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
    body_first: dict[int, str] | None = None,
    notes: Sequence[str] = (),
    aspect: float | None = None,
) -> list[Keypoints]:
    """The people of a recording, each over all its frames: missing where not seen.

    Args:
        sights: in any order.
        frames: T, the length of the recording.
        path: for messages.
        layout: name, TOML path or `Layout`; None tells it from the number of keypoints.
        fps: frames a second; None means 30, with a note.
        units: what the user says; None detects, once for all people.
        body_first: layouts of this format by number of keypoints K, asked before those of all formats (see
            `file_points`).
        notes: lines for the user so far.
        aspect: width over height of the picture, for hands in picture coordinates.

    Returns:
        One `Keypoints` a person, in order of first appearance.

    Raises:
        InputError: nobody in it, a number of keypoints that changes or fits no layout, or frames nearly all empty.
    """
    listed = list(sights)
    if not listed:
        raise InputError("nobody is in any frame", path=path, expected=f"3D keypoints in some of the {frames} frames")
    taken = Counter((sight.frame, sight.person) for sight in listed if sight.person is not None)
    if taken and (most := taken.most_common(1)[0])[1] > 1:
        frame, name = most[0]
        notes = (*notes, f"frame {frame}: {most[1]} people are called {name}: names are not used")
        listed = [replace(sight, person=None) for sight in listed]
    count = len(listed[0].positions)
    for sight in listed:
        if len(sight.positions) != count:
            who = "a person" if sight.person is None else f"person {sight.person}"
            raise InputError(
                f"{who} has {len(sight.positions)} keypoints",
                path=path,
                where=f"frame {sight.frame}",
                expected=f"{count}, as before",
            )
    if frames > _FREE_FRAMES + _MOST_FRAMES_A_SIGHT * len(listed):
        raise InputError(
            f"{frames - len(listed)} of {frames} frames are empty", path=path, expected="a recording of somebody"
        )
    points = file_points(layout, count, path, body_first)
    chosen = points.layout
    names, followed = name_people(
        [sight.frame for sight in listed],
        [sight.person for sight in listed],
        lambda index: _without_zeros(_known_positions(listed[index], points)),
        fps or _USUAL_FPS,
    )
    follow_notes = ("the file does not follow people over time: they are followed by distance",) if followed > 1 else ()
    by_person: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_person.setdefault(name, []).append(index)
    kept, left_out = most_seen(by_person)

    # The unit is one for the recording: of all people together, not person by person.
    positions = np.stack([_known_positions(sight, points) for sight in listed])
    of_hands = _hands(listed, points)
    hand_scores = None if of_hands is None else of_hands[..., 3]
    zero = (positions == 0).all(axis=-1)
    positions[zero] = np.nan
    blank_notes = blank_placeholders(positions)
    if units is None:
        refuse_picture(positions, chosen, path)
    if of_hands is not None:
        positions = np.concatenate((positions, of_hands[..., :3].reshape(len(listed), -1, 3)), axis=1)
    positions, unit_notes = to_metres(positions, chosen, units=units)
    if of_hands is not None:
        positions, of_hands = positions[:, : len(chosen)], positions[:, len(chosen) :].reshape(-1, 2, 21, 3)
    positions[zero] = 0.0
    people: list[Keypoints] = []
    for name in kept:
        seen = by_person[name]
        near = (np.abs(positions[seen]) < FARTHEST_M).all(axis=-1) & (positions[seen] != 0).any(axis=-1)
        if not near.any():
            continue  # a ghost; the others are worth reading
        places = [listed[index].frame for index in seen]
        track = _over_time(positions[seen], places, frames)
        hands = None if of_hands is None else _over_time(of_hands[seen], places, frames)
        confidence: np.ndarray | None = None
        hand_confidence: np.ndarray | None = None
        if any(listed[index].confidence is not None for index in seen):
            stated = np.stack([_known_confidence(listed[index]) for index in seen])
            confidence = np.nan_to_num(_over_time(points.body_of(stated, 1), places, frames))
        if hand_scores is not None and np.isfinite(hand_scores[seen]).any():
            hand_confidence = np.nan_to_num(_over_time(hand_scores[seen], places, frames))
        absent = frames - len(set(places))
        gone = (f"not seen in {absent} of {frames} frames",) if absent else ()
        person = keypoints_from_arrays(
            track,
            path=path,
            layout=chosen,
            fps=fps,
            units="m",
            confidence=confidence,
            person_id=name,
            notes=(*notes, *follow_notes, *points.notes, *left_out, *blank_notes, *unit_notes, *gone),
            hands=hands,
            hand_confidence=hand_confidence,
            whole=points.whole,
            aspect=aspect,
        )
        people.append(person)
    if not people:
        raise InputError(
            "no keypoint is usable: every position is missing (NaN, zero or without confidence)",
            path=path,
            expected="at least one measured keypoint",
        )
    return people


def _hands(listed: Sequence[Sight], points: FilePoints) -> Float[np.ndarray, "N 2 21 4"] | None:
    """The hands in every sight with their confidence, NaN where the file states none; None where nobody has hands."""
    if any(sight.hands is not None for sight in listed):
        nothing = np.full((2, 21, 4), np.nan)
        return np.stack([nothing if sight.hands is None else sight.hands for sight in listed])
    nan = np.full(len(listed[0].positions), np.nan)
    rows = [
        np.concatenate((sight.positions, (nan if sight.confidence is None else sight.confidence)[:, None]), axis=1)
        for sight in listed
    ]
    return points.hands_of(np.stack(rows))


def _over_time(seen: np.ndarray, places: list[int], frames: int) -> np.ndarray:
    """Values of some frames among NaN in the others."""
    track = np.full((frames, *seen.shape[1:]), np.nan)
    track[places] = seen
    return track


def _without_zeros(positions: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
    return np.where((positions == 0).all(axis=-1, keepdims=True), np.nan, positions)


def _known_positions(sight: Sight, points: FilePoints) -> Float[np.ndarray, "K 3"]:
    positions = points.body_of(sight.positions)
    missing = ~np.isfinite(positions).all(axis=-1)
    if sight.confidence is not None:
        missing |= ~(points.body_of(sight.confidence) > 0)
    positions[missing] = np.nan
    return positions


def _known_confidence(sight: Sight) -> Float[np.ndarray, "N"]:
    if sight.confidence is None:
        return np.ones(len(sight.positions))
    return np.asarray(sight.confidence, dtype=np.float64)
