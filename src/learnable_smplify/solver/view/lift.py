"""One camera, and a detector that guesses in space as well: its guesses are put where the picture shows them.

MediaPipe's world landmarks are metric and about the hips, in the axes of a camera that looks straight at the person.
Turned to where the person is in the picture, and put at the distance at which they look as large as they are, they are
3D keypoints in the camera's frame: good in shape, poor in depth.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.camera import Camera
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import shortest_turn

_ROUNDS = 6
# A keypoint that is farther from where it should be than this, in multiples of the median, loses its pull.
_ROBUST = 3.0
# Fewer keypoints do not place a person.
_FEWEST = 5


def lifted(keypoints: Keypoints2D, world: Float[Tensor, "T K 3"], camera: Camera) -> Keypoints:
    """Keypoints in the camera's frame [m].

    Args:
        keypoints: what the camera saw.
        world: the detector's guess, see `Track`.
        camera: for its lens.
    """
    rays = camera.rays(keypoints.pixels)
    there = torch.isfinite(rays).all(-1) & torch.isfinite(world).all(-1)
    trust = torch.where(there, keypoints.confidence.double(), 0.0)
    rays = torch.where(there[..., None], rays, 0.0)
    turned = torch.where(there[..., None], world.double(), 0.0) @ _towards(_middle(rays, trust, keypoints)).mT
    # u (z + t_z) = x + t_x, likewise for v: linear in where the hips are.
    rows = torch.zeros(*trust.shape, 2, 3, dtype=torch.float64)
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., :, 2] = -rays
    right = rays * turned[..., 2:] - turned[..., :2]
    weight = trust
    place = torch.zeros(len(trust), 3, dtype=torch.float64)
    for _ in range(_ROUNDS):
        normal = torch.einsum("tk,tkax,tkay->txy", weight, rows, rows) + 1e-9 * torch.eye(3, dtype=torch.float64)
        place = torch.linalg.solve(normal, torch.einsum("tk,tkax,tka->tx", weight, rows, right))
        away = (torch.einsum("tkax,tx->tka", rows, place) - right).norm(dim=-1)
        usual = torch.where(trust > 0, away, torch.nan).nanmedian(dim=1, keepdim=True).values.clamp(min=1e-4)
        weight = trust / (1 + (away / (_ROBUST * usual)).square()).square()
    good = ((trust > 0).sum(1) >= _FEWEST) & (place[:, 2] > 0.2) & torch.isfinite(place).all(-1)
    positions = torch.where((there & good[:, None])[..., None], turned + place[:, None], torch.nan)
    return Keypoints(positions.float(), keypoints.layout, keypoints.fps, keypoints.confidence)


def _middle(rays: Float[Tensor, "T K 2"], trust: Float[Tensor, "T K"], keypoints: Keypoints2D) -> Float[Tensor, "T 2"]:
    """The ray that the detector looked along: to the middle of the hips, else of all keypoints."""
    layout = load_layout(keypoints.layout)
    hips = [index for name in ("left_hip", "right_hip") if (index := layout.index_of_point(name)) is not None]
    every = (trust[..., None] * rays).sum(1) / trust.sum(1).clamp(min=1e-9)[:, None]
    if len(hips) < 2:
        return every
    seen = (trust[:, hips] > 0).all(dim=1)
    return torch.where(seen[:, None], rays[:, hips].mean(dim=1), every)


def _towards(ray: Float[Tensor, "T 2"]) -> Float[Tensor, "T 3 3"]:
    """Rotations that take the camera's axis to a ray, by the shortest way."""
    direction = torch.nn.functional.pad(ray, (0, 1), value=1.0)
    return shortest_turn(direction.new_tensor([0.0, 0.0, 1.0]).expand_as(direction), direction)
