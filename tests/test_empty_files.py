"""Files of the right kind with nothing in them: no frame, no person, no keypoint. Each is refused by name."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates import read_estimates
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from learnable_smplify.formats.motion.motion_file import read_motion
from test_keypoint_files import npy_bytes, npz_bytes


def none(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.float32)


EMPTY_KEYPOINTS: dict[str, bytes] = {
    "no frame.npy": npy_bytes(none(0, 25, 3)),
    "no row.npy": npy_bytes(none(0, 75)),
    "two people, no frame.npy": npy_bytes(none(2, 0, 25, 3)),
    "no keypoint.npy": npy_bytes(none(10, 0, 3)),
    "no coordinate.npy": npy_bytes(none(5, 25, 0)),
    "no axis.npy": npy_bytes(none()),
    "no frame.npz": npz_bytes(keypoints=none(0, 25, 3)),
    "nobody.json": json.dumps([{"keypoints": []}]).encode(),
    "empty lists.json": json.dumps([[[]]]).encode(),
    "no line.csv": b"",
    "no row.csv": b"frame,nose_x,nose_y,nose_z\n",
}
PERSON = {"poses": none(0, 24, 3), "trans": none(0, 3), "betas": none(10)}
EMPTY_POSES: dict[str, dict[str, Any]] = {
    "AMASS": PERSON,
    "AMASS, other rows": {**PERSON, "poses": none(4, 72)},
    "SMPLest-X": {"global_orient": none(0, 3), "body_pose": none(0, 63), "betas": none(0, 10)},
    "SMPLest-X, nobody": {"global_orient": none(0, 5, 3), "body_pose": none(0, 5, 63), "betas": none(0, 5, 10)},
    "ROMP": {"smpl_thetas": none(0, 72), "smpl_betas": none(0, 10)},
    "AIST++": {"smpl_poses": none(0, 72), "smpl_trans": none(0, 3), "smpl_scaling": np.ones(1)},
    "TRAM": {"pred_rotmat": none(0, 24, 3, 3), "pred_shape": none(0, 10), "pred_trans": none(0, 1, 3)},
}


@pytest.mark.parametrize("layout", [None, "body25"])
@pytest.mark.parametrize("name", EMPTY_KEYPOINTS)
def test_keypoints_of_nothing_are_refused(name: str, layout: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(EMPTY_KEYPOINTS[name])
    with pytest.raises(InputError, match=name):
        read_people(tmp_path / name, layout=layout)


@pytest.mark.parametrize("read", [read_estimates, read_motion])
@pytest.mark.parametrize("name", EMPTY_POSES)
def test_poses_of_nothing_are_refused(name: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    np.savez(tmp_path / "poses.npz", **EMPTY_POSES[name])
    (tmp_path / "poses.pkl").write_bytes(pickle.dumps(EMPTY_POSES[name]))
    for path in (tmp_path / "poses.npz", tmp_path / "poses.pkl"):
        with pytest.raises(InputError, match=path.name):
            read(path)
