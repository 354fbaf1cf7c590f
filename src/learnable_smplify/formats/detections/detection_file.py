"""Any detections of one camera: the format is told by the suffix, of JSON by what is in it.

A new format is one file with a `read_x` and a line here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.coco_list import SCORES_KEY, coco_list, coco_list_tracks
from learnable_smplify.formats.detections.detection_arrays import read_detection_arrays
from learnable_smplify.formats.detections.keypoints2d_json import own_track, people_in_picture
from learnable_smplify.formats.detections.pixel_csv import read_pixel_csv
from learnable_smplify.formats.detections.pixel_json import pixel_json_tracks
from learnable_smplify.formats.detections.pixel_trc import read_pixel_trc
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.frame_folder import (
    frame_files,
    has_key,
    json_head,
    left_out,
    read_frame_folder,
)
from learnable_smplify.formats.keypoints.json_frames import PEOPLE_KEY, read_json_list
from learnable_smplify.formats.keypoints.json_shapes import SCORES_KEYS, read_frames
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.other_kinds import other_kind
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.track import Track

SUFFIXES = (".npz", ".npy", ".json", ".jsonl", ".csv", ".trc")
"""Suffixes of files of detections; OpenPose's folder is one too."""

_KEYPOINTS_KEY = "keypoints"
_EXPECTED = (
    "our keypoints2d.json or .npz, lists of detections (AlphaPose, RTMLib, MMPose, OpenPifPaf), Sports2D's "
    "_px_ .trc, a .csv of nose_x, nose_y, nose_score, ... (DeepLabCut), or OpenPose's folder"
)


def read_detections(
    path: str | PathLike[str], layout: str | Layout | None = None, fps: float | None = None, camera: str | None = None
) -> list[Track]:
    """Everybody whom one camera saw, each over all frames of the recording.

    People are those the file names; where it names nobody they are followed by distance in the picture.

    Args:
        path: a file of one of the `SUFFIXES`, OpenPose's folder, or a folder that holds one such file.
        layout: name, TOML path or `Layout`; None takes the file's own, else tells it from the number of keypoints.
        fps: frames a second; None takes the file's own, else 30 with a note.
        camera: of an .npz of several cameras, which.

    Raises:
        InputError: missing, damaged or unknown file, or nobody in it; the message says where.
    """
    path, asked = Path(path), Asked(layout, fps)
    if path.is_dir():
        return _folder(path, asked)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        told = other_kind(path) if path.is_file() else None
        what = "" if told is None else f": this is {told[0]}"
        raise InputError(f"files ending in '{path.suffix}' hold no detections{what}", path=path, expected=_EXPECTED)
    # Numbers too large to compute with come out as infinity or NaN, which is to say missing: no warning needed.
    with np.errstate(all="ignore"):
        if suffix == ".trc":
            return read_pixel_trc(path, asked)
        if suffix == ".csv":
            return read_pixel_csv(path, asked)
        if suffix in (".npz", ".npy"):
            return read_detection_arrays(path, asked, camera)
        content = read_frames(path)
        if (listed := coco_list(content)) is not None:
            return coco_list_tracks(listed, path, asked)
        if isinstance(content, dict) and PEOPLE_KEY in content:
            return _openpose(path, asked)
        if _is_own(content):
            return [own_track(content, path, asked)]
        return pixel_json_tracks(content, path, asked, _EXPECTED)


def _is_own(content: Any) -> bool:
    """Frames of rows [x, y, c]; those whose confidence stands apart are other programs'."""
    frames = content.get(_KEYPOINTS_KEY) if isinstance(content, dict) else None
    return isinstance(frames, list) and not any(key in content for key in SCORES_KEYS)


def detection_files(files: Iterable[Path]) -> list[Path]:
    """Those of the files of a folder that may be detections, in order: not the descriptions and tables beside them.

    Raises:
        InputError: a file that cannot be read.
    """
    usable = [file for file in sorted(files) if _may_hold(file)]
    return [file for file in usable if file.suffix.lower() != ".csv"] or usable


def _may_hold(file: Path) -> bool:
    if not file.is_file() or file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
        return False
    return file.suffix.lower() != ".json" or any(has_key(json_head(file), key) for key in (_KEYPOINTS_KEY, PEOPLE_KEY))


def _folder(folder: Path, asked: Asked) -> list[Track]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    written = [file for file in files if file.suffix.lower() == ".json"]
    if frame_files(written, PEOPLE_KEY):
        return _openpose(folder, asked)
    if len(frame_files(written, SCORES_KEY)) > 1:
        return _pictures(folder, asked)
    usable = detection_files(files)
    if len(usable) == 1:
        first, *others = read_detections(usable[0], asked.layout, asked.fps)
        if len(files) > 1:
            notes = (left_out(set(files) - set(usable)), *first.keypoints.notes)
            first = replace(first, keypoints=replace(first.keypoints, notes=notes))
        return [first, *others]
    what = f"several files could be the detections: {', '.join(file.name for file in usable[:4])}" if usable else ""
    raise InputError(
        what or "there are no detections in this folder", path=folder, expected="one file, or OpenPose's, one a frame"
    )


def _pictures(path: Path, asked: Asked) -> list[Track]:
    """MMPose's folder of predictions, a file for every picture."""
    folder = read_frame_folder(path, SCORES_KEY)
    found: list[Any] = []
    for frame, file in folder.files:
        content = read_json_list(file, "this is no list of instances", '[{"keypoints": [[x, y], ...]}]')
        found += [one | {"frame": float(frame)} if isinstance(one, dict) else one for one in content]
    return coco_list_tracks(found, path, asked)


def _openpose(path: Path, asked: Asked) -> list[Track]:
    folder = read_frame_folder(path, PEOPLE_KEY)
    sightings = [Sighting(frame, None, table) for frame, file in folder.files for table in people_in_picture(file)]
    return tracks_from_sightings(sightings, folder.frames, asked, Source(path, notes=folder.notes))
