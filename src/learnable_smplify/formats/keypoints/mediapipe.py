"""Lists of frames in JSON: MediaPipe's 33 `{"x", "y", "z", "visibility"}`, MMPose's instances, [x, y, z], or names."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.json_names import (
    NamedPoints,
    are_rows,
    name_order,
    with_named_points,
)
from learnable_smplify.formats.keypoints.json_people import (
    EXPECTED,
    PEOPLE_KEYS,
    PICTURE_KEYS,
    people_in_frame,
    points_table,
)
from learnable_smplify.formats.keypoints.json_shapes import (
    ARRAY_KEYS,
    WORLD_KEYS,
    frame_places,
    frame_times,
    frames_in,
    read_frames,
    stated_names,
    stated_rate,
    unflattened,
)
from learnable_smplify.formats.keypoints.mediapipe_hands import (
    about_their_middles,
    apart,
    are_lists,
    frame_hands,
    sides_by_bend,
)
from learnable_smplify.formats.keypoints.people import Sight, people_from_sights
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.times import fps_from_times
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import layout_names

_EXCHANGED = "left and right hands are named as in a mirrored picture: exchanged, as the fingers bend"


def read_mediapipe(path: Path, asked: Asked) -> list[Keypoints]:
    """The people in a JSON file of MediaPipe's world landmarks, in its frame: metres from the hips, y down.

    Hands are read from `left_hand_landmarks` and `left_hand_world_landmarks` (and right) of Holistic, from the Hand
    Landmarker's lists, or from lists of 75 and 543 landmarks; the face is left out.

    A frame is a list of landmarks, or an object that holds one under `pose_world_landmarks` (also in camel case), or a
    list of several people's; null or an empty list where nobody was found. The whole may be an object with `frames`
    and `fps`; frames may state `timestamp_ms`. People are followed by distance.

    Plain lists (T, K, 3) or (T, K, 4) are read too, alone or under `keypoints` beside `fps` and `layout`, MMPose's
    `instances` of `keypoints` and `keypoint_scores`, and points by name (`json_names`, `json_shapes`).

    Args:
        path: the file.
        asked: without a layout, 33 landmarks are mediapipe33; without fps, the file's is taken, else 30 with a note;
            without units, metres, centimetres or millimetres are told by the limbs.

    Raises:
        InputError: no such file, not JSON, no landmarks where they belong, or landmarks in picture coordinates.
    """
    content, layout = read_frames(path), asked.layout
    if layout is None and isinstance(content, dict) and content.get("layout") in layout_names():
        layout = content["layout"]
    frames = frames_in(content, path)
    if not isinstance(frames, list):
        raise InputError("there are no frames", path=path, expected=EXPECTED)
    if any(isinstance(frame, float | str) for frame in frames):
        raise InputError("these are no landmarks", path=path, where="frame 0", expected=EXPECTED)
    times = frame_times(frames)
    places = frame_places(frames, times)
    frames, named = with_named_points(unflattened(frames, layout), stated_names(content))
    order = name_order(named, layout, path)
    sights: list[Sight] = []
    bare: list[tuple[int, np.ndarray]] = []
    unsure = False
    for frame, value in zip(places.at, frames, strict=True):
        inner = value[0] if isinstance(value, list) and len(value) == 1 else value
        hands = frame_hands(inner, partial(_hand_table, path=path, where=f"frame {frame}, hands"))
        unsure = unsure or are_lists(inner)
        alone = hands is not None and not _has_pose(inner)
        people = [] if alone else list(people_in_frame(value, path, f"frame {frame}"))
        if hands is not None and not people:
            bare.append((frame, hands))
        for person, (who, points) in enumerate(people):
            # Whose hands they are, is told of one person only.
            own = hands if len(people) == 1 else None
            if isinstance(points, NamedPoints):
                assert order is not None
                table, named_hands = order.table(points), order.hands_of(points)
                scored, own = order.scored, own if named_hands is None else named_hands
            else:
                where = f"frame {frame}" if person == 0 else f"frame {frame}, person {person}"
                table = points_table(points, path, where)
                scored = table.shape[1] == 4
            sights.append(Sight(frame, who, table[:, :3], table[:, 3] if scored else None, own))
    layout = layout if order is None else order.layout
    if bare and not sights:
        sights, hand_notes = _hands_alone(bare)
        layout = layout or "hands42"
    else:
        sights, hand_notes = _with_sides(sights) if unsure else (sights, ())
    rate = stated_rate(content)
    source = Source(
        path,
        fps=fps_from_times(places.spread(times)) if rate is None else rate,
        notes=(*hand_notes, *(order.notes if order else ()), *places.notes),
    )
    return people_from_sights(sights, places.frames, replace(asked, layout=layout), source, aspect=_aspect(content))


def _hands_alone(bare: list[tuple[int, np.ndarray]]) -> tuple[list[Sight], tuple[str, ...]]:
    """Frames of hands (2, 21, 4) without a pose, left and right set apart where each is about its own middle."""
    hands = [hand for _, hand in bare]
    notes: tuple[str, ...] = ()
    if sides_by_bend(hands):
        hands, notes = [hand[::-1] for hand in hands], (_EXCHANGED,)
    if about_their_middles(hands):
        hands = [apart(hand) for hand in hands]
        notes = (*notes, "each hand is in a frame of its own: where they are is not known")
    return [
        Sight(frame, None, hand[..., :3].reshape(-1, 3), hand[..., 3].reshape(-1))
        for (frame, _), hand in zip(bare, hands, strict=True)
    ], notes


def _with_sides(sights: list[Sight]) -> tuple[list[Sight], tuple[str, ...]]:
    """Hands of the Hand Landmarker with left and right as the fingers bend."""
    hands = [sight.hands for sight in sights if sight.hands is not None]
    if not hands or not sides_by_bend(hands):
        return sights, ()
    exchanged = [replace(s, hands=None if s.hands is None else s.hands[::-1]) for s in sights]
    return exchanged, (_EXCHANGED,)


def _hand_table(landmarks: Any, path: Path, where: str) -> np.ndarray:
    if not are_rows(landmarks) or len(landmarks) != 21:
        raise InputError("these are no landmarks of a hand", path=path, where=where, expected="a list of 21 {x, y, z}")
    return points_table(landmarks, path, where)


def _has_pose(value: Any) -> bool:
    return not isinstance(value, dict) or any(
        value.get(key) for key in (*WORLD_KEYS, *PICTURE_KEYS, *ARRAY_KEYS, *PEOPLE_KEYS)
    )


def _aspect(content: Any) -> float | None:
    """Width over height of the picture, where the file states both."""
    if not isinstance(content, dict):
        return None
    for prefix in ("", "image_", "frame_", "video_"):
        width, height = content.get(f"{prefix}width"), content.get(f"{prefix}height")
        if isinstance(width, float) and isinstance(height, float) and width > 0 and height > 0:
            return width / height
    return None
