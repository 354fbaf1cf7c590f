"""Limbs turned to the other side of their joint: a picture shows a bone alike towards the camera and away from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.rotation import shortest_turn
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.view.hypotheses import Guess, problem_of
from learnable_smplify.solver.view.sweeps import solve_side_by_side

# Bones, from joint to joint.
_BONES = tuple(
    (JOINT_INDEX[f"{side}_{joint}"], JOINT_INDEX[f"{side}_{end}"])
    for joint, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    for side in ("left", "right")
)
# A bone that would come nearer or go farther by less than this [m] is not worth a try.
_LEAST = 0.08
_TRY = LevenbergMarquardt(10, step_tolerance=1e-3, initial_damping=1e-3)


def flipped(
    rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"], points: ShapedPoints
) -> tuple[Float[Tensor, "B L 24 3 3"], Bool[Tensor, "B L"]]:
    """Poses in the camera's frame with one bone on its other side, and whether that is somewhere else.

    The far joint goes along its ray to where it is as far from the near joint as before; what hangs on it keeps its
    direction.
    """
    posed = points.pose(rotmat)
    joints, world, parent = posed.joints + transl[:, None], posed.world_rotmat, posed.parent_rotmat
    poses, worth = [], []
    for near, far in _BONES:
        ray = torch.nn.functional.normalize(joints[:, far], dim=-1)
        along = 2 * ((joints[:, near] - joints[:, far]) * ray).sum(-1, keepdim=True)
        bone = joints[:, far] - joints[:, near]
        turned = shortest_turn(bone, bone + along * ray) @ world[:, near]
        pose = rotmat.clone()
        pose[:, near] = parent[:, near].mT @ turned
        pose[:, far] = turned.mT @ world[:, far]
        poses.append(pose)
        worth.append(along[:, 0].abs() > _LEAST)
    return torch.stack(poses, dim=1), torch.stack(worth, dim=1)


def best_sides(
    best: Guess,
    cost: Float[Tensor, " B"],
    points: ShapedPoints,
    sight: SightTerm,
    priors: Priors,
) -> Guess:
    """Every bone tried on its other side, one at a time; what explains a frame best is kept.

    Args:
        best, cost: solved poses of B frames and what they cost, without what does not hang on the pose.
    """
    poses, worth = flipped(best.rotmat, best.transl, points)
    frame, bone = worth.nonzero(as_tuple=True)
    if len(frame) == 0:
        return best
    tried = replace(best.select(frame), rotmat=poses[frame, bone])
    problem = problem_of(tried, points.select(frame), sight.select(frame), priors)
    found = solve_side_by_side(problem, tried.rotmat, tried.transl, _TRY)
    costs = torch.full(worth.shape, torch.inf, dtype=cost.dtype, device=cost.device)
    costs[frame, bone] = found.cost
    least = costs.min(dim=1)
    rows = torch.full(worth.shape, 0, device=cost.device)
    rows[frame, bone] = torch.arange(len(frame), device=cost.device)
    at = rows[torch.arange(len(cost), device=cost.device), least.indices]
    better = least.values < cost
    rotmat = torch.where(better[:, None, None, None], found.rotmat[at], best.rotmat)
    transl = torch.where(better[:, None], found.transl[at], best.transl)
    return replace(best, rotmat=rotmat, transl=transl)
