"""One set of betas for a person, estimated from many frames together with their poses.

Gauss-Newton on all poses and what all frames share (betas, a detector's errors where `detector` made them, habits); the
poses are eliminated frame by frame (Schur complement), so the work is linear in the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.levenberg_marquardt import Linearised, PoseProblem, cost_of, linearise
from learnable_smplify.solver.frame.terms import Frames, apply_step
from learnable_smplify.solver.shape.habit import Unknowns
from learnable_smplify.solver.shape.prior import ShapePrior

# Of the largest precision of a frame's pose, added where keypoints leave some of it free.
_RIDGE = 1e-4
_FIRST_DAMPING, _COST_TOLERANCE = 1e-3, 1e-4


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """Where the search ended.

    Args:
        unknowns: what the numbers of `shape` stand for.
        shape: (S,) the shape's unknowns; the first ten are betas.
        rotmat, transl: of the frames.
        cost: the whole cost.
        error: root mean square of the weighted keypoint errors: 1 where they are as large as the weights say.
        problem: the frames, of somebody without habits.
    """

    unknowns: Unknowns
    shape: Float[Tensor, " S"]
    rotmat: Float[Tensor, "B 24 3 3"]
    transl: Float[Tensor, "B 3"]
    cost: Tensor
    error: float
    problem: PoseProblem

    @property
    def placed(self) -> PoseProblem:
        """The frames with the points and the habits of `shape`."""
        return self.unknowns.placed(self.problem, self.shape)

    def precision(self, prior: ShapePrior) -> Float[Tensor, "S S"]:
        """Of the shape's unknowns when nothing is known of the poses but the frames."""
        return _eliminated(Near.of(self.unknowns, self.problem, self.rotmat, self.transl, self.shape), prior, None)[0]


@dataclass(frozen=True, eq=False)
class Near:
    """The frames at a point, and what their unknowns have to do with those that they share.

    Args:
        frames: cost and quadratic of the frames.
        mixed: (B, 75, S), with `own` (S, S) and `pull` (S,) what the frames say of the shared unknowns.
    """

    frames: Linearised
    shape: Float[Tensor, " S"]
    mixed: Float[Tensor, "B 75 S"]
    own: Float[Tensor, "S S"]
    pull: Float[Tensor, " S"]

    @staticmethod
    def of(unknowns: Unknowns, problem: PoseProblem, rotmat: Tensor, transl: Tensor, shape: Tensor) -> Near:
        placed = unknowns.placed(problem, shape)
        here = linearise(placed, rotmat, transl)
        by_points, by_habits = here.keypoints.by_betas(), unknowns.beside_poses(placed, rotmat)
        return Near(
            here,
            shape,
            torch.cat((by_points[0], by_habits[0]), dim=-1),
            torch.block_diag(by_points[1], by_habits[1]),
            torch.cat((by_points[2], by_habits[2])),
        )


def refine_betas(
    unknowns: Unknowns,
    problem: PoseProblem,
    rotmat: Float[Tensor, "B 24 3 3"],
    transl: Float[Tensor, "B 3"],
    shape: Float[Tensor, " S"],
    prior: ShapePrior,
    iterations: int = 10,
) -> ShapeFit:
    """What all frames share that, together with the best poses, explains B frames of one person.

    Args:
        unknowns: what they share.
        problem: the frames (its `points` are replaced as the shape moves, its prior as habits do).
        rotmat, transl: poses to start from.
        shape: to start from.
        prior: over the shape. A recording's keypoint errors are mostly the same in every frame (a detector's elbow is
            not the skeleton's), so more frames do not make a shape more certain, and the prior's weight must grow with
            them.
    """
    total = cost_of(unknowns.placed(problem, shape), rotmat, transl).sum() + prior.cost(shape)
    damping = Damping.first(_FIRST_DAMPING, total)
    for _ in range(iterations):
        here = Near.of(unknowns, problem, rotmat, transl, shape)
        step_shape, step_pose, foretold = _joint_step(here, prior, damping.value)
        new_shape = shape + step_shape
        new_rotmat, new_transl = apply_step(rotmat, transl, step_pose)
        moved = unknowns.placed(problem, new_shape)
        new_total = cost_of(moved, new_rotmat, new_transl).sum() + prior.cost(new_shape)
        gained = total - new_total
        better = gained > 0  # False for NaN too
        damping = damping.after(better, ~better, gained, foretold)
        if bool(better):
            settled = bool(gained < _COST_TOLERANCE * total)
            shape, rotmat, transl, total = new_shape, new_rotmat, new_transl, new_total
            if settled:
                break
        elif bool(damping.is_stuck()):
            break
    placed = unknowns.placed(problem, shape)
    misfit = placed.terms()[0].misfit(Frames.of(placed.points, rotmat, transl))
    return ShapeFit(unknowns, shape, rotmat, transl, total, misfit, problem)


def _joint_step(here: Near, prior: ShapePrior, damping: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The damped step of the shape and of poses, and by how much the quadratic says that it lowers the cost."""
    reduced, (right, by_pose, damped, gradient) = _eliminated(here, prior, damping)
    damped_shape = damping * reduced.diagonal()
    step_shape = -torch.linalg.solve(reduced + damped_shape.diag(), right)
    step_pose = -by_pose[..., -1] - by_pose[..., :-1] @ step_shape
    foretold = foretold_gain(step_pose, here.frames.gradient, damped).sum()
    return step_shape, step_pose, foretold + foretold_gain(step_shape, gradient, damped_shape)


def _eliminated(
    here: Near, prior: ShapePrior, damping: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The shape's Gauss-Newton matrix with the poses eliminated; and what a step needs: the reduced right-hand side,
    the poses' solutions, their damping, and the shape's own gradient."""
    from_prior, prior_pull = prior.quadratic(here.shape)
    gradient = here.pull + prior_pull
    normal = here.frames.normal.clone()
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    damped = torch.zeros_like(diagonal) if damping is None else damping * diagonal
    diagonal.add_(damped)
    factor, failed = torch.linalg.cholesky_ex(normal)
    if bool(failed.any()):  # all keypoints in one point say nothing of some directions
        diagonal.add_(_RIDGE * diagonal.amax(dim=-1, keepdim=True))
        factor = torch.linalg.cholesky(normal)
    by_pose = torch.cholesky_solve(torch.cat((here.mixed, here.frames.gradient[..., None]), dim=-1), factor)
    reduced = here.own + from_prior - torch.einsum("bns,bnr->sr", here.mixed, by_pose[..., :-1])
    right = gradient - torch.einsum("bns,bn->s", here.mixed, by_pose[..., -1])
    return reduced, (right, by_pose, damped, gradient)
