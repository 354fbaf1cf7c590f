"""What cameras see of keypoints as a term of the solver: derivatives, sums of cameras, and its machine code."""

from __future__ import annotations

import pytest
import torch

from learnable_smplify.body import Body, load_body
from learnable_smplify.camera import Camera
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    cost_of,
    linearise,
    solve,
)
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.frame.sight import Cameras, SightTerm
from learnable_smplify.solver.frame.terms import Frames, apply_step
from toy_body import toy_arrays


def ring_of_cameras(count: int, distance: float = 4.0) -> list[Camera]:
    cameras = []
    for index in range(count):
        turn = rotvec_to_rotmat(torch.tensor([0.0, 1.3 * index, 0.0]))
        flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
        cameras.append(Camera(1000, 900, 640, 360, flip @ turn, torch.tensor([0.1, 0.2, distance])))
    return cameras


def seen_by(cameras: Cameras, points: torch.Tensor) -> torch.Tensor:
    local = cameras.local(points)
    return cameras.scale[:, None] * local[..., :2] / local[..., 2:]


def problem_of(dtype: torch.dtype, views: int = 2, robust_scale: float | None = None) -> PoseProblem:
    generator = torch.Generator().manual_seed(1)
    kind = {"generator": generator, "dtype": dtype}
    if dtype == torch.float64:
        body = Body(toy_arrays(correctives=False))
        batch, mean, root = 3, torch.zeros(3, 24, 3, **{"dtype": dtype}), torch.randn(72, 72, **kind) * 0.1
        precision = root @ root.T + 1e-3 * torch.eye(72, dtype=dtype)
        prior = rotvec_to_rotmat(mean + 0.4 * torch.randn(3, 24, 3, **kind))
    else:
        body, batch = load_body(), 16
        prior = load_priors().poses_of(torch.randn(16, 69, generator=generator))
        precision = load_priors().pose_precision
    points = body.folded("body25", dtype=dtype).shaped(torch.randn(batch, 10, **kind))
    true = rotvec_to_rotmat(0.2 * torch.randn(batch, 24, 3, **kind)) @ prior
    sigma = torch.tensor([5.0, 8.0, 6.0][:views], dtype=dtype)
    cameras = Cameras.of(ring_of_cameras(views), sigma)
    seen = seen_by(cameras, points.pose(true).positions())
    sight = SightTerm(
        cameras,
        seen + torch.randn(seen.shape, **kind),
        (torch.rand(seen.shape[:-1], **kind) > 0.2).to(dtype),
        robust_scale,
    )
    nothing = torch.zeros(batch, 25, 3, dtype=dtype)
    return PoseProblem(
        points, nothing, nothing[..., 0], prior, precision, torch.zeros(batch, 3, dtype=dtype), sight=sight
    )


@pytest.mark.parametrize("robust_scale", [None, 20.0])
def test_the_gradient_equals_central_differences_of_the_cost(robust_scale: float | None) -> None:
    problem = problem_of(torch.float64, robust_scale=robust_scale)
    here = linearise(problem, problem.prior_rotmat, problem.prior_transl)
    h = 1e-6
    for index in range(75):
        step = torch.zeros(3, 75, dtype=torch.float64)
        step[:, index] = h
        up = cost_of(problem, *apply_step(problem.prior_rotmat, problem.prior_transl, step))
        down = cost_of(problem, *apply_step(problem.prior_rotmat, problem.prior_transl, -step))
        torch.testing.assert_close(2 * here.gradient[:, index], (up - down) / (2 * h), atol=1e-3, rtol=1e-5)


