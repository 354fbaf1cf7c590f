"""Fingers, wrists and forearms from points of hands: exact steps, limits that hold, hands that come and go."""

from __future__ import annotations

from dataclasses import replace

import pytest
import roma
import torch

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.kinematics import rest_offsets, world_rotations
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.random_people import random_hands
from learnable_smplify.hands import HandKeypoints, mirrored_hand, relaxed_hands
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver import Solver
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.frame.priors import Priors, load_priors
from learnable_smplify.solver.hand import arm, problem
from learnable_smplify.solver.hand.anatomy import Anatomy
from learnable_smplify.solver.hand.prior import HandPrior
from learnable_smplify.solver.hand.problem import HandProblem, hand_points, solve_hands
from learnable_smplify.solver.hand.recording import with_hands
from learnable_smplify.solver.hand.sizes import bone_lengths
from toy_motion import swinging_poses

WRISTS, FPS = [20, 21], 30.0


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def priors() -> Priors:
    return load_priors()


@pytest.fixture(scope="module")
def anatomy(body: Body) -> Anatomy:
    assert body.hands is not None
    return Anatomy.of(body.hands.rest(torch.zeros(10)))


def toy_problem(anatomy: Anatomy, count: int = 12, noise: float = 0.003) -> tuple[HandProblem, torch.Tensor]:
    """Random hands of both sides, some points missing; and the true turns of their fingers."""
    generator = torch.Generator().manual_seed(2)
    prior, side = HandPrior.of(anatomy), torch.arange(count) % 2
    turns = anatomy.turns(random_hands(anatomy, count, generator))[torch.arange(count), side]
    turn = rotvec_to_rotmat(0.3 * torch.randn(count, 3, generator=generator))
    place = torch.randn(count, 3, generator=generator)
    made = HandProblem(
        anatomy=anatomy,
        side=side,
        targets=torch.zeros(count, 21, 3),
        weights=(torch.rand(count, 21, generator=generator) > 0.1).float() / 0.005**2,
        mean=prior.mean[side],
        precision=prior.precision[side],
        prior_turn=torch.eye(3).repeat(count, 1, 1),
        turn_precision=1.0,
        prior_place=place + 0.01 * torch.randn(count, 3, generator=generator),
        place_precision=1000.0,
        robust_scale=0.04,
    )
    points = hand_points(made, turn, place, turns)
    return replace(made, targets=points + noise * torch.randn(points.shape, generator=generator)), turns


def in_double(made: HandProblem) -> HandProblem:
    parts = {name: part.double() for name, part in vars(made).items() if torch.is_tensor(part) and name != "side"}
    of_hand = {name: part.double() for name, part in vars(made.anatomy).items()}
    return replace(made, anatomy=Anatomy(**of_hand), **parts)


