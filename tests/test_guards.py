"""What a wrong sign, a missing scale or a guard that is off would change: behaviour that no other test watches."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.body import load_body
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.weights import load_network
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.clip.smooth import SmoothOptions, smooth_clip
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    solve,
)
from learnable_smplify.solver.frame.numeric import PairOptions
from learnable_smplify.solver.frame.priors import CHANGE_SECONDS, load_priors
from learnable_smplify.solver.frame.tracking import ClipOptions, Finder, Tracker, numeric_searcher
from learnable_smplify.solver.hybrid import NeuralPairs, Start, neural_follower
from learnable_smplify.solver.shape.limb_lengths import betas_from_lengths, limb_lengths
from learnable_smplify.solver.smplify.terms import bend_energy
from toy_motion import drifting_transl, swinging_poses

BODY = load_body()


def recording(seconds: float, fps: float, noise: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Poses, transl and noisy BODY_25 keypoints of the same motion at some frame rate."""
    frames = round(seconds * fps)
    pose, transl = swinging_poses(frames, fps=fps), drifting_transl(frames, fps)
    generator = torch.Generator().manual_seed(0)
    clean = BODY.keypoints(pose, torch.zeros(10), transl)
    return pose, transl, clean + noise * torch.randn(clean.shape, generator=generator)


@pytest.mark.parametrize(
    ("joint", "axis", "bends"),
    [("left_knee", 0, 1), ("right_knee", 0, 1), ("left_elbow", 1, -1), ("right_elbow", 1, 1)],
)
def test_knees_and_elbows_bend_one_way(joint: str, axis: int, bends: int) -> None:
    pose = torch.zeros(2, 23, 3)
    pose[:, JOINT_INDEX[joint] - 1, axis] = torch.tensor([0.6, -0.6]) * bends
    natural, broken = bend_energy(pose.flatten(1))
    assert float(broken) > 1.2 * float(natural)
    # That way is the human one: shins go behind thighs, forearms in front of the chest.
    bent = torch.zeros(1, 24, 3)
    bent[0, JOINT_INDEX[joint], axis] = 0.6 * bends
    end = JOINT_INDEX[joint.replace("knee", "ankle").replace("elbow", "wrist")]
    joints = BODY.joints(bent, torch.zeros(10))[0]
    forward = float(joints[end, 2] - joints[JOINT_INDEX[joint], 2])
    assert forward < -0.1 if "knee" in joint else forward > 0.1


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_the_tracker_tells_how_long_ago_the_last_frame_was(fps: float) -> None:
    told: list[float] = []
    rotmat, transl = torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 3)

    def follow(*given: object) -> PoseSolution:
        told.append(given[-1])  # type: ignore[arg-type]
        return PoseSolution(rotmat, transl, torch.zeros(1), torch.ones(1).bool(), torch.zeros(1))

    points = BODY.folded("body25").shaped(torch.zeros(1, 10))
    search = numeric_searcher(points, load_priors(), ClipOptions())
    tracker = Tracker(Finder(follow, search), ClipOptions(), fps, start=(rotmat, transl))
    keypoints, seen, nothing = torch.zeros(1, 25, 3), torch.ones(1, 25), torch.zeros(1, 25)
    for trust in (seen, seen, nothing, nothing, seen, seen):
        tracker.step(keypoints, trust)
    assert told == pytest.approx([1 / fps, 1 / fps, 3 / fps, 1 / fps])


