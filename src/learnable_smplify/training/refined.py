"""The hybrid's answer with gradients, so that a network is trained for what comes out after the Gauss-Newton steps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints, pose_derivative
from learnable_smplify.network.pose_mlp import PassOutput, PoseMlp
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseProblem, solve
from learnable_smplify.solver.hybrid import best_transl, prior_precision

_LARGEST_TURN = 0.5  # [rad]
_WITHOUT_GRADIENTS = LevenbergMarquardt(2, step_tolerance=0, cost_tolerance=0, initial_damping=1e-6)


def refined_rotmat(
    points: ShapedPoints,
    network: PoseMlp,
    output: PassOutput,
    keypoints: Float[Tensor, "B 25 3"],
    confidence: Float[Tensor, "B 25"],
) -> Float[Tensor, "B 24 3 3"]:
    """Local rotations after Gauss-Newton steps from the network's answer: two, and a third for the gradients.

    The first two are taken without gradients, and lead to the minimum but for a rest. The third, -H^-1 (J^T W r + P e)
    there, carries the gradients of the weights W, the precision P and the mean in e; H, J and r are constants. That is
    the gradient of the minimum itself by the implicit function theorem, less the curvature terms that Gauss-Newton
    leaves out as well. (After one step r is still mostly what that step left undone, and its gradients mislead.)

    Args:
        points: the people.
        network: whose `stiffness` belongs to `output`.
        output: of the last pass.
        keypoints, confidence: as measured, metres.
    """
    weights = confidence / output.weight_sigma.square()
    precision = prior_precision(network, output)
    mean = output.rotmat
    with torch.no_grad():
        middle = mean.detach()  # compiled code takes no tensor that wants gradients
        transl = best_transl(points, middle, keypoints, weights.detach())
        problem = PoseProblem(points, keypoints, weights.detach(), middle, precision.detach(), transl)
        near = solve(problem, middle, transl, _WITHOUT_GRADIENTS)
        posed = points.pose(near.rotmat)
        residual = posed.positions() + near.transl[:, None] - keypoints
        jacobian = pose_derivative(posed).flatten(1, 2)
        identity = torch.eye(3, dtype=mean.dtype, device=mean.device).repeat(keypoints.shape[1], 1)
        jacobian = torch.cat((jacobian, identity.expand(len(mean), -1, -1)), dim=2)  # (B, 3 K, 75)
        prior = torch.nn.functional.pad(precision, (0, 3, 0, 3))
        prior.diagonal(dim1=-2, dim2=-1)[:, 72:] = problem.transl_precision
        rows = weights.repeat_interleave(3, dim=1)[..., None]
        normal = jacobian.mT @ (rows * jacobian) + prior
        factor, failed = torch.linalg.cholesky_ex(normal)
        solvable = (failed == 0)[:, None, None]
        factor = torch.where(solvable, factor, torch.eye(75, dtype=factor.dtype, device=factor.device))
        pull_transl = problem.transl_precision * (near.transl - transl)
    by_keypoints = (jacobian.mT @ (residual * weights[..., None]).flatten(1)[..., None])[..., 0]
    error = rotmat_to_rotvec(near.rotmat @ mean.mT).flatten(1)
    by_prior = torch.cat(((precision @ error[..., None])[..., 0], pull_transl), dim=1)
    step = -torch.cholesky_solve(solvable * (by_keypoints + by_prior)[..., None], factor)[..., 0]
    turn = step[:, :72].unflatten(-1, (24, 3))
    # A step that goes further than the equations hold for is one that the solver would have refused.
    largest = turn.detach().norm(dim=-1).amax(1).clamp(min=_LARGEST_TURN)
    return rotvec_to_rotmat(turn * (_LARGEST_TURN / largest)[:, None, None]) @ near.rotmat
