"""People who turned while hips or shoulders were hidden: the start is laid on what is seen of them."""

from __future__ import annotations

import math

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.laid import laid_start
from toy_motion import swinging_poses

BODY, LAYOUT = ls.load_body(), load_layout("body25")
HIDDEN = {
    "one side": ("Neck", "MidHip", "RHip", "RShoulder"),
    "the whole trunk": ("Neck", "MidHip", "RHip", "RShoulder", "LHip", "LShoulder"),
    "shoulders": ("Neck", "RShoulder", "LShoulder"),
}


def people(degrees: float, hidden: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
    """Starts, targets turned as a whole about axes of all kinds, their keypoints, and which are seen."""
    poses = swinging_poses(33)
    start, target = poses[:-1], poses[1:].clone()
    axis = torch.nn.functional.normalize(torch.randn(32, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    turn = rotvec_to_rotmat(math.radians(degrees) * axis)
    target[:, 0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(target[:, 0]))
    seen = torch.ones(32, 25)
    seen[:, [LAYOUT.index(name) for name in hidden]] = 0
    return start, target, BODY.keypoints(target, torch.zeros(10)), seen


@pytest.mark.parametrize("degrees", [60.0, 180.0])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_people_who_turned_are_found_though_the_trunk_hides_it(hidden: str, degrees: float) -> None:
    start, target, keypoints, seen = people(degrees, HIDDEN[hidden])
    found, _ = ls.Solver(BODY).solve_pairs(start, keypoints, torch.zeros(10), confidence=seen, seconds=1 / 30)
    off = rotmat_to_rotvec(rotvec_to_rotmat(found).mT @ rotvec_to_rotmat(target)).norm(dim=-1)[:, :22]
    assert float(torch.rad2deg(off).mean()) < 1.0


def test_who_did_not_turn_or_shows_the_trunk_is_left_to_the_network() -> None:
    betas = torch.zeros(1, 10)
    for degrees, hidden in ((5.0, HIDDEN["the whole trunk"]), (90.0, ()), (90.0, LAYOUT.keypoint_names)):
        start, _, keypoints, seen = people(degrees, hidden)
        rotmat = rotvec_to_rotmat(start)
        assert torch.equal(laid_start(rotmat, BODY.folded(), betas, keypoints, seen, 1 / 30), rotmat)


def test_a_turn_of_the_whole_is_taken_back_exactly() -> None:
    _, target, keypoints, seen = people(120.0, HIDDEN["one side"])
    start = target.clone()
    start[:, 0] = 0
    rotmat = rotvec_to_rotmat(start)
    laid = laid_start(rotmat, BODY.folded(), torch.zeros(1, 10), keypoints, seen, 0.0)
    turned = rotmat_to_rotvec(rotvec_to_rotmat(target[:, 0])).norm(dim=-1) > math.radians(60)
    assert bool(turned.any())
    assert torch.allclose(laid[turned, 0], rotvec_to_rotmat(target)[turned, 0], atol=1e-4)
    assert torch.equal(laid[:, 1:], rotmat[:, 1:])
