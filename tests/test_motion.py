"""`Motion`: what it accepts and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.motion import Motion


def test_arrays_become_float32_tensors_with_nothing_flagged() -> None:
    motion = Motion(pose=np.zeros((2, 24, 3)), transl=np.zeros((2, 3)), betas=np.ones(10), fps=25)  # type: ignore[arg-type]
    assert [motion.pose.dtype, motion.transl.dtype, motion.betas.dtype] == [torch.float32] * 3
    assert motion.flagged.tolist() == [False, False]
    assert len(motion) == 2


def test_a_flat_pose_is_split_into_pelvis_and_body() -> None:
    motion = Motion(pose=torch.arange(144.0).reshape(2, 72), transl=torch.zeros(2, 3), betas=torch.zeros(10))
    assert motion.global_orient.tolist() == [[0.0, 1.0, 2.0], [72.0, 73.0, 74.0]]
    assert motion.body_pose.shape == (2, 23, 3)
    assert motion.body_pose[0, 0].tolist() == [3.0, 4.0, 5.0]


def test_betas_are_padded_to_ten() -> None:
    motion = Motion(pose=torch.zeros(1, 24, 3), transl=torch.zeros(1, 3), betas=torch.ones(3))
    assert motion.betas.shape == (10,)
    assert motion.betas[:4].tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pose": torch.zeros(2, 22, 3)}, "pose has shape"),
        ({"pose": torch.zeros(0, 24, 3), "transl": torch.zeros(0, 3)}, "at least one frame"),
        ({"pose": torch.full((2, 24, 3), torch.nan)}, "pose holds NaN"),
        ({"transl": torch.zeros(3, 3)}, "transl has shape"),
        ({"transl": torch.full((2, 3), torch.inf)}, "transl holds NaN"),
        ({"betas": torch.full((10,), torch.nan)}, "betas hold NaN"),
        ({"fps": -1.0}, "frame rate"),
        ({"flagged": torch.zeros(3, dtype=torch.bool)}, "flagged has shape"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    given = {"pose": torch.zeros(2, 24, 3), "transl": torch.zeros(2, 3), "betas": torch.zeros(10)} | change
    with pytest.raises(InputError, match=message):
        Motion(**given)


def test_a_motion_is_one_line_in_a_notebook_and_can_be_cut() -> None:
    motion = Motion(pose=torch.zeros(60, 24, 3), transl=torch.arange(180.0).reshape(60, 3), betas=torch.zeros(10))
    assert repr(motion) == "Motion(60 frames, 2.0 s at 30 fps, body 'open', neutral)"
    part = motion[10:20]
    assert len(part) == 10
    assert torch.equal(part.transl, motion.transl[10:20])
    assert motion[::2].fps == 15
    assert len(motion[-5:]) == 5
    with pytest.raises(TypeError):
        motion[3]  # type: ignore[index]
    with pytest.raises(InputError):
        motion[70:]
