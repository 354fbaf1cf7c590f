"""SMPL parameters as arrays under the names of many estimators: ROMP, HybrIK, GLAMR, PromptHMR, VIBE, AIST++.

What they share: a pose, betas and a place a frame, for one person, for people under their ids, or for everybody seen in
a frame under the frame's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.estimate import Estimate, Frame, cleaned, joined, rotvecs_of
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.keyed import Keyed

KEYS = "{smpl_thetas, pred_thetas, smpl_poses or pose (T, 72), (T, 216) or (T, 24, 3); betas, shape; transl, trans}"
# A pose of all joints, or the root's and the body's.
_WHOLE = (
    "smpl_thetas",
    "pred_thetas",
    "smpl_poses",
    "poses",
    "pose",
    "thetas",
    "full_pose",
    "fullpose",
    "rotmat",
    "pred_rotmat",
)
_ROOT = ("global_orient", "root_orient", "smpl_orient", "root_pose")
_BODY = ("body_pose", "smpl_pose", "pose_body")
_BETAS = ("smpl_betas", "pred_betas", "betas", "smpl_beta", "smpl_shape", "pred_shape", "shape", "shapes", "beta")
_TRANSL = ("transl", "trans", "smpl_trans", "cam_trans", "root_trans", "pred_trans", "pred_cam_t_full", "pred_cam_t")
_FRAMES = ("frame_ids", "frames", "frame_idx", "frame_id", "frame")
_TRACKS = ("track_ids", "track_id", "tracked_ids", "person_ids", "tid")
# One level in which some keep everything.
_WRAPPERS = ("results", "person_data", "people", "smpl", "smplx", "smpl_params", "smplx_params", "pred_smpl_params")
_WORLD, _CAMERA = ("_world", "_w"), ("_cam", "_c", "_incam")
_SAM_3D_BODY = ("mhr_model_params", "body_pose_params", "pred_joint_coords")
_AIST_FPS = 60.0
# Columns of a pose: (joints, numbers a joint) and whose joints they are.
_WIDTHS = {
    72: (24, 3, "smpl"),
    216: (24, 9, "smpl"),
    66: (22, 3, "smplh"),
    156: (52, 3, "smplh"),
    165: (55, 3, "smplx"),
    495: (55, 9, "smplx"),
}


@dataclass(frozen=True)
class _Rows:
    """Parameters of one person, or of everybody in a frame, as they lie in the file."""

    pose: np.ndarray  # (N, J, 3)
    betas: np.ndarray
    transl: np.ndarray | None
    frames: np.ndarray | None
    tracks: np.ndarray | None
    body: str
    world: bool
    hands: np.ndarray | None = None  # (N, 2, 45)

    def some(self, chosen: np.ndarray) -> _Rows:
        """Those rows for which the mask `chosen` is True."""
        given = (self.transl, self.frames, self.hands)
        transl, frames, hands = (None if part is None else part[chosen] for part in given)
        betas = self.betas[chosen]
        return replace(self, pose=self.pose[chosen], betas=betas, transl=transl, frames=frames, hands=hands)


def matches(content: Any) -> bool:
    """Whether such arrays are in the content, or one or two levels down in it."""
    return isinstance(content, Mapping) and (
        _is_sam_3d_body(content) or any(_has_pose(part) for _, part in _leaves(_opened(content)))
    )


def read(content: Any, path: Path, frame: Frame | None) -> list[Estimate]:
    """The people of such a file, in the world where it has one, unless `frame` is "camera".

    Raises:
        InputError: arrays of other shapes, no world or camera where it is asked for, or parameters of another body.
    """
    if _is_sam_3d_body(content):
        raise InputError(
            "these are SAM 3D Body's parameters, of the body MHR and not of SMPL",
            path=path,
            expected="SMPL parameters",
            hint="save its pred_keypoints_3d as .npy, (T, 70, 3), and: lsmplify fit FILE.npy --layout mhr70",
        )
    leaves = _leaves(_opened(content))
    parts = [(name, _rows(Keyed(path, part, str(name)), frame, path)) for name, part in leaves if _has_pose(part)]
    if frame == "world" and not any(rows.world for _, rows in parts):
        raise InputError("these files hold the camera's frame only", path=path, hint="leave frame away")
    if not parts:
        raise InputError("there is no pose in it", path=path, expected=KEYS)
    source = _source(content)
    if len(parts) > 1 and _one_a_frame(parts):
        people = _by_track([_numbered(rows, index) for index, (_, rows) in enumerate(parts)], path)
    else:
        people = [
            person
            for name, rows in parts
            for person in ([(str(name), rows)] if rows.tracks is None else _by_track([rows], path))
        ]
    return [_estimate(name, rows, path, source) for name, rows in people]


def _opened(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The dictionary below a name that only wraps it; an array of one object is that object."""
    for name in _WRAPPERS:
        inner = content.get(name)
        if isinstance(inner, np.ndarray) and inner.dtype == object and inner.size == 1:
            inner = inner.reshape(-1)[0]
        if isinstance(inner, Mapping) and not _has_pose(content):
            return _opened(inner)
    return content


