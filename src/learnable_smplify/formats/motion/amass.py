"""AMASS motion files (`.npz`), both generations of them, and our own files in the same form.

The words `poses` and `trans` of the format stay in this file. AMASS's world is Z up, and every program that reads its
files takes them so: a motion that is Y up is turned on writing, the file says from where, and reading turns it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch

from learnable_smplify.body.body import Body
from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.body.size import stature_m
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.formats.motion.up import own_body, rest_pelvis, turn_motion
from learnable_smplify.motion import Motion, UpAxis
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.npz import read_npz
from learnable_smplify.timeline import is_rate

PoseLayout = Literal["smpl", "smplh", "smplx"]

POSE_COLUMNS: dict[PoseLayout, int] = {"smpl": 72, "smplh": 156, "smplx": 165}
"""Columns of `poses`: root 0:3 and body 3:66 in all; then two hands (smpl), 30 finger joints (smplh), or jaw, eyes and
30 finger joints (smplx)."""

_BODY_COLUMNS = 66
_FINGER_COLUMNS: dict[PoseLayout, slice] = {"smplh": slice(66, 156), "smplx": slice(75, 165)}
# What a `Motion` has no joints for.
_FURTHER_COLUMNS: dict[PoseLayout, dict[str, slice]] = {"smplx": {"jaw": slice(66, 69), "eyes": slice(69, 75)}}
RATE_KEYS = ("mocap_frame_rate", "mocap_framerate", "fps")
_NUM_BETAS = 16
_BLENDER_FPS = 30
# More, and longer ones, nobody was told.
_MOST_NOTES, _LONGEST_NOTE = 100, 1000
_OUR_KEYS = (
    *("up_axis", "turned_from", "turned_about", "body", "betas_open", "start_time", "flagged", "uncertainty_deg"),
    *("betas_sigma", "hand_joints", "hand_pose", "hand_flagged", "hand_uncertainty_deg"),
)
_READ_KEYS = ("poses", "trans", "betas", "gender", *_OUR_KEYS, *RATE_KEYS)


def write_amass(
    motion: Motion,
    path: str | PathLike[str],
    pose_layout: PoseLayout = "smplh",
    body: Body | None = None,
    style: MotionStyle | None = None,
) -> tuple[str, ...]:
    """Write a motion as an AMASS file.

    Holds the keys of both generations: `poses`, `trans`, `betas` (16, padded with zeros), `gender`,
    `mocap_frame_rate`, `mocap_framerate`, `surface_model_type`, `root_orient`, `pose_body`; and keys of our own, which
    other programs pass over: `up_axis` of the file ("x", "y", "z" or "" for unknown); `turned_from`, the motion's own
    up axis, and `turned_about` (3,), the pelvis joint it was turned about, where the two differ; `body`; `betas_open`
    (10,) where the betas are the open body's, which are not SMPL's; `start_time` [s] where the recording did not begin
    at 0; `notes`, what the user was told;
    `flagged`, `uncertainty_deg` (T, 24) and `betas_sigma` (10,) where the motion has them, and `hand_joints`
    (T, 6) where the layout has no columns for SMPL's two hand joints and they are bent; where the fingers were seen,
    `pose_hand` (T, 90) as AMASS of SMPL-X has it, `hand_flagged` (T, 2), `hand_uncertainty_deg` (T, 30), and with 72
    columns `hand_pose` (T, 90).

    The frames are written as they are, at any rate; a note tells of the one program that takes no slow ones.

    Fingers of a motion that has them fill their columns of 156 or 165; otherwise they are zeros, and so are jaw and
    eyes. As in AMASS itself, these are whole rotations, not differences from the relaxed hand that model files hold as
    `hands_mean`: zeros are the flat hand of the template. The `smplx` package needs `use_pca=False,
    flat_hand_mean=True` for them; without the second, it bends the fingers (the 22 body joints stay).

    Args:
        motion: T frames.
        path: the file to write, whole or not at all.
        pose_layout: "smpl" (72 columns), "smplh" (156) or "smplx" (165).
        body: the motion's body, about whose pelvis it is turned and whose height is written; None takes the open one.
        style: which way is up (Z, undone on reading, unless it says otherwise) and whose betas.

    Returns:
        Notes for the user.

    Raises:
        InputError: an unknown layout, or the folder cannot be written to.
    """
    if pose_layout not in POSE_COLUMNS:
        raise InputError(f"unknown pose layout '{pose_layout}'", expected=" or ".join(POSE_COLUMNS))
    style = style or MotionStyle()
    notes: list[str] = []
    turned: dict[str, Any] = {}
    own_up, up = motion.up_axis, style.up or "z"
    if own_up is None:
        notes.append(f"which way is up in this motion is not known; other programs will take {up.upper()} for it")
    elif own_up != up:
        pelvis, more = rest_pelvis(motion, body)
        notes += more
        motion = turn_motion(motion, up, pelvis)
        turned = {} if style.up else {"turned_from": np.str_(own_up), "turned_about": pelvis}
    frames = len(motion)
    pose = motion.pose.cpu().numpy().reshape(frames, -1)
    poses = np.zeros((frames, POSE_COLUMNS[pose_layout]), dtype=np.float32)
    shared = 72 if pose_layout == "smpl" else _BODY_COLUMNS
    poses[:, :shared] = pose[:, :shared]
    fingers = None if motion.hand_pose is None else motion.hand_pose.cpu().numpy().reshape(frames, -1)
    if fingers is not None and pose_layout in _FINGER_COLUMNS:
        poses[:, _FINGER_COLUMNS[pose_layout]] = fingers
    arrays: dict[str, Any] = {
        "poses": poses,
        "trans": motion.transl.cpu().numpy(),
        "betas": np.pad(motion.betas.cpu().numpy(), (0, _NUM_BETAS - 10)),
        "gender": np.str_(motion.gender),
        "mocap_frame_rate": np.float64(motion.fps),
        "mocap_framerate": np.float64(motion.fps),
        "surface_model_type": np.str_(pose_layout),
        "root_orient": pose[:, :3],
        "pose_body": pose[:, 3:_BODY_COLUMNS],
        "up_axis": np.str_(motion.up_axis or ""),
        "body": np.str_(motion.body),
        "flagged": motion.flagged.cpu().numpy(),
    }
    arrays |= turned
    for key in ("hand_flagged", "hand_uncertainty_deg", "uncertainty_deg", "betas_sigma"):
        value: torch.Tensor | None = getattr(motion, key)
        if value is not None:
            arrays[key] = value.cpu().numpy()
    if fingers is not None:
        arrays["pose_hand" if pose_layout in _FINGER_COLUMNS else "hand_pose"] = fingers
    if motion.start_s != 0:
        arrays["start_time"] = np.float64(motion.start_s)
    if motion.body in OPEN_BODIES:
        arrays["betas_open"] = arrays["betas"][:10]
    if style.betas_for == "smpl":
        arrays["betas"] = np.zeros_like(arrays["betas"]) if motion.body in OPEN_BODIES else arrays["betas"]
        own = own_body(motion, body)
        if own is not None:
            height = stature_m(own, motion.betas)
            arrays["actual_human_height"] = np.float64(height)
            notes.append(f"betas are zeros, SMPL's mean; the person is {height:.2f} m (actual_human_height)")
    if shared == _BODY_COLUMNS and bool(pose[:, _BODY_COLUMNS:].any()):
        arrays["hand_joints"] = pose[:, _BODY_COLUMNS:]
    if motion.notes:
        arrays["notes"] = np.array(motion.notes, dtype=np.str_)
    with atomic_output(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    if motion.body in POSE_COLUMNS and (motion.body == "smplx") != (pose_layout == "smplx"):
        notes.append(
            f"the betas are those of the body '{motion.body}', but other programs will take a file in {pose_layout}'s "
            f"columns for the body '{pose_layout}' (--pose-layout {motion.body})"
        )
    # The add-on cuts the rate to a whole number before it compares, so 29.97 is too slow for it as well.
    if pose_layout != "smpl" and motion.fps < _BLENDER_FPS:
        slow = f"{motion.fps:g} frames a second are too few for Blender's SMPL-X add-on, which wants {_BLENDER_FPS}"
        notes.append(f"{slow}; for it: lsmplify convert {path} -o OTHER.npz --fps {_BLENDER_FPS}")
    return tuple(notes)


def read_amass(path: str | PathLike[str]) -> Motion:
    """Read an AMASS file: SMPL-H `_poses.npz`, SMPL-X `_stageii.npz`, SMPL's 72 or 66 columns, or one of ours.

    Fingers are read from 156 and 165 columns, or from `hand_pose`; where all are zero, nobody saw them and they rest.
    Jaw and eyes, and betas beyond the tenth, are left out; a note says so where they are not zero. SMPL's two hand
    joints are read from 72 columns or from `hand_joints`, and are zero otherwise. A file that does not say which
    way is up is Z up, as AMASS is; one that says that it was turned is turned back. A value stored as a Python object,
    as some files store `gender`, is passed over.

    Raises:
        InputError: no such file, not an `.npz`, no `poses`, `trans` or frame rate in it, shapes that do not fit, or
            numbers that are not finite; names file and key.
    """
    return motion_of_arrays(Path(path), read_npz(path, _READ_KEYS))


def read_notes(path: str | PathLike[str]) -> tuple[str, ...]:
    """What the user was told when a motion file of ours was made; none where the file does not say.

    Raises:
        InputError: no such file, or one that cannot be read.
    """
    notes = read_npz(path, ("notes",)).get("notes")
    if notes is None or notes.dtype.kind != "U" or notes.ndim != 1:
        return ()
    return tuple(str(note)[:_LONGEST_NOTE] for note in notes[:_MOST_NOTES])


def motion_of_arrays(path: Path, arrays: Mapping[str, Any], default_fps: float | None = None) -> Motion:
    """As `read_amass`, of arrays from any kind of file.

    Args:
        path: for messages.
        arrays: under AMASS's names.
        default_fps: where they state no rate; None refuses that.

    Raises:
        InputError: as in `read_amass`.
    """
    file = Keyed(path, arrays)
    if not file.has("poses"):
        raise file.fail(
            "holds no motion: the key 'poses' is missing",
            "'poses' and 'trans' (shape.npz and neutral_stagei.npz hold only a body)",
            "the _poses.npz or _stageii.npz beside it",
        )
    poses = file.numbers("poses")
    if poses.ndim == 3 and poses.shape[2] == 3:  # joint by joint
        poses = poses.reshape(len(poses), 3 * poses.shape[1])
    if poses.ndim == 2 and poses.shape[1] == _BODY_COLUMNS:  # no hands at all
        poses = np.pad(poses, ((0, 0), (0, POSE_COLUMNS["smplh"] - _BODY_COLUMNS)))
    if poses.ndim != 2 or poses.shape[1] not in POSE_COLUMNS.values() or poses.shape[0] == 0:
        raise file.fail(
            f"'poses' has shape {poses.shape}", "(T, 72), (T, 156) or (T, 165) with at least one frame, or (T, 66)"
        )
    frames, columns = poses.shape
    layout = next(name for name, width in POSE_COLUMNS.items() if width == columns)
    pose = np.zeros((frames, POSE_COLUMNS["smpl"]), dtype=np.float32)
    kept = POSE_COLUMNS["smpl"] if layout == "smpl" else _BODY_COLUMNS
    pose[:, :kept] = poses[:, :kept]
    if layout != "smpl" and file.has("hand_joints"):
        pose[:, _BODY_COLUMNS:] = file.numbers("hand_joints", shape=(frames, 6))
    fingers = _fingers(file, poses, layout)
    betas, beta_notes = _betas(file, frames)
    motion = Motion(
        pose=torch.from_numpy(pose),
        transl=torch.from_numpy(file.numbers("trans", shape=(frames, 3))),
        betas=torch.from_numpy(betas[:10]),
        fps=_rate(file, default_fps),
        start_s=float(file.numbers("start_time", shape=())) if file.has("start_time") else 0.0,
        body=file.word("body", "") or layout,
        gender=file.gender(default="neutral"),
        up_axis=_axis(file, "up_axis", "z"),
        flagged=torch.from_numpy(file.numbers("flagged", shape=(frames,)) if file.has("flagged") else np.zeros(frames)),
        uncertainty_deg=_uncertainty(file, "uncertainty_deg", (frames, 24)),
        betas_sigma=_optional(file, "betas_sigma", (10,)),
        notes=(*beta_notes, *_left_out(poses, betas, layout)),
        hand_pose=None if fingers is None else torch.from_numpy(fingers),
        hand_flagged=None if fingers is None else _optional(file, "hand_flagged", (frames, 2)),
        hand_uncertainty_deg=_uncertainty(file, "hand_uncertainty_deg", (frames, 30)),
    )
    own_up = _axis(file, "turned_from", "")
    return motion if own_up is None else turn_motion(motion, own_up, file.numbers("turned_about", shape=(3,)))


def _left_out(poses: np.ndarray, betas: np.ndarray, layout: PoseLayout) -> tuple[str, ...]:
    """What of a file does not fit into a `Motion`, one line each."""
    notes = []
    bent = [part for part, place in _FURTHER_COLUMNS.get(layout, {}).items() if poses[:, place].any()]
    if bent:
        notes.append(f"the file's pose of {' and '.join(bent)} is left out: a neutral face is taken")
    if betas[10:].any():
        notes.append(f"of {len(betas)} betas the first 10 are used")
    return tuple(notes)


def _axis(file: Keyed, key: str, default: str) -> UpAxis | None:
    word = file.word(key, default).lower()
    if word not in ("x", "y", "z", ""):
        raise file.fail(f"'{key}' is '{word[:40]}'", "x, y, z")
    return cast("UpAxis | None", word or None)


def _rate(file: Keyed, default: float | None) -> float:
    key = next((key for key in RATE_KEYS if file.has(key)), None)
    if key is None:
        if default is None:
            raise file.fail("states no frame rate", " or ".join(RATE_KEYS))
        return default
    value = file.numbers(key).reshape(-1)
    if value.size != 1 or not is_rate(value[0]):
        raise file.fail(f"'{key}' is no frame rate", "one number above 0")
    return float(value[0])


def _optional(file: Keyed, key: str, shape: tuple[int, ...]) -> torch.Tensor | None:
    return torch.from_numpy(file.numbers(key, shape=shape)) if file.has(key) else None


def _uncertainty(file: Keyed, key: str, shape: tuple[int, int]) -> torch.Tensor | None:
    """NaN is a word here: the network was not asked about that joint in that frame."""
    if not file.has(key):
        return None
    degrees = file.numbers(key, shape=shape, finite=False)
    if np.isinf(degrees).any() or (degrees < 0).any():
        raise file.fail(f"'{key}' is below 0 or infinite", "degrees")
    return torch.from_numpy(degrees)


def _fingers(file: Keyed, poses: np.ndarray, layout: PoseLayout) -> np.ndarray | None:
    """(T, 90) `hand_pose`; None where nobody saw the fingers."""
    if layout in _FINGER_COLUMNS:
        columns = poses[:, _FINGER_COLUMNS[layout]]
    elif file.has("hand_pose"):
        columns = file.numbers("hand_pose", shape=(len(poses), 90))
    else:
        return None
    return columns if columns.any() or file.has("hand_flagged") else None


def _betas(file: Keyed, frames: int) -> tuple[np.ndarray, tuple[str, ...]]:
    key = "betas_open" if file.has("betas_open") else "betas"
    if not file.has(key):
        return np.zeros(10), ()
    betas = file.numbers(key)
    notes: tuple[str, ...] = ()
    if betas.ndim == 2 and len(betas) in (1, frames):
        if np.ptp(betas, axis=0).any():
            notes = ("the betas change from frame to frame: their median is taken",)
        betas = np.median(betas, axis=0)
    if betas.ndim != 1:
        raise file.fail(f"'{key}' has shape {betas.shape}", "one shape for the whole clip, (16,) or (10,)")
    return betas, notes
