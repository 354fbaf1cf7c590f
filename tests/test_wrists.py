"""Wrists and forearms that nobody saw turn are near rest, and all else is as it was."""

from __future__ import annotations

import math

import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat, twist_angle
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver import Solver
from learnable_smplify.solver.wrists import rested_wrists

BODY = load_body()
FOLDED = BODY.folded("body25")
MOST = math.radians(31.5)
SIDES = ("left", "right")


def rolled(degrees: float, wrist_deg: float) -> torch.Tensor:
    """Bent elbows with forearms rolled about their bones and wrists turned."""
    pose = torch.zeros(1, 24, 3)
    pose[:, JOINT_INDEX["left_elbow"], 1], pose[:, JOINT_INDEX["right_elbow"], 1] = -0.8, 0.8
    rotmat = rotvec_to_rotmat(pose)
    for side in SIDES:
        wrist, elbow = JOINT_INDEX[f"{side}_wrist"], JOINT_INDEX[f"{side}_elbow"]
        rotmat[:, elbow] = rotmat[:, elbow] @ rotvec_to_rotmat(math.radians(degrees) * bone(side))
        rotmat[:, wrist] = rotvec_to_rotmat(torch.tensor([[0.0, 0.0, math.radians(wrist_deg)]]))
    return rotmat


def bone(side: str) -> torch.Tensor:
    along = FOLDED.rest_joints[JOINT_INDEX[f"{side}_wrist"]] - FOLDED.rest_joints[JOINT_INDEX[f"{side}_elbow"]]
    return torch.nn.functional.normalize(along, dim=0)


@pytest.mark.parametrize(("roll", "turn"), [(80, 70), (-80, -120), (45, 25)])
def test_rolls_and_turns_are_drawn_to_rest_and_no_joint_moves(roll: float, turn: float):
    before = rolled(roll, turn)
    after = rested_wrists(before, FOLDED, torch.ones(1, 25), trusted=False)
    for side in SIDES:
        elbow, wrist = JOINT_INDEX[f"{side}_elbow"], JOINT_INDEX[f"{side}_wrist"]
        left = float(twist_angle(after[:, elbow], bone(side))[0])
        assert 0 < left * math.copysign(1, roll) < MOST
        angle = rotmat_to_rotvec(after[:, wrist])[0]
        assert float(angle.norm()) < MOST
        assert float(angle[2]) * turn > 0  # the same way
    betas, nowhere = torch.zeros(10), torch.zeros(1, 3)
    moved = BODY.joints(rotmat_to_rotvec(after), betas, nowhere) - BODY.joints(rotmat_to_rotvec(before), betas, nowhere)
    assert float(moved[:, :22].norm(dim=-1).max()) < 1e-5


def test_what_is_near_rest_stays_as_it_is():
    before = rolled(15, -12)
    after = rested_wrists(before, FOLDED, torch.ones(1, 25), trusted=False)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_a_fit_of_somebody_who_holds_the_palms_out_ends_with_wrists_near_rest():
    """Detected knuckles of a layout that has some turn wrists, but only so far."""
    layout = load_layout("mediapipe33")
    generator = torch.Generator().manual_seed(0)
    pose = rotmat_to_rotvec(rolled(75, 80)).expand(20, -1, -1)
    points = BODY.keypoints(pose, torch.zeros(10), torch.zeros(20, 3), layout)
    points = points + 0.02 * torch.randn(points.shape, generator=generator)
    motion = Solver().fit(Keypoints(points, layout, 30.0, up_axis="y"))
    for side in SIDES:
        assert float(motion.pose[:, JOINT_INDEX[f"{side}_wrist"]].norm(dim=-1).max()) < MOST
