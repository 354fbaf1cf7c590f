"""Points in space from what several cameras saw of them: where a search in pixels starts."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.kernels.convert import arrays
from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.rays import Rays, camera_centres, meeting, world_directions
from learnable_smplify.threads import map_chunks

# A view that shows a point farther [rad] from where it is does not count for it, ...
_FAR_ANGLE = 0.03
# ... and cameras that see a point from the same side [cosine between their rays] do not place it.
_SAME_SIDE = 0.9995
# Points that a thread places at once.
_CHUNK = 1024


def triangulate(
    rays: Float[Tensor, "N V 2"],
    confidence: Float[Tensor, "N V"],
    rotation: Float[Tensor, "V 3 3"],
    transl: Float[Tensor, "V 3"],
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Robust triangulation: every pair of cameras places the point, the place that most views agree with is kept.

    Args:
        rays: (x / z, y / z) of N points in V cameras' frames.
        confidence: 0 = not seen.
        rotation, transl: world to camera [m].

    Returns:
        points [m], NaN where fewer than two views agree, and their confidence: the mean over the views that agree.
    """
    trust = confidence.double().T.contiguous()
    towards = world_directions(torch.where(confidence[..., None] > 0, rays, 0.0).double(), rotation.double())
    centres = camera_centres(rotation.double(), transl.double())
    middle = centres.mean(0)

    def placed(rows: slice) -> tuple[Tensor, Tensor]:
        return _placed(towards[..., rows].contiguous(), trust[:, rows].contiguous(), centres - middle)

    slices = [slice(first, first + _CHUNK) for first in range(0, trust.shape[1], _CHUNK)]
    points, sure = zip(*map_chunks(placed, slices, trust.device), strict=True)
    return (torch.cat(points, dim=1).T + middle).float(), torch.cat(sure).float()


def _placed(
    towards: Float[Tensor, "3 V N"], trust: Float[Tensor, "V N"], centres: Float[Tensor, "V 3"]
) -> tuple[Float[Tensor, "3 N"], Float[Tensor, " N"]]:
    if is_usable(towards, trust, centres, any_precision=True):
        from learnable_smplify.solver.rays.ray_kernels import place_points

        points, sure = torch.zeros_like(towards[:, 0]), torch.empty_like(trust[0])
        place_points(*arrays(towards, trust, centres), _FAR_ANGLE, _SAME_SIDE, *arrays(points, sure))
        return points, sure
    views, count = trust.shape
    every = Rays(towards, centres.T[..., None])
    each = [every.select(slice(view, view + 1)) for view in range(views)]
    best_score = torch.full((count,), torch.inf, dtype=trust.dtype)
    best = [torch.zeros(count, dtype=trust.dtype) for _ in range(3)]
    for first in range(views - 1):
        others = every.select(slice(first + 1, None))
        same = (each[first].direction * others.direction).sum(0)
        usable = (trust[first] > 0) & (trust[first + 1 :] > 0) & (same < _SAME_SIDE)
        pull = torch.ones_like(trust[first + 1 :])
        places = meeting([each[first], others], [pull, pull])
        score = sum(trust[view] * each[view].angle(places).clamp(max=_FAR_ANGLE).square() for view in range(views))
        score, which = torch.where(usable, score, torch.inf).min(dim=0)
        better = score < best_score
        best_score = torch.where(better, score, best_score)
        best = [torch.where(better, new.gather(0, which[None])[0], old) for new, old in zip(places, best, strict=True)]
    x, y, z = best
    agree = trust * (every.angle((x, y, z)) < _FAR_ANGLE)
    enough = ((agree > 0).sum(0) >= 2) & torch.isfinite(best_score)
    pulls = agree / every.squared_distance((x, y, z))  # angles are what cameras are off by
    points = torch.cat(meeting(each, [pull[None] for pull in pulls]))
    sure = agree.sum(0) / (agree > 0).sum(0).clamp(min=1)
    return torch.where(enough, points, torch.nan), torch.where(enough, sure, 0.0)


def placed_points(observed: Observed) -> tuple[Float[Tensor, "T K 3"], Float[Tensor, "T K"]]:
    """Positions of all keypoints that two cameras agree on [m], 0 elsewhere; and their confidence."""
    frames, _, count = observed.confidence.shape
    rays, trust = (part.transpose(1, 2).flatten(0, 1) for part in (observed.rays, observed.confidence))
    cameras = observed.sight().cameras
    points, sure = triangulate(rays.cpu(), trust.cpu(), cameras.rotation.cpu(), cameras.transl.cpu())
    device = observed.pixels.device
    return points.nan_to_num().unflatten(0, (frames, count)).to(device), sure.unflatten(0, (frames, count)).to(device)
