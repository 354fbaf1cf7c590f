"""What keypoints say nothing of belongs to the start pose, in whatever convention it comes."""

from __future__ import annotations

import math

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify import metrics
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.frame.priors import load_priors
from toy_motion import swinging_poses

FPS = 30.0
PEOPLE = 24


def turned(pose: torch.Tensor, joint: str, axis: int, degrees: float) -> torch.Tensor:
    """Poses with one joint turned about one of its own axes."""
    offset = torch.zeros(24, 3)
    offset[JOINT_INDEX[joint], axis] = math.radians(degrees)
    return rotmat_to_rotvec(rotvec_to_rotmat(pose) @ rotvec_to_rotmat(offset))


CONVENTIONS = {
    "as it is": (),
    "a twisted forearm": (("left_elbow", 0, 40.0), ("right_elbow", 0, -40.0)),
    "a shifted collar": (("left_collar", 2, 15.0), ("right_collar", 1, 15.0)),
    "a bend that the spine shares differently": (("spine1", 0, 15.0), ("spine2", 0, -25.0), ("spine3", 0, 10.0)),
    "turned feet": (("left_ankle", 1, 20.0), ("left_foot", 1, -20.0)),
}


def people() -> tuple[torch.Tensor, torch.Tensor]:
    """Human poses, and those that the same people take a thirtieth of a second later."""
    generator = torch.Generator().manual_seed(0)
    base = rotmat_to_rotvec(load_priors().poses_of(0.7 * torch.randn(PEOPLE, 69, generator=generator)))
    swing = swinging_poses(PEOPLE + 1)
    moved = rotvec_to_rotmat(base) @ rotvec_to_rotmat(swing[:-1]).mT @ rotvec_to_rotmat(swing[1:])
    return base, rotmat_to_rotvec(moved)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("stride", [0, 1])
def test_the_start_is_kept_where_keypoints_say_nothing(convention: str, stride: int) -> None:
    body = ls.load_body()
    start, target = people()
    for joint, axis, degrees in CONVENTIONS[convention]:
        start, target = turned(start, joint, axis, degrees), turned(target, joint, axis, degrees)
    target = start if stride == 0 else target
    betas = torch.randn(PEOPLE, 10, generator=torch.Generator().manual_seed(1))
    answer = ls.Solver(body).answer_pairs(
        start, body.keypoints(target, betas), betas, seconds=1 / FPS if stride else None
    )
    angle = torch.rad2deg(rotmat_to_rotvec(rotvec_to_rotmat(answer.pose).mT @ rotvec_to_rotmat(target)).norm(dim=-1))
    joints, true_joints = body.joints(answer.pose, betas), body.joints(target, betas)
    error = metrics.pve(
        body.vertices(answer.pose, betas), body.vertices(target, betas), joints[:, 0], true_joints[:, 0], per_frame=True
    )
    assert float(angle.mean(dim=1).max()) < 1.0
    assert float(error.max()) < 1.0
    assert not bool(answer.fallback.any())
