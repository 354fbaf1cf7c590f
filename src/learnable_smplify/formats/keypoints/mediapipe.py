"""Lists of frames in JSON: MediaPipe's 33 `{"x", "y", "z", "visibility"}`, MMPose's instances, or plain [x, y, z]."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.json_frames import number_list
from learnable_smplify.formats.keypoints.json_shapes import (
    frame_times,
    in_order,
    numbered_frames,
    read_frames,
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
from learnable_smplify.formats.keypoints.times import fps_from_times
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, layout_names

_COUNT = 33
_WORLD_KEYS = (
    "pose_world_landmarks",
    "poseWorldLandmarks",
    "world_landmarks",
    "worldLandmarks",
    "landmarks",
    "landmark",
    "keypoints3D",
)
_PICTURE_KEYS = ("pose_landmarks", "poseLandmarks", "normalized_landmarks")
_FRAME_KEYS = ("frames", "results", "data", "instance_info")
# Plain numbers (T, K, 3) or (T, K, 4) under a name of its own.
_ARRAY_KEYS = (
    "keypoints",
    "keypoints3d",
    "keypoints_3d",
    "joints",
    "joints3d",
    "joints_3d",
    "positions",
    "poses_3d",
    "points",
)
_RATE_KEYS = ("fps", "frame_rate", "frameRate")
_VISIBILITY_KEYS = ("visibility", "score", "presence")
_ABOUT_HIPS = ("positions are relative to the hips: the file holds no path (--ground finds one)",)
_EXCHANGED = "left and right hands are named as in a mirrored picture: exchanged, as the fingers bend"
_EXPECTED = 'a list of frames, each a list of 33 {"x": 0.1, "y": -0.5, "z": 0.0, "visibility": 0.9}'


def read_mediapipe(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> list[Keypoints]:
    """The people in a JSON file of MediaPipe's world landmarks, in its frame: metres from the hips, y down.

    Hands are read from `left_hand_landmarks` and `left_hand_world_landmarks` (and right) of Holistic, from the Hand
    Landmarker's lists, or from lists of 75 and 543 landmarks; the face is left out.

    A frame is a list of landmarks, or an object that holds one under `pose_world_landmarks` (also in camel case), or a
    list of several people's; null or an empty list where nobody was found. The whole may be an object with `frames`
    and `fps`; frames may state `timestamp_ms`. People are followed by distance.

    Plain lists (T, K, 3) or (T, K, 4) are read too, alone or under `keypoints` beside `fps` and `layout`, and MMPose's
    `instances` of `keypoints` and `keypoint_scores`.

    Args:
        path: the file.
        layout: layout name, TOML path or `Layout`; None means mediapipe33 for 33 landmarks.
        fps: frames a second; None takes the file's, else 30 with a note.
        units: of the positions; None detects metres, centimetres or millimetres by the limbs.

    Raises:
        InputError: no such file, not JSON, no landmarks where they belong, or landmarks in picture coordinates.
    """
    path = Path(path)
    content = described = read_frames(path)
    rate = fps
    if isinstance(content, dict):
        rate = fps if fps is not None else _rate(content)
        if layout is None and isinstance(content.get("layout"), str) and content["layout"] in layout_names():
            layout = content["layout"]
        content = next((content[key] for key in _ARRAY_KEYS if isinstance(content.get(key), list)), content)
    if isinstance(content, dict):
        content = next((content[key] for key in _FRAME_KEYS if isinstance(content.get(key), list | dict)), content)
    if isinstance(content, dict):
        # The whole recording under the name of one frame's landmarks: a list of lists of them.
        content = next((content[key] for key in _WORLD_KEYS if _is_list_of_lists(content.get(key))), content)
    if isinstance(content, dict):
        content = numbered_frames(content) or content
    frames = [content] if _is_landmark_list(content) or isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise InputError("there are no frames", path=path, expected=_EXPECTED)
    if any(isinstance(frame, float | str) for frame in frames):
        raise InputError("these are no landmarks", path=path, where="frame 0", expected=_EXPECTED)
    times = frame_times(frames)
    frames, layout = in_order(unflattened(frames, layout), layout, path)
    sights: list[Sight] = []
    bare: list[Sight] = []
    for frame, value in enumerate(frames):
        hands = frame_hands(value, partial(_hand_table, path=path, where=f"frame {frame}, hands"))
        poses = [] if hands is not None and not _has_pose(value) else _poses(value, path, f"frame {frame}")
        if hands is not None and not poses:
            bare.append(Sight(frame, None, hands[..., :3].reshape(-1, 3), hands[..., 3].reshape(-1)))
        for person, landmarks in enumerate(poses):
            where = f"frame {frame}" if person == 0 else f"frame {frame}, person {person}"
            table = _table(landmarks, path, where)
            confidence = table[:, 3] if table.shape[1] == 4 else None
            # Whose hands they are, is told of one person only.
            own = hands if len(poses) == 1 else None
            sights.append(Sight(frame, None, table[:, :3], confidence, own))
    if bare and not sights:
        sights, hand_notes = _hands_alone(bare)
        layout = layout or "hands42"
    else:
        sights, hand_notes = _with_sides(sights, any(map(are_lists, frames)))
    if _are_pixels(sights):
        raise InputError(
            "these are 2D keypoints in pixels: x, y, confidence",
            path=path,
            expected="3D keypoints x, y, z",
            hint=f"lsmplify fit {path} --camera camera.json (or --image-size WIDTHxHEIGHT)",
        )
    return people_from_sights(
        sights,
        len(frames),
        path=path,
        layout=layout,
        fps=fps_from_times(times) if rate is None else rate,
        units=units,
        notes=(*(_ABOUT_HIPS if _all_about_hips(sights) else ()), *hand_notes),
        aspect=_aspect(described),
    )


def _hands_alone(bare: list[Sight]) -> tuple[list[Sight], tuple[str, ...]]:
    """Frames of hands without a pose, left and right set apart where each is about its own middle."""
    hands = [
        np.concatenate((sight.positions, np.asarray(sight.confidence)[:, None]), axis=1).reshape(2, 21, 4)
        for sight in bare
    ]
    notes: tuple[str, ...] = ()
    if sides_by_bend(hands):
        hands, notes = [hand[::-1] for hand in hands], (_EXCHANGED,)
    if about_their_middles(hands):
        hands = [apart(hand) for hand in hands]
        notes = (*notes, "each hand is in a frame of its own: where they are is not known")
    return [
        Sight(sight.frame, None, hand[..., :3].reshape(-1, 3), hand[..., 3].reshape(-1))
        for sight, hand in zip(bare, hands, strict=True)
    ], notes


def _with_sides(sights: list[Sight], lists: bool) -> tuple[list[Sight], tuple[str, ...]]:
    """Hands of the Hand Landmarker with left and right as the fingers bend."""
    hands = [sight.hands for sight in sights if sight.hands is not None]
    if not lists or not hands or not sides_by_bend(hands):
        return sights, ()
    exchanged = [replace(s, hands=None if s.hands is None else s.hands[::-1]) for s in sights]
    return exchanged, (_EXCHANGED,)


def _hand_table(landmarks: Any, path: Path, where: str) -> np.ndarray:
    if not _is_landmark_list(landmarks) or len(landmarks) != 21:
        raise InputError("these are no landmarks of a hand", path=path, where=where, expected="a list of 21 {x, y, z}")
    return _table(landmarks, path, where)


def _has_pose(value: Any) -> bool:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return not isinstance(value, dict) or any(
        value.get(key) for key in (*_WORLD_KEYS, *_PICTURE_KEYS, *_ARRAY_KEYS, "instances")
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


def _poses(value: Any, path: Path, where: str) -> list[Any]:
    """The landmark lists of the people in one frame."""
    for _ in range(4):  # objects in objects, as the solutions, the tasks and the JavaScript API write them
        if not value:
            return []
        if isinstance(value, dict) and isinstance(value.get("instances"), list):
            return [_scored(instance, path, where) for instance in value["instances"]]
        if isinstance(value, dict):
            key = next((key for key in (*_WORLD_KEYS, *_ARRAY_KEYS) if key in value), None)
            if key is None:
                picture = next((key for key in _PICTURE_KEYS if key in value), None)
                raise InputError(
                    "there are no world landmarks" + (f", only '{picture}'" if picture else ""),
                    path=path,
                    where=where,
                    expected="'pose_world_landmarks' in metres (pose_landmarks are picture coordinates)",
                )
            value = value[key]
        elif _is_landmark_list(value):
            return [value]
        elif isinstance(value, list):
            return [landmarks for pose in value for landmarks in _poses_once(pose, path, where)]
        else:
            break
    raise InputError("these are no landmarks", path=path, where=where, expected=_EXPECTED)


def _scored(instance: Any, path: Path, where: str) -> list[Any]:
    """MMPose's rows [x, y, z] with their scores as a fourth number."""
    rows = instance.get("keypoints") if isinstance(instance, dict) else None
    rows = rows[0] if isinstance(rows, list) and len(rows) == 1 and _is_landmark_list(rows[0]) else rows
    if not _is_landmark_list(rows):
        raise InputError("these are no keypoints", path=path, where=where, expected='"keypoints": [[x, y, z], ...]')
    scores = instance.get("keypoint_scores")
    scores = scores[0] if isinstance(scores, list) and len(scores) == 1 and isinstance(scores[0], list) else scores
    assert isinstance(rows, list)
    if not isinstance(scores, list) or len(scores) != len(rows):
        return rows
    return [[*row[:3], score] if isinstance(row, list) else row for row, score in zip(rows, scores, strict=True)]


