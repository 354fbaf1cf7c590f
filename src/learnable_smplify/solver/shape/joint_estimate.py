"""One set of betas for a person, estimated from many frames together with their poses.

Gauss-Newton on all poses and the shared unknowns of the shape (betas, and a detector's errors where `detector` made
them); the poses are eliminated frame by frame (Schur complement), so the work is linear in the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.levenberg_marquardt import Linearised, PoseProblem, cost_of, linearise
from learnable_smplify.solver.frame.terms import Frames, apply_step
from learnable_smplify.solver.shape.prior import ShapePrior

_FIRST_DAMPING, _COST_TOLERANCE = 1e-3, 1e-4


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """Where the search ended.

    Args:
        shape: (S,) the shape's unknowns; the first ten are betas.
        rotmat, transl: of the frames.
        cost: the whole cost.
        error: root mean square of the weighted keypoint errors: 1 where they are as large as the weights say.
        problem: the frames with the points of `shape`.
    """

    shape: Float[Tensor, " S"]
    rotmat: Float[Tensor, "B 24 3 3"]
    transl: Float[Tensor, "B 3"]
    cost: Tensor
    error: float
    problem: PoseProblem

    def precision(self, prior: ShapePrior) -> Float[Tensor, "S S"]:
        """Of the shape's unknowns when nothing is known of the poses but the frames."""
        reduced, _ = _eliminated(linearise(self.problem, self.rotmat, self.transl), self.shape, prior, None)
        return reduced


def refine_betas(
    folded: FoldedPoints,
    problem: PoseProblem,
    rotmat: Float[Tensor, "B 24 3 3"],
    transl: Float[Tensor, "B 3"],
    shape: Float[Tensor, " S"],
    prior: ShapePrior,
    iterations: int = 10,
) -> ShapeFit:
    """Unknowns of the shape that, together with the best poses, explain B frames of one person.

    Args:
        folded: the layout's keypoints on the body.
        problem: the frames (its `points` are replaced as the shape moves).
        rotmat, transl: poses to start from.
        shape: to start from.
        prior: over the shape. A recording's keypoint errors are mostly the same in every frame (a detector's elbow is
            not the skeleton's), so more frames do not make a shape more certain, and the prior's weight must grow with
            them.
    """
    problem = replace(problem, points=folded.shaped(shape[None]))
    total = cost_of(problem, rotmat, transl).sum() + prior.cost(shape)
    damping = Damping.first(_FIRST_DAMPING, total)
    for _ in range(iterations):
        here = linearise(problem, rotmat, transl)
        step_shape, step_pose, foretold = _joint_step(here, shape, prior, damping.value)
        new_shape = shape + step_shape
        new_problem = replace(problem, points=folded.shaped(new_shape[None]))
        new_rotmat, new_transl = apply_step(rotmat, transl, step_pose)
        new_total = cost_of(new_problem, new_rotmat, new_transl).sum() + prior.cost(new_shape)
        gained = total - new_total
        better = gained > 0  # False for NaN too
        damping = damping.after(better, ~better, gained, foretold)
        if bool(better):
            settled = bool(gained < _COST_TOLERANCE * total)
            shape, problem, rotmat, transl, total = new_shape, new_problem, new_rotmat, new_transl, new_total
            if settled:
                break
        elif bool(damping.is_stuck()):
            break
    frames, keypoints = Frames.of(problem.points, rotmat, transl), problem.terms()[0]
    return ShapeFit(shape, rotmat, transl, total, keypoints.misfit(frames), problem)


def _joint_step(here: Linearised, shape: Tensor, prior: ShapePrior, damping: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The damped step of the shape and of poses, and by how much the quadratic says that it lowers the cost."""
    reduced, (right, by_pose, damped, gradient) = _eliminated(here, shape, prior, damping)
    damped_shape = damping * reduced.diagonal()
    step_shape = -torch.linalg.solve(reduced + damped_shape.diag(), right)
    step_pose = -by_pose[..., -1] - by_pose[..., :-1] @ step_shape
    foretold = foretold_gain(step_pose, here.gradient, damped).sum()
    return step_shape, step_pose, foretold + foretold_gain(step_shape, gradient, damped_shape)


def _eliminated(
    here: Linearised, shape: Tensor, prior: ShapePrior, damping: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The shape's Gauss-Newton matrix with the poses eliminated; and what a step needs: the reduced right-hand side,
    the poses' solutions, their damping, and the shape's own gradient."""
    mixed, from_keypoints, pull = here.keypoints.by_betas()
    from_prior, prior_pull = prior.quadratic(shape)
    gradient = pull + prior_pull
    normal = here.normal.clone()
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    damped = torch.zeros_like(diagonal) if damping is None else damping * diagonal
    diagonal.add_(damped)
    factor = torch.linalg.cholesky(normal)
    by_pose = torch.cholesky_solve(torch.cat((mixed, here.gradient[..., None]), dim=-1), factor)
    reduced = from_keypoints + from_prior - torch.einsum("bns,bnr->sr", mixed, by_pose[..., :-1])
    right = gradient - torch.einsum("bns,bn->s", mixed, by_pose[..., -1])
    return reduced, (right, by_pose, damped, gradient)
