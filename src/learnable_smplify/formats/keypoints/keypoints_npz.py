"""Our own keypoint file: a .npz with `keypoints`, `confidence`, `layout`, `fps`, `person_id`, `up_axis`, `hands`."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.array_shapes import followed, only_points, people_of_array, text_in
from learnable_smplify.formats.keypoints.assemble import (
    check_file,
    keypoints_from_markers,
    keypoints_in_order,
    matched_layout,
)
from learnable_smplify.formats.keypoints.named_people import NamedColumns
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, shipped_layout
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.safe_files.budget import shown
from learnable_smplify.safe_files.npz import npz_names, read_npz

# What other programs call the same.
_POSITIONS = (
    *("keypoints", "keypoints_3d", "keypoints3d", "keypoints3D", "pred_keypoints_3d", "kp3d", "kpts3d", "kpts_3d"),
    *("joints", "joints3d", "joints_3d", "poses_3d", "pose_3d", "positions_3d", "positions", "landmarks", "points"),
    *("reconstruction", "xyz", "p3d", "arr_0", "data"),
)
_CONFIDENCES = ("confidence", "conf", "confidences", "scores", "keypoint_scores", "visibility")
_FEWEST_JOINTS = 5
_RATES = ("fps", "framerate", "frame_rate", "mocap_framerate", "mocap_frame_rate")
_NAMES = ("joint_names", "keypoint_names", "landmark_names", "marker_names", "names", "labels")
_KEYS = (
    *("keypoints", "confidence", "layout", "fps", "person_id", "up_axis", "start_time"),
    *("hands", "hand_confidence"),
)


def read_keypoints_npz(path: Path, asked: Asked) -> list[Keypoints]:
    """The people of a .npz: `keypoints` (T, K, 3) or (T, K, 4); `confidence` (T, K), `layout`, `fps`, `person_id`,
    `up_axis` and `start_time` [s] may be there, and `hands` (T, 2, 21, 3) with `hand_confidence` (T, 2, 21).

    Other programs' names for the same arrays are understood, with a note, other orders of the axes (`array_shapes`),
    names of the keypoints under `joint_names`, and an array (T, 3) for every joint by name.

    Args:
        path: the file.
        asked: without a layout, the file's own is taken, else the only one with K keypoints; without fps, the file's
            own, else 30 with a note; without units, metres, centimetres or millimetres are told by the limbs.

    Raises:
        InputError: no `keypoints` in it, shapes that do not fit, a damaged archive.
    """
    check_file(path)
    arrays = read_npz(path, {*_KEYS, *_NAMES, *_POSITIONS, *_CONFIDENCES, *_RATES})
    key = next((key for key in _POSITIONS if key in arrays), None)
    if (key is None or key != "keypoints") and _is_motion(path):
        raise _no_keypoints(path)
    if key is None:
        arrays = read_npz(path)
        key = only_points(arrays, (3,), (3, 4))
    if key is None and len(series := _by_joint(arrays)) >= _FEWEST_JOINTS:
        arrays |= {"keypoints": np.stack(list(series.values()), axis=1), _NAMES[0]: np.array(list(series))}
        key = "keypoints"
    if key is None:
        raise _no_keypoints(path)
    if asked.layout is None and (named := text_in(arrays, "layout")) is not None:
        asked = replace(asked, layout=shipped_layout(named, path))
    people, notes = people_of_array(_numbers(arrays, key, path), asked.layout, path, f"array '{key}'")
    if key != "keypoints":
        notes = (f"the keypoints are taken from the array '{key}'", *notes)
    scores: list[np.ndarray | None] = [person[..., 3] if person.shape[2] == 4 else None for person in people]
    if (stated := next((key for key in _CONFIDENCES if key in arrays), None)) is not None:
        scores = _confidences(_numbers(arrays, stated, path), people, path, stated)
    fps = _stated_fps(arrays, path) if asked.fps is None else asked.fps
    people, scores, said = followed(people, scores, fps)
    up_axis, up_notes = _up_axis(text_in(arrays, "up_axis"))
    source = Source(
        path,
        fps=fps,
        up_axis=up_axis,
        person_id=text_in(arrays, "person_id"),
        start_s=_start(arrays, path),
        notes=(*notes, *up_notes, *said),
    )
    if len(people) == 1:
        return [_person(arrays, people[0], scores[0], asked, source)]
    return [
        _person(arrays, person, score, asked, replace(source, person_id=str(number)))
        for number, (person, score) in enumerate(zip(people, scores, strict=True))
    ]


def _up_axis(stated: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The axis that a file says is up; and a note where what it says is none."""
    if not stated:
        return None, ()
    axis = stated.strip().lower().removeprefix("+").removesuffix("up").rstrip("-_ ")
    if axis in ("x", "y", "z"):
        return axis, ()
    return None, (f"'up_axis' is {shown(stated)} in the file, not one of x, y, z, and not used (--up to say it)",)


def _start(arrays: dict[str, np.ndarray], path: Path) -> float:
    time = _numbers(arrays, "start_time", path) if "start_time" in arrays else np.zeros(1)
    return float(time.reshape(-1)[0]) if time.size == 1 and np.isfinite(time).all() else 0.0


def _stated_fps(arrays: dict[str, np.ndarray], path: Path) -> float | None:
    stated = next((key for key in _RATES if key in arrays), None)
    if stated is None:
        return None
    rate = _numbers(arrays, stated, path)
    if rate.size != 1:
        raise InputError(f"fps has shape {rate.shape}", path=path, expected="one number")
    return float(rate.reshape(()))


def _is_motion(path: Path) -> bool:
    return not {"poses", "global_orient", "smpl_thetas"}.isdisjoint(npz_names(path))


