"""How an estimate is turned in the world of cameras that saw the same person, one rotation for all frames.

Each frame is placed by itself while the rotation is looked for, so that the estimator's guess of depth does not sway
it. Rotations all around are tried on some frames; the best are polished: keypoints drawn to the nearest points of their
rays, the estimate laid on them, and again.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.rotation import closest_rotmat, random_rotmats
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.view.place import place_in_view
from learnable_smplify.timeline import evenly

_TRIED, _FEW_FRAMES, _POLISHED, _FRAMES, _ROUNDS = 500, 10, 6, 64, 40
# A keypoint that is farther off than this [m] at the person's distance does not sway the rotation.
_FAR_M = 0.3


def find_turn(
    points: ShapedPoints, rotmat: Float[Tensor, "T 24 3 3"], sight: SightTerm, used: Bool[Tensor, " T"]
) -> Float[Tensor, "3 3"]:
    """R_world_estimate.

    Args:
        points: the person.
        rotmat: the estimate's local rotations.
        sight: what the cameras saw.
        used: frames that count.
    """
    known = used.nonzero()[:, 0]
    rows = known[evenly(len(known), _FRAMES).to(known)]
    few = rows[:: max(1, len(rows) // _FEW_FRAMES)]
    generator = torch.Generator().manual_seed(0)
    turns = torch.cat((torch.eye(3)[None], random_rotmats(_TRIED, generator))).to(rotmat)
    shape = points.pose(rotmat[few]).positions()
    scores = torch.stack([_miss(turn, shape, sight.select(few)) for turn in turns])
    best = turns[scores.argsort()[:_POLISHED]]
    shape, seen = points.pose(rotmat[rows]).positions(), sight.select(rows)
    polished = [_polished(turn, shape, seen) for turn in best]
    return min(polished, key=lambda turn: float(_miss(turn, shape, seen)))


def drawn_to_rays(points: Float[Tensor, "B K 3"], sight: SightTerm) -> Float[Tensor, "B V K 3"]:
    """The points of each keypoint's rays that are nearest to it [m]."""
    cameras = sight.cameras
    rays = torch.nn.functional.pad(sight.seen / cameras.scale[:, None], (0, 1), value=1.0)
    rays = torch.nn.functional.normalize(rays, dim=-1)
    local = torch.einsum("vxy,bky->bvkx", cameras.rotation, points) + cameras.transl[:, None]
    near = rays * (rays * local).sum(-1, keepdim=True)
    return torch.einsum("vyx,bvky->bvkx", cameras.rotation, near - cameras.transl[:, None])


def _placed(turn: Tensor, shape: Tensor, sight: SightTerm) -> tuple[Tensor, Tensor, Tensor]:
    """Turned keypoints, the points on their rays, and how far apart they are (B, V, K) [m]."""
    turned = shape @ turn.mT
    moved = turned + place_in_view(turned, sight)[:, None]
    drawn = drawn_to_rays(moved, sight)
    return moved, drawn, (drawn - moved[:, None]).norm(dim=-1)


def _miss(turn: Tensor, shape: Tensor, sight: SightTerm) -> Tensor:
    return (sight.weights * _placed(turn, shape, sight)[2].clamp(max=_FAR_M)).sum()


def _polished(turn: Tensor, shape: Tensor, sight: SightTerm) -> Float[Tensor, "3 3"]:
    for _ in range(_ROUNDS):
        moved, drawn, away = _placed(turn, shape, sight)
        weight = sight.weights * (away < _FAR_M)
        total = weight.sum((1, 2)).clamp(min=1e-9)[:, None]
        middle = (weight[..., None] * moved[:, None]).sum((1, 2)) / total
        target = (weight[..., None] * drawn).sum((1, 2)) / total
        pull = weight[..., None] * (drawn - target[:, None, None])
        cross = torch.einsum("bvkx,bky->xy", pull, moved - middle[:, None])
        turn = closest_rotmat(cross[None] + 1e-9 * torch.eye(3).to(cross))[0] @ turn
    return turn
