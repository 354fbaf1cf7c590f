"""Detections as arrays: our own `.npz`, plain `.npz` and `.npy`, and one `.npz` of several cameras.

| key | shape |
|---|---|
| `keypoints` (or `keypoints_2d`, `pose`, `p`) | `(T, K, 3)` or `(T, P, K, 3)`: column, row [px], confidence (or 1) |
| `confidence` (`scores`) | `(T, K)` or `(T, P, K)` |
| `world` (`w`) | `(T, K, 3)` or `(T, P, K, 3)`: metres about the hips, as MediaPipe has them |
| `layout`, `fps` | text, number |

Of several cameras: `p01`, `w01`, `p02`, `w02`, ... of cameras 01, 02.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.array_shapes import only_points, text_in
from learnable_smplify.formats.keypoints.follow import MOST_PEOPLE
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.layouts.layout import Layout, layout_names
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.safe_files.npy_object import load_npy
from learnable_smplify.safe_files.npz import read_npz
from learnable_smplify.timeline import is_rate
from learnable_smplify.track import Track

_POINTS, _SCORES, _WORLD = (
    ("keypoints", "keypoints_2d", "keypoints2d", "pose", "p"),
    ("confidence", "scores"),
    ("world", "w"),
)
_OF_A_CAMERA = re.compile(r"^(?:p|keypoints_)(\w*\d+)$")
_EXPECTED = "'keypoints' (T, K, 3), or (T, P, K, 3) of P people: column, row [px], confidence"


def camera_names_in(path: Path) -> list[str]:
    """The cameras of an .npz of several; empty for any other file."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return []
    arrays = read_npz(path)
    return [] if any(key in arrays for key in _POINTS) else _cameras(arrays)


def read_detection_arrays(path: Path, asked: Asked, camera: str | None = None) -> list[Track]:
    """People in a .npz or .npy of detections.

    Args:
        path: the file.
        asked: without a layout, the file's own is taken, else it is told from the number of keypoints; without fps, the
            file's own.
        camera: of an .npz of several cameras, which.

    Raises:
        InputError: no such file, no keypoints in it, or arrays that do not fit.
    """
    if path.suffix.lower() == ".npy":
        content = load_npy(path)
        arrays = {"keypoints": content} if isinstance(content, np.ndarray) else {}
    else:
        arrays = read_npz(path)
    if camera is None and not any(key in arrays for key in _POINTS):
        cameras = _cameras(arrays)
        if len(cameras) > 1:
            raise InputError(
                f"there are detections of {len(cameras)} cameras: {', '.join(cameras)}",
                path=path,
                hint="--cameras with their calibration",
            )
        camera = cameras[0] if cameras else None
    if camera is not None:
        arrays |= {
            name: arrays[key]
            for name, keys in (("keypoints", (f"p{camera}", f"keypoints_{camera}")), ("world", (f"w{camera}",)))
            for key in keys
            if key in arrays
        }
    points = _array(arrays, _POINTS, path)
    if points is None and (only := only_points(arrays, (3, 4), (2, 3))) is not None:
        points = _array(arrays, (only,), path)
    if points is None:
        raise InputError(f"there are no 2D keypoints (arrays: {', '.join(arrays)})", path=path, expected=_EXPECTED)
    if points.ndim not in (3, 4) or points.shape[-1] not in (2, 3):
        raise InputError(f"the keypoints have shape {points.shape}", path=path, expected=_EXPECTED)
    scores, world = _array(arrays, _SCORES, path), _array(arrays, _WORLD, path)
    if points.ndim == 4 and points.shape[0] < points.shape[1] > MOST_PEOPLE:
        points = points.swapaxes(0, 1)  # people first
    if points.ndim == 3:
        points = points[:, None]
        scores = scores[:, None] if scores is not None and scores.ndim == 2 else scores
        world = world[:, None] if world is not None and world.ndim == 3 else world
    if points.shape[-1] == 2:
        points = np.concatenate((points, np.isfinite(points).all(axis=-1, keepdims=True)), axis=-1)
    if scores is not None:
        if scores.shape != points.shape[:-1]:
            raise InputError(f"the confidence has shape {scores.shape}", path=path, expected=f"{points.shape[:-1]}")
        points = np.concatenate((points[..., :2], scores[..., None]), axis=-1)
    if world is not None and (world.shape[:-1] != points.shape[:-1] or world.shape[-1] not in (3, 4)):
        raise InputError(f"'world' has shape {world.shape}", path=path, expected=f"{(*points.shape[:-1], 3)}")
    stated = text_in(arrays, "layout")
    if asked.layout is None and stated in layout_names():
        asked = replace(asked, layout=stated)
    # In an array every person has a column of their own, unless columns are only who came first in a picture.
    sightings = [
        Sighting(frame, str(person), points[frame, person], None if world is None else world[frame, person, :, :3])
        for person in range(points.shape[1])
        for frame in range(len(points))
    ]
    return tracks_from_sightings(sightings, len(points), asked, Source(path, fps=_number(arrays, "fps")))


def write_detections(tracks: Sequence[Track], path: str | PathLike[str]) -> None:
    """Write the people of one camera as an .npz that `read_detection_arrays` reads.

    Raises:
        InputError: the path cannot be written.
    """
    first = tracks[0].keypoints
    assert isinstance(first.layout, Layout)
    points = torch.stack(
        [torch.cat((track.keypoints.pixels, track.keypoints.confidence[..., None]), dim=-1) for track in tracks], dim=1
    )
    arrays = {
        "keypoints": torch.where(points[..., 2:] > 0, points, torch.nan).numpy(),
        "layout": np.array(first.layout.name),
        "fps": np.array(first.fps),
    }
    if any(track.world is not None for track in tracks):
        blank = torch.full((*first.pixels.shape[:2], 3), torch.nan)
        worlds = [blank if track.world is None else track.world for track in tracks]
        arrays["world"] = torch.stack(worlds, dim=1).numpy()
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _cameras(arrays: dict[str, np.ndarray]) -> list[str]:
    return [match[1] for key in arrays if (match := _OF_A_CAMERA.match(key)) and arrays[key].ndim in (3, 4)]


def _array(arrays: dict[str, np.ndarray], names: Sequence[str], path: Path) -> np.ndarray | None:
    name = next((name for name in names if name in arrays), None)
    if name is None:
        return None
    array = arrays[name]
    if array.dtype.kind not in "fiu":
        raise InputError(f"'{name}' holds no numbers", path=path, expected=_EXPECTED)
    with np.errstate(over="ignore"):
        return array.astype(np.float64)


def _number(arrays: dict[str, np.ndarray], name: str) -> float | None:
    if name not in arrays or arrays[name].dtype.kind not in "fiu" or arrays[name].size != 1:
        return None
    value = float(arrays[name].reshape(-1)[0])
    return value if is_rate(value) else None
