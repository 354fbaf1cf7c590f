"""Recordings whose first pose is known: what keypoints do not show goes on as it began."""

from __future__ import annotations

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.shape.habit import with_first_pose
from toy_motion import drifting_transl, swinging_poses

BODY, BETAS, FRAMES = ls.load_body(), torch.zeros(10), 120


def in_another_program_s_poses() -> torch.Tensor:
    """(T, 24, 3) of somebody all of whose joints but the pelvis are turned by about ten degrees, always the same."""
    turned = 0.1 * torch.randn(24, 3, generator=torch.Generator().manual_seed(4))
    turned[0] = 0
    return rotmat_to_rotvec(rotvec_to_rotmat(swinging_poses(FRAMES)) @ rotvec_to_rotmat(turned))


@pytest.mark.parametrize("smooth", [False, True])
def test_what_keypoints_do_not_show_stays_as_in_the_first_pose(smooth: bool) -> None:
    pose, transl = in_another_program_s_poses(), drifting_transl(FRAMES, 30.0)
    keypoints = ls.Keypoints(BODY.keypoints(pose, BETAS, transl), "body25", 30.0)
    solver = ls.Solver(BODY, recording_options=RecordingOptions(smooth=smooth))
    found = solver.fit(keypoints, BETAS, start=(pose[0], transl[0]))
    there, truth = (BODY.vertices(part, BETAS) for part in (found.pose, pose))
    error = 1000 * (there - truth).norm(dim=-1).mean(dim=1)
    assert float(error.mean()) < 6
    assert float(error[-FRAMES // 4 :].mean()) < 7  # nothing is forgotten


def test_the_prior_of_a_first_pose_at_the_mean_is_the_prior() -> None:
    priors = load_priors()
    torch.testing.assert_close(with_first_pose(priors, priors.pose_mean).pose_mean, priors.pose_mean)
    turned = rotvec_to_rotmat(torch.tensor([0.0, 2.0, 0.0])) @ priors.pose_mean[0]
    whole = torch.cat((turned[None], priors.pose_mean[1:]))  # where a person faces says nothing of the pose
    torch.testing.assert_close(with_first_pose(priors, whole).pose_mean, priors.pose_mean)
