"""2D keypoints: our own `keypoints2d.json`, and the folder of JSON files that OpenPose writes.

    {"layout": "body25", "fps": 30, "keypoints": [[[x, y, c], ... K], ... T]}

x, y in pixels from the upper left corner; c, the confidence, may be left out. null marks a missing keypoint.
"""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.formats.keypoints.frame_folder import read_frame_folder
from learnable_smplify.formats.keypoints.json_frames import PEOPLE_KEY, number_table, openpose_people, read_json
from learnable_smplify.formats.keypoints.picture import refuse_small
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout, shipped_layout
from learnable_smplify.safe_files.atomic import atomic_output

_KEY = "pose_keypoints_2d"
_EXAMPLE = '{"layout": "body25", "fps": 30, "keypoints": [[[x, y, c], ...], ...]}'
_DEFAULT_FPS = 30.0
# Numbers of keypoints that several layouts have: these are the detectors'.
_BODY_FIRST = {17: "coco17", 25: "body25"}


def read_keypoints2d(
    path: str | PathLike[str], layout: str | Layout | None = None, fps: float | None = None
) -> Keypoints2D:
    """2D keypoints of one person: our own keypoints2d.json, or OpenPose's folder (or a single file of it).

    OpenPose sees several people and does not follow them: the one seen best in the first frame is taken, and after
    that whoever is nearest to where they were.

    Args:
        path: the file or folder.
        layout: name, TOML path or `Layout`; None takes the file's own, else tells it from the number of keypoints.
        fps: frames a second; None takes the file's own, else 30 with a note.

    Raises:
        InputError: missing or damaged files, nobody in them, or a layout that does not fit; the message says where.
    """
    path = Path(path)
    if not path.is_dir():
        content = read_json(path)
        if isinstance(content, dict) and "keypoints" in content:
            return own_keypoints2d(content, path, layout, fps)
        if not (isinstance(content, dict) and "people" in content):
            raise InputError(
                "these are no 2D keypoints", path=path, expected=f"{_EXAMPLE}, or the folder that OpenPose wrote"
            )
    return _openpose(path, layout, fps)


def write_keypoints2d(keypoints: Keypoints2D, path: str | PathLike[str]) -> None:
    """Write our own keypoints2d.json; missing keypoints are written with confidence 0.

    Raises:
        InputError: the path does not end in .json or cannot be written.
    """
    import json

    path = Path(path)
    if path.suffix.lower() != ".json":
        raise InputError("2D keypoints are written as .json", path=path, hint=str(path.with_suffix(".json")))
    assert isinstance(keypoints.layout, Layout)  # set by Keypoints2D itself
    table = torch.cat((keypoints.pixels, keypoints.confidence[..., None]), dim=-1).cpu().double()
    content = {
        "layout": keypoints.layout.name,
        "fps": keypoints.fps,
        "keypoints": table.round(decimals=4).tolist(),
    }
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def own_keypoints2d(
    content: dict[str, Any], path: Path, layout: str | Layout | None = None, fps: float | None = None
) -> Keypoints2D:
    """2D keypoints from what is in our own keypoints2d.json.

    Args:
        content: of the file.
        path: for messages.
        layout, fps: as `read_keypoints2d`.

    Raises:
        InputError: as `read_keypoints2d`.
    """
    frames = content["keypoints"]
    if not isinstance(frames, list) or not frames:
        raise InputError("there are no frames", path=path, where="key 'keypoints'", expected=_EXAMPLE)
    tables = [number_table(frame, (2, 3), path, f"frame {index}") for index, frame in enumerate(frames)]
    for index, table in enumerate(tables):
        if table.shape != tables[0].shape:
            raise InputError(
                f"the frame has {len(table)} keypoints of {table.shape[-1]} numbers",
                path=path,
                where=f"frame {index}",
                expected=f"{len(tables[0])} of {tables[0].shape[-1]}, as in frame 0",
            )
    stated = content.get("layout")
    if stated is not None and not isinstance(stated, str):
        raise InputError("the layout is not text", path=path, where="key 'layout'", expected='a name such as "body25"')
    if layout is None and stated:
        layout = shipped_layout(stated, path)
    rate = content.get("fps")
    if rate is not None and (not isinstance(rate, float) or not rate > 0):
        raise InputError("the frame rate is no number above 0", path=path, where="key 'fps'", expected="such as 30")
    stack = np.stack(tables)
    trust = stack[..., 2] if stack.shape[-1] == 3 else None
    return _keypoints(stack[..., :2], trust, layout, fps if fps is not None else rate, path, ())


