"""From frames with several people in them to one `Keypoints` a person, on one time axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import FARTHEST_M, keypoints_from_arrays
from learnable_smplify.formats.keypoints.follow import follow_people
from learnable_smplify.formats.keypoints.picture import refuse_picture
from learnable_smplify.formats.keypoints.units import to_metres
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, infer_layout_from_count, load_layout

BODY_FIRST: dict[int, str] = {
    **dict.fromkeys((33, 75, 543, 553), "mediapipe33"),
    133: "coco_feet23",
    **dict.fromkeys((68, 136), "halpe26"),
    135: "body25b",
    **dict.fromkeys((67, 118, 137), "body25"),
}
"""Layouts of files that hold the body first, then hands and face, by number of points: MediaPipe's holistic, 133 of
COCO-WholeBody, 136 and 68 of Halpe, 135 and 137 of OpenPose, 67 and 118 of EasyMocap."""

_MOST_PEOPLE = 32
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
    """

    frame: int
    person: str | None
    positions: Float[np.ndarray, "K 3"]
    confidence: Float[np.ndarray, "K"] | None = None


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
            `choose_layout`).
        notes: lines for the user so far.

    Returns:
        One `Keypoints` a person, in order of first appearance.

    Raises:
        InputError: nobody in it, a number of keypoints that changes or fits no layout, or frames nearly all empty.
    """
    listed = list(sights)
    if not listed:
        raise InputError("nobody is in any frame", path=path, expected=f"3D keypoints in some of the {frames} frames")
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
    chosen, used, cut_notes = choose_layout(layout, count, path, body_first)
    names, follow_notes = _names(listed, used, fps)
    by_person: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        by_person.setdefault(name, []).append(index)
    kept = list(by_person)
    left_out: tuple[str, ...] = ()
    if len(kept) > _MOST_PEOPLE:
        kept = sorted(kept, key=lambda name: -len(by_person[name]))[:_MOST_PEOPLE]
        left_out = (f"{len(by_person) - len(kept)} of {len(by_person)} people are left out: seen in fewest frames",)

    # The unit is one for the recording: of all people together, not person by person.
    positions = np.stack([_known_positions(sight, used) for sight in listed])
    zero = (positions == 0).all(axis=-1)
    positions[zero] = np.nan
    if units is None:
        refuse_picture(positions, chosen, path)
    positions, unit_notes = to_metres(positions, chosen, units=units)
    positions[zero] = 0.0
    people: list[Keypoints] = []
    for name in kept:
        seen = by_person[name]
        near = (np.abs(positions[seen]) < FARTHEST_M).all(axis=-1) & (positions[seen] != 0).any(axis=-1)
        if not near.any():
            continue  # a ghost; the others are worth reading
        places = [listed[index].frame for index in seen]
        track = np.full((frames, len(used), 3), np.nan)
        track[places] = positions[seen]
        confidence: np.ndarray | None = None
        if any(listed[index].confidence is not None for index in seen):
            confidence = np.zeros((frames, len(used)))
            confidence[places] = np.stack([_known_confidence(listed[index], used) for index in seen])
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
            notes=(*notes, *follow_notes, *cut_notes, *left_out, *unit_notes, *gone),
        )
        people.append(person)
    if not people:
        raise InputError(
            "no keypoint is usable: every position is missing (NaN, zero or without confidence)",
            path=path,
            expected="at least one measured keypoint",
        )
    return people


def choose_layout(
    layout: str | Layout | None, count: int, path: Path, body_first: dict[int, str] | None = None
) -> tuple[Layout, list[int], tuple[str, ...]]:
    """The layout of the `count` points of a file, which of them are its keypoints, and notes.

    Hands and face that follow the body, and what the layout says is not on the body, are left out with a note.

    Args:
        layout: what the user says, or None.
        count: points a frame in the file.
        path: for messages.
        body_first: layouts of this format by number of points, asked before `BODY_FIRST`.

    Raises:
        InputError: the number fits no layout, or several.
    """
    known = BODY_FIRST | (body_first or {})
    if layout is None and count in known:
        layout = known[count]
    if layout is None:
        try:
            layout = infer_layout_from_count(count)
        except InputError as error:
            raise InputError(str(error).rstrip("."), path=path) from error
    chosen = load_layout(layout)
    if chosen.off_body and chosen.width == count:
        note = f"{len(chosen.off_body)} of {count} points a frame are not on the body and left out"
        return chosen, list(chosen.columns), (note,)
    if chosen.width < count and count in known and len(load_layout(known[count])) >= len(chosen):
        note = f"{count} keypoints a frame: the first {len(chosen)} are read as {chosen.name}, the others left out"
        return chosen, list(chosen.columns), (note,)
    if chosen.width != count:
        raise InputError(
            f"the file has {count} keypoints a frame",
            path=path,
            expected=f"{chosen.width} for layout '{chosen.name}'",
            hint="lsmplify doctor (lists the layouts)",
        )
    return chosen, list(range(count)), ()


def _names(listed: Sequence[Sight], used: list[int], fps: float | None) -> tuple[list[str], tuple[str, ...]]:
    """Whose each sight is: the file's name, or a number of those that are followed by distance; and a note on it."""
    unnamed = [index for index, sight in enumerate(listed) if sight.person is None]
    taken = {sight.person for sight in listed}
    positions = [_known_positions(listed[index], used) for index in unnamed]
    for known in positions:
        known[(known == 0).all(axis=-1)] = np.nan
    followed = follow_people([listed[index].frame for index in unnamed], positions, fps or _USUAL_FPS)
    numbers = (str(number) for number in itertools.count() if str(number) not in taken)
    number_of = {person: next(numbers) for person in dict.fromkeys(followed)}
    names = [sight.person or "" for sight in listed]
    for index, person in zip(unnamed, followed, strict=True):
        names[index] = number_of[person]
    if len(number_of) < 2:
        return names, ()
    return names, ("the file does not follow people over time: they are followed by distance",)


def _known_positions(sight: Sight, used: list[int]) -> Float[np.ndarray, "K 3"]:
    positions = np.array(sight.positions[used], dtype=np.float64)
    missing = ~np.isfinite(positions).all(axis=-1)
    if sight.confidence is not None:
        missing |= ~(sight.confidence[used] > 0)
    positions[missing] = np.nan
    return positions


def _known_confidence(sight: Sight, used: list[int]) -> Float[np.ndarray, "K"]:
    return np.ones(len(used)) if sight.confidence is None else np.asarray(sight.confidence[used], dtype=np.float64)
