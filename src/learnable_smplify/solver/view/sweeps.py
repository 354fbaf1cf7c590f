"""Keyframes seen by cameras, each against its pixels and near the middle of its neighbours.

    sum_t  sum_v sum_k w_vk rho(|p_vk(R_t) - y_tvk|)  +  |R_t - R_t-1|^2_P  +  |t_t - t_t-1|^2 / s^2  +  human

They are solved in two halves, even ones and odd ones, each between the two beside it (Gauss-Seidel): a half is a batch
of independent problems for the kernels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.rotation import rotmat_between
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    join_solutions,
    solve,
)
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.threads import map_chunks

# Problems that a thread takes at once.
_CHUNK = 32
# Weight of the pose prior in every frame; and what a person's place changes by [m/s].
POSE_WEIGHT, _SPEED = 0.2, 1.0
_TURN = LevenbergMarquardt(2, step_tolerance=1e-3)


def sweep(
    points: ShapedPoints,
    sight: SightTerm,
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Float[Tensor, "T 3"],
    priors: Priors,
    fps: float,
) -> tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "T 3"]]:
    """Rotations and places after one turn of all keyframes, from a start near them; `fps` of them a second."""
    frames = len(rotmat)
    rotmat, transl = rotmat.clone(), transl.clone()
    change = priors.change_over(1 / fps)
    held = 2 * (fps / _SPEED) ** 2
    for first in (0, 1):
        rows = torch.arange(first, frames, 2, device=rotmat.device)
        if len(rows) == 0:
            continue
        before, after = _beside(rows, frames)
        middle = rotmat_between(rotmat[before], rotmat[after], 0.5)
        mean, precision = priors.and_human(middle, 2 * change, POSE_WEIGHT)
        problem = sight_problem(points, sight.select(rows), mean, precision, (transl[before] + transl[after]) / 2, held)
        found = solve_side_by_side(problem, rotmat[rows], transl[rows], _TURN)
        rotmat[rows], transl[rows] = found.rotmat, found.transl
    return rotmat, transl


def sight_problem(
    points: ShapedPoints,
    sight: SightTerm,
    mean: Float[Tensor, "B 24 3 3"],
    precision: Float[Tensor, "*B 72 72"],
    transl: Float[Tensor, "B 3"],
    transl_precision: float = 1e-2,
) -> PoseProblem:
    """People seen by cameras, with a prior about a pose and a place."""
    nothing = transl.new_zeros(len(transl), sight.seen.shape[2], 3)
    return PoseProblem(
        points, nothing, nothing[..., 0], mean, precision, transl, transl_precision=transl_precision, sight=sight
    )


def solve_side_by_side(
    problem: PoseProblem, rotmat: Tensor, transl: Tensor, options: LevenbergMarquardt
) -> PoseSolution:
    """`solve`, on as many threads as there are."""
    chunks = list(torch.arange(len(rotmat), device=rotmat.device).split(_CHUNK))
    return join_solutions(
        map_chunks(lambda rows: solve(problem.select(rows), rotmat[rows], transl[rows], options), chunks, rotmat.device)
    )


def _beside(rows: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """The frames before and after; at the ends, the only neighbour twice."""
    before, after = rows - 1, rows + 1
    before, after = torch.where(before < 0, after, before), torch.where(after >= frames, before, after)
    return before.clamp(0, frames - 1), after.clamp(0, frames - 1)