def from_rest(made: HandProblem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return made.prior_turn, made.prior_place, made.mean


def moving_hands(body: Body, seconds: float) -> tuple[Motion, HandKeypoints]:
    """A person who swings and whose hands close and open, and what is measured of the hands."""
    assert body.hands is not None
    frames = int(seconds * FPS)
    anatomy = Anatomy.of(body.hands.rest(torch.zeros(10)))
    ends = anatomy.turns(random_hands(anatomy, 2, torch.Generator().manual_seed(4))).flatten(1)
    share = (0.5 - 0.5 * torch.cos(torch.linspace(0, 3 * seconds, frames)))[:, None]
    fingers = anatomy.pose(torch.lerp(ends[:1], ends[1:], share).unflatten(1, (2, 5, 9)))
    pose = swinging_poses(frames)
    pose[:, 22:] = 0
    motion = Motion(pose, torch.zeros(frames, 3), torch.zeros(10), FPS, body=body.name, hand_pose=fingers)
    return motion, HandKeypoints(body.hands.hand_points(pose, fingers, torch.zeros(1, 10), motion.transl))


def degrees_apart(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(roma.rotmat_geodesic_distance(first.double(), second.double()))


def fastest(pose: torch.Tensor) -> float:
    """The most that any joint turns from one frame to the next [deg]."""
    return float(degrees_apart(rotvec_to_rotmat(pose[1:]), rotvec_to_rotmat(pose[:-1])).max())


def test_the_gradient_is_that_of_the_cost(anatomy: Anatomy) -> None:
    made = in_double(toy_problem(anatomy)[0])
    turn, place, turns = from_rest(made)
    turns = turns + 0.1
    step = torch.zeros(len(turn), 51, dtype=torch.float64, requires_grad=True)
    moved = (
        rotvec_to_rotmat(step[:, 45:48]) @ turn,
        place + step[:, 48:],
        turns + step[:, :45].unflatten(1, (5, 9)),
    )
    (expected,) = torch.autograd.grad(problem._cost(made, *moved).sum(), step)
    _, gradient = problem._linearise(made, turn, place, turns)
    torch.testing.assert_close(2 * gradient, expected, rtol=1e-6, atol=1e-6)


def test_compiled_code_and_tensors_find_the_same_hands(anatomy: Anatomy) -> None:
    pytest.importorskip("numba")
    made, _ = toy_problem(anatomy)
    options = LevenbergMarquardt(max_iterations=30)
    compiled = solve_hands(made, *from_rest(made), options)
    tensors = solve_hands(in_double(made), *from_rest(in_double(made)), options)
    torch.testing.assert_close(compiled.cost.double(), tensors.cost, rtol=1e-3, atol=1e-3)
    points = hand_points(made, compiled.turn, compiled.place, compiled.turns)
    expected = hand_points(in_double(made), tensors.turn, tensors.place, tensors.turns)
    assert float((points - expected).norm(dim=-1).max()) < 1e-3
    torch.testing.assert_close(compiled.joint_variance.double(), tensors.joint_variance, rtol=0.05, atol=1e-4)
    torch.testing.assert_close(compiled.wrist_variance.double(), tensors.wrist_variance, rtol=0.05, atol=1e-6)


def test_compiled_code_and_tensors_start_and_hold_hands_alike(anatomy: Anatomy, body: Body, priors: Priors) -> None:
    pytest.importorskip("numba")
    motion, hands = moving_hands(body, 0.5)
    rotmat, transl = rotvec_to_rotmat(motion.pose), motion.transl
    offsets = rest_offsets(body.joints(torch.zeros(1, 24, 3), motion.betas[None]))
    turn, place = arm.arms(rotmat, transl, offsets)
    expected = arm.arms(rotmat.double(), transl.double(), offsets.double())
    torch.testing.assert_close((turn.double(), place.double()), expected, atol=1e-5, rtol=0)
    generator = torch.Generator().manual_seed(6)
    turn = rotvec_to_rotmat(0.2 * torch.randn(len(turn), 2, 3, generator=generator)) @ turn
    place = place + 0.01 * torch.randn(place.shape, generator=generator)
    seen = torch.rand(len(turn), 2, generator=generator) > 0.2
    held = arm.with_wrists(rotmat, transl, offsets, turn, place, seen, priors)
    double = (part.double() for part in (rotmat, transl, offsets, turn, place))
    precise = Priors(priors.pose_mean.double(), priors.pose_precision.double(), priors.change_precision.double())
    tensors = arm.with_wrists(*double, seen, precise)
    assert float(degrees_apart(held, tensors).max()) < 0.1
    assert float(degrees_apart(world_rotations(held)[:, WRISTS], turn)[seen].max()) < 0.1
    wild = rotvec_to_rotmat(3 * torch.randn(len(turn), 2, 3, generator=generator))
    held = arm.with_wrists(rotmat, transl, offsets, wild, place, seen, priors)
    double = (part.double() for part in (rotmat, transl, offsets, wild, place))
    apart = degrees_apart(held, arm.with_wrists(*double, seen, precise))
    assert float(apart.flatten(1).amax(dim=1).median()) < 0.1
    shown, trust = hands.positions[3], hands.confidence[3].clone()
    trust[1, 5:] = 0
    still = torch.eye(3).repeat(2, 1, 1), torch.zeros(2, 3)
    found = problem.palm_starts(anatomy, shown, trust, *still)
    wide = Anatomy(**{name: part.double() for name, part in vars(anatomy).items()})
    same = problem.palm_starts(wide, shown.double(), trust.double(), *(part.double() for part in still))
    torch.testing.assert_close(tuple(part.double() for part in found), same, atol=1e-4, rtol=0)


def test_a_wrist_twists_and_bends_no_further_than_wrists_do(body: Body, priors: Priors) -> None:
    motion, _ = moving_hands(body, 2.0)
    rotmat, transl = rotvec_to_rotmat(motion.pose), motion.transl
    offsets = rest_offsets(body.joints(torch.zeros(1, 24, 3), motion.betas[None]))
    turn, place = arm.arms(rotmat, transl, offsets)
    seen = torch.ones(len(turn), 2, dtype=torch.bool)
    generator = torch.Generator().manual_seed(7)
    wild = rotvec_to_rotmat(3 * torch.randn(len(turn), 2, 3, generator=generator))
    held = arm.with_wrists(rotmat, transl, offsets, wild, place, seen, priors)
    assert float(arm.wrists_beyond(held, offsets).max()) < 1e-3
    for side, wrist in enumerate(WRISTS):
        bone = torch.nn.functional.normalize(offsets[:, wrist], dim=-1).expand(len(turn), 3)
        # A hand that is turned about the forearm keeps its place in the world: the forearm turns with it.
        about = rotvec_to_rotmat(2.5 * bone)
        turned = turn.clone()
        turned[:, side] = world_rotations(rotmat)[:, wrist - 2] @ about
        held_too = arm.with_wrists(rotmat, transl, offsets, turned, place, seen, priors)
        assert float(degrees_apart(world_rotations(held_too)[:, wrist], turned[:, side]).max()) < 0.1


def test_any_turns_are_brought_within_the_limits(anatomy: Anatomy) -> None:
    wild = 2 * torch.randn(500, 2, 5, 9, generator=torch.Generator().manual_seed(1))
    assert float(anatomy.beyond(wild).min()) > 0
    tamed = anatomy.within(wild)
    assert float(anatomy.beyond(tamed).max()) < 1e-6
    torch.testing.assert_close(anatomy.within(tamed), tamed)
    torch.testing.assert_close(anatomy.turns(anatomy.pose(tamed)), tamed, atol=1e-5, rtol=0)


def test_random_hands_come_back_from_their_points(anatomy: Anatomy) -> None:
    made, true = toy_problem(anatomy, count=40, noise=0.0)
    made = replace(made, weights=torch.full_like(made.weights, 1 / 0.005**2))
    found = solve_hands(made, *from_rest(made), LevenbergMarquardt(max_iterations=30))
    gap = hand_points(made, found.turn, found.place, found.turns) - made.targets
    assert 1000 * float(gap[:, 4::4].norm(dim=-1).median()) < 3
    assert float(torch.rad2deg((found.turns - true).abs()).mean()) < 5


def test_no_joint_is_beyond_its_limits_however_wrong_the_points(anatomy: Anatomy, body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 2.0)
    noise = 0.02 * torch.randn(hands.positions.shape, generator=torch.Generator().manual_seed(3))
    bare = replace(motion, hand_pose=None)
    for smooth in (False, True):
        found = with_hands(bare, HandKeypoints(hands.positions + noise), body, priors, smooth=smooth)
        assert found.hand_pose is not None
        assert float(anatomy.beyond(anatomy.turns(found.hand_pose)).max()) < 1e-5


def test_hands_show_how_the_forearm_and_the_wrist_are_turned(body: Body) -> None:
    motion, hands = moving_hands(body, 1.0)
    points = body.keypoints(motion.pose, motion.betas, motion.transl)
    solver = Solver(body)
    with_points = solver.fit(Keypoints(points, "body25", FPS, hands=hands), motion.betas)
    alone = solver.fit(Keypoints(points, "body25", FPS), motion.betas)
    true = world_rotations(rotvec_to_rotmat(motion.pose))[:, WRISTS]
    error, guess = (
        float(degrees_apart(world_rotations(rotvec_to_rotmat(found.pose))[:, WRISTS], true).mean())
        for found in (with_points, alone)
    )
    assert error < 6 < guess
    assert with_points.hand_pose is not None
    assert motion.hand_pose is not None
    turned = degrees_apart(rotvec_to_rotmat(with_points.hand_pose), rotvec_to_rotmat(motion.hand_pose))
    assert float(turned.mean()) < 8
    assert not bool(with_points.hand_flagged.any())


def test_body_without_hand_points_is_fitted_as_ever(body: Body) -> None:
    motion, hands = moving_hands(body, 0.5)
    points = body.keypoints(motion.pose, motion.betas, motion.transl)
    unseen = HandKeypoints(torch.full_like(hands.positions, torch.nan))
    plain, blind = (Solver(body).fit(Keypoints(points, "body25", FPS, hands=shown)) for shown in (None, unseen))
    assert plain.hand_pose is None
    assert blind.hand_pose is None
    torch.testing.assert_close(blind.pose, plain.pose, atol=0, rtol=0)


@pytest.mark.parametrize("smooth", [False, True])
def test_a_hand_that_vanishes_for_a_second_goes_to_rest_smoothly_and_is_flagged(
    body: Body, priors: Priors, smooth: bool
) -> None:
    motion, hands = moving_hands(body, 4.0)
    shown = hands.positions.clone()
    away = slice(45, 75)
    shown[away, 0] = torch.nan
    found = with_hands(replace(motion, hand_pose=None), HandKeypoints(shown), body, priors, smooth=smooth)
    assert found.hand_pose is not None
    assert found.hand_flagged is not None
    assert motion.hand_pose is not None
    assert bool(found.hand_flagged[away, 0].all())
    assert not bool(found.hand_flagged[:45].any() | found.hand_flagged[75:].any() | found.hand_flagged[:, 1].any())
    rest = torch.rad2deg((found.hand_pose - relaxed_hands()).norm(dim=-1))
    assert float(rest[60, :15].max()) < 6
    assert fastest(found.hand_pose[40:80, :15]) < 1.5 * fastest(motion.hand_pose) + 6
    assert bool(found.hand_uncertainty_deg[away, :15].isnan().all())
    assert not bool(found.hand_uncertainty_deg[away, 15:].isnan().any())
    # The arm that held it goes back to where the body's own points have it, without a jump either.
    assert fastest(found.pose[40:80, WRISTS]) < 12


def test_in_a_stream_too(body: Body, anatomy: Anatomy) -> None:
    motion, hands = moving_hands(body, 4.0)
    points = body.keypoints(motion.pose, motion.betas, motion.transl)
    stream = Solver(body).stream(layout="body25", fps=FPS, betas=motion.betas)
    frames = []
    for frame in range(len(motion)):
        frames.append(stream.push(points[frame], hands=None if 45 <= frame < 75 else hands[frame : frame + 1]))
    flagged = torch.stack([frame.hand_flagged for frame in frames if frame.hand_flagged is not None])
    fingers = torch.stack([frame.hand_pose for frame in frames if frame.hand_pose is not None])
    assert len(fingers) == len(motion)
    assert bool(flagged[45:75].all())
    assert not bool(flagged[:45].any() | flagged[80:].any())
    assert float(torch.rad2deg((fingers[74] - relaxed_hands()).norm(dim=-1)).max()) < 10
    assert fastest(fingers[45:75]) < 20
    assert float(anatomy.beyond(anatomy.turns(fingers)).max()) < 1e-5
    assert motion.hand_pose is not None
    turned = degrees_apart(rotvec_to_rotmat(fingers), rotvec_to_rotmat(motion.hand_pose))
    assert float(turned[10:45].mean()) < 8
    with pytest.raises(InputError, match="the hands have 2 frames"):
        stream.push(points[0], hands=hands[:2])


def test_a_hand_that_is_away_for_a_moment_goes_straight_on(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 2.0)
    shown = hands.positions.clone()
    shown[30:34] = torch.nan
    found = with_hands(replace(motion, hand_pose=None), HandKeypoints(shown), body, priors)
    assert found.hand_pose is not None
    assert found.hand_flagged is not None
    assert motion.hand_pose is not None
    assert found.hand_flagged.any(dim=1).nonzero()[:, 0].tolist() == [30, 31, 32, 33]
    turned = degrees_apart(rotvec_to_rotmat(found.hand_pose), rotvec_to_rotmat(motion.hand_pose))
    assert float(turned[30:34].mean()) < float(turned[:30].mean()) + 4


def test_left_and_right_are_solved_alike(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 0.5)
    still = replace(motion, pose=torch.zeros_like(motion.pose), hand_pose=None)
    assert body.hands is not None
    left = motion.hand_pose[:, :15]
    points = body.hands.hand_points(
        still.pose, torch.cat((left, mirrored_hand(left)), dim=1), torch.zeros(1, 10), still.transl
    )
    found = with_hands(still, HandKeypoints(points, hands.confidence), body, priors)
    assert found.hand_pose is not None
    torch.testing.assert_close(found.hand_pose[:, 15:], mirrored_hand(found.hand_pose[:, :15]), atol=2e-2, rtol=0)


def test_a_finger_that_nobody_sees_goes_with_the_others(body: Body, priors: Priors) -> None:
    assert body.hands is not None
    pose, still = torch.zeros(1, 24, 3), torch.zeros(1, 3)
    fist = 2.5 * relaxed_hands()[None]
    points = body.hands.hand_points(pose, fist, torch.zeros(1, 10), still)
    points[:, :, 10:13] = torch.nan  # the middle finger, beyond its knuckle
    motion = Motion(pose, still, torch.zeros(10), body=body.name)
    found = with_hands(motion, HandKeypoints(points), body, priors)
    assert found.hand_pose is not None
    bent = torch.rad2deg(found.hand_pose[0, 3:6].norm(dim=-1))
    assert float((bent - torch.rad2deg(fist[0, 3:6].norm(dim=-1))).abs().max()) < 20


def test_bones_of_larger_hands_are_measured(anatomy: Anatomy) -> None:
    made, _ = toy_problem(anatomy, count=60)
    points = 1.15 * (made.targets - made.targets[:, :1])
    targets, trust = (part.unflatten(0, (30, 2)) for part in (points, (made.weights > 0).float()))
    lengths = bone_lengths(anatomy, targets, trust)
    assert float(lengths.mean()) == pytest.approx(1.15, abs=0.03)


def test_smoothing_takes_the_jitter_from_fingers(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 2.0)
    noise = 0.004 * torch.randn(hands.positions.shape, generator=torch.Generator().manual_seed(8))
    bare, shown = replace(motion, hand_pose=None), HandKeypoints(hands.positions + noise)
    rough, smooth = (with_hands(bare, shown, body, priors, smooth=on).hand_pose for on in (False, True))
    assert rough is not None
    assert smooth is not None
    assert motion.hand_pose is not None
    shake, calm = (float(pose.diff(n=2, dim=0).norm(dim=-1).mean()) for pose in (rough, smooth))
    assert calm < 0.3 * shake
    true = rotvec_to_rotmat(motion.hand_pose)
    before, after = (float(degrees_apart(rotvec_to_rotmat(pose), true).mean()) for pose in (rough, smooth))
    assert after < before


def test_a_body_without_fingers_says_that_hands_are_not_used(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 0.2)
    child = load_body("open-child")
    found = with_hands(replace(motion, hand_pose=None, body=child.name), hands, child, priors)
    assert found.hand_pose is None
    assert "has no fingers" in found.notes[-1]


def test_points_in_another_order_are_no_hand_and_move_no_arm(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 1.0)
    bare = replace(motion, hand_pose=None)
    order = [0, *(1 + 4 * finger + part for part in range(4) for finger in range(5))]  # joint by joint
    positions = hands.positions.clone()
    positions[:, 1] = positions[:, 1, order]
    found = with_hands(bare, HandKeypoints(positions), body, priors)
    assert any("the points of the right hand fit no hand" in note for note in found.notes)
    confidence = torch.ones(positions.shape[:3])
    confidence[:, 1] = 0
    unseen = with_hands(bare, HandKeypoints(hands.positions, confidence), body, priors)
    torch.testing.assert_close(found.pose, unseen.pose)
    torch.testing.assert_close(found.hand_pose, unseen.hand_pose)


def test_noisy_hands_stay_hands(body: Body, priors: Priors) -> None:
    motion, hands = moving_hands(body, 1.0)
    noise = 0.015 * torch.randn(hands.positions.shape, generator=torch.Generator().manual_seed(3))
    found = with_hands(replace(motion, hand_pose=None), HandKeypoints(hands.positions + noise), body, priors)
    assert not any("no hand" in note for note in found.notes)
