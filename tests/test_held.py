"""Keypoints that are constant while the person moves are taken as missing and named; what stands still is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair import RepairOptions, repair_keypoints, without_held
from learnable_smplify.solver import RecordingOptions, Solver
from toy_motion import drifting_transl, swinging_poses
from toy_recording import squatting_person


def moving(layout: str = "body25", noise: float = 0.004, frames: int = 90) -> Keypoints:
    """Somebody who swings every limb and drifts forward."""
    points = load_body().keypoints(swinging_poses(frames), torch.zeros(10), drifting_transl(frames), layout)
    chance = torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    return Keypoints(points + noise * chance, layout, 30.0, up_axis="y")


def held_at(clean: Keypoints, names: tuple[str, ...], first: int = 0) -> Keypoints:
    """The keypoints where they were in one frame, from that frame on."""
    assert not isinstance(clean.layout, str)
    rows = [clean.layout.index(name) for name in names]
    positions = clean.positions.clone()
    positions[first:, rows] = positions[first, rows]
    return replace(clean, positions=positions)


@pytest.mark.parametrize("names", [("LWrist",), ("RAnkle",), ("RAnkle", "RHeel", "RBigToe", "RSmallToe"), ("LHip",)])
@pytest.mark.parametrize("first", [0, 10])
def test_a_constant_keypoint_is_named_and_taken_as_missing(names: tuple[str, ...], first: int):
    wrong = held_at(moving(), names, first)
    repaired, repairs = repair_keypoints(wrong)
    rows = [wrong.layout.index(name) for name in names]
    assert not bool(repaired.confidence[first:, rows].any())
    assert int((repaired.confidence == 0).sum()) == len(rows) * (90 - first)
    said = f"does not move while the body does: taken as missing in {90 - first} frames"
    assert repairs.summary() == tuple(f"{wrong.layout.keypoint_names[row]} {said}" for row in sorted(rows))
    assert not bool(repairs.flagged.any())


def test_a_constant_keypoint_beside_a_quiet_arm_is_found_by_the_body_going_away():
    wrong = moving()
    wrong.positions[:, wrong.layout.index("LWrist")] = torch.tensor([0.3, 1.2, 0.4])
    assert [note[:6] for note in without_held(wrong).notes] == ["LWrist"]


@pytest.mark.parametrize("digits", [2, 3, 6])
@pytest.mark.parametrize("layout", ["body25", "coco17", "h36m17", "smpl24"])
def test_what_stands_still_by_rights_is_left(layout: str, digits: int):
    pose, transl = squatting_person()
    planted = Keypoints(load_body().keypoints(pose, torch.zeros(10), transl, layout), layout, 30.0, up_axis="y")
    clean = moving(layout, 0.02)
    assert not isinstance(clean.layout, str)
    rooted = [
        replace(clean, positions=clean.positions - clean.positions[:, [root]]) for root in range(len(clean.layout))
    ]
    standing = replace(clean, positions=(clean.positions[:1] + clean.positions - moving(layout, 0.0).positions))
    for keypoints in (planted, clean, standing, *rooted):
        rounded = replace(keypoints, positions=keypoints.positions.mul(10**digits).round() / 10**digits)
        assert without_held(rounded) is rounded


def test_shoulders_about_a_neck_that_is_the_origin_may_be_soft():
    clean = moving()
    assert not isinstance(clean.layout, str)
    index = clean.layout.index
    positions = clean.positions - clean.positions[:, [index("Neck")]]
    shrug = 0.04 * torch.sin(torch.arange(90) / 6)[:, None]
    for name in ("LShoulder", "RShoulder", "Nose", "MidHip"):
        positions[:, index(name)] *= 1 + shrug / positions[:, index(name)].norm(dim=-1, keepdim=True)
    soft = replace(clean, positions=positions)
    assert without_held(soft) is soft


def test_one_pose_repeated_and_a_body_in_another_unit_are_left():
    clean = moving()
    still = replace(clean, positions=clean.positions[:1].expand_as(clean.positions))
    wrong = held_at(clean, ("LWrist",))
    for keypoints in (still, replace(wrong, positions=1000 * wrong.positions)):
        assert without_held(keypoints) is keypoints


def test_the_fit_does_not_follow_a_constant_and_is_not_compared_with_it():
    wrong = held_at(moving(frames=20), ("LWrist",))
    wrong.positions[:, wrong.layout.index("LWrist")] += torch.tensor([0.0, 0.0, -0.4])
    solver = Solver(method="gauss_newton")
    motion = solver.fit(wrong)
    assert sum("LWrist does not move" in note for note in motion.notes) == 1
    assert not bool(solver.prepared(wrong).confidence[:, wrong.layout.index("LWrist")].any())
    for kept in (None, RepairOptions(frozen=False)):
        own = Solver(method="gauss_newton", recording_options=RecordingOptions(repair=kept))
        assert bool(own.prepared(wrong).confidence.all())
