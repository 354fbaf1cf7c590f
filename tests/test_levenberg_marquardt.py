"""The solver's derivatives against finite differences of its cost, and its behaviour step by step."""

from __future__ import annotations

import pytest
import torch

from learnable_smplify.body import Body
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    cost_of,
    linearise,
    solve,
)
from learnable_smplify.solver.frame.terms import apply_step
from toy_body import toy_arrays


def toy_problem(batch: int = 3, spread: float = 0.3, robust_scale: float | None = None) -> PoseProblem:
    body = Body(toy_arrays(correctives=False))
    generator = torch.Generator().manual_seed(1)
    double = {"generator": generator, "dtype": torch.float64}
    prior_pose = torch.randn(batch, 24, 3, **double) * 0.5
    true_pose = prior_pose + torch.randn(batch, 24, 3, **double) * spread
    betas, transl = torch.randn(batch, 10, **double), torch.randn(batch, 3, **double)
    root = torch.randn(72, 72, **double) * 0.1
    return PoseProblem(
        points=body.folded("body25", dtype=torch.float64).shaped(betas),
        targets=body.keypoints(true_pose, betas, transl),
        weights=torch.rand(batch, 25, **double) * 100,
        prior_rotmat=rotvec_to_rotmat(prior_pose),
        prior_precision=root @ root.T + 1e-3 * torch.eye(72, dtype=torch.float64),
        prior_transl=transl + 0.1,
        transl_precision=0.5,
        robust_scale=robust_scale,
    )


@pytest.mark.parametrize("robust_scale", [None, 0.2])
def test_the_gradient_equals_central_differences_of_the_cost(robust_scale: float | None) -> None:
    problem = toy_problem(robust_scale=robust_scale)
    here = linearise(problem, problem.prior_rotmat, problem.prior_transl)
    h = 1e-6
    for index in range(75):
        step = torch.zeros(len(here.cost), 75, dtype=torch.float64)
        step[:, index] = h
        up = cost_of(problem, *apply_step(problem.prior_rotmat, problem.prior_transl, step))
        down = cost_of(problem, *apply_step(problem.prior_rotmat, problem.prior_transl, -step))
        torch.testing.assert_close(2 * here.gradient[:, index], (up - down) / (2 * h), atol=1e-5, rtol=1e-5)


def test_the_normal_matrix_is_the_product_of_the_point_jacobians() -> None:
    problem = toy_problem()
    here = linearise(problem, problem.prior_rotmat, problem.prior_transl)
    h = 1e-6
    columns = []
    for index in range(75):
        ends = []
        for sign in (1, -1):
            step = torch.zeros(len(here.cost), 75, dtype=torch.float64)
            step[:, index] = sign * h
            rotmat, transl = apply_step(problem.prior_rotmat, problem.prior_transl, step)
            ends.append(problem.points.pose(rotmat).positions() + transl[:, None])
        columns.append((ends[0] - ends[1]).flatten(1) / (2 * h))
    jacobian = torch.stack(columns, dim=-1)
    weights = problem.weights.repeat_interleave(3, dim=1)
    expected = jacobian.transpose(1, 2) @ (jacobian * weights[..., None])
    expected[:, :72, :72] += problem.prior_precision
    expected[:, 72:, 72:] += problem.transl_precision * torch.eye(3)
    torch.testing.assert_close(here.normal, expected, atol=1e-5, rtol=1e-5)


def test_every_problem_ends_no_higher_than_it_started_even_from_far_off() -> None:
    problem = toy_problem(batch=16, spread=2.0)
    before = cost_of(problem, problem.prior_rotmat, problem.prior_transl)
    result = solve(problem, problem.prior_rotmat, problem.prior_transl, LevenbergMarquardt(max_iterations=20))
    assert bool((result.cost <= before).all())
    torch.testing.assert_close(result.cost, cost_of(problem, result.rotmat, result.transl))


def test_a_problem_is_solved_the_same_alone_and_in_a_batch() -> None:
    problem = toy_problem(batch=5)
    options = LevenbergMarquardt(max_iterations=6)
    together = solve(problem, problem.prior_rotmat, problem.prior_transl, options)
    row = torch.tensor([3])
    alone = solve(problem.select(row), problem.prior_rotmat[row], problem.prior_transl[row], options)
    torch.testing.assert_close(together.rotmat[row], alone.rotmat)
    torch.testing.assert_close(together.transl[row], alone.transl)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_damping_falls_after_foretold_steps_and_grows_faster_with_every_refused_one(shape: tuple[int, ...]) -> None:
    one = torch.ones(shape)
    yes, no = one.bool(), ~one.bool()
    first = Damping.first(0.1, one)
    torch.testing.assert_close(first.after(yes, no, one, one).value, one * 0.1 / 9)
    torch.testing.assert_close(first.after(yes, no, 0.5 * one, one).value, one * 0.1)
    refused = first.after(no, yes, -one, one).after(no, yes, -one, one)
    torch.testing.assert_close(refused.value, one * 0.1 * 2 * 4)
    torch.testing.assert_close(refused.after(yes, no, one, one).growth, one * 2)
    untouched = refused.after(no, no, -one, one)
    assert torch.equal(untouched.value, refused.value)
    assert torch.equal(untouched.growth, refused.growth)


def test_the_foretold_gain_is_that_of_the_quadratic() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    gradient, damped = torch.randn(2, 2, 6, generator=generator, dtype=torch.float64).abs()
    normal = root @ root.mT
    step = -torch.linalg.solve(normal + damped.diag_embed(), gradient)
    expected = -(2 * gradient * step).sum(-1) - (step * (normal @ step[..., None])[..., 0]).sum(-1)
    torch.testing.assert_close(foretold_gain(step, gradient, damped), expected)
