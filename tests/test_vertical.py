"""Which way is up, where a file does not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import roma
import torch

from learnable_smplify.mocap.bvh import read_bvh
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.transfer import retarget
from learnable_smplify.mocap.vertical import find_up_axis
from learnable_smplify.skeleton import JOINT_INDEX
from toy_skeleton import SMPL_MAP, on_smpl, open_target, posed_zero, walking_poses, with_zero_pose, world_rotmats

MIXAMO = Path(__file__).parents[2] / "shared" / "cases" / "files" / "bvh_python_test_freebvh_mixamo.bvh"


def turned(source: SourceMotion, rotvec: tuple[float, float, float]) -> SourceMotion:
    """The whole world turned, as programs with other axes see it."""
    turn = roma.rotvec_to_rotmat(torch.tensor(rotvec, dtype=torch.float64))
    return replace(source, rotations=turn @ source.rotations, root_positions=source.root_positions @ turn.T)


@pytest.mark.parametrize(
    ("rotvec", "axis"),
    [((0.0, 0.0, 0.0), "y"), ((0.0, 1.0, 0.0), "y"), ((torch.pi / 2, 0.0, 0.0), "z"), ((0.0, 0.0, -torch.pi / 2), "x")],
)
def test_up_is_where_people_stand(rotvec: tuple[float, float, float], axis: str) -> None:
    found = find_up_axis(turned(on_smpl(walking_poses(60)), rotvec), SMPL_MAP)
    assert found.up_axis == axis
    assert any("up is" in note for note in found.notes) == (axis != "y")


def test_a_world_that_hangs_head_down_is_turned_over() -> None:
    plain = on_smpl(walking_poses(60))
    found = find_up_axis(turned(plain, (torch.pi, 0.0, 0.0)), SMPL_MAP)
    assert found.up_axis == "y"
    assert any("turned over" in note for note in found.notes)
    height = found.positions()[..., 1]
    torch.testing.assert_close(height, plain.positions()[..., 1])


def test_somebody_who_lies_on_the_floor_does_not_stand_on_a_wall() -> None:
    lying = turned(on_smpl(torch.zeros(60, 24, 3)), (-torch.pi / 2, 0.0, 0.0))
    root = lying.root_positions.clone()
    root[:, 1] = 0.1
    assert find_up_axis(replace(lying, root_positions=root), SMPL_MAP).up_axis == "y"


def test_up_does_not_depend_on_the_zero_pose() -> None:
    plain = on_smpl(walking_poses(60))
    crooked = with_zero_pose(plain, posed_zero(plain, {"pelvis": (0.0, 0.0, torch.pi / 2)}))
    motion = retarget(crooked, open_target(), SMPL_MAP)
    assert motion.up_axis == "y"
    up = world_rotmats(motion.pose)[:, JOINT_INDEX["pelvis"], 1, 1]
    assert float(up.mean()) > 0.9


@pytest.mark.skipif(not MIXAMO.is_file(), reason="the shared files are not here")
def test_a_mixamo_clip_that_was_read_lying_on_its_side_stands() -> None:
    motion = retarget(read_bvh(MIXAMO), open_target())
    assert motion.up_axis == "y"
    assert float(world_rotmats(motion.pose)[:, JOINT_INDEX["spine3"], 1, 1].mean()) > 0.9
