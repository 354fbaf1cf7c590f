"""Round trips through layouts: what is counted, and which joints the keypoints say nothing about."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import roma
import torch

import learnable_smplify as ls
from learnable_smplify.body.observed import unobserved_joints, unobserved_mask
from learnable_smplify.cli.main import main
from learnable_smplify.evaluation.round_trip import evaluate_round_trip, round_trip_table
from learnable_smplify.layouts.layout import layout_names, load_layout
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES
from learnable_smplify.solver.frame.priors import load_priors

BODY = ls.load_body()
HANDS = ("left_wrist", "right_wrist", "left_hand", "right_hand")


@pytest.mark.parametrize("layout", layout_names())
def test_turning_an_unobserved_joint_moves_no_keypoint_and_turning_another_does(layout: str):
    unobserved = unobserved_joints(BODY.folded(layout))
    for joint, name in enumerate(JOINT_NAMES):
        turned = torch.zeros(3, 24, 3)
        turned[:, joint] = 1.5 * torch.eye(3)
        before, after = (BODY.keypoints(pose, torch.zeros(10), layout=layout) for pose in (0 * turned, turned))
        moved = float((after - before).norm(dim=-1).max())
        assert (moved < 0.015) == (name in unobserved), (name, moved)


def test_layouts_without_feet_or_head_name_them():
    assert unobserved_joints(BODY.folded("body25")) == HANDS
    assert unobserved_joints(BODY.folded("mediapipe33")) == ()
    without_feet = unobserved_joints(BODY.folded("coco17"))
    assert set(without_feet) == {*HANDS, "left_ankle", "right_ankle", "left_foot", "right_foot"}
    assert "head" in unobserved_joints(BODY.folded("amass22"))


def test_a_keypoint_that_is_never_seen_does_not_count():
    layout, folded = load_layout("body25"), BODY.folded("body25")
    confidence = torch.ones(4, 25)
    confidence[:, layout.index("LWrist")] = 0
    assert "left_elbow" in unobserved_joints(folded, confidence)
    confidence[2, layout.index("LWrist")] = 0.3
    assert unobserved_joints(folded, confidence) == HANDS
    assert bool(unobserved_mask(folded, torch.zeros(25)).all())


class Clairvoyant:
    """A solver that gives the true poses back, with one joint turned by an angle."""

    def __init__(self, joint: str | None = None, angle: float = 0.0) -> None:
        self.joint, self.angle = joint, angle
        self.count = 0
        generator = torch.Generator().manual_seed(0)
        rotmat = load_priors().poses_of(torch.randn(6, 69, generator=generator))
        facing = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=-1)
        self.betas = torch.randn(6, 10, generator=generator)
        self.pose = rotmat_to_rotvec(rotmat)
        self.pose[:, 0] = roma.unitquat_to_rotvec(facing)
        if joint is not None:
            turn = torch.zeros(3)
            turn[0] = angle
            turned = rotvec_to_rotmat(self.pose[:, JOINT_INDEX[joint]]) @ rotvec_to_rotmat(turn)
            self.pose[:, JOINT_INDEX[joint]] = rotmat_to_rotvec(turned)

    def solve_frames(self, keypoints: torch.Tensor, betas: torch.Tensor, *, layout: str):
        torch.testing.assert_close(betas, self.betas)
        return self.pose, torch.zeros(6, 3)

    def fit(self, keypoints: ls.Keypoints) -> ls.Motion:
        index = self.count % 6
        self.count += 1
        return ls.Motion(self.pose[index : index + 1], torch.zeros(1, 3), self.betas[index])


def test_the_truth_has_no_error():
    known, unknown = evaluate_round_trip(BODY, Clairvoyant(), ["coco17"], poses=6)  # type: ignore[arg-type]
    for row in (known, unknown):
        assert row.mpjpe_mm == pytest.approx(0, abs=1e-3)
        assert row.found_share == row.placed_found_share == 1
        assert row.unplaced_mpjpe_mm == pytest.approx(0, abs=1e-3)
        assert row.unobserved_deg == pytest.approx(0, abs=0.1)


def test_an_unobserved_joint_counts_against_the_joints_beyond_it_alone():
    row = evaluate_round_trip(BODY, Clairvoyant("left_ankle", 1.0), ["coco17"], poses=6)[0]  # type: ignore[arg-type]
    assert row.placed_mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert row.unplaced_mpjpe_mm > 10
    # One of the eight unobserved joints is off, by a radian.
    assert row.unobserved_deg == pytest.approx(57.2958 / 8, rel=1e-2)


def test_an_observed_joint_counts_against_all_beyond_it():
    row = evaluate_round_trip(BODY, Clairvoyant("left_hip", 1.0), ["coco17"], poses=6)[0]  # type: ignore[arg-type]
    assert row.placed_mpjpe_mm > 10
    assert row.unplaced_mpjpe_mm > 10


def test_poses_come_back_and_what_is_not_seen_stays_at_the_prior():
    rows = evaluate_round_trip(BODY, ls.Solver(BODY), ["body25", "coco17"], poses=6)
    assert [(row.layout, row.betas) for row in rows] == [
        ("body25", "known"),
        ("body25", "unknown"),
        ("coco17", "known"),
        ("coco17", "unknown"),
    ]
    for row in rows:
        assert row.placed_mpjpe_mm < 30
        assert row.from_prior_deg < 1
    assert "wrist, hand" in round_trip_table(rows)


def test_the_command_needs_no_motions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    few = partial(evaluate_round_trip, layouts=["body25"], poses=3)
    monkeypatch.setattr("learnable_smplify.cli.evaluate.evaluate_round_trip", few)
    main(["evaluate", "--parts", "round-trip", "-o", str(tmp_path)])
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert [row["layout"] for row in result["round_trip"]] == ["body25", "body25"]
    assert "clips" not in (tmp_path / "evaluation.md").read_text()


def test_motions_are_still_needed_for_the_rest():
    with pytest.raises(SystemExit):
        main(["evaluate", "--parts", "round-trip", "pairs"])
