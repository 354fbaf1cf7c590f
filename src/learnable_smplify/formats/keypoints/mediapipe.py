"""Lists of frames in JSON: MediaPipe's 33 `{"x", "y", "z", "visibility"}`, MMPose's instances, or plain [x, y, z]."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.json_frames import number_list, read_json
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
_EXPECTED = 'a list of frames, each a list of 33 {"x": 0.1, "y": -0.5, "z": 0.0, "visibility": 0.9}'


def read_mediapipe(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> list[Keypoints]:
    """The people in a JSON file of MediaPipe's world landmarks, in its frame: metres from the hips, y down.

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
    content = read_json(path)
    rate = fps
    if isinstance(content, dict):
        rate = fps if fps is not None else _rate(content)
        if layout is None and isinstance(content.get("layout"), str) and content["layout"] in layout_names():
            layout = content["layout"]
        content = next((content[key] for key in _ARRAY_KEYS if isinstance(content.get(key), list)), content)
    if isinstance(content, dict):
        content = next((content[key] for key in _FRAME_KEYS if isinstance(content.get(key), list)), content)
    frames = [content] if _is_landmark_list(content) or isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise InputError("there are no frames", path=path, expected=_EXPECTED)
    sights: list[Sight] = []
    times = np.full(len(frames), math.nan)
    for frame, value in enumerate(frames):
        if isinstance(value, dict) and isinstance(value.get("timestamp_ms"), float):
            times[frame] = value["timestamp_ms"] / 1000
        for person, landmarks in enumerate(_poses(value, path, f"frame {frame}")):
            where = f"frame {frame}" if person == 0 else f"frame {frame}, person {person}"
            table = _table(landmarks, path, where)
            sights.append(Sight(frame, None, table[:, :3], table[:, 3] if table.shape[1] == 4 else None))
    if _are_pixels(sights):
        raise InputError(
            "these are 2D keypoints in pixels: x, y, confidence",
            path=path,
            expected="3D keypoints x, y, z",
            hint=f"lsmplify fit {path} --camera camera.json --method smplify",
        )
    return people_from_sights(
        sights,
        len(frames),
        path=path,
        layout=layout,
        fps=fps_from_times(times) if rate is None else rate,
        units=units,
        notes=()
        if not _all_about_hips(sights)
        else ("positions are relative to the hips: the file holds no path (--ground finds one)",),
    )


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