def _by_joint(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays (T, 3) or (T, 4), one a joint; {} where they are not alike."""
    found = {
        key: array.astype(np.float64)
        for key, array in arrays.items()
        if array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] in (3, 4)
    }
    return found if len({array.shape for array in found.values()}) == 1 else {}


def _names(arrays: dict[str, np.ndarray]) -> list[str]:
    """The names of the keypoints, where the file states them."""
    stated = next((arrays[key] for key in _NAMES if key in arrays and arrays[key].dtype.kind in "US"), np.array([]))
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in stated.ravel().tolist()]


def _known(names: list[str], count: int, layout: str | Layout | None, path: Path) -> bool:
    """Whether these are names of a layout for as many keypoints; others leave the keypoints in their order."""
    try:
        return len(names) == count and bool(matched_layout(layout, names, path))
    except InputError:
        return False


def _no_keypoints(path: Path) -> InputError:
    expected = "keypoints (T, K, 3), and if known confidence (T, K), layout, fps"
    if _is_motion(path):
        return InputError(
            "there is no array 'keypoints': this is a motion already, SMPL parameters",
            path=path,
            expected=expected,
            hint=f"lsmplify convert {path} -o OUT.npz (or render, view, report)",
        )
    objects = next((name for name in npz_names(path) if name in _POSITIONS), None)
    if objects is not None:
        return InputError(
            f"the array '{objects}' holds Python objects, as of several recordings",
            path=path,
            expected=expected,
            hint="np.save the array (T, K, 3) of one of them",
        )
    shown = ", ".join(npz_names(path)[:12])[:200] or "nothing"
    return InputError(f"there is no array 'keypoints', but {shown}", path=path, expected=expected)


def _confidences(stated: np.ndarray, people: list[np.ndarray], path: Path, key: str) -> list[np.ndarray | None]:
    """(T, K) of each person, from an array with or without an axis of frames or of people."""
    frames, count = people[0].shape[:2]
    shape = stated.shape
    stated = stated[..., 0] if stated.ndim > 2 and shape[-1] == 1 else stated
    if stated.shape in ((count,), (frames, count)):
        return [np.broadcast_to(stated, (frames, count))] * len(people)
    if stated.shape == (frames, len(people), count):
        stated = np.swapaxes(stated, 0, 1)
    if stated.shape != (len(people), frames, count):
        raise InputError(
            f"the array has shape {shape}", path=path, where=f"array '{key}'", expected=f"{(frames, count)}"
        )
    return list(stated)


def _person(
    arrays: dict[str, np.ndarray], points: np.ndarray, confidence: np.ndarray | None, asked: Asked, source: Source
) -> Keypoints:
    positions, names = points[..., :3], _names(arrays)
    if _known(names, positions.shape[1], asked.layout, source.path):
        return keypoints_from_markers(NamedColumns(names, positions, confidence, source), asked)
    return keypoints_in_order(positions, confidence, asked, source, _hands(arrays, len(positions), source.path))


def _hands(arrays: dict[str, np.ndarray], frames: int, path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Positions (T, 2, 21, 3) and confidence (T, 2, 21) of a file that holds hands beside the body."""
    if "hands" not in arrays:
        return None
    hands = _numbers(arrays, "hands", path)
    if hands.shape not in ((frames, 2, 21, 3), (frames, 2, 21, 4)):
        raise InputError(
            f"the array has shape {hands.shape}", path=path, where="array 'hands'", expected=f"({frames}, 2, 21, 3)"
        )
    confidence = hands[..., 3] if hands.shape[-1] == 4 else None
    if "hand_confidence" in arrays:
        confidence = _numbers(arrays, "hand_confidence", path)
        if confidence.shape != hands.shape[:3]:
            raise InputError(
                f"the array has shape {confidence.shape}",
                path=path,
                where="array 'hand_confidence'",
                expected=f"{hands.shape[:3]}",
            )
    return hands[..., :3], confidence


def write_keypoints_npz(keypoints: Keypoints, path: str | PathLike[str]) -> None:
    """Write what `read_keypoints_npz` reads; missing keypoints are NaN with confidence 0.

    A layout of the user's own is written by name: reading the file again needs `layout=` with its TOML file.

    Raises:
        InputError: the path does not end in .npz or cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError("keypoints are written as .npz", path=path, hint=f"{Path(path).with_suffix('.npz')}")
    assert isinstance(keypoints.layout, Layout)
    confidence = keypoints.confidence.cpu().numpy()
    positions = np.where(confidence[..., None] > 0, keypoints.positions.cpu().numpy(), np.nan)
    if keypoints.hands is not None:
        trust = keypoints.hands.confidence.cpu().numpy()
        hands = np.where(trust[..., None] > 0, keypoints.hands.positions.cpu().numpy(), np.nan)
    optional = {"person_id": keypoints.person_id, "up_axis": keypoints.up_axis}
    arrays: dict[str, Any] = {
        "keypoints": positions.astype(np.float32),
        "confidence": confidence,
        "layout": np.array(keypoints.layout.name),
        "fps": np.array(keypoints.fps),
        **({"start_time": np.array(keypoints.start_s)} if keypoints.start_s else {}),
        **{key: np.array(value) for key, value in optional.items() if value is not None},
        **({} if keypoints.hands is None else {"hands": hands.astype(np.float32), "hand_confidence": trust}),
    }
    with atomic_output(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def _numbers(arrays: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    if arrays[key].dtype.kind not in "fiu":
        raise InputError(f"the array holds {arrays[key].dtype}", path=path, where=f"array '{key}'", expected="numbers")
    return arrays[key].astype(np.float64)
