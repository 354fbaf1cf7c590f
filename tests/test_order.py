"""Frames that all stand there several times are counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair.garbage import examine
from learnable_smplify.repair.order import repeated
from toy_motion import drifting_transl, swinging_poses
from toy_recording import standing_person


def swinging(frames: int = 90, noise: float = 0.004) -> np.ndarray:
    """(T, 25, 3) metres: somebody who swings every limb, about the hips."""
    points = load_body().keypoints(swinging_poses(frames), torch.zeros(10), drifting_transl(frames), "body25").numpy()
    return points - points[:, [8]] + noise * np.random.default_rng(0).normal(size=points.shape)


@pytest.mark.parametrize(("often", "said"), [(2, "twice: 30 of 60"), (3, "3 times: 60 of 90")])
def test_frames_that_all_stand_there_several_times_are_counted(often: int, said: str):
    points = swinging(30).repeat(often, axis=0)
    points[: 2 * often, 4] = np.nan
    expected = f"every frame stands there {said} repeat the one before"
    for part in (points, np.delete(points, 7, axis=0)):
        assert repeated(part).startswith(expected[:28])
    doubt = examine(Keypoints(torch.tensor(points), "body25", 30.0))
    assert doubt.reasons == (expected,)
    assert not bool(doubt.frames.any())


def test_a_person_who_stands_and_a_frame_that_hangs_are_no_repetition():
    hangs = swinging(60)
    hangs[20:40] = hangs[19]
    stands = np.concatenate((swinging(20), swinging(1).repeat(40, axis=0)))
    for points in (hangs, stands, swinging(60), standing_person(1).repeat(30, axis=0), swinging(3).repeat(2, axis=0)):
        assert repeated(points) == ""