def test_the_normal_matrix_is_the_product_of_the_pixels_derivatives() -> None:
    problem = problem_of(torch.float64)
    assert problem.sight is not None
    here = linearise(problem, problem.prior_rotmat, problem.prior_transl)
    h = 1e-6
    columns = []
    for index in range(75):
        ends = []
        for sign in (1, -1):
            step = torch.zeros(3, 75, dtype=torch.float64)
            step[:, index] = sign * h
            rotmat, transl = apply_step(problem.prior_rotmat, problem.prior_transl, step)
            ends.append(problem.sight.residual(Frames.of(problem.points, rotmat, transl)))
        columns.append((ends[0] - ends[1]).flatten(1) / (2 * h))
    jacobian = torch.stack(columns, dim=-1)
    weights = problem.sight.weights[..., None].expand(-1, -1, -1, 2).flatten(1)
    expected = jacobian.mT @ (weights[..., None] * jacobian)
    expected[:, :72, :72] += problem.prior_precision
    expected[:, 72:, 72:] += problem.transl_precision * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(here.normal, expected, atol=1e-3, rtol=1e-6)


def test_two_cameras_are_the_sum_of_each() -> None:
    both = problem_of(torch.float64, robust_scale=20.0)
    sight = both.sight
    assert sight is not None
    frames = Frames.of(both.points, both.prior_rotmat, both.prior_transl)
    whole = sight.linearise(frames)
    parts = []
    for view in (slice(0, 1), slice(1, 2)):
        camera = Cameras(sight.cameras.rotation[view], sight.cameras.transl[view], sight.cameras.scale[view])
        parts.append(SightTerm(camera, sight.seen[:, view], sight.weights[:, view], 20.0).linearise(frames))
    torch.testing.assert_close(whole.cost, parts[0].cost + parts[1].cost)
    torch.testing.assert_close(whole.matrix, parts[0].matrix + parts[1].matrix)
    torch.testing.assert_close(whole.pull, parts[0].pull + parts[1].pull)


def test_betas_move_the_pixels_as_central_differences_say() -> None:
    problem = problem_of(torch.float64)
    folded, sight = problem.points.folded, problem.sight
    assert sight is not None
    rotmat, transl = problem.prior_rotmat, problem.prior_transl
    betas = torch.randn(10, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def cost(betas: torch.Tensor) -> torch.Tensor:
        return sight.cost(Frames.of(folded.shaped(betas[None]), rotmat, transl)).sum()

    gradient = sight.linearise(Frames.of(folded.shaped(betas[None]), rotmat, transl)).by_betas()[2]
    for index in range(10):
        step = torch.zeros(10, dtype=torch.float64)
        step[index] = 1e-5
        slope = (cost(betas + step) - cost(betas - step)) / 2e-5
        torch.testing.assert_close(2 * gradient[index], slope, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("robust_scale", [None, 20.0])
@pytest.mark.parametrize("views", [1, 3])
def test_the_machine_code_takes_the_same_steps(
    views: int, robust_scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = problem_of(torch.float32, views, robust_scale)
    options = LevenbergMarquardt(6, step_tolerance=0, cost_tolerance=0)
    start = problem.prior_rotmat, problem.prior_transl
    found = solve(problem, *start, options)
    monkeypatch.setattr("learnable_smplify.solver.frame.levenberg_marquardt.is_usable", lambda *tensors: False)
    expected = solve(problem, *start, options)
    torch.testing.assert_close(found.cost, expected.cost, rtol=1e-3, atol=1e-3)
    same = (found.cost / expected.cost - 1).abs() < 1e-4
    assert int(same.sum()) >= 13
    torch.testing.assert_close(found.rotmat[same], expected.rotmat[same], atol=2e-2, rtol=0)
    torch.testing.assert_close(found.distance[same], expected.distance[same], atol=2e-2, rtol=0)


def test_a_person_behind_the_lens_does_not_make_numbers_infinite() -> None:
    problem = problem_of(torch.float32)
    behind = torch.tensor([0.0, 0.0, 30.0]).expand(16, 3)
    found = solve(problem, problem.prior_rotmat, behind, LevenbergMarquardt())
    assert bool(torch.isfinite(found.transl).all())
    assert bool(torch.isfinite(found.rotmat).all())
