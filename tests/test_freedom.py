"""Hands that a layout shows turn wrists, which the network holds, and leave the arms as good as they were."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnable_smplify.body import load_body
from learnable_smplify.body.kinematics import world_rotations
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, WRISTS
from learnable_smplify.solver import Solver
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.freedom import freed
from toy_motion import drifting_transl, swinging_poses

BODY, PRIORS = load_body(), load_priors()
BETAS, FRAMES = torch.zeros(10), 60
ARMS = [JOINT_INDEX[f"{side}_{joint}"] for joint in ("shoulder", "elbow") for side in ("left", "right")]


def gesturing() -> Tensor:
    """(T, 24, 3) poses of somebody whose hands bend in the wrists by up to 50 degrees while the elbows bend."""
    pose, time = 0.5 * swinging_poses(FRAMES), torch.arange(FRAMES) / 30
    bend, wave = -0.9 - 0.5 * torch.sin(3 * time), 0.6 * torch.sin(5 * time)
    for side, sign in (("left", 1), ("right", -1)):
        elbow, wrist = JOINT_INDEX[f"{side}_elbow"], JOINT_INDEX[f"{side}_wrist"]
        pose[:, elbow] = torch.stack((-0.2 + 0 * time, sign * bend, sign * 0.3 + 0 * time), dim=-1)
        pose[:, wrist] = torch.stack((0 * time, sign * (0.3 + wave), sign * 0.6 * torch.cos(5 * time)), dim=-1)
    return pose


def is_hand(name: str) -> Tensor:
    """(K,) which keypoints the network is not shown, as they lie beyond a wrist."""
    return torch.tensor([group == "hands" for group in load_layout(name).groups])


@pytest.mark.parametrize("name", ["smpl24", "mediapipe33", "ntu25", "kinect32"])
def test_arms_are_no_worse_for_hands_that_were_measured(name: str) -> None:
    pose, transl = gesturing(), drifting_transl(FRAMES)
    layout, truth = load_layout(name), world_rotations(rotvec_to_rotmat(pose))
    points = BODY.keypoints(pose, BETAS, transl, layout)
    points = points + 0.004 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    away = torch.where(is_hand(name)[:, None], torch.nan, points)
    errors = []
    for measured in (points, away):
        motion = Solver().fit(Keypoints(measured, layout, 30.0), BETAS)
        turned = truth.mT @ world_rotations(rotvec_to_rotmat(motion.pose))
        mm = 1000 * (BODY.joints(motion.pose, BETAS, motion.transl) - BODY.joints(pose, BETAS, transl)).norm(dim=-1)
        errors.append((torch.rad2deg(rotmat_to_rotvec(turned).norm(dim=-1))[:, ARMS].mean(), mm[:, WRISTS].mean()))
    (angle, distance), (angle_away, distance_away) = errors
    assert angle < angle_away
    assert distance < distance_away


def test_only_wrists_of_frames_that_show_the_hand_turn_freely() -> None:
    told = torch.full((2, 3 * SOLVED_JOINTS), 1e-3)
    body25, precision = BODY.folded("body25"), torch.eye(3 * SOLVED_JOINTS)
    for name in ("body25", "coco17", "amass22", "halpe26", "smpl24", "mediapipe33"):
        layout, hands = load_layout(name), is_hand(name)
        confidence = torch.ones(2, len(layout))
        confidence[1, hands] = 0
        view = Body25View.of(layout, torch.device("cpu"))
        found = freed(told, precision, BODY.folded(layout), body25, view, confidence, PRIORS, 1 / 30)
        changed = (found != told).unflatten(1, (SOLVED_JOINTS, 3)).any(dim=2)
        assert torch.equal(found[1], told[1])
        assert changed[0].nonzero()[:, 0].tolist() == (list(WRISTS) if hands.any() else [])
        assert float(found.max()) < 0.2
