"""Where people of known pose stand, by what cameras see of them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.solver.frame.sight import SightTerm

# Nearer to the only camera than this nobody is put [m].
_NEAR = 0.5


def place_in_view(points: Float[Tensor, "B K 3"], sight: SightTerm) -> Float[Tensor, "B 3"]:
    """What to move people by [m], in least squares: every keypoint on the ray on which a camera sees it.

    With p = R_v (k + t) + t_v and rays u: p_x - u_x p_z = 0 and p_y - u_y p_z = 0, linear in t.
    """
    cameras = sight.cameras
    rays = sight.seen / cameras.scale[:, None]  # (B, V, K, 2)
    rows = cameras.rotation[:, None, :2] - rays[..., None] * cameras.rotation[:, None, 2:]  # (B, V, K, 2, 3)
    still = torch.einsum("vxy,bky->bvkx", cameras.rotation, points) + cameras.transl[:, None]
    right = rays * still[..., 2:] - still[..., :2]
    pull = sight.weights[..., None, None] * rows
    normal = torch.einsum("bvkax,bvkay->bxy", pull, rows) + 1e-6 * torch.eye(3, dtype=rows.dtype, device=rows.device)
    transl = torch.linalg.solve(normal, torch.einsum("bvkax,bvka->bx", pull, right))
    if len(cameras.scale) > 1:
        return transl
    # The only camera may be left behind by too few keypoints.
    axis = cameras.rotation[0, 2]
    depth = (points.mean(dim=1) + transl) @ axis + cameras.transl[0, 2]
    return transl + (_NEAR - depth).clamp(min=0)[:, None] * axis