def _poses_once(pose: Any, path: Path, where: str) -> list[Any]:
    if isinstance(pose, dict):
        pose = next((pose[key] for key in _WORLD_KEYS if key in pose), pose)
    if not pose:
        return []
    if not _is_landmark_list(pose):
        raise InputError("these are no landmarks", path=path, where=where, expected=_EXPECTED)
    return [pose]


def _is_landmark_list(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    if isinstance(first, dict):
        return "x" in first
    return isinstance(first, list) and len(first) in (3, 4) and all(isinstance(v, float) or v is None for v in first)


def _is_list_of_lists(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(v is None or _is_landmark_list(v) for v in value)


def _table(landmarks: list[Any], path: Path, where: str) -> np.ndarray:
    width = 0
    rows: list[Any] = []
    for index, landmark in enumerate(landmarks):
        if isinstance(landmark, dict):
            seen = next((landmark[key] for key in _VISIBILITY_KEYS if key in landmark), None)
            row = [landmark.get("x"), landmark.get("y"), landmark.get("z"), *([] if seen is None else [seen])]
        else:
            row = landmark if isinstance(landmark, list) else []
        width = width or len(row)
        if index >= _COUNT and len(row) == 3 < width:
            row = [*row, None]  # hands and face behind the pose have no visibility
        if len(row) != width or width not in (3, 4):
            raise InputError(
                "the landmark is not like the others", path=path, where=f"{where}, landmark {index}", expected=_EXPECTED
            )
        rows += row
    return number_list(rows, path, where).reshape(len(landmarks), width)


def _rate(content: dict[str, Any]) -> float | None:
    value = next((content[key] for key in _RATE_KEYS if key in content), None)
    return value if isinstance(value, float) else None


def _are_pixels(sights: list[Sight]) -> bool:
    """Rows of three whose last is a share while the others run over a picture."""
    if not sights or any(sight.confidence is not None for sight in sights):
        return False
    points = np.concatenate([sight.positions for sight in sights[:100]])
    points = points[np.isfinite(points).all(axis=1)]
    last = points[:, 2]
    return bool(len(points) and last.min() >= 0 and last.max() <= 1 and np.median(np.abs(points[:, :2])) > 20)


def _all_about_hips(sights: list[Sight]) -> bool:
    """World landmarks have their origin between the hips."""
    middles = [(s.positions[23] + s.positions[24]) / 2 for s in sights if len(s.positions) >= _COUNT]
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(middles) and bool(np.nanmax(np.abs(np.stack(middles)), initial=0.0) < 0.02)
