"""The hybrid's answer with gradients: the solver's own steps, and derivatives that finite differences agree with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.network.pose_mlp import PassOutput, PoseMlp, PoseMlpConfig
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseProblem, solve
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.hybrid import best_transl, prior_precision
from learnable_smplify.training.refined import refined_rotmat

PEOPLE = 4


@pytest.fixture(scope="module")
def scene() -> tuple[PoseMlp, PassOutput, torch.Tensor, torch.Tensor]:
    """A network with a stiffness, its answer near a pose, the pose's keypoints and their confidence."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = PoseMlp(PoseMlpConfig(width=16, blocks=1))
    with torch.no_grad():
        network.stiffness.add_(0.1 * torch.randn(66, 66))
    truth = load_priors().poses_of(torch.randn(PEOPLE, 69, generator=generator))
    mean = truth @ rotvec_to_rotmat(0.05 * torch.randn(PEOPLE, 24, 3, generator=generator))
    mean[:, 22:] = truth[:, 22:]
    output = PassOutput(
        rotmat=mean,
        sigma=torch.full((PEOPLE, 22), 0.05),
        keypoint_sigma=torch.full((PEOPLE, 25), 0.01),
        stiffness_sigma=0.05 + 0.1 * torch.rand(PEOPLE, 66, generator=generator),
        weight_sigma=0.005 + 0.01 * torch.rand(PEOPLE, 25, generator=generator),
        memory=None,
    )
    points = load_body().folded("body25").shaped(torch.zeros(PEOPLE, 10))
    keypoints = points.pose(truth).positions()
    confidence = (torch.rand(PEOPLE, 25, generator=generator) > 0.2).float()
    return network, output, keypoints, confidence


def answer(network: PoseMlp, output: PassOutput, keypoints: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    points = load_body().folded("body25").shaped(torch.zeros(PEOPLE, 10))
    return refined_rotmat(points, network, output, keypoints, confidence)


def test_it_is_what_the_solver_finds(scene: tuple) -> None:
    network, output, keypoints, confidence = scene
    points = load_body().folded("body25").shaped(torch.zeros(PEOPLE, 10))
    weights = confidence / output.weight_sigma.square()
    precision = prior_precision(network, output).detach()
    transl = best_transl(points, output.rotmat, keypoints, weights)
    problem = PoseProblem(points, keypoints, weights, output.rotmat, precision, transl)
    wanted = solve(problem, output.rotmat, transl, LevenbergMarquardt(3, 0, 0, 1e-6))
    turned = rotmat_to_rotvec(answer(*scene) @ wanted.rotmat.mT).norm(dim=-1)
    assert float(turned.max()) < 1e-3


@pytest.mark.parametrize("part", ["stiffness_sigma", "weight_sigma"])
def test_gradients_of_the_sigmas_are_finite_differences(scene: tuple, part: str) -> None:
    network, output, keypoints, confidence = scene
    probe = torch.randn(PEOPLE, 24, 3, 3, generator=torch.Generator().manual_seed(3))
    value = getattr(output, part).clone().requires_grad_(True)
    total = (answer(network, replace(output, **{part: value}), keypoints, confidence) * probe).sum()
    (gradient,) = torch.autograd.grad(total, value)
    way = torch.randn(value.shape, generator=torch.Generator().manual_seed(4)) * value.detach()
    ends = [
        float(
            (
                answer(network, replace(output, **{part: value.detach() + step * way}), keypoints, confidence) * probe
            ).sum()
        )
        for step in (0.03, -0.03)
    ]
    assert float((gradient * way).sum()) == pytest.approx((ends[0] - ends[1]) / 0.06, rel=0.1, abs=2e-3)


def test_gradients_of_the_mean_are_what_the_keypoints_leave_of_it(scene: tuple) -> None:
    network, output, keypoints, confidence = scene
    probe = torch.randn(PEOPLE, 24, 3, 3, generator=torch.Generator().manual_seed(3))
    turn = torch.zeros(PEOPLE, 24, 3, requires_grad=True)
    way = 0.3 * torch.randn(PEOPLE, 24, 3, generator=torch.Generator().manual_seed(4))
    way[:, 22:] = 0

    def found(by: torch.Tensor) -> torch.Tensor:
        moved = replace(output, rotmat=rotvec_to_rotmat(by) @ output.rotmat)
        return (answer(network, moved, keypoints, confidence) * probe).sum()

    (gradient,) = torch.autograd.grad(found(turn), turn)
    slope = (float(found(0.01 * way)) - float(found(-0.01 * way))) / 0.02
    assert float((gradient * way).sum()) == pytest.approx(slope, rel=0.1, abs=2e-2)
