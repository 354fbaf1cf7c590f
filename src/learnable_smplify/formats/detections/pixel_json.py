"""2D keypoints in any JSON in which positions in space are read too: each point is given a depth of 0, and read so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.json_names import NamedPoints, name_order, with_named_points
from learnable_smplify.formats.keypoints.json_people import people_in_frame, points_table
from learnable_smplify.formats.keypoints.json_shapes import (
    ARRAY_KEYS,
    SCORES_KEYS,
    are_numbers,
    frame_places,
    frame_times,
    frames_in,
    stated_names,
    stated_rate,
)
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.times import fps_from_times
from learnable_smplify.track import Track

_PICTURE_KEYS = ("pose_keypoints_2d", "keypoints_2d", "keypoints2d", "pose_landmarks", "poseLandmarks", "landmarks")
_IN_SPACE = re.compile("3d|world", re.IGNORECASE)
_SCORES = ("visible", "score", "confidence", "visibility")
_MOST_DEEP = 8


def pixel_json_tracks(content: Any, path: Path, asked: Asked, expected: str) -> list[Track]:
    """The people in JSON of 2D keypoints: by name or in rows, alone or under ids, a list a joint, flat or in columns.

    Args:
        content: of the file.
        path: for messages.
        asked: as for `tracks_from_sightings`; a rate that the file states, or its times tell, goes before 30.
        expected: what a message says of other JSON.

    Raises:
        InputError: no keypoints in it, names of no layout, or no pixels.
    """
    content = _deepened(content, "", 0)
    frames = frames_in(content, path)
    frames = frames if isinstance(frames, list) else [frames]
    times = frame_times(frames)
    places = frame_places(frames, times)
    frames, named = with_named_points(frames, stated_names(content))
    order = name_order(named, asked.layout, path)
    sightings = []
    for place, frame in zip(places.at, frames, strict=True):
        try:
            people = list(people_in_frame(frame, path, f"frame {place}"))
        except InputError as error:
            raise InputError("these are no detections", path=path, where=f"frame {place}", expected=expected) from error
        for who, points in people:
            if isinstance(points, NamedPoints):
                assert order is not None
                table = order.table(points)
            else:
                table = points_table(points, path, f"frame {place}")
            trust = table[:, 3] if table.shape[1] == 4 else np.ones(len(table))
            seen = np.c_[table[:, :2], trust]
            seen[~(trust > 0)] = np.nan
            sightings.append(Sighting(place, who, seen))
    if order is not None:
        asked = replace(asked, layout=order.layout)
    source = Source(
        path,
        fps=stated_rate(content) or fps_from_times(places.spread(times)),
        notes=(*(order.notes if order else ()), *places.notes),
    )
    return tracks_from_sightings(sightings, places.frames, asked, source)


def _deepened(value: Any, key: str, depth: int) -> Any:
    """JSON with a depth of 0 in all its points, and without what it says of positions in space."""
    if depth == _MOST_DEEP or key in SCORES_KEYS:
        return value
    if isinstance(value, dict):
        inside = {name: inner for name, inner in value.items() if not _IN_SPACE.search(name)}
        x, y = inside.get("x"), inside.get("y")
        if isinstance(x, float) and isinstance(y, float):
            return inside | {"z": 0.0}
        if are_numbers(x) and are_numbers(y):
            columns = [x, y, *(inside[word] for word in _SCORES if are_numbers(inside.get(word)))][:3]
            return [_deepened(list(point), "", depth) for point in zip(*columns, strict=False)]
        renamed = {ARRAY_KEYS[0] if name in _PICTURE_KEYS else name: inner for name, inner in inside.items()}
        return {name: _deepened(inner, name, depth + 1) for name, inner in renamed.items()}
    if are_numbers(value) and len(value) in (2, 3):
        return [*value[:2], 0.0, *value[2:]]
    if are_numbers(value) and key in ARRAY_KEYS:
        step = 3 if len(value) % 3 == 0 else 2
        return [_deepened(value[place : place + step], "", depth) for place in range(0, len(value), step)]
    return [_deepened(inner, key, depth + 1) for inner in value] if isinstance(value, list) else value
