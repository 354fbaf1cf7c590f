"""The loss of one pass: rotations, points on the body, and how honest the predicted uncertainties are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, PassOutput
from learnable_smplify.training.config import LossWeights

# Surface points that stand for the mesh in the loss, spread evenly by farthest-point sampling.
_SURFACE_POINTS = 96
_KEYPOINT_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class PassLoss:
    """The weighted sum, and its parts for the log (means over the batch)."""

    total: Tensor
    rotation_deg: Tensor
    points_mm: Tensor
    rotation_nll: Tensor
    keypoint_nll: Tensor


def surface_points(body: Body, device: torch.device | str) -> FoldedPoints:
    """Points of the mesh, folded: they cost a matrix product a frame instead of 6,890 vertices."""
    vertices = body.arrays.v_template.astype(np.float64)
    chosen = [int(np.argmax(vertices[:, 1]))]
    distance = np.full(len(vertices), np.inf)
    while len(chosen) < _SURFACE_POINTS:
        distance = np.minimum(distance, np.linalg.norm(vertices - vertices[chosen[-1]], axis=1))
        chosen.append(int(np.argmax(distance)))
    return body.folded_vertices(tuple(chosen), device)


def pass_loss(
    output: PassOutput,
    target_rotmat: Float[Tensor, "B 24 3 3"],
    target_points: Float[Tensor, "B P 3"],
    points: Float[Tensor, "B P 3"],
    keypoint_error: Float[Tensor, "B 25"],
    confidence: Float[Tensor, "B 25"],
    weights: LossWeights,
) -> PassLoss:
    """Loss of one pass.

    Args:
        output: of the pass.
        target_rotmat: true local rotations.
        target_points: surface points of the true pose about the pelvis, metres.
        points: the same of the predicted pose.
        keypoint_error: length of the damage done to each measured keypoint [m].
        confidence: 0 where a keypoint is missing.
    """
    pred, true = output.rotmat[:, :SOLVED_JOINTS], target_rotmat[:, :SOLVED_JOINTS]
    # |A - B|_F = 2 sqrt(2) sin(angle / 2); the small constant keeps the gradient finite at zero.
    chord = ((pred - true).square().sum((-1, -2)) + 1e-8).sqrt()
    angle = chord / 2**0.5
    distance = ((points - target_points).square().sum(-1) + 1e-10).sqrt()
    squared = angle.detach().square()
    rotation_nll = 0.5 * squared / output.sigma.square() + 3 * output.sigma.log()
    keypoint_squared = keypoint_error.square() + 3 * _KEYPOINT_FLOOR**2
    keypoint_nll = 0.5 * keypoint_squared / output.keypoint_sigma.square() + 3 * output.keypoint_sigma.log()
    keypoint_nll = (keypoint_nll * confidence).mean()
    total = (
        weights.rotation * angle.mean()
        + weights.points * 10 * distance.mean()
        + weights.rotation_likelihood * rotation_nll.mean()
        + weights.keypoint_likelihood * keypoint_nll
    )
    return PassLoss(
        total=total,
        rotation_deg=torch.rad2deg(angle.mean().detach()),
        points_mm=1000 * distance.mean().detach(),
        rotation_nll=rotation_nll.mean().detach(),
        keypoint_nll=keypoint_nll.detach(),
    )