def _leaves(content: Mapping[Any, Any]) -> list[tuple[Any, Mapping[Any, Any]]]:
    """The content itself where it has a pose, else its parts, each under its name, and of those the opened ones."""
    if _has_pose(content):
        return [("0", content)]
    parts: list[tuple[Any, Mapping[Any, Any]]] = []
    for name, part in content.items():
        if isinstance(part, np.ndarray) and part.dtype == object and part.size == 1:
            part = part.reshape(-1)[0]
        if isinstance(part, Mapping):
            inner = _placed(part)
            parts.append((name, inner if inner is not part else _opened(part)))
    return parts


def _placed(part: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """PromptHMR keeps `smplx_world` and `smplx_cam` beside a person's frames: as one dictionary with suffixes."""
    flat: dict[Any, Any] = {}
    for name, value in part.items():
        told = str(name).rpartition("_")
        if isinstance(value, Mapping) and told[0] in ("smpl", "smplx") and f"_{told[2]}" in (*_WORLD, *_CAMERA):
            flat |= {f"{key}_{told[2]}": inner for key, inner in value.items()}
    return {**part, **flat} if flat else part


def _has_pose(content: Any) -> bool:
    if not isinstance(content, Mapping):
        return False
    return _name(content, _WHOLE) is not None or (
        _name(content, _ROOT) is not None and _name(content, _BODY) is not None
    )


def _name(content: Mapping[Any, Any], names: tuple[str, ...], frame: Frame | None = None) -> str | None:
    """The first of these names that is there, the world's before the camera's unless the camera is asked for."""
    suffixes = (*_CAMERA, "", *_WORLD) if frame == "camera" else (*_WORLD, "", *_CAMERA)
    return next((name + end for end in suffixes for name in names if _is_table(content.get(name + end))), None)


def _is_table(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping | str | bytes)


def _rows(found: Keyed, frame: Frame | None, path: Path) -> _Rows:
    root, body = _name(found.values, _ROOT, frame), _name(found.values, _BODY, frame)
    if root is not None and body is not None:
        first = found.numbers(root, finite=False)
        count = first.size // (9 if first.shape[-2:] == (3, 3) else 3)
        joints = np.concatenate(
            [_joints(found.numbers(name, finite=False), count, path, name) for name in (root, body)], axis=1
        )
        owner = {22: "smplx", 24: "smpl"}.get(joints.shape[1], "")
        named = root
    else:
        named = _name(found.values, _WHOLE, frame) or _WHOLE[0]
        array = found.numbers(named, finite=False)
        width = array.size // len(array) if array.ndim and len(array) else 0
        if array.ndim == 1 and array.size in _WIDTHS:
            array, width = array[None], array.size
        if width not in _WIDTHS:
            raise found.fail(f"'{named}' has shape {array.shape}", "(T, 72), (T, 24, 3) or (T, 24, 3, 3)")
        owner = _WIDTHS[width][2]
        joints = _joints(array, len(array), path, named)
    if not owner or joints.shape[1] < 22:
        raise found.fail(f"the pose has {joints.shape[1]} joints", "24 of SMPL, 22 or 52 of SMPL-H, 55 of SMPL-X")
    hands = joints[:, -30:].reshape(len(joints), 2, 45) if joints.shape[1] in (52, 55) else None
    joints = joints[:, :24] if owner == "smpl" else joints[:, :22]
    return _Rows(
        pose=joints,
        betas=_betas(found, frame, len(joints)),
        transl=_transl(found, frame, len(joints)),
        frames=_numbers_of(found, _FRAMES, len(joints)),
        tracks=_numbers_of(found, _TRACKS, len(joints)),
        body=owner,
        world=named.endswith(_WORLD) or "smpl_scaling" in found.values,
        hands=hands,
    )


def _joints(array: np.ndarray, count: int, path: Path, name: str) -> np.ndarray:
    """(count, J, 3) rotvecs of rotvecs or rotation matrices in any shape."""
    width = array.size // max(count, 1)
    if count == 0 or width * count != array.size or width % 3:
        raise InputError(f"'{name}' has shape {array.shape}", path=path, expected="three numbers a joint")
    if width % 9 == 0 and (array.shape[-2:] == (3, 3) or (array.ndim >= 2 and width in (9, 207, 216, 495))):
        return rotvecs_of(array.reshape(count, -1, 3, 3), path, f"'{name}'")
    return array.reshape(count, -1, 3)


def _betas(found: Keyed, frame: Frame | None, count: int) -> np.ndarray:
    name = _name(found.values, _BETAS, frame)
    if name is None:
        return np.zeros(10)
    betas = found.numbers(name, finite=False)
    if betas.ndim > 1 and len(betas) not in (1, count):
        raise found.fail(f"'{name}' has shape {betas.shape}", f"({count}, 10)")
    return betas.reshape(count, -1) if betas.ndim > 1 and len(betas) == count else betas.ravel()


def _transl(found: Keyed, frame: Frame | None, count: int) -> np.ndarray | None:
    name = _name(found.values, _TRANSL, frame)
    if name is None:
        return None
    transl = found.numbers(name, finite=False)
    if transl.size != 3 * count:
        raise found.fail(f"'{name}' has shape {transl.shape}", f"({count}, 3)")
    transl = transl.reshape(count, 3)
    if "smpl_scaling" in found.values:  # AIST++: SMPL as large as it is, divided by this
        scaling = found.numbers("smpl_scaling")
        if scaling.size != 1 or not scaling.ravel()[0] > 0:
            raise found.fail(f"'smpl_scaling' has shape {scaling.shape}", "one number above 0")
        transl = transl / scaling.ravel()[0]
    return transl


def _numbers_of(found: Keyed, names: tuple[str, ...], count: int) -> np.ndarray | None:
    """One number a row; None where there are none or they are of another kind (a list of file names)."""
    for name in names:
        if name in found.values:
            try:
                array = found.numbers(name).reshape(-1)
            except InputError:
                continue
            if len(array) == count:
                return array
    return None


def _one_a_frame(parts: list[tuple[Any, _Rows]]) -> bool:
    """Whether the parts are frames with people in them, and not people over time."""
    return all(rows.tracks is not None or (len(rows.pose) == 1 and rows.frames is None) for _, rows in parts)


def _numbered(rows: _Rows, frame: int) -> _Rows:
    count = len(rows.pose)
    tracks = np.arange(count, dtype=float) if rows.tracks is None else rows.tracks
    return replace(rows, frames=np.full(count, float(frame)), tracks=tracks)


def _by_track(parts: list[_Rows], path: Path) -> list[tuple[str, _Rows]]:
    """The rows of every track, in order of first appearance."""
    if len({part.pose.shape[1:] for part in parts}) > 1 or len({part.transl is None for part in parts}) > 1:
        raise InputError("its frames are of different kinds", path=path, expected="one estimator's result")
    tracks = np.concatenate([part.tracks for part in parts if part.tracks is not None])
    everybody = replace(
        parts[0],
        pose=np.concatenate([part.pose for part in parts]),
        betas=np.concatenate([np.broadcast_to(p.betas, (len(p.pose), p.betas.shape[-1])) for p in parts]),
        transl=joined([part.transl for part in parts]),
        frames=joined([part.frames for part in parts]),
        tracks=None,
        hands=joined([part.hands for part in parts]),
    )
    return [(f"{track:g}", everybody.some(tracks == track)) for track in dict.fromkeys(tracks.tolist())]


def _estimate(name: str, rows: _Rows, path: Path, source: str) -> Estimate:
    aist = source == "AIST++"
    up: UpAxis | None = "y" if aist else None
    estimate = cleaned(
        frames=np.arange(len(rows.pose)) if rows.frames is None else rows.frames,
        pose=rows.pose,
        betas=rows.betas,
        transl=rows.transl,
        source=source,
        path=path,
        person_id=name,
        frame="world" if rows.world else "camera",
        body=rows.body,
        up_axis=up,
        hands=rows.hands,
    )
    return replace(estimate, fps=_AIST_FPS) if aist else estimate


def _source(content: Mapping[Any, Any]) -> str:
    """The estimator that uses these names, for the user."""
    first: Any = next((part for _, part in _leaves(_opened(content))), content)
    told = {"smpl_scaling": "AIST++", "smpl_thetas": "ROMP", "pred_thetas": "HybrIK", "smplx_world": "PromptHMR"}
    if "person_data" in content:
        return "GLAMR"
    return next((name for key, name in told.items() if key in first), "an estimator")


def _is_sam_3d_body(content: Any) -> bool:
    if isinstance(content, Mapping):
        return any(key in content for key in _SAM_3D_BODY) or any(
            isinstance(part, Mapping) and any(key in part for key in _SAM_3D_BODY) for part in content.values()
        )
    return isinstance(content, list | tuple) and bool(content) and _is_sam_3d_body(content[0])
