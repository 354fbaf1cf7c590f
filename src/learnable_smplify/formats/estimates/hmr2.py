"""HMR2 / 4D-Humans, tracked by PHALP: a joblib file `{frame path: {smpl: [...], camera: [...], tid: [...], ...}}`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.estimate import Estimate, cleaned, rotvecs_of
from learnable_smplify.safe_files.budget import shown
from learnable_smplify.safe_files.keyed import Keyed, as_name

KEYS = "{frame path: {time, tid, tracked_time, smpl: [{global_orient, body_pose, betas}], camera}}"
_CAMERA_NOTE = "transl is PHALP's camera shift for an assumed focal length: its depth is not metric"


def matches(content: Any) -> bool:
    """Whether the content has PHALP's keys."""
    return isinstance(content, Mapping) and any(
        isinstance(value, Mapping) and "tid" in value and "smpl" in value for value in content.values()
    )


def read(content: Any, path: Path) -> list[Estimate]:
    """One estimate for each track, in the camera's frame.

    PHALP goes on listing a lost person for some frames with their last values (`tracked_time` above 0); those frames
    are left out, so a track may have gaps.

    Raises:
        InputError: a key that is missing or of another shape, or nobody was tracked.
    """
    rows: dict[str, list[tuple[int, np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for number, (name, value) in enumerate(content.items()):
        found = Keyed(path, value if isinstance(value, Mapping) else {}, f"frame {shown(name)}", "a PHALP result")
        time = int(found.numbers("time", shape=())) if found.has("time") else number
        people, tracks = _list(found, "smpl"), _list(found, "tid")
        cameras = found.numbers("camera", finite=False)
        lost = found.numbers("tracked_time") if found.has("tracked_time") else np.zeros(len(tracks))
        if lost.ndim != 1:
            raise found.fail(f"'tracked_time' has shape {lost.shape}", "(people,)")
        if cameras.ndim == 0 or (len(cameras) and (cameras.ndim != 2 or cameras.shape[1] != 3)):
            raise found.fail(f"'camera' has shape {cameras.shape}", "(people, 3)")
        if not len(people) == len(tracks) == len(cameras) == len(lost):
            raise found.fail(
                f"{len(people)} people in 'smpl', {len(tracks)} in 'tid', {len(cameras)} in 'camera', {len(lost)} in "
                "'tracked_time'",
                "lists of one length",
            )
        for person, track, camera, since in zip(people, tracks, cameras, lost, strict=True):
            if since == 0:
                part = Keyed(
                    path, person if isinstance(person, Mapping) else {}, f"frame {shown(name)}, track {shown(track)}"
                )
                rotmat = np.concatenate((_matrices(part, "global_orient", 1), _matrices(part, "body_pose", 23)))
                betas = part.numbers("betas", finite=False).reshape(-1)
                rows[as_name(track)].append((time, rotmat, betas, camera))
    if not rows:
        raise InputError("nobody is tracked in this file", path=path, expected="at least one track")
    return [_track(name, rows[name], path) for name in sorted(rows, key=lambda name: (len(name), name))]


def _track(name: str, rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray]], path: Path) -> Estimate:
    times, rotmats, betas, cameras = zip(*rows, strict=True)
    if any(len(value) != 10 for value in betas):
        raise InputError("'betas' is not 10 numbers", path=path, where=f"track {name}")
    return cleaned(
        frames=np.asarray(times),
        pose=rotvecs_of(np.stack(rotmats), path, f"track {name}"),
        betas=np.stack(betas),
        transl=np.stack(cameras),
        source="HMR2",
        path=path,
        person_id=name,
        notes=(_CAMERA_NOTE,),
    )


def _list(found: Keyed, name: str) -> list[Any]:
    value = found.value(name)
    if not isinstance(value, list | tuple | np.ndarray):
        raise found.fail(f"'{name}' is a {type(value).__name__}", "a list with one entry a person")
    return list(value)


def _matrices(part: Keyed, name: str, count: int) -> np.ndarray:
    values = part.numbers(name, finite=False)
    if values.size != 9 * count:
        raise part.fail(f"'{name}' has shape {values.shape}", f"({count}, 3, 3) rotation matrices")
    return values.reshape(count, 3, 3)
