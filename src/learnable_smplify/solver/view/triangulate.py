"""Points in space from what several cameras saw of them: where a search in pixels starts."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.solver.view.observed import Observed

# A view that shows a point farther [rad] from where it is does not count for it, ...
_FAR_ANGLE = 0.03
# ... and cameras that see a point from the same side [cosine between their rays] do not place it.
_SAME_SIDE = 0.9995


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
    count, views = confidence.shape
    rays, weight = torch.where(confidence[..., None] > 0, rays, 0.0).double(), confidence.double()
    # Rows of the direct linear transform: (u r_3 - r_1) x = t_1 - u t_3, likewise for v.
    rotation, transl = rotation.double(), transl.double()
    rows = rays[..., None] * rotation[None, :, 2:, :] - rotation[None, :, :2, :]  # (N, V, 2, 3)
    right = transl[None, :, :2] - rays * transl[None, :, 2:]

    # Views first: sums over some of them are then sums of slices.
    normals = (rows.mT @ rows).movedim(1, 0)  # (V, N, 3, 3)
    pulls = (rows.mT @ right[..., None])[..., 0].movedim(1, 0)  # (V, N, 3)
    least = 1e-9 * torch.eye(3, dtype=rows.dtype)

    def missed(points: Float[Tensor, "N 3"]) -> Float[Tensor, "N V"]:
        local = torch.einsum("vxy,ny->nvx", rotation, points) + transl
        error = (local[..., :2] / local[..., 2:] - rays).norm(dim=-1)
        return torch.where((local[..., 2] > 0) & (weight > 0), error, torch.inf)

    directions = torch.nn.functional.normalize(torch.nn.functional.pad(rays, (0, 1), value=1.0), dim=-1)
    directions = torch.einsum("vyx,nvy->nvx", rotation, directions)
    best_score = torch.full((count,), torch.inf, dtype=torch.float64)
    best = torch.full((count, 3), torch.nan, dtype=torch.float64)
    for first, second in itertools.combinations(range(views), 2):
        apart = (directions[:, first] * directions[:, second]).sum(-1) < _SAME_SIDE
        usable = (weight[:, first] > 0) & (weight[:, second] > 0) & apart
        points = torch.linalg.solve(normals[first] + normals[second] + least, pulls[first] + pulls[second])
        score = (weight * missed(points).clamp(max=_FAR_ANGLE).square()).nansum(-1)
        better = usable & (score < best_score)
        best_score, best = torch.where(better, score, best_score), torch.where(better[:, None], points, best)
    agree = weight * (missed(best.nan_to_num()) < _FAR_ANGLE)
    enough = (agree > 0).sum(-1) >= 2
    normal = (agree.T[..., None, None] * normals).sum(0) + least
    points = torch.linalg.solve(normal, (agree.T[..., None] * pulls).sum(0))
    points = torch.where((enough & torch.isfinite(best_score))[:, None], points, torch.nan)
    confidence = agree.sum(-1) / (agree > 0).sum(-1).clamp(min=1)
    return points.float(), torch.where(torch.isfinite(points[:, 0]), confidence, 0.0).float()


def placed_points(observed: Observed) -> tuple[Float[Tensor, "T K 3"], Float[Tensor, "T K"]]:
    """Positions of all keypoints that two cameras agree on [m], 0 elsewhere; and their confidence."""
    frames, views, count = observed.confidence.shape
    rays, trust = (part.transpose(1, 2).flatten(0, 1) for part in (observed.rays, observed.confidence))
    cameras = observed.sight(torch.ones(views), None).cameras
    points, sure = triangulate(rays.cpu(), trust.cpu(), cameras.rotation, cameras.transl)
    device = observed.pixels.device
    return points.nan_to_num().unflatten(0, (frames, count)).to(device), sure.unflatten(0, (frames, count)).to(device)
