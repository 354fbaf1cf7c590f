"""Ends of the body that a capture shows half a turn round."""

from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch

from learnable_smplify.mocap.half_turn import undo_half_turns
from learnable_smplify.mocap.plausible import check_plausible
from learnable_smplify.mocap.transfer import retarget
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX
from toy_motion import swinging_poses
from toy_skeleton import SMPL_MAP, on_smpl, open_target, walking_poses, with_zero_pose


def moving(count: int = 100) -> Motion:
    return Motion(pose=swinging_poses(count), transl=torch.zeros(count, 3), betas=torch.zeros(10), fps=30.0)


def flipped(motion: Motion, name: str, frames: slice, axis: int) -> Motion:
    rotmats = roma.rotvec_to_rotmat(motion.pose.to(torch.float64))
    turn = roma.rotvec_to_rotmat(torch.pi * torch.eye(3, dtype=torch.float64)[axis])
    rotmats[frames, JOINT_INDEX[name]] = rotmats[frames, JOINT_INDEX[name]] @ turn
    return replace(motion, pose=roma.rotmat_to_rotvec(rotmats))


@pytest.mark.parametrize(("name", "axis"), [("left_ankle", 2), ("right_ankle", 1), ("head", 1), ("left_wrist", 0)])
def test_a_foot_hand_or_head_that_is_half_a_turn_off_for_most_of_a_clip_is_turned_back(name: str, axis: int) -> None:
    plain = moving()
    mended = undo_half_turns(flipped(plain, name, slice(20, 90), axis))
    difference = roma.rotmat_geodesic_distance(
        roma.rotvec_to_rotmat(mended.pose.double()), roma.rotvec_to_rotmat(plain.pose.double())
    )
    assert float(difference.max()) < 1e-3
    assert any(f"{name} is half a turn off in 70 of 100 frames" in note for note in mended.notes)
    checked = check_plausible(mended)
    assert not bool(checked.flagged.any())


def test_a_few_frames_and_a_sound_motion_are_left_to_be_flagged() -> None:
    plain = moving()
    assert undo_half_turns(plain) is plain
    brief = flipped(plain, "head", slice(40, 50), 1)
    assert undo_half_turns(brief) is brief


def test_what_no_half_turn_explains_is_left_alone() -> None:
    motion = moving()
    pose = motion.pose.clone()
    pose[:, JOINT_INDEX["head"]] = torch.tensor([1.1, 1.1, 1.1])
    odd = replace(motion, pose=pose)
    assert undo_half_turns(odd) is odd


def test_a_head_that_is_askew_all_along_is_set_by_the_motion() -> None:
    plain = on_smpl(walking_poses())
    turns = torch.eye(3, dtype=torch.float64).repeat(24, 1, 1)
    turns[JOINT_INDEX["head"]] = roma.rotvec_to_rotmat(torch.tensor([2.5, 0.6, 0.0], dtype=torch.float64))
    # The zero pose looks sound, but the head in it faces backwards and down.
    askew = with_zero_pose(plain, turns)
    motion = retarget(askew, open_target(), SMPL_MAP)
    assert any("head: bent beyond reach all along" in note for note in motion.notes)
    head = motion.pose[:, JOINT_INDEX["head"]].norm(dim=-1)
    assert float(torch.rad2deg(head.max())) < 60