def _openpose(path: Path, layout: str | Layout | None, fps: float | None) -> Keypoints2D:
    folder = read_frame_folder(path, PEOPLE_KEY)
    notes = folder.notes
    sights = {frame: people_in_picture(file) for frame, file in folder.files}
    seen = [people for people in sights.values() if people]
    if not seen:
        raise InputError("nobody is in any frame", path=path, expected=f"'{_KEY}' of somebody in some file")
    count = len(seen[0][0])
    table = np.full((folder.frames, count, 3), math.nan)
    before: np.ndarray | None = None
    for frame in sorted(sights):
        people = sights[frame]
        if any(len(person) != count for person in people):
            raise InputError("the number of keypoints changes", path=path, where=f"frame {frame}", expected=f"{count}")
        if people:
            before = _same_person(people, before)
            table[frame] = before
    if max(map(len, seen)) > 1:
        notes = (*notes, f"up to {max(map(len, seen))} people are in a frame: the one seen best at first is followed")
    trust = np.nan_to_num(table[..., 2])
    return _keypoints(table[..., :2], trust, layout, fps, path, notes)


def people_in_picture(file: Path) -> list[np.ndarray]:
    """Everybody seen in a file of OpenPose, each (K, 3): column, row, confidence.

    Raises:
        InputError: not such a file; the message says where.
    """
    tables = [table for _, _, table in openpose_people(file, _KEY, "x, y, c")]
    return [table for table in tables if bool((np.nan_to_num(table[:, 2:]) > 0).any())]


def _same_person(people: list[np.ndarray], before: np.ndarray | None) -> np.ndarray:
    if before is None:
        return max(people, key=lambda person: float(np.nansum(person[:, 2])))

    def distance(person: np.ndarray) -> float:
        both = (np.nan_to_num(person[:, 2]) > 0) & (np.nan_to_num(before[:, 2]) > 0)
        return float(np.linalg.norm(person[both, :2] - before[both, :2], axis=1).mean()) if both.any() else math.inf

    return min(people, key=distance)


def _keypoints(
    pixels: np.ndarray,
    confidence: np.ndarray | None,
    layout: str | Layout | None,
    fps: float | None,
    path: Path,
    notes: tuple[str, ...],
) -> Keypoints2D:
    points = file_points(layout, pixels.shape[1], path, _BODY_FIRST)
    chosen = points.layout
    pixels, confidence = points.body_of(pixels, 1), None if confidence is None else points.body_of(confidence, 1)
    notes = (*notes, *points.notes)
    if points.hands:
        notes = (*notes, "hands are fitted in 3D only, and left out here")
    if fps is None:
        notes = (*notes, f"frame rate not given: {_DEFAULT_FPS:g} a second assumed (--fps)")
    trust = np.isfinite(pixels).all(axis=-1).astype(np.float32) if confidence is None else confidence
    refuse_small(np.where((trust > 0)[..., None], pixels, np.nan), path)
    try:
        return Keypoints2D(
            pixels=torch.as_tensor(pixels),
            layout=chosen,
            fps=_DEFAULT_FPS if fps is None else fps,
            confidence=torch.as_tensor(trust),
            notes=notes,
            fps_guessed=fps is None,
        )
    except InputError as error:
        raise InputError(str(error).rstrip("."), path=path) from error
