"""Resampling by time: identities of spherical interpolation."""

from __future__ import annotations

import math

import pytest
import roma
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.motion import Motion
from learnable_smplify.resample import resample_motion


def steady_turn(count: int, fps: float, rate_rad_s: float = 1.0) -> Motion:
    """Every joint turning at a constant rate about its own axis, the body moving straight on."""
    generator = torch.Generator().manual_seed(3)
    axes = torch.nn.functional.normalize(torch.randn(24, 3, generator=generator), dim=-1)
    time = torch.arange(count, dtype=torch.float64) / fps
    angle = rate_rad_s * time
    transl = torch.stack([time, 2 * time, -time], dim=-1)
    pose = roma.rotmat_to_rotvec(roma.rotvec_to_rotmat(angle[:, None, None] * axes.double()))
    return Motion(pose=pose, transl=transl, betas=torch.arange(10.0), fps=fps, up_axis="y", gender="female")


def angle_between(a: torch.Tensor, b: torch.Tensor) -> float:
    distance = roma.rotmat_geodesic_distance(roma.rotvec_to_rotmat(a.double()), roma.rotvec_to_rotmat(b.double()))
    return float(distance.max())


@pytest.mark.parametrize("fps", [30.0, 25.0, 60.0, 200.0, 119.0])
def test_a_steady_turn_stays_the_same_turn_at_any_rate(fps: float) -> None:
    motion = steady_turn(481, 120.0)
    other = resample_motion(motion, fps)
    truth = steady_turn(len(other), fps)
    assert other.fps == fps
    assert len(other) == math.floor(4.0 * fps) + 1
    assert angle_between(other.pose, truth.pose) < 1e-5
    torch.testing.assert_close(other.transl, truth.transl, atol=1e-5, rtol=0)


def test_the_same_rate_gives_the_same_motion() -> None:
    motion = steady_turn(10, 30.0)
    assert resample_motion(motion, 30.0) is motion


def test_a_rate_measured_as_120_00004577_gives_whole_frames_at_30() -> None:
    motion = steady_turn(481, 120.00004577)
    assert len(resample_motion(motion, 30.0)) == 121
    assert len(resample_motion(steady_turn(4 * 1800 + 1, 120.00004577), 30.0)) == 1801


def test_frames_that_fall_on_old_frames_are_kept_exactly() -> None:
    motion = steady_turn(41, 120.0)
    torch.testing.assert_close(resample_motion(motion, 30.0).pose, motion.pose[::4], atol=0, rtol=0)


def test_up_and_down_again_is_the_identity() -> None:
    motion = steady_turn(20, 30.0)
    back = resample_motion(resample_motion(motion, 90.0), 30.0)
    assert len(back) == 20
    assert angle_between(back.pose, motion.pose) < 1e-5


def test_between_opposite_rotvecs_the_short_way_is_taken() -> None:
    pose = torch.zeros(2, 24, 3)
    pose[0, 5, 0], pose[1, 5, 0] = math.pi - 0.1, -(math.pi - 0.1)
    middle = resample_motion(Motion(pose=pose, transl=torch.zeros(2, 3), betas=torch.zeros(10), fps=1.0), 2.0)
    assert float(middle.pose[1, 5].norm()) == pytest.approx(math.pi, abs=1e-5)


def test_a_frame_made_from_a_flagged_one_is_flagged_and_the_rest_is_carried_over() -> None:
    motion = steady_turn(9, 120.0)
    flagged = torch.zeros(9, dtype=torch.bool)
    flagged[3] = True
    motion = Motion(
        pose=motion.pose, transl=motion.transl, betas=motion.betas, fps=120.0, gender="female", flagged=flagged
    )
    other = resample_motion(motion, 80.0)
    assert other.flagged.tolist() == [False, False, True, False, False, False]
    assert other.gender == "female"
    torch.testing.assert_close(other.betas, motion.betas)


def test_a_clip_of_one_frame_stays_one_frame() -> None:
    assert len(resample_motion(steady_turn(1, 120.0), 30.0)) == 1


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match="frame rate"):
        resample_motion(steady_turn(3, 30.0), fps)
