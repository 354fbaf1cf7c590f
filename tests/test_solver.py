"""The numerical `Solver` on the open body: the motion behind the keypoints, and sane answers when they are missing."""

from __future__ import annotations

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

import learnable_smplify as ls
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.skeleton import JOINT_INDEX
from toy_motion import drifting_transl, swinging_poses

BODY25 = load_layout("body25").keypoint_names
BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0])


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


@pytest.fixture(scope="module")
def solver(body: ls.Body) -> ls.Solver:
    return ls.Solver(body, method="gauss_newton")


def pairs(body: ls.Body, stride: int, count: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Start pose, true pose, transl and betas of `count` problems that lie `stride` frames apart."""
    pose = swinging_poses(count + stride, seed=stride)
    transl = drifting_transl(count + stride)
    betas = torch.randn(count, 10, generator=torch.Generator().manual_seed(3))
    return pose[:-stride], pose[stride:], transl[stride:], betas


def keypoint_error_mm(body: ls.Body, pose: Tensor, betas: Tensor, transl: Tensor, targets: Tensor) -> Tensor:
    return 1000 * (body.keypoints(pose, betas, transl) - targets).norm(dim=-1)


def pve_mm(body: ls.Body, pose: Tensor, true_pose: Tensor, betas: Tensor) -> float:
    ours, truth = body.vertices(pose, betas), body.vertices(true_pose, betas)
    roots = body.joints(pose, betas)[:, 0], body.joints(true_pose, betas)[:, 0]
    return float(ls.metrics.pve(ours, truth, *roots))


@pytest.mark.parametrize(("stride", "allowed_mm"), [(1, 2.0), (3, 5.0)])
def test_a_small_motion_is_recovered_from_its_keypoints(
    body: ls.Body, solver: ls.Solver, stride: int, allowed_mm: float
) -> None:
    start, true_pose, transl, betas = pairs(body, stride)
    targets = body.keypoints(true_pose, betas, transl)
    pose, found_transl = solver.solve_pairs(start, targets, betas)
    assert pose.shape == (40, 24, 3)
    assert found_transl.shape == (40, 3)
    assert float(keypoint_error_mm(body, pose, betas, found_transl, targets).mean()) < 3
    error = pve_mm(body, pose, true_pose, betas)
    assert error < allowed_mm
    assert error < 0.3 * pve_mm(body, start, true_pose, betas)


def test_a_person_who_turned_round_and_walked_off_is_followed(body: ls.Body, solver: ls.Solver) -> None:
    start, true_pose, transl, betas = pairs(body, 1)
    true_pose = true_pose.clone()
    true_pose[:, 0] = torch.tensor([0.0, 2.8, 0.0])
    targets = body.keypoints(true_pose, betas, transl + 3)
    pose, found_transl = solver.solve_pairs(start, targets, betas)
    assert float(keypoint_error_mm(body, pose, betas, found_transl, targets).mean()) < 3
    torch.testing.assert_close(found_transl, transl + 3, atol=0.01, rtol=0)


def test_a_start_that_is_far_off_ends_no_worse_than_it_began(body: ls.Body, solver: ls.Solver) -> None:
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(32, 24, 3, generator=generator)
    _, true_pose, transl, betas = pairs(body, 1, count=32)
    targets = body.keypoints(true_pose, betas, transl)
    pose, found_transl = solver.solve_pairs(start, targets, betas)
    assert bool(torch.isfinite(pose).all())
    assert bool(torch.isfinite(found_transl).all())
    # The start laid on its keypoints as a rigid thing is the best that not moving can do.
    before = 1000 * (_rigidly_on(body.keypoints(start, betas), targets) - targets).norm(dim=-1).mean(1)
    after = keypoint_error_mm(body, pose, betas, found_transl, targets).mean(1)
    assert bool((after < before).all())


def _rigidly_on(source: Tensor, target: Tensor) -> Tensor:
    turn, shift = roma.rigid_points_registration(source, target)
    return (turn[:, None] @ source[..., None])[..., 0] + shift[:, None]


@pytest.mark.parametrize("how", ["nan", "confidence"])
def test_a_wrong_keypoint_that_is_marked_missing_has_no_say(body: ls.Body, solver: ls.Solver, how: str) -> None:
    start, true_pose, transl, betas = pairs(body, 1)
    targets = body.keypoints(true_pose, betas, transl)
    wrist = BODY25.index("LWrist")
    spoilt, confidence = targets.clone(), torch.ones(40, 25)
    spoilt[:, wrist] = float("nan") if how == "nan" else 50.0
    if how == "confidence":
        confidence[:, wrist] = 0
    pose, found_transl = solver.solve_pairs(start, spoilt, betas, confidence=confidence)
    others = [index for index in range(25) if index != wrist]
    assert float(keypoint_error_mm(body, pose, betas, found_transl, targets)[:, others].mean()) < 3
    assert pve_mm(body, pose, true_pose, betas) < 5


def test_half_trusted_keypoints_pull_less(body: ls.Body, solver: ls.Solver) -> None:
    start, _, transl, betas = pairs(body, 1, count=8)
    targets = body.keypoints(start, betas, transl)
    wrist = BODY25.index("LWrist")
    targets[:, wrist] += torch.tensor([0.0, 0.15, 0.0])

    def distance(trust: float) -> float:
        confidence = torch.ones(8, 25)
        confidence[:, wrist] = trust
        pose, moved = solver.solve_pairs(start, targets, betas, confidence=confidence)
        return float(keypoint_error_mm(body, pose, betas, moved, targets)[:, wrist].mean())

    assert distance(1.0) < distance(1e-3) < distance(1e-6)


def test_a_problem_without_keypoints_returns_its_start(body: ls.Body, solver: ls.Solver) -> None:
    start, true_pose, transl, betas = pairs(body, 1, count=3)
    targets = body.keypoints(true_pose, betas, transl)
    targets[1] = float("nan")
    hint = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    pose, found_transl = solver.solve_pairs(start, targets, betas, start_transl=hint)
    same_turn = roma.rotmat_geodesic_distance(roma.rotvec_to_rotmat(pose[1]), roma.rotvec_to_rotmat(start[1]))
    assert float(same_turn.max()) < 1e-3
    torch.testing.assert_close(found_transl[1], hint[1])


def test_no_problems_give_no_poses(solver: ls.Solver) -> None:
    pose, transl = solver.solve_pairs(torch.zeros(0, 24, 3), torch.zeros(0, 25, 3), torch.zeros(0, 10))
    assert pose.shape == (0, 24, 3)
    assert transl.shape == (0, 3)


def test_many_problems_are_solved_as_each_alone(body: ls.Body, solver: ls.Solver) -> None:
    start, true_pose, transl, betas = pairs(body, 2, count=300)  # more than one chunk
    targets = body.keypoints(true_pose, betas, transl)
    torch.set_num_threads(2)  # two chunks side by side
    try:
        pose, found_transl = solver.solve_pairs(start, targets, betas)
    finally:
        torch.set_num_threads(1)
    for row in (0, 255, 256, 299):
        rows = slice(row, row + 1)
        alone, alone_transl = solver.solve_pairs(start[rows], targets[rows], betas[rows])
        torch.testing.assert_close(alone, pose[rows], atol=2e-3, rtol=0)
        torch.testing.assert_close(alone_transl, found_transl[rows], atol=1e-3, rtol=0)


def test_arrays_of_numpy_and_one_shape_for_all_are_welcome(body: ls.Body, solver: ls.Solver) -> None:
    start, true_pose, transl, _ = pairs(body, 1, count=4)
    targets = body.keypoints(true_pose, BETAS, transl)
    expected, _ = solver.solve_pairs(start, targets, BETAS.expand(4, 10))
    pose, _ = solver.solve_pairs(start.double().numpy(), targets.numpy(), BETAS.numpy())
    torch.testing.assert_close(pose, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"start_pose": np.zeros((2, 23, 3))}, "start_pose has shape"),
        ({"keypoints": np.zeros((2, 17, 3))}, "keypoints have shape"),
        ({"keypoints": np.zeros((3, 25, 3))}, "keypoints have shape"),
        ({"betas": np.zeros((3, 10))}, "betas have 3 rows"),
        ({"betas": np.full(10, np.nan)}, "betas hold NaN"),
        ({"start_pose": np.full((2, 24, 3), np.inf)}, "start_pose holds NaN"),
        ({"start_transl": np.zeros(3)}, "start_transl has shape"),
        ({"confidence": np.ones(25)}, "confidence has shape"),
        ({"layout": "nonsense"}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(solver: ls.Solver, change: dict, problem: str) -> None:
    given = {"start_pose": np.zeros((2, 24, 3)), "keypoints": np.ones((2, 25, 3)), "betas": np.zeros(10)} | change
    with pytest.raises(ls.InputError, match=problem):
        solver.solve_pairs(**given)


def test_an_unknown_method_or_device_is_refused(body: ls.Body) -> None:
    with pytest.raises(ls.InputError, match="unknown method"):
        ls.Solver(body, method="magic")  # type: ignore[arg-type]
    with pytest.raises(ls.InputError, match="abacus"):
        ls.Solver(body, method="gauss_newton", device="abacus")


# ------------------------------------------------------------------------------------------------ whole recordings


def recording(
    body: ls.Body, frames: int = 20, turn: Tensor | None = None, seed: int = 7
) -> tuple[Tensor, ls.Keypoints]:
    """True pose, and clean BODY_25 keypoints of a person with BETAS; `turn` is put in front of the pelvis' rotation."""
    pose = swinging_poses(frames, seed)
    if turn is not None:
        pose[:, 0] = roma.rotvec_composition([turn.expand(frames, 3), pose[:, 0]])
    return pose, ls.Keypoints(body.keypoints(pose, BETAS, drifting_transl(frames)), layout="body25", fps=30.0)


@pytest.mark.parametrize(
    ("facing", "turn"),
    [
        ("forwards", (0.0, 0.0, 0.0)),
        ("backwards", (0.0, np.pi, 0.0)),
        ("lying on the back", (-np.pi / 2, 0.0, 0.0)),
        ("lying on the side", (0.0, 0.0, np.pi / 2)),
        ("upside down", (np.pi, 0.0, 0.0)),
    ],
)
def test_a_recording_is_fitted_from_nothing(body: ls.Body, solver: ls.Solver, facing: str, turn: tuple) -> None:
    true_pose, keypoints = recording(body, turn=torch.tensor(turn, dtype=torch.float32))
    motion = solver.fit(keypoints)
    assert len(motion) == 20
    assert motion.betas.shape == (10,)
    assert not bool(motion.flagged.any())
    error = keypoint_error_mm(body, motion.pose, motion.betas, motion.transl, keypoints.positions)
    assert float(error.mean()) < 10
    pelvis = roma.rotmat_geodesic_distance(
        roma.rotvec_to_rotmat(motion.pose[:, 0]), roma.rotvec_to_rotmat(true_pose[:, 0])
    )
    assert float(pelvis.max()) < np.deg2rad(20)


def test_known_betas_are_kept_and_give_a_closer_fit(body: ls.Body, solver: ls.Solver) -> None:
    true_pose, keypoints = recording(body)
    motion = solver.fit(keypoints, betas=BETAS)
    torch.testing.assert_close(motion.betas, BETAS)
    error = keypoint_error_mm(body, motion.pose, motion.betas, motion.transl, keypoints.positions)
    assert float(error.mean()) < 5
    assert pve_mm(body, motion.pose, true_pose, BETAS) < 25


def test_frames_without_keypoints_are_flagged_and_bridged(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = recording(body)
    positions = keypoints.positions.clone()
    positions[0:2] = float("nan")
    positions[10:15] = float("nan")
    motion = solver.fit(ls.Keypoints(positions, layout="body25", fps=30.0), betas=BETAS)
    assert motion.flagged.nonzero().flatten().tolist() == [0, 1, 10, 11, 12, 13, 14]
    assert bool(torch.isfinite(motion.pose).all())
    error = keypoint_error_mm(body, motion.pose, BETAS, motion.transl, keypoints.positions).mean(1)
    assert float(error[~motion.flagged].max()) < 10


def test_one_keypoint_lost_for_a_while_does_not_flag_anything(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = recording(body)
    positions = keypoints.positions.clone()
    positions[8:16, BODY25.index("RWrist")] = float("nan")
    motion = solver.fit(ls.Keypoints(positions, layout="body25", fps=30.0), betas=BETAS)
    assert not bool(motion.flagged.any())


def test_keypoints_that_no_body_can_have_are_flagged(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = recording(body, frames=6)
    positions = keypoints.positions.clone()
    positions[3] = 3 * torch.randn(25, 3, generator=torch.Generator().manual_seed(0))
    motion = solver.fit(ls.Keypoints(positions, layout="body25", fps=30.0), betas=BETAS)
    assert motion.flagged.tolist() == [False, False, False, True, False, False]


def test_one_frame_is_a_recording_too_and_progress_is_told(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = recording(body, frames=1)
    told: list[tuple[int, int]] = []
    motion = solver.fit(keypoints, progress=lambda done, total: told.append((done, total)))
    assert len(motion) == 1
    assert told[-1] == (1, 1)


def test_what_the_recording_says_of_itself_is_handed_on(body: ls.Body, solver: ls.Solver) -> None:
    pose, _ = recording(body, frames=2)
    points = body.keypoints(pose, BETAS, torch.tensor([0.0, 1.0, 0.0]))
    keypoints = ls.Keypoints(points, layout="body25", fps=59.94, up_axis="y", notes=("a note",))
    motion = solver.fit(keypoints, betas=BETAS)
    assert (motion.fps, motion.up_axis, motion.notes) == (59.94, "y", ("a note",))
    assert (motion.body, motion.gender) == ("open", "neutral")


def test_betas_that_cannot_be_are_refused(body: ls.Body, solver: ls.Solver) -> None:
    _, keypoints = recording(body, frames=1)
    for betas in (np.zeros(11), np.full(10, np.nan)):
        with pytest.raises(ls.InputError, match="betas"):
            solver.fit(keypoints, betas=betas)


def test_elbows_and_knees_are_found_bent_the_way_they_were(body: ls.Body, solver: ls.Solver) -> None:
    true_pose, keypoints = recording(body)
    motion = solver.fit(keypoints, betas=BETAS)
    # Keypoints fix how far a hinge is bent, not how a twist is shared with the joint above: compare about the hinge.
    for name, axis in (("left_knee", 0), ("right_knee", 0), ("left_elbow", 1), ("right_elbow", 1)):
        bend = motion.pose[:, JOINT_INDEX[name], axis]
        true_bend = true_pose[:, JOINT_INDEX[name], axis]
        assert float((bend - true_bend).abs().max()) < np.deg2rad(25), name


def test_joints_that_no_keypoint_shows_do_not_wander_off(body: ls.Body) -> None:
    """A head without face keypoints turned upside down within seconds before tracking carried the pose prior."""
    _, keypoints = recording(body, 150)
    layout = ls.load_layout("body25")
    confidence = torch.ones(len(keypoints), 25)
    confidence[:, [layout.index(name) for name in ("Nose", "REye", "LEye", "REar", "LEar")]] = 0
    seen = ls.Keypoints(keypoints.positions, "body25", keypoints.fps, confidence)
    motion = ls.Solver(body).fit(seen, BETAS)
    angle = torch.rad2deg(motion.pose.norm(dim=-1))
    assert float(angle[:, [12, 15]].max()) < 60
    assert motion.uncertainty_deg is not None
    # The network knows that it does not see the head.
    whole = ls.Solver(body).fit(ls.Keypoints(keypoints.positions, "body25", keypoints.fps), BETAS)
    assert whole.uncertainty_deg is not None
    assert float(motion.uncertainty_deg[1:, 15].mean()) > 1.5 * float(whole.uncertainty_deg[1:, 15].mean())
