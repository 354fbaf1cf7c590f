"""One set of betas for a person, estimated from many frames together with their poses.

Gauss-Newton on all poses and the shared betas; the poses are eliminated frame by frame (Schur complement), so the work
is linear in the number of frames.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.levenberg_marquardt import Linearised, PoseProblem, cost_of, linearise
from learnable_smplify.solver.frame.terms import Frames, apply_step

_FIRST_DAMPING, _COST_TOLERANCE = 1e-3, 1e-4


def refine_betas(
    folded: FoldedPoints,
    problem: PoseProblem,
    rotmat: Float[Tensor, "B 24 3 3"],
    transl: Float[Tensor, "B 3"],
    betas: Float[Tensor, "10"],
    shape_weight: float = 1.0,
    iterations: int = 10,
) -> tuple[Float[Tensor, "10"], float]:
    """Betas that, together with the best poses, explain B frames of one person; and what they leave unexplained.

    The second result is the root mean square of the weighted keypoint errors: 1 where they are as large as the
    weights say.

    Args:
        folded: the layout's keypoints on the body.
        problem: the frames (its `points` are replaced as betas move).
        rotmat, transl: poses to start from.
        betas: betas to start from.
        shape_weight: weight of the betas' standard normal prior, per frame. A recording's keypoint errors are mostly
            the same in every frame (a detector's elbow is not the skeleton's), so more frames do not make betas
            more certain, and the prior must grow with them.
    """
    shape_precision = shape_weight * rotmat.shape[0]
    problem = replace(problem, points=folded.shaped(betas[None]))
    total = cost_of(problem, rotmat, transl).sum() + shape_precision * betas.square().sum()
    damping = Damping.first(_FIRST_DAMPING, total)
    for _ in range(iterations):
        here = linearise(problem, rotmat, transl)
        step_betas, step_pose, foretold = _joint_step(here, betas, shape_precision, damping.value)
        new_betas = betas + step_betas
        new_problem = replace(problem, points=folded.shaped(new_betas[None]))
        new_rotmat, new_transl = apply_step(rotmat, transl, step_pose)
        new_total = cost_of(new_problem, new_rotmat, new_transl).sum()
        gained = total - new_total - shape_precision * new_betas.square().sum()
        better = gained > 0  # False for NaN too
        damping = damping.after(better, ~better, gained, foretold)
        if bool(better):
            settled = bool(gained < _COST_TOLERANCE * total)
            betas, problem, rotmat, transl, total = new_betas, new_problem, new_rotmat, new_transl, total - gained
            if settled:
                break
        elif bool(damping.is_stuck()):
            break
    frames, keypoints = Frames.of(problem.points, rotmat, transl), problem.terms()[0]
    squared = keypoints.residual(frames).square().sum(-1)
    weights = keypoints.weights * keypoints.trust(squared)
    mean = (weights * squared).sum() / (3 * (weights > 0).sum()).clamp(min=1)
    return betas, float(mean.sqrt())


def _joint_step(
    here: Linearised, betas: Tensor, shape_precision: float, damping: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The damped step of betas and of poses, and by how much the quadratic says that it lowers the cost."""
    mixed, shape_normal, shape_gradient = here.keypoints.by_betas()
    shape_gradient = shape_gradient + shape_precision * betas

    normal = here.normal.clone()
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    damped = damping * diagonal
    diagonal.add_(damped)
    factor = torch.linalg.cholesky(normal)
    by_pose = torch.cholesky_solve(torch.cat((mixed, here.gradient[..., None]), dim=-1), factor)
    identity = torch.eye(len(betas), dtype=betas.dtype, device=betas.device)
    reduced = shape_normal + shape_precision * identity - torch.einsum("bns,bnr->sr", mixed, by_pose[..., :-1])
    right = shape_gradient - torch.einsum("bns,bn->s", mixed, by_pose[..., -1])
    damped_betas = damping * reduced.diagonal()
    step_betas = -torch.linalg.solve(reduced + damped_betas.diag(), right)
    step_pose = -by_pose[..., -1] - by_pose[..., :-1] @ step_betas
    foretold = foretold_gain(step_pose, here.gradient, damped).sum()
    return step_betas, step_pose, foretold + foretold_gain(step_betas, shape_gradient, damped_betas)
