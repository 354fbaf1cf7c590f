"""A list of detections in JSON, COCO's result format, as AlphaPose and scripts about RTMLib write it.

    [{"image_id": "12.jpg", "keypoints": [x, y, c, ...], "score": 2.9, "idx": 1}, ...]

`image_id` is a number or a name that ends in one. `idx` (or `track_id`, `person_id`), where it is there, is who it is;
keypoints may be rows `[x, y]` or `[x, y, c]` with their confidence under `keypoint_scores`. MMPose (`instance_info`, or
a list of instances for every picture) and OpenPifPaf (`predictions`) have the same by frames.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.json_frames import number_list, person_name
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.track import Track

_FRAME = ("image_id", "frame_id", "frame")
_WHO = ("idx", "track_id", "person_id")
_PEOPLE = ("instances", "predictions")
SCORES_KEY = "keypoint_scores"
"""What MMPose's instances have beside their keypoints."""
_EXPECTED = '[{"image_id": 0, "keypoints": [x, y, c, ...]}, ...]'
# Frame numbers count pictures; larger ones are ids of images that say nothing of time.
_MOST_EMPTY = 20
_DIGITS = re.compile(r"(\d{1,9})\D*$")


def coco_list(content: Any) -> list[Any] | None:
    """The detections in JSON as one list of them (at least one), each with its frame; None for anything else."""
    first = content[0] if isinstance(content, list) and content else None
    if isinstance(first, dict) and "keypoints" in first and any(key in first for key in _FRAME):
        return content
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return coco_list(_numbered(content["annotations"], content.get("images")))
    frames = content.get("instance_info") if isinstance(content, dict) else content
    if isinstance(first, dict) and SCORES_KEY in first:
        frames = [{"instances": content}]  # one picture
    if not isinstance(frames, list) or not frames or not all(map(_has_people, frames)):
        return None
    stated = [next((frame[key] for key in _FRAME if isinstance(frame.get(key), float)), None) for frame in frames]
    numbers = [n - stated[0] for n in stated if n is not None and stated[0] is not None]
    numbers = numbers if len(numbers) == len(frames) else [float(place) for place in range(len(frames))]
    return [
        person | {_FRAME[0]: number} if isinstance(person, dict) else person
        for number, frame in zip(numbers, frames, strict=True)
        for key in _PEOPLE
        for person in frame.get(key, [])
    ]


def _numbered(annotations: list[Any], images: Any) -> list[Any]:
    """Annotations of a COCO dataset with the numbers in their pictures' names for ids, where names tell the order."""
    if not isinstance(images, list) or not all(isinstance(image, dict) for image in images):
        return annotations
    digits = [(image.get("id"), _DIGITS.search(str(image.get("file_name", "")))) for image in images]
    numbers = {name: float(found[1]) for name, found in digits if found is not None and isinstance(name, float | str)}
    if len(numbers) < len(images) or len(set(numbers.values())) < len(images):
        return annotations
    return [
        one | {_FRAME[0]: numbers[one[_FRAME[0]]]}
        if isinstance(one, dict) and isinstance(one.get(_FRAME[0]), float | str) and one[_FRAME[0]] in numbers
        else one
        for one in annotations
    ]


def _has_people(frame: Any) -> bool:
    return isinstance(frame, dict) and any(isinstance(frame.get(key), list) for key in _PEOPLE)


def coco_list_tracks(content: list[Any], path: Path, asked: Asked) -> list[Track]:
    """The people of a list of detections.

    Raises:
        InputError: an entry that is no detection (with its number), or keypoints that fit no layout.
    """
    found: list[tuple[int, str | None, np.ndarray]] = []
    for number, entry in enumerate(content):
        where = f"detection {number}"
        if not isinstance(entry, dict):
            raise InputError("this is no detection", path=path, where=where, expected=_EXPECTED)
        table = _table(entry, path, where)
        if np.isfinite(table).all(axis=1).any():
            found.append((_frame(entry, path, where), _who(entry), table))
    if not found:
        raise InputError("nobody is in any frame", path=path, expected=_EXPECTED)
    frames = sorted({frame for frame, _, _ in found})
    # Lists of whole recordings may start anywhere, and ids of images may be anything.
    first = 0 if frames[0] < _MOST_EMPTY else frames[0]
    if frames[-1] - first + 1 > _MOST_EMPTY * len(frames) + _MOST_EMPTY:
        raise InputError(
            f"image ids go from {frames[0]} to {frames[-1]} for {len(frames)} pictures",
            path=path,
            expected="image_id to count the frames",
        )
    named = all(who is not None for _, who, _ in found) and _are_people(found)
    sightings = [Sighting(frame - first, who if named else None, table) for frame, who, table in found]
    return tracks_from_sightings(sightings, frames[-1] - first + 1, asked, Source(path))


def _are_people(found: list[tuple[int, str | None, np.ndarray]]) -> bool:
    """Ids name people where nobody is twice in a picture, and ids come back."""
    pairs = [(frame, who) for frame, who, _ in found]
    people = {who for _, who in pairs}
    return len(set(pairs)) == len(pairs) and (len(people) < len(pairs) or len({frame for frame, _ in pairs}) == 1)


def _frame(entry: dict[str, Any], path: Path, where: str) -> int:
    value = next((entry[key] for key in _FRAME if key in entry), None)
    if isinstance(value, float) and 0 <= value < 1e9:
        return int(value)
    digits = _DIGITS.search(value) if isinstance(value, str) else None
    if digits is None:
        raise InputError("the image_id tells no frame", path=path, where=where, expected='such as 12, or "000012.jpg"')
    return int(digits[1])


def _who(entry: dict[str, Any]) -> str | None:
    name = person_name(next((entry[key] for key in _WHO if key in entry), None))  # AlphaPose: [[3.0, ...]]
    return None if name is None else name[:40]


def _table(entry: dict[str, Any], path: Path, where: str) -> np.ndarray:
    rows = entry.get("keypoints")
    if isinstance(rows, list) and rows and all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        width = len(rows[0])
        rows = [number for row in rows for number in row]
    else:
        width = 3
    numbers = number_list(rows, path, f"{where}, 'keypoints'")
    if width not in (2, 3) or len(numbers) == 0 or len(numbers) % width:
        raise InputError(
            f"there are {len(numbers)} numbers", path=path, where=where, expected="x, y, c of each keypoint"
        )
    table = numbers.reshape(-1, width)
    scores = entry.get(SCORES_KEY)
    if width == 2 or scores is not None:
        trust = np.ones(len(table)) if scores is None else number_list(scores, path, f"{where}, '{SCORES_KEY}'")
        if len(trust) != len(table):
            raise InputError(f"there are {len(trust)} scores", path=path, where=where, expected=f"{len(table)}")
        table = np.c_[table[:, :2], trust]
    table[table[:, 2] <= 0] = np.nan
    return table
