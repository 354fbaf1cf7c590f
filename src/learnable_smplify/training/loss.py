"""The loss of one answer: rotations, points on the body, and how honest the predicted uncertainties are."""

from __future__ import annotations

import math
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
_KEYPOINT_FLOOR = 3e-4
# Errors below these are not worth telling apart.
_SMALL_ANGLE, _SMALL_DISTANCE = math.radians(0.1), 3e-4


@dataclass(frozen=True, eq=False)
class Surface:
    """Points of the mesh, folded: they cost a matrix product a frame instead of 6,890 vertices.

    Args:
        points: as they hang on the joints.
        weights: (P,) share of the mesh's vertices that each stands for.
    """

    points: FoldedPoints
    weights: Float[Tensor, " P"]


@dataclass(frozen=True, eq=False)
class AnswerError:
    """What an answer is off by, sample by sample: mean over the joints [rad], mean over the surface [m]."""

    angle: Float[Tensor, " B"]
    distance: Float[Tensor, " B"]
    squared_angles: Float[Tensor, "B 22"]

    def told(self) -> tuple[float, float]:
        """Means over the samples [deg], [mm]."""
        return float(torch.rad2deg(self.angle.detach().mean())), 1000 * float(self.distance.detach().mean())

    def loss(self, weights: LossWeights) -> Tensor:
        """Errors, and their logarithms: clean pairs, with errors of a millimetre, count beside the noisy ones."""
        small = (self.angle + _SMALL_ANGLE).log() + (self.distance + _SMALL_DISTANCE).log()
        plain = weights.rotation * self.angle + 10 * weights.points * self.distance
        return (plain + weights.logarithm * small).mean()


def surface_points(body: Body, device: torch.device | str) -> Surface:
    """Points spread over the mesh, with the vertices that are nearest to each."""
    vertices = body.arrays.v_template.astype(np.float64)
    chosen = [int(np.argmax(vertices[:, 1]))]
    distance = np.linalg.norm(vertices - vertices[chosen[0]], axis=1)
    nearest = np.zeros(len(vertices), dtype=np.int64)
    while len(chosen) < _SURFACE_POINTS:
        chosen.append(int(np.argmax(distance)))
        away = np.linalg.norm(vertices - vertices[chosen[-1]], axis=1)
        nearest[away < distance] = len(chosen) - 1
        distance = np.minimum(distance, away)
    weights = np.bincount(nearest, minlength=len(chosen)) / len(vertices)
    folded = body.folded_vertices(tuple(chosen), device)
    return Surface(folded, torch.as_tensor(weights, dtype=torch.float32, device=device))


def answer_error(
    rotmat: Float[Tensor, "B 24 3 3"],
    points: Float[Tensor, "B P 3"],
    target_rotmat: Float[Tensor, "B 24 3 3"],
    target_points: Float[Tensor, "B P 3"],
    surface: Surface,
) -> AnswerError:
    """Errors of rotations and of surface points about the pelvis [m]."""
    pred, true = rotmat[:, :SOLVED_JOINTS], target_rotmat[:, :SOLVED_JOINTS]
    # |A - B|_F = 2 sqrt(2) sin(angle / 2); the small constant keeps the gradient finite at zero.
    angle = ((pred - true).square().sum((-1, -2)) + 1e-8).sqrt() / 2**0.5
    distance = ((points - target_points).square().sum(-1) + 1e-10).sqrt()
    return AnswerError(angle.mean(1), distance @ surface.weights, angle.detach().square())


def sigma_loss(
    output: PassOutput,
    error: AnswerError,
    keypoint_error: Float[Tensor, "B 25"],
    confidence: Float[Tensor, "B 25"],
    weights: LossWeights,
) -> Tensor:
    """Negative log-likelihoods that make the predicted standard deviations honest.

    Args:
        output: of the pass.
        error: of its rotations.
        keypoint_error: length of the damage done to each measured keypoint [m].
        confidence: 0 where a keypoint is missing.
    """
    rotation_nll = 0.5 * error.squared_angles / output.sigma.square() + 3 * output.sigma.log()
    keypoint_squared = keypoint_error.square() + 3 * _KEYPOINT_FLOOR**2
    keypoint_nll = 0.5 * keypoint_squared / output.keypoint_sigma.square() + 3 * output.keypoint_sigma.log()
    return (
        weights.rotation_likelihood * rotation_nll.mean()
        + weights.keypoint_likelihood * (keypoint_nll * confidence).mean()
    )
