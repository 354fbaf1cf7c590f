"""2D keypoints: our own `keypoints2d.json`, and the folder of JSON files that OpenPose writes.

    {"layout": "body25", "fps": 30, "keypoints": [[[x, y, c], ... K], ... T]}

x, y in pixels from the upper left corner; c, the confidence, may be left out. null marks a missing keypoint.
"""

from __future__ import annotations

import math
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.file_points import same_count
from learnable_smplify.formats.keypoints.frame_folder import read_frame_folder
from learnable_smplify.formats.keypoints.json_frames import PEOPLE_KEY, number_table, openpose_people, read_json
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout, shipped_layout
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.track import Track

_KEY = "pose_keypoints_2d"
_EXAMPLE = '{"layout": "body25", "fps": 30, "keypoints": [[[x, y, c], ...], ...]}'


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
            return own_track(content, path, Asked(layout, fps)).keypoints
        if not (isinstance(content, dict) and "people" in content):
            raise InputError(
                "these are no 2D keypoints", path=path, expected=f"{_EXAMPLE}, or the folder that OpenPose wrote"
            )
    return _openpose(path, Asked(layout, fps))


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


def own_track(content: dict[str, Any], path: Path, asked: Asked) -> Track:
    """The person in what is in our own keypoints2d.json.

    Args:
        content: of the file.
        path: for messages.
        asked: layout and fps, as for `read_keypoints2d`.

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
    if asked.layout is None and stated:
        asked = replace(asked, layout=shipped_layout(stated, path))
    rate = content.get("fps")
    if rate is not None and (not isinstance(rate, float) or not rate > 0):
        raise InputError("the frame rate is no number above 0", path=path, where="key 'fps'", expected="such as 30")
    sightings = [Sighting(frame, "0", np.c_[table, np.ones(len(table))][:, :3]) for frame, table in enumerate(tables)]
    return tracks_from_sightings(sightings, len(tables), asked, Source(path, fps=rate))[0]


def _openpose(path: Path, asked: Asked) -> Keypoints2D:
    folder = read_frame_folder(path, PEOPLE_KEY)
    in_frames = [(frame, people_in_picture(file)) for frame, file in folder.files]
    found = [(frame, None, table) for frame, people in in_frames for table in people]
    if found:
        same_count(found, path)
    sightings: list[Sighting] = []
    for frame, people in in_frames:
        if people:
            before = sightings[-1].table if sightings else None
            sightings.append(Sighting(frame, "0", _same_person(people, before)))
    source, most = Source(path, notes=folder.notes), max(len(people) for _, people in in_frames)
    if most > 1:
        source = source.noted(f"up to {most} people are in a frame: the one seen best at first is followed")
    return tracks_from_sightings(sightings, folder.frames, asked, source)[0].keypoints


def people_in_picture(file: Path) -> list[np.ndarray]:
    """Everybody seen in a file of OpenPose, each (K, 3): column, row, confidence; NaN where missing.

    Raises:
        InputError: not such a file; the message says where.
    """
    tables = [table for _, _, table in openpose_people(file, _KEY, "x, y, c")]
    seen = [np.where(np.nan_to_num(table[:, 2:]) > 0, table, np.nan) for table in tables]
    return [table for table in seen if np.isfinite(table[:, 2]).any()]


def _same_person(people: list[np.ndarray], before: np.ndarray | None) -> np.ndarray:
    if before is None:
        return max(people, key=lambda person: float(np.nansum(person[:, 2])))

    def distance(person: np.ndarray) -> float:
        both = np.isfinite(person[:, 2]) & np.isfinite(before[:, 2])
        return float(np.linalg.norm(person[both, :2] - before[both, :2], axis=1).mean()) if both.any() else math.inf

    return min(people, key=distance)
