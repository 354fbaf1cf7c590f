"""Frames that all stand there several times are counted, and frames in no order are named; motion is neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair.garbage import examine
from learnable_smplify.repair.order import in_no_order, repeated
from toy_motion import drifting_transl, swinging_poses
from toy_recording import squatting_person, standing_person


def swinging(frames: int = 90, noise: float = 0.004) -> np.ndarray:
    """(T, 25, 3) metres: somebody who swings every limb, about the hips."""
    points = load_body().keypoints(swinging_poses(frames), torch.zeros(10), drifting_transl(frames), "body25").numpy()
    return points - points[:, [8]] + noise * np.random.default_rng(0).normal(size=points.shape)


def squatting(frames: int) -> np.ndarray:
    """(T, 25, 3) metres: two squats."""
    pose, transl = squatting_person(frames)
    return load_body().keypoints(pose, torch.zeros(10), transl, "body25").numpy()


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


@pytest.mark.parametrize("noise", [0.0, 0.004, 0.02])
def test_shuffled_frames_are_named(noise: float):
    points = swinging(90, noise)
    shuffled = np.random.default_rng(1).permutation(points)
    shuffled[3, 4] = np.nan
    keypoints = Keypoints(torch.tensor(shuffled), "body25", 30.0)
    doubt = examine(keypoints)
    (reason,) = doubt.reasons
    assert reason.startswith("the frames are in no order")
    assert bool(doubt.frames.all())
    assert not examine(replace(keypoints, positions=torch.tensor(points), confidence=torch.ones(90, 25))).reasons


def test_motion_and_noise_have_an_order_or_none_that_can_be_told():
    chance = np.random.default_rng(0)
    jumps = np.tile(squatting(10), (6, 1, 1))  # two squats in 10 frames, again and again
    still = standing_person(60) + 0.05 * chance.normal(size=(60, 25, 3))
    twos = np.stack((swinging(60), swinging(60) + 0.3), axis=1).reshape(120, 25, 3)
    for points in (swinging(), swinging(90, 0.05), swinging()[::3], squatting(60), jumps, still, twos, still[:1]):
        assert not in_no_order(points, 30.0)
    assert not in_no_order(chance.permutation(swinging()), 5.0)
    assert not in_no_order(np.full((60, 25, 3), np.nan), 30.0)


@pytest.mark.parametrize("again", ["backwards", "forwards"])
def test_somebody_who_keeps_still_and_is_played_twice_is_in_order(again: str):
    points = standing_person(120) + 0.02 * np.random.default_rng(3).normal(size=(120, 25, 3))
    twice = np.concatenate((points, points[::-1] if again == "backwards" else points))
    assert not in_no_order(twice, 30.0)
