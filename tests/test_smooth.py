"""Whole-clip smoothing: derivatives, and what it does to noise, gaps, bursts and feet."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from learnable_smplify.body import load_body
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.clip.contacts import CONTACT_JOINTS
from learnable_smplify.solver.clip.problem import ClipProblem, ClipState
from learnable_smplify.solver.clip.smooth import SmoothOptions, SmoothSolution, smooth_clip
from learnable_smplify.solver.frame.noise import keypoint_noise
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.frame.sight import Cameras, SightTerm
from learnable_smplify.solver.frame.terms import GaussianTerm, KeypointTerm
from test_sight import ring_of_cameras
from toy_motion import drifting_transl, swinging_poses

_BODY = load_body()


class _Toy:
    """A person who swings every limb, seen with noise; the start is the truth with noise of its own."""

    def __init__(self, frames: int = 60, noise: float = 0.02, fps: float = 30.0, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.fps = fps
        self.betas = torch.zeros(10)
        self.pose, self.transl = swinging_poses(frames, seed, fps), drifting_transl(frames, fps)
        self.joints = _BODY.joints(self.pose, self.betas, self.transl)
        clean = _BODY.keypoints(self.pose, self.betas, self.transl)
        self.keypoints = clean + noise * torch.randn(clean.shape, generator=generator)
        self.confidence = torch.ones(clean.shape[:2])
        shake = 5 * noise * torch.randn(frames, 24, 3, generator=generator)
        self.rotmat = rotvec_to_rotmat(shake) @ rotvec_to_rotmat(self.pose)
        self.start_transl = self.transl + noise * torch.randn(frames, 3, generator=generator)

    def smooth(self, options: SmoothOptions | None = None, betas: Tensor | None = None) -> SmoothSolution:
        options = SmoothOptions(refine_shape=False) if options is None else options
        betas = self.betas if betas is None else betas
        return smooth_clip(
            _BODY.folded("body25"),
            self.keypoints,
            self.confidence,
            self.rotmat,
            self.start_transl,
            self.fps,
            load_priors(),
            options,
            betas,
        )

    def joints_of(self, rotmat: Tensor, transl: Tensor, betas: Tensor | None = None) -> Tensor:
        return _BODY.joints(rotmat_to_rotvec(rotmat), self.betas if betas is None else betas, transl)

    def error_mm(self, joints: Tensor) -> float:
        return float(1000 * (joints - self.joints).norm(dim=-1).mean())

    def acceleration_error_mm(self, joints: Tensor) -> float:
        return float(1000 * (_acceleration(joints) - _acceleration(self.joints)).norm(dim=-1).mean())


def _acceleration(values: Tensor) -> Tensor:
    return values[2:] - 2 * values[1:-1] + values[:-2]


def _double(folded):
    return replace(folded, **{k: v.double() for k, v in vars(folded).items() if v is not None})


def _random_problem(frames: int, burst: float | None) -> tuple[ClipProblem, ClipState]:
    generator = torch.Generator().manual_seed(3)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    square = randn(72, 72)
    problem = ClipProblem(
        folded=_double(_BODY.folded("body25")),
        keypoints=KeypointTerm(0.3 * randn(frames, 25, 3), 100 * randn(frames, 25).square(), 0.5),
        priors=(GaussianTerm(rotvec_to_rotmat(0.2 * randn(1, 24, 3)), (square @ square.T / 72)[None], exact=True),),
        shape_precision=1.0,
        turn_weight=50 * randn(24).square(),
        move_weight=100.0,
        hold_weight=30 * randn(frames - 1, 24).square(),
        burst=burst,
    )
    state = ClipState(rotvec_to_rotmat(0.3 * randn(frames, 24, 3)), 0.1 * randn(frames, 3), randn(10))
    return problem, state


@pytest.mark.parametrize("burst", [None, 1.0])
def test_the_gradient_is_that_of_the_cost(burst):
    frames, size = 5, 1e-6
    problem, state = _random_problem(frames, burst)
    columns = problem.linearise(state).columns(slice(0, frames), with_betas=False)
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        way = torch.randn(frames, 75, generator=generator, dtype=torch.float64)
        up, down = (problem.cost(state.moved(side * size * way, 0.0)).sum() for side in (1, -1))
        slope = 2 * (columns.right[..., 0] * way).sum()
        torch.testing.assert_close(slope, (up - down) / (2 * size), rtol=1e-6, atol=1e-4)


def test_the_matrix_is_the_curvature_where_every_residual_is_zero():
    # There Gauss-Newton is exact: no residual, so no curvature of residuals, and no outlier.
    frames, size = 4, 1e-4
    problem, state = _random_problem(frames, None)
    still = ClipState(state.rotmat[:1].expand(frames, -1, -1, -1), state.transl[:1].expand(frames, -1), state.betas)
    posed = problem.folded.shaped(still.betas[None]).pose(still.rotmat)
    problem = replace(
        problem,
        keypoints=replace(problem.keypoints, targets=posed.positions() + still.transl[:, None]),
        priors=(replace(problem.priors[0], rotmat=still.rotmat[:1]),),
        shape_precision=0.0,
    )
    columns = problem.linearise(still).columns(slice(0, frames), with_betas=False)
    dense = torch.zeros(frames, 75, frames, 75, dtype=torch.float64)
    for frame in range(frames):
        dense[frame, :, frame] = columns.diagonal[frame]
        for away in (1, 2):
            if frame + away < frames:
                block = columns.block(away)[frame]
                dense[frame + away, :, frame], dense[frame, :, frame + away] = block, block.T
    generator = torch.Generator().manual_seed(1)
    for _ in range(10):
        way = size * torch.randn(frames, 75, generator=generator, dtype=torch.float64)
        cost = problem.cost(still.moved(way, 0.0)).sum() + problem.cost(still.moved(-way, 0.0)).sum()
        torch.testing.assert_close(
            cost / 2, way.flatten() @ dense.reshape(frames * 75, -1) @ way.flatten(), rtol=1e-4, atol=0
        )


@pytest.mark.parametrize("sight", [False, True])
def test_machine_code_fills_the_matrix_as_tensors_do(sight: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, state = _random_problem(7, 1.0)
    if sight:
        generator = torch.Generator().manual_seed(4)
        cameras = Cameras.of(ring_of_cameras(3), torch.full((3,), 5.0, dtype=torch.float64))
        seen = 20 * torch.randn(7, 3, 25, 2, generator=generator, dtype=torch.float64)
        weights = (torch.rand(7, 3, 25, generator=generator) > 0.4).double()
        problem = replace(problem, keypoints=SightTerm(cameras, seen, weights, 8.0))
    fast = problem.linearise(state).columns(slice(1, 6), with_betas=False)
    for room in ("solver.clip.problem", "solver.frame.terms", "solver.frame.sight", "kernels.convert"):
        monkeypatch.setattr(f"learnable_smplify.{room}.is_usable", lambda *tensors, any_precision: False)
    slow = problem.linearise(state).columns(slice(1, 6), with_betas=False)
    torch.testing.assert_close(fast.lower, slow.lower)
    torch.testing.assert_close(fast.right, slow.right)


def test_noise_is_measured_whatever_the_motion_outliers_and_gaps():
    toy = _Toy(frames=120, noise=0.02)
    toy.keypoints[::40, 3] += 1.0
    toy.confidence[::11] = 0
    assert keypoint_noise(toy.keypoints, toy.confidence) == pytest.approx(0.02, rel=0.1)
    assert keypoint_noise(_Toy(noise=0.0).keypoints, toy.confidence[:60]) < 0.001
    assert keypoint_noise(toy.keypoints[:1], toy.confidence[:1]) == 0


def test_noise_is_smoothed_away():
    toy = _Toy()
    before = toy.joints_of(toy.rotmat, toy.start_transl)
    found = toy.smooth()
    after = toy.joints_of(found.rotmat, found.transl)
    assert toy.error_mm(after) < 0.5 * toy.error_mm(before)
    assert toy.error_mm(after) < 18
    measured = (_acceleration(toy.keypoints) - _acceleration(_BODY.keypoints(toy.pose, toy.betas, toy.transl))).norm(
        dim=-1
    )
    assert toy.acceleration_error_mm(after) < 0.1 * 1000 * float(measured.mean())
    for costs in found.costs:
        assert all(later < earlier for earlier, later in pairwise(costs))


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_averages_are_as_good_a_start_as_a_first_round(fps: float) -> None:
    toy = _Toy(frames=round(2 * fps), fps=fps)
    far, near = (toy.smooth(SmoothOptions(refine_shape=False, near_start=value)) for value in (False, True))
    errors = [toy.error_mm(toy.joints_of(found.rotmat, found.transl)) for found in (far, near)]
    assert errors[1] < 1.05 * errors[0]
    assert len(near.costs) == len(far.costs) - 1


def test_clean_keypoints_are_followed():
    toy = _Toy(noise=0.0)
    found = toy.smooth()
    assert toy.error_mm(toy.joints_of(found.rotmat, found.transl)) < 5


def test_outliers_lose_their_pull():
    toy = _Toy()
    toy.keypoints[20, 4] += torch.tensor([0.0, 0.8, 0.0])
    toy.confidence[30, 4] = 0
    found = toy.smooth()
    assert found.trust[20, 4] < 0.05
    assert found.trust[30, 4] == 0
    assert found.trust.median() > 0.5


@pytest.mark.parametrize("what", ["arm", "everything"])
def test_gaps_are_bridged(what):
    toy = _Toy(frames=90, noise=0.01)
    gap = slice(35, 50)
    hidden = [2, 3, 4] if what == "arm" else list(range(25))
    toy.confidence[gap, hidden] = 0
    toy.keypoints[gap, hidden] = torch.nan
    toy.rotmat[gap] = toy.rotmat[34]  # the causal pass holds the last pose
    toy.start_transl[gap] = toy.start_transl[34]
    found = toy.smooth()
    joints = toy.joints_of(found.rotmat, found.transl)
    assert torch.isfinite(joints).all()
    inside = 1000 * (joints - toy.joints)[gap].norm(dim=-1).mean()
    assert inside < 60
    steps, true_steps = ((values[1:] - values[:-1]).norm(dim=-1).max() for values in (joints, toy.joints))
    assert steps < 1.3 * true_steps  # no jump into the gap or out of it


def test_a_person_who_is_gone_at_the_end_does_not_fly_off():
    toy = _Toy(frames=90, noise=0.01)
    toy.confidence[45:] = 0
    found = toy.smooth()
    assert (found.transl[45:] - found.transl[44]).norm(dim=-1).max() < 0.5


def test_the_frame_rate_does_not_change_the_smoothness():
    errors = []
    for fps in (30.0, 120.0):
        toy = _Toy(frames=int(1.5 * fps), noise=0.0, fps=fps)
        found = toy.smooth(SmoothOptions(refine_shape=False, keypoint_sigma=0.05))
        assert found.transl.shape[0] == len(toy.transl)
        errors.append((toy.joints_of(found.rotmat, found.transl) - toy.joints)[:: int(fps / 30)])
    # What smoothing does to a clean motion is its mark: the same at both rates.
    assert (errors[0] - errors[1]).norm(dim=-1).mean() < 0.25 * errors[0].norm(dim=-1).mean()


def test_segments_do_not_change_the_answer():
    toy = _Toy(frames=20)
    whole = toy.smooth(SmoothOptions(max_iterations=2))
    parts = toy.smooth(SmoothOptions(max_iterations=2, segment=7))
    torch.testing.assert_close(whole.rotmat, parts.rotmat, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.betas, parts.betas, rtol=0, atol=1e-4)


def test_betas_are_found_again_from_a_wrong_start():
    toy = _Toy(noise=0.005)
    wrong = torch.zeros(10)
    wrong[0], wrong[1] = 1.5, -1.0
    found = toy.smooth(SmoothOptions(), betas=wrong)
    assert found.betas.norm() < 0.5 * wrong.norm()


def test_held_feet_do_not_slide_and_the_rest_hardly_moves():
    toy = _Toy(frames=60)
    toy.pose[:] = toy.pose[:1]  # stands still, and is seen with noise
    toy.pose[:, JOINT_INDEX["right_elbow"], 1] += torch.linspace(0, 1, 60)
    toy.pose[:, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]] = 0
    toy.pose[:, [JOINT_INDEX["left_knee"], JOINT_INDEX["right_knee"]]] = 0
    toy.transl[:] = toy.transl[:1]
    clean = _BODY.keypoints(toy.pose, toy.betas, toy.transl)
    toy.keypoints = clean + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(5))
    toy.rotmat, toy.start_transl = rotvec_to_rotmat(toy.pose), toy.transl.clone()
    free, held = (toy.smooth(SmoothOptions(refine_shape=False, hold_feet=hold)) for hold in (False, True))
    feet = [JOINT_INDEX[name] for name in CONTACT_JOINTS]
    assert held.contacts is not None
    assert held.contacts.float().mean() > 0.9
    assert free.contacts is None
    free_joints, held_joints = (toy.joints_of(found.rotmat, found.transl) for found in (free, held))
    slide = [(joints[1:, feet] - joints[:-1, feet]).norm(dim=-1).mean() for joints in (free_joints, held_joints)]
    assert slide[1] < 0.2 * slide[0]
    assert (free_joints - held_joints).norm(dim=-1).mean() < 0.01


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_recordings_are_solved(frames):
    toy = _Toy(frames=frames)
    found = toy.smooth(SmoothOptions(hold_feet=True))
    assert found.rotmat.shape == (frames, 24, 3, 3)
    assert torch.isfinite(found.rotmat).all()
    assert torch.isfinite(found.transl).all()


def test_a_given_gaussian_draws_the_pose_to_itself():
    toy = _Toy()
    folded = _BODY.folded("body25")
    prior = rotvec_to_rotmat(toy.pose)
    options = SmoothOptions(refine_shape=False, network_weight=1.0)
    found = smooth_clip(
        folded, toy.keypoints, toy.confidence, toy.rotmat, toy.start_transl, toy.fps, load_priors(), options, toy.betas,
        sources=[(prior, 1e6 * torch.eye(72))],
    )  # fmt: skip
    torch.testing.assert_close(found.rotmat, prior, rtol=0, atol=1e-2)
