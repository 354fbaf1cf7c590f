"""Halves of a body that are never seen rest, stand upright and keep still; a note says that they are invented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_NAMES
from learnable_smplify.solver import RecordingOptions, Solver
from learnable_smplify.solver.shape.prior import KnownSize
from learnable_smplify.solver.unseen.invented import with_invented
from toy_recording import settle_axes, squatting_person, standing_person

CASES = Path(__file__).parents[2] / "shared" / "cases" / "bugs"
GROUPS = np.array(load_layout("body25").groups)
LEGS = np.isin(GROUPS, ("legs", "feet"))
HIPS = np.array(["Hip" in name for name in load_layout("body25").keypoint_names])


def part(seen: np.ndarray, height: float = 0.0, up_axis: str | None = "y") -> Keypoints:
    points = standing_person(40)
    points[..., 0] += 0.04 * np.sin(np.linspace(0, 6, 40))[:, None]
    points[..., 1] += height
    return Keypoints(
        torch.tensor(points), layout="body25", fps=30, confidence=torch.tensor(seen).float(), up_axis=up_axis
    )


def joints_of(motion: Motion, solver: Solver) -> np.ndarray:
    return solver.body.joints(motion.pose, motion.betas, motion.transl).numpy()


def tilt_deg(motion: Motion) -> np.ndarray:
    import roma

    return np.degrees(np.arccos(roma.rotvec_to_rotmat(motion.pose[:, 0])[:, 1, 1].clamp(-1, 1).numpy()))


@pytest.mark.parametrize("method", ["neural", "gauss_newton"])
def test_a_bust_stands_upright_on_feet_that_keep_still(method: str):
    solver = Solver(method=method)
    motion = solver.fit(part(~(LEGS | HIPS)))
    joints = joints_of(motion, solver)
    assert float(tilt_deg(motion).mean()) < 20
    assert np.ptp(joints[:, [7, 8]], axis=0).max() < 0.12
    assert np.linalg.norm(np.diff(joints[:, [4, 5, 7, 8]], axis=0), axis=-1).max() < 0.04
    assert joints[:, [7, 8], 1].mean() < joints[:, 0, 1].mean() - 0.65
    assert "hips and legs are not seen: they are invented, as of somebody who stands" in motion.notes


def test_unseen_legs_of_somebody_who_squats_bend_over_feet_that_keep_still_and_show_no_shape():
    body = load_body()
    pose, transl = squatting_person()
    swing = torch.sin(torch.linspace(0, 9, len(pose)))
    pose[:, 16:18, 2], pose[:, 18:20, 1] = torch.stack((-1 - 0.3 * swing, 1 + 0.3 * swing), 1), 0.5 * swing[:, None]
    pose[:, 3, 0], pose[:, 12, 1] = 0.3 + 0.2 * swing, 0.4 * swing
    joints = body.joints(pose, torch.zeros(10), transl)
    confidence = torch.ones(len(pose), 24)
    confidence[:, [i for i, name in enumerate(JOINT_NAMES) if name.endswith(("knee", "ankle", "foot"))]] = 0
    seen = Keypoints(joints, "smpl24", fps=30, confidence=confidence, up_axis="y")
    made = with_invented(seen).positions
    assert float(np.ptp((made[:, 4:6] - made[:, 7:9]).norm(dim=-1).numpy())) < 0.01  # bones keep their length
    assert float((made[:, 4:6, 2] - made[:, 7:9, 2]).max()) > 0.2  # knees ahead
    assert float((made[:, 4:6] - joints[:, 4:6]).norm(dim=-1).max()) < 0.15
    motion = Solver().fit(seen)
    found = body.joints(motion.pose, motion.betas, motion.transl)
    assert not motion.flagged.any()
    assert not any("shape space" in note or "another body" in note for note in motion.notes)
    assert np.ptp(found[:, [7, 8]].numpy(), axis=0).max() < 0.05
    assert float((found - joints).norm(dim=-1)[confidence > 0].mean()) < 0.005

    bust = confidence.clone()
    bust[:, :3] = 0
    notes = Solver().fit(Keypoints(joints, "smpl24", fps=30, confidence=bust, up_axis="y")).notes
    assert not any("shape space" in note or "another body" in note for note in notes)


@pytest.mark.parametrize(("height", "way"), [(-0.3, "sits"), (0.0, "stands")])
def test_legs_below_seen_hips_sit_or_stand_by_the_hips_height(height: float, way: str):
    solver = Solver(method="gauss_newton")
    motion = solver.fit(part(~LEGS | HIPS, height))
    joints = joints_of(motion, solver)
    assert f"the legs are not seen: they are invented, as of somebody who {way}" in motion.notes
    thigh = joints[:, 1, 1] - joints[:, 4, 1]
    assert (thigh.max() < 0.15) if way == "sits" else (thigh.min() > 0.3)


def test_legs_alone_carry_an_upright_trunk():
    solver = Solver(method="gauss_newton")
    motion = solver.fit(part(LEGS | HIPS))
    joints = joints_of(motion, solver)
    trunk = joints[:, 12] - joints[:, 0]
    assert float(np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))).mean()) < 20
    assert "trunk, head and arms are not seen" in " ".join(motion.notes)


def test_whole_bodies_are_left_alone_and_without_up_axis_nothing_is_invented():
    whole = part(np.ones(25, dtype=bool))
    assert with_invented(whole) is whole
    bust = part(~(LEGS | HIPS), up_axis=None)
    after = with_invented(bust)
    torch.testing.assert_close(after.confidence, bust.confidence)
    assert "--up" in after.notes[-1]


def test_arms_and_legs_that_nobody_saw_are_named():
    names = load_layout("body25").keypoint_names
    right = part(np.array([name[0] != "L" for name in names]))
    assert with_invented(right).notes[-1] == "the left arm and the left leg are not seen: invented, at rest"
    assert with_invented(part(np.array([name != "LWrist" for name in names]))).notes == right.notes


def test_lower_legs_and_heads_that_nobody_saw_are_named():
    feet = np.array(
        ["Ankle" in name or "Toe" in name or "Heel" in name for name in load_layout("body25").keypoint_names]
    )
    said = "the left lower leg and the right lower leg are not seen: invented, at rest"
    assert with_invented(part(~feet)).notes[-1] == said
    assert with_invented(part(GROUPS != "head")).notes[-1] == "the head is not seen: invented, at rest"
    arms = np.array(
        [any(word in name for word in ("Shoulder", "Elbow", "Wrist")) for name in load_layout("body25").keypoint_names]
    )
    assert "trunk and arms are not seen: they are invented" in with_invented(part(~arms)).notes[-1]


def test_limbs_that_vanish_for_a_while_are_named_with_the_frames():
    seen = np.ones((40, 25), dtype=bool)
    seen[10:30, LEGS & ~HIPS] = False
    seen[22:, [name == "LElbow" or name == "LWrist" for name in load_layout("body25").keypoint_names]] = False
    seen[0:5, LEGS & ~HIPS] = False  # a moment
    whole = part(np.ones(25, dtype=bool))
    notes = with_invented(replace(whole, confidence=torch.tensor(seen).float())).notes
    assert notes == (
        "the left arm is not seen in 18 of 40 frames (22-39): invented there",
        "the legs are not seen in 20 of 40 frames (10-29): invented there",
    )


@pytest.mark.parametrize("first", [12, 20])
def test_legs_that_come_into_sight_again_go_there_without_a_step(first: int):
    body, (pose, transl) = load_body(), squatting_person()
    points = body.keypoints(pose, torch.zeros(10), transl, layout="body25")
    confidence = torch.ones(len(pose), 25)
    confidence[first:45, LEGS] = 0
    motion = Solver().fit(Keypoints(points, "body25", fps=30, confidence=confidence, up_axis="y"), torch.zeros(10))
    found = body.joints(motion.pose, motion.betas, motion.transl)
    steps = (found[1:] - found[:-1]).norm(dim=-1)
    assert float(steps[first:46].max()) < 0.09
    assert f"({first}-44): invented there" in " ".join(motion.notes)


def test_a_bust_without_hips_says_so_where_up_is_not_known():
    said = "the arms and the head and the trunk are not seen: invented, a guess"
    assert with_invented(part(LEGS & ~HIPS)).notes[-1] == said
    arms = part(~(LEGS | HIPS) & (GROUPS != "head"))
    assert "head, hips and legs are not seen: they are invented" in with_invented(arms).notes[-1]
    assert "the hips and legs are not seen" in with_invented(part(~(LEGS | HIPS), up_axis=None)).notes[-1]


def test_hanging_arms_tell_which_way_is_up_where_no_head_is_seen():
    for turn in (np.eye(3), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])):
        bust = part(~(LEGS | HIPS) & (GROUPS != "head"), up_axis=None)
        bust = replace(bust, positions=bust.positions @ torch.tensor(turn.T).float())
        assert settle_axes(bust).up_axis == ("z" if turn[2, 1] else "y")
        upside_down = replace(bust, positions=-bust.positions)
        assert settle_axes(upside_down, assumed="y").up_axis == "y"  # arms may be raised: a habit is not overruled


def test_too_few_keypoints_for_a_person_are_counted():
    arm = part(np.array(["RElbow" in name or "RWrist" in name for name in load_layout("body25").keypoint_names]))
    with pytest.raises(InputError, match="at most 2 of 25 keypoints are measured at a time"):
        Solver(method="gauss_newton").fit(arm)


def test_legs_alone_tell_which_way_is_up():
    for turn in (np.eye(3), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.diag([1, -1, -1])):
        legs = part(LEGS | HIPS, up_axis=None)
        legs = replace(legs, positions=legs.positions @ torch.tensor(turn.T).float())
        assert settle_axes(legs).up_axis == ("z" if turn[2, 1] else "y")


def test_a_known_height_sets_the_scale_of_a_recording_without_one():
    tiny = part(np.ones(25, dtype=bool))
    tiny = replace(tiny, positions=0.01 * tiny.positions)
    options = RecordingOptions(scale_to_body=True, known_size=KnownSize(height_m=1.9))
    motion = Solver(method="gauss_newton", recording_options=options).fit(tiny)
    height = motion.vertices()[:, :, 1]
    assert abs(float((height.amax(dim=1) - height.amin(dim=1)).mean()) - 1.9) < 0.08
    assert any("somebody of 1.90 m" in note for note in motion.notes)


def test_the_shared_busts_rest():
    if not (CASES / "01-upper-body-only").is_dir():
        pytest.skip("the shared cases are not here")
    solver = Solver()
    bust = read_keypoints(CASES / "01-upper-body-only" / "01.npy", layout="body25", fps=30)
    assert bust.up_axis == "y"
    motion = solver.fit(bust)
    joints = joints_of(motion, solver)
    assert float(tilt_deg(motion).mean()) < 20
    assert np.ptp(joints[:, [7, 8]][..., [0, 2]], axis=0).max() < 0.2
    seated = solver.fit(read_keypoints(CASES / "22-upper-body-with-hips-seated" / "02.npy", layout="body25", fps=30))
    assert "the legs are not seen: they are invented, as of somebody who sits" in seated.notes


@pytest.mark.parametrize("limb", ["left arm", "right arm with neck", "left leg and nose"])
def test_one_arm_or_one_leg_alone_leaves_the_body_upright_and_still(limb: str):
    names = load_layout("body25").keypoint_names
    side = "R" if "right" in limb else "L"
    ends = ("Knee", "Ankle", "Hip", "BigToe", "Heel") if "leg" in limb else ("Shoulder", "Elbow", "Wrist")
    wanted = {f"{side}{end}" for end in ends} | {"Neck" if "neck" in limb else "Nose"}
    seen = part(np.array([name in wanted for name in names]))
    solver = Solver(method="gauss_newton")
    motion = solver.fit(seen)
    joints = joints_of(motion, solver)
    trunk = joints[:, 12] - joints[:, 0]
    assert float(np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))).max()) < 25
    assert float(tilt_deg(motion).max()) < 20
    assert np.ptp(joints[:, [7, 8], 1], axis=0).max() < 0.05
    assert any("not seen: they are invented" in note for note in motion.notes)
    assert any("which way the body faces is a guess" in note for note in motion.notes) == (limb == "left arm")
    # the other side is beside the seen one, not in it
    shoulders = joints[:, 16] - joints[:, 17]
    assert float(np.linalg.norm(shoulders * [1, 0, 1], axis=-1).min()) > 0.2


def test_the_other_side_is_across_from_where_feet_face_or_opposite_the_middle():
    names = list(load_layout("body25").keypoint_names)
    leg = part(np.array([name[0] == "L" and LEGS[i] | HIPS[i] for i, name in enumerate(names)]))
    made = with_invented(leg).positions
    true = leg.positions[:, names.index("RHip")]
    assert float((made[:, names.index("RHip")] - true).norm(dim=-1).max()) < 0.15
    arm = part(np.array([name in ("Neck", "LShoulder", "LElbow", "LWrist") for name in names]))
    made, true = with_invented(arm).positions, arm.positions[:, names.index("RShoulder")]
    assert float((made[:, names.index("RShoulder")] - true).norm(dim=-1).max()) < 0.1  # of noisy points


@pytest.mark.parametrize("half", ["legs", "arms"])
def test_a_trunk_whose_one_half_is_out_of_sight_for_a_while_stays_as_it_was_and_comes_back_without_a_step(half: str):
    solver, frames = Solver(method="gauss_newton"), 90
    pose, angle = torch.zeros(frames, 24, 3), torch.linspace(0, 1.2, frames)
    pose[:, 0, 1] = angle  # turning about
    pose[:, 0, 2], pose[:, 6, 2] = 0.3, -0.5  # and bent to the side, as no prior expects
    transl = torch.stack((0.3 * angle, torch.full_like(angle, 0.9), torch.zeros(frames)), dim=1)
    joints = solver.body.joints(pose, torch.zeros(10), transl)
    hidden = ("hip", "knee", "ankle", "foot") if half == "legs" else ("shoulder", "elbow", "wrist", "hand")
    confidence = torch.ones(frames, 24)
    confidence[25:65, [i for i, name in enumerate(JOINT_NAMES) if name.endswith(hidden)]] = 0
    if half == "legs":
        confidence[25:65, :7:3] = 0  # nor the pelvis and the spine
    else:
        confidence[25:65, 9:16] = 0
    seen = Keypoints(joints, "smpl24", fps=30, confidence=confidence, up_axis="y")
    kept = with_invented(seen)
    names = [JOINT_NAMES.index(f"{side}_{'hip' if half == 'legs' else 'shoulder'}") for side in ("left", "right")]
    assert float((kept.positions - joints)[25:65, names].norm(dim=-1).max()) < 0.01
    assert 0.05 < float(kept.confidence[25:65, names].min()) <= float(kept.confidence[25:65, names].max()) < 0.2
    motion = solver.fit(seen, torch.zeros(10))
    found = solver.body.joints(motion.pose, motion.betas, motion.transl)
    assert float((found - joints)[:, [0, 12]].norm(dim=-1).max()) < 0.06
    assert float(found[:, [0, 12]].diff(dim=0).norm(dim=-1).max()) < 0.045
    assert with_invented(replace(seen, up_axis=None)).confidence.equal(confidence)


@pytest.mark.parametrize("what", ["forearms", "one forearm", "head and one shoulder", "bust and middle of the hips"])
def test_little_of_a_body_leaves_the_rest_upright_and_arms_that_nobody_sees_at_rest(what: str):
    kept = {
        "forearms": ("LElbow", "LWrist", "RElbow", "RWrist"),
        "one forearm": ("LElbow", "LWrist", "Nose", "LEye"),
        "head and one shoulder": ("Nose", "LEye", "REye", "LEar", "REar", "LShoulder"),
        "bust and middle of the hips": ("Neck", "LShoulder", "RShoulder", "Nose", "LEar", "REar", "MidHip"),
    }[what]
    seen = part(np.array([name in kept for name in load_layout("body25").keypoint_names]))
    solver = Solver(method="gauss_newton")
    motion = solver.fit(seen)
    joints = joints_of(motion, solver)
    assert float(tilt_deg(motion).max()) < 25
    assert np.ptp(joints[:, [7, 8], 1], axis=0).max() < 0.1
    assert any("not seen: they are invented, as of somebody who stands" in note for note in motion.notes)
    if "forearm" not in what:
        hands = joints[:, [20, 21]] - joints[:, [16, 17]]
        assert hands[..., 1].max() < -0.35
        assert np.linalg.norm(np.diff(hands, axis=0), axis=-1).max() < 0.08
    if "hips" in what:
        middle = seen.positions[:, 8].numpy() - joints[:, [1, 2]].mean(axis=1)
        assert np.linalg.norm(middle, axis=-1).mean() < 0.04


def test_the_trunk_of_a_bust_that_bends_forward_keeps_its_length():
    names = list(load_layout("body25").keypoint_names)
    bent = part(~(LEGS | HIPS))
    angle = 1.2 * torch.sin(torch.linspace(0, torch.pi, len(bent)))
    above = bent.positions - torch.tensor([0.0, 0.95, 0.0])
    turned = torch.stack(
        (
            above[..., 0],
            torch.cos(angle)[:, None] * above[..., 1] - torch.sin(angle)[:, None] * above[..., 2],
            torch.sin(angle)[:, None] * above[..., 1] + torch.cos(angle)[:, None] * above[..., 2],
        ),
        dim=-1,
    )
    made = with_invented(replace(bent, positions=turned + torch.tensor([0.0, 0.95, 0.0]))).positions
    shoulders, hips = (
        made[:, [names.index(f"{side}{joint}") for side in "LR"]].mean(dim=1) for joint in ("Shoulder", "Hip")
    )
    trunk = (shoulders - hips).norm(dim=-1)
    assert float(trunk.min()) > 0.42
    assert float((shoulders - hips)[:, 1].min()) > 0.1


@pytest.mark.parametrize("half", ["legs", "arms"])
def test_a_layout_without_legs_or_arms_is_fitted_as_one_in_which_nobody_sees_them(half: str):
    body25 = load_layout("body25")
    legs = [
        group in ("legs", "feet") or "Hip" in name for name, group in zip(body25.keypoint_names, GROUPS, strict=True)
    ]
    kept = [index for index, leg in enumerate(legs) if leg == (half == "arms")]
    cut = replace(
        body25,
        name="half",
        keypoint_names=tuple(body25.keypoint_names[index] for index in kept),
        points=tuple(body25.points[index] for index in kept),
        bias=(),
        edges=(),
        aliases=(),
    )
    seen = np.isin(np.arange(25), kept)
    whole = part(seen)
    solver = Solver(method="gauss_newton")
    positions, confidence = whole.positions[:, kept], whole.confidence[:, kept]
    motion = solver.fit(Keypoints(positions, layout=cut, fps=30, confidence=confidence, up_axis="y"))
    joints, expected = (joints_of(found, solver) for found in (motion, solver.fit(whole)))
    assert float(tilt_deg(motion).mean()) < 20
    assert np.linalg.norm(joints - expected, axis=-1).mean() < 0.08
