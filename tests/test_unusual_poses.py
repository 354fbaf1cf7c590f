"""Left and right of people who kneel, fold, arch or hang: ankles and knees bend one way whatever the trunk does."""

from __future__ import annotations

import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.formats.keypoints.axes import is_mirrored
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair import repair_keypoints
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.solver import Solver

# Degrees about x of joints; hips, knees and ankles of both sides. Every pose was once taken for exchanged sides or for
# a mirror image in some layout.
POSES = {
    "kneeling on heels": {"hip": -75, "knee": 150, "ankle": 50},
    "bent down to the toes": {"pelvis": 90, "spine1": 30, "spine2": 20, "hip": -90},
    "hands and feet on the floor": {"pelvis": 120, "hip": -85, "ankle": -20},
    "bridge": {"pelvis": -100, "spine1": -25, "spine2": -25, "spine3": -15, "hip": 25, "knee": 90},
    "prone, back arched": {"pelvis": 80, "spine1": -25, "spine2": -25, "spine3": -15, "ankle": 60},
    "curled up on the knees": {"pelvis": 80, "spine1": 20, "hip": -130, "knee": 150, "ankle": 60},
    "sitting, legs stretched": {"hip": -90},
    "hanging, heels up": {"knee": 60, "ankle": 50},
}


def person(pose_name: str, layout: str, frames: int = 60, noise: float = 0.005) -> Keypoints:
    """The open body in a pose, swaying a little, with some noise [m], y up."""
    pose = torch.zeros(frames, 24, 3)
    for joint, degrees in POSES[pose_name].items():
        names = [joint] if joint in JOINT_INDEX else [f"left_{joint}", f"right_{joint}"]
        pose[:, [JOINT_INDEX[name] for name in names], 0] = torch.deg2rad(torch.tensor(float(degrees)))
    pose[:, :20] += 0.05 * torch.sin(torch.linspace(0, 5, frames)[:, None, None] + torch.arange(20)[:, None])
    points = load_body().keypoints(pose, torch.zeros(10), torch.zeros(frames, 3), layout)
    points = points + noise * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    return Keypoints(points, layout, 30.0, up_axis="y")


@pytest.mark.parametrize("layout", ["body25", "h36m17", "smpl24", "ntu25", "plug_in_gait", "opencap_lab"])
@pytest.mark.parametrize("name", POSES)
def test_an_unusual_pose_is_neither_exchanged_nor_mirrored(name: str, layout: str):
    seen = person(name, layout)
    assert not is_mirrored([seen])
    _, repairs = repair_keypoints(seen)
    assert not bool(repairs.swapped.any())
    assert not any("exchanged" in note for note in repairs.notes)


@pytest.mark.parametrize("name", ["kneeling on heels", "bent down to the toes", "bridge"])
def test_its_mirror_image_is_known(name: str):
    seen = person(name, "body25")
    mirrored = Keypoints(seen.positions * torch.tensor([-1.0, 1, 1]), seen.layout, seen.fps)
    assert is_mirrored([mirrored])


@pytest.mark.parametrize("name", ["curled up on the knees", "prone, back arched"])
def test_a_pose_that_is_held_is_not_taken_for_the_joints_of_another_skeleton(name: str):
    seen = person(name, "smpl24", noise=0.01)
    motion = Solver().fit(seen)
    joints = load_body().joints(motion.pose, motion.betas, motion.transl)
    away = (joints - person(name, "smpl24", noise=0.0).positions).norm(dim=-1)
    assert float(away.mean()) < 0.015  # 42 and 27 mm with errors of a skeleton that make up for the pose
    assert not any("skeleton" in note for note in motion.notes)