def test_a_change_may_be_the_larger_the_longer_it_takes() -> None:
    priors = load_priors()
    torch.testing.assert_close(priors.change_over(0.0), priors.change_precision)
    torch.testing.assert_close(priors.change_over(CHANGE_SECONDS / 4), 4 * priors.change_precision)


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_the_first_frame_after_a_gap_is_no_worse_than_one_from_nothing(fps: float) -> None:
    """The change prior of a single frame held a person back who had half a second to move."""
    pose, _, keypoints = recording(2.0, fps, 0.002)
    first, last = round(0.8 * fps), round(1.25 * fps)
    confidence = torch.ones(keypoints.shape[:2])
    confidence[first:last] = 0
    given = ls.Keypoints(keypoints, "body25", fps, confidence)
    solver = ls.Solver(BODY, "gauss_newton", recording_options=ls.RecordingOptions(repair=None))
    found = solver.fit(given, torch.zeros(10))
    alone, _ = solver.solve_frames(keypoints[last : last + 1], torch.zeros(10))

    def error(rotvec: torch.Tensor) -> float:
        joints, true = BODY.joints(rotvec, torch.zeros(10)), BODY.joints(pose[last : last + 1], torch.zeros(10))
        return float(1000 * ((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=-1).mean())

    assert error(found.pose[last : last + 1]) < 2 * error(alone)


def test_one_motion_tracked_at_30_and_at_120_frames_a_second_comes_out_alike() -> None:
    errors = []
    for fps in (30.0, 120.0):
        pose, _, keypoints = recording(1.5, fps, 0.01)
        found = ls.Solver(BODY, "gauss_newton").fit(ls.Keypoints(keypoints, "body25", fps), torch.zeros(10))
        joints, true = BODY.joints(found.pose, torch.zeros(10)), BODY.joints(pose, torch.zeros(10))
        errors.append(float(1000 * ((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=-1).mean()))
    # Four times the frames are four times the measurements of the same motion: better, never worse.
    assert 0.4 * errors[0] < errors[1] < 1.05 * errors[0]


def test_smoothing_allows_the_same_acceleration_at_every_frame_rate() -> None:
    """Weights of second differences grow with the cube of the frame rate, or a film of 120 fps is not smoothed."""
    rough, shaky = [], []
    for fps in (30.0, 120.0):
        pose, transl, keypoints = recording(1.5, fps, 0.02)
        smoothed = smooth_clip(
            BODY.folded("body25"),
            keypoints,
            torch.ones(keypoints.shape[:2]),
            rotvec_to_rotmat(pose),
            transl,
            fps,
            load_priors(),
            SmoothOptions(keypoint_sigma=0.02, refine_shape=False),
            torch.zeros(10),
        )
        joints = BODY.joints(rotmat_to_rotvec(smoothed.rotmat), torch.zeros(10), smoothed.transl)
        away = joints - BODY.joints(pose, torch.zeros(10), transl)
        rough.append(float((away[2:] - 2 * away[1:-1] + away[:-2]).norm(dim=-1).mean()) * fps**2)
        off = rotmat_to_rotvec(rotvec_to_rotmat(pose).mT @ smoothed.rotmat)[:, 1:22]
        shaky.append(float((off[2:] - 2 * off[1:-1] + off[:-2]).norm(dim=-1).mean()) * fps**2)
    assert 0.3 * rough[0] < rough[1] < rough[0]
    assert 0.3 * shaky[0] < shaky[1] < shaky[0]


def test_the_numerical_solver_stands_in_where_the_network_is_lost() -> None:
    generator = torch.Generator().manual_seed(0)
    target = 0.6 * torch.randn(64, 24, 3, generator=generator)
    start = 0.6 * torch.randn(64, 24, 3, generator=generator)
    betas = torch.zeros(10)
    keypoints = BODY.keypoints(target, betas)
    solver = ls.Solver(BODY)
    answer = solver.answer_pairs(start, keypoints, betas)
    assert int(answer.fallback.sum()) > 0
    error = (BODY.keypoints(answer.pose, betas, answer.transl) - keypoints).norm(dim=-1).mean(dim=1)
    assert isinstance(solver._neural, NeuralPairs)
    solver._neural = replace_doubt(solver._neural)
    alone = solver.answer_pairs(start, keypoints, betas)
    before = (BODY.keypoints(alone.pose, betas, alone.transl) - keypoints).norm(dim=-1).mean(dim=1)
    rows = answer.fallback
    assert float(error[rows].mean()) < 0.7 * float(before[rows].mean())
    assert torch.equal(answer.pose[~rows], alone.pose[~rows])


def replace_doubt(solver: NeuralPairs) -> NeuralPairs:
    """The same, never in doubt."""
    solver._doubtful = lambda *given: torch.zeros(len(given[1]), dtype=torch.bool)  # type: ignore[method-assign]
    return solver


def test_layouts_of_many_keypoints_do_not_drown_the_prior_on_betas() -> None:
    """Pairs of keypoints grow with the square of their number, what they tell does not."""
    generator = torch.Generator().manual_seed(0)
    sizes = []
    for layout in ("body25", "coco17"):
        folded = BODY.folded(layout)
        limbs = limb_lengths(folded, load_priors())
        true = torch.zeros(10)
        true[0] = 2.0
        clean = BODY.keypoints(swinging_poses(40), true, layout=layout)
        noisy = clean + 0.03 * torch.randn(clean.shape, generator=generator)
        found = betas_from_lengths(limbs, noisy, torch.ones(noisy.shape[:2]))
        sizes.append(float(found[1:].norm()))
        # Weights count every keypoint about once: doubling all of them halves what the prior is worth.
        share = len(limbs.sigma) / (folded.weight.shape[0])
        assert share > 1.5
        sharper = replace(limbs, sigma=limbs.sigma / math.sqrt(share))
        free = betas_from_lengths(sharper, noisy, torch.ones(noisy.shape[:2]))
        assert float(free[1:].norm()) > float(found[1:].norm())
    assert max(sizes) < 2.0


def test_refused_steps_grow_the_damping_in_tensors_as_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """From far away many steps are refused; both must find their way at the same pace."""
    generator = torch.Generator().manual_seed(0)
    folded, priors = BODY.folded("body25"), load_priors()
    target = rotvec_to_rotmat(0.3 * torch.randn(24, 24, 3, generator=generator))
    start = rotvec_to_rotmat(0.3 * torch.randn(24, 24, 3, generator=generator))
    points = folded.shaped(torch.zeros(1, 10))
    keypoints, nowhere = points.pose(target).positions(), torch.zeros(24, 3)
    weights = torch.full((24, 25), 1 / 0.002**2)
    problem = PoseProblem(points, keypoints, weights, start, 0.01 * priors.change_precision, nowhere)
    options = LevenbergMarquardt(10, step_tolerance=0, cost_tolerance=0, initial_damping=1e-7)
    fast = solve(problem, start, nowhere, options)
    monkeypatch.setattr("learnable_smplify.solver.frame.levenberg_marquardt.is_usable", lambda *tensors: False)
    slow = solve(problem, start, nowhere, options)
    ratio = slow.cost / fast.cost
    # Rounding sends some another way; with a damping that does not grow, none arrives.
    assert float((ratio.log().abs() < 0.05).float().mean()) > 0.35


class _Told:
    """A person who is found with errors that are told beforehand."""

    def __init__(self, followed: float, searched: float) -> None:
        self.finder = Finder(lambda *_: self._found(1.0, followed), lambda *_: self._found(2.0, searched))

    @staticmethod
    def _found(place: float, error: float) -> PoseSolution:
        distance = torch.tensor([error])
        rotmat = torch.eye(3).expand(1, 24, 3, 3)
        return PoseSolution(rotmat, torch.full((1, 3), place), distance, distance > 0, distance)


@pytest.mark.parametrize(
    ("followed", "searched", "kept", "flagged"),
    [
        (0.05, 0.01, True, False),  # not lost: nobody searches
        (0.10, 0.01, False, False),  # lost, and found again
        (0.10, 0.08, True, True),  # a search that is hardly better is no reason to leap
        (0.20, 0.10, False, True),  # better, but still not believed
    ],
)
def test_a_frame_is_searched_from_nothing_where_it_is_lost(
    followed: float, searched: float, kept: bool, flagged: bool
) -> None:
    start = torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 3)
    tracker = Tracker(_Told(followed, searched).finder, ClipOptions(lost_error=0.06), 30.0, start)
    frame = tracker.step(torch.zeros(1, 25, 3), torch.ones(1, 25))
    assert float(frame.transl[0, 0]) == (1.0 if kept else 2.0)
    assert frame.flagged == flagged


def test_the_mean_pose_faces_where_the_person_does() -> None:
    priors = load_priors()
    rotmat = rotvec_to_rotmat(torch.randn(3, 24, 3, generator=torch.Generator().manual_seed(0)))
    mean = priors.mean_facing(rotmat)
    assert torch.equal(mean[:, 0], rotmat[:, 0])
    assert torch.equal(mean[:, 1:], priors.pose_mean[1:].expand(3, -1, -1, -1))


def test_keypoints_that_the_network_does_not_know_are_as_sure_as_the_others() -> None:
    layout = load_layout("mediapipe33")
    view = Body25View.of(layout, torch.device("cpu"))
    sigma = torch.linspace(0.01, 0.05, 25).flip(0)[None]
    unknown = ~(view.matrix == 1).any(0)
    assert 0 < int(unknown.sum()) < len(layout)
    torch.testing.assert_close(
        view.sigma_of_layout(sigma)[0, unknown], sigma.median().expand(int(unknown.sum())), atol=1e-6, rtol=0
    )


def test_a_recording_that_is_repeated_tells_no_more_of_the_shape() -> None:
    pose = swinging_poses(16)
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(10, generator=generator)
    keypoints = BODY.keypoints(pose, true) + 0.03 * torch.randn(16, 25, 3, generator=generator)
    solver = ls.Solver(BODY, "gauss_newton")
    once, often = (
        solver.fit(ls.Keypoints(keypoints.repeat(times, 1, 1), "body25", 30.0)).betas.norm() for times in (1, 4)
    )
    assert float(often / once) < 1.15


def test_pairs_of_keypoints_count_as_many_as_there_are_keypoints() -> None:
    limbs = limb_lengths(BODY.folded("body25"), load_priors())
    positions = BODY.keypoints(swinging_poses(8), torch.zeros(10)) * 1.08
    found = betas_from_lengths(limbs, positions, torch.ones(8, 25))
    first, second = limbs.pairs.unbind(1)
    measured = (positions[:, first] - positions[:, second]).norm(dim=-1).median(dim=0).values
    weight = 25 / len(measured) / limbs.sigma.square()
    error = measured - limbs.length - limbs.by_betas @ found
    weight = weight / (1 + (error / (3 * limbs.sigma)).square())
    # At the answer, what the lengths pull and what the prior pulls are the same.
    pull = limbs.by_betas.T @ (weight * error)
    torch.testing.assert_close(pull, found, atol=0.05 * float(found.norm()), rtol=0)


def test_a_pose_from_long_ago_is_no_tracked_frame() -> None:
    told: list[Start] = []

    class Listening(NeuralPairs):
        def from_start(self, *given: object, **more: object) -> tuple[PoseSolution, torch.Tensor]:
            told.extend(start for start in given if isinstance(start, Start))
            return super().from_start(*given, **more)  # type: ignore[arg-type]

    pairs = Listening(load_network(), 2, load_priors(), PairOptions())
    folded, layout = BODY.folded("body25"), load_layout("body25")
    follow = neural_follower(pairs, folded, folded, layout, torch.zeros(10), ClipOptions())
    rest, keypoints = torch.eye(3).repeat(1, 24, 1, 1), BODY.keypoints(torch.zeros(1, 24, 3), torch.zeros(10))
    for seconds in (1 / 30, 0.2, 2.0):
        follow(rest, torch.zeros(1, 3), keypoints, torch.ones(1, 25), seconds)
    assert told == [Start("tracked", 1 / 30), Start("tracked", 0.2), Start("estimate")]


@pytest.mark.parametrize("noise", [0.02, 0.04])
def test_a_stream_s_shape_stays_a_person_s_under_noise(noise: float) -> None:
    _, _, keypoints = recording(1.5, 30.0, noise)
    stream = ls.Solver(BODY).stream()
    shape = [stream.push(frame).betas for frame in keypoints]
    assert len(shape) > 40  # beyond the first joint steps
    assert float(shape[-1].norm()) < 3
