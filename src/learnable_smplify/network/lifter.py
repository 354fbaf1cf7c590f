"""From what one camera sees of a person to the poses they may have: a few guesses, each with how sure it is.

A picture does not tell whether a limb points towards the camera or away. The network answers with a mixture: M poses,
how likely each is, and how far every joint of each may be off: its rotation, and where it is, beside the pelvis, along
the view and across. Depth is what a picture lacks and what people's conventions do not change; rotations differ from
source to source where depth does not. It sees the moment itself and, where there are some, a few moments before and
after.

The picture is turned first: as by a camera that looks straight at the person, so that where in the picture they stand
does not matter; and scaled by how large they appear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from learnable_smplify.network.rot6d import rot6d_to_rotmat
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import NUM_JOINTS

_KEYPOINTS = 25
# Sharper than this [rad] no joint is told, and vaguer than that none; and likewise where it is [m].
_LEAST_SIGMA, _MOST_SIGMA = 0.03, 2.0
_LEAST_AWAY, _MOST_AWAY = 0.005, 1.0
# Numbers of a joint: its rotation, how far that may be off, and how far its place may be off across and along the view.
_NUMBERS = (6, 1, 2)
# The smallest a person appears [rad], to divide by.
_LEAST_SIZE = 1e-4


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of a `Lifter`.

    Args:
        seconds: when the moments that it sees are, before and after the one in the middle [s].
        width: numbers between layers.
        blocks: of two layers each.
        guesses: poses it answers with.
    """

    seconds: tuple[float, ...] = (-0.2, -0.1, 0.0, 0.1, 0.2)
    width: int = 512
    blocks: int = 2
    guesses: int = 4


@dataclass(frozen=True, eq=False)
class LifterInput:
    """What the network sees.

    Args:
        features: (B, F).
        turn: (B, 3, 3) from the camera's frame to that of the camera that looks straight at the person.
    """

    features: Float[Tensor, "B F"]
    turn: Float[Tensor, "B 3 3"]


@dataclass(frozen=True, eq=False)
class Guesses:
    """Poses a person may have, in the frame of the camera that looks straight at them.

    Args:
        rotmat: (B, M, 24, 3, 3) local rotations; the pelvis in that frame.
        sigma: (B, M, 24) how far each rotation may be off [rad], about each axis.
        away: (B, M, 24, 2) how far each joint's place beside the pelvis may be off [m]: along each axis across the
            view, and along it.
        log_share: (B, M) how likely each is.
    """

    rotmat: Float[Tensor, "B M 24 3 3"]
    sigma: Float[Tensor, "B M 24"]
    away: Float[Tensor, "B M 24 2"]
    log_share: Float[Tensor, "B M"]


def lifter_input(rays: Float[Tensor, "B S 25 2"], seen: Float[Tensor, "B S 25"]) -> LifterInput:
    """From BODY_25 keypoints as rays (x / z, y / z) at S moments, of which the middle one is asked for.

    Args:
        seen: 1 where a keypoint was seen, else 0; a person of whom nothing is seen has features of no meaning.
    """
    middle = rays.shape[1] // 2
    direction = nn.functional.normalize(nn.functional.pad(rays, (0, 1), value=1.0), dim=-1)
    axis = nn.functional.normalize((seen[:, middle, :, None] * direction[:, middle]).sum(1) + 1e-9, dim=-1)
    turn = _turn_to_front(axis)
    turned = torch.einsum("bxy,bsky->bskx", turn, direction)
    flat = turned[..., :2] / turned[..., 2:].clamp(min=0.1)
    weight = seen[:, middle] / seen[:, middle].sum(1, keepdim=True).clamp(min=1)
    size = (weight * flat[:, middle].square().sum(-1)).sum(1).sqrt().clamp(min=_LEAST_SIZE)
    shown = (flat / size[:, None, None, None]).clamp(-8, 8) * seen[..., None]
    features = torch.cat((shown.flatten(1), seen.flatten(1), size.log()[:, None] + 2), dim=1)
    return LifterInput(features, turn)


class Lifter(nn.Module):
    """The network: layers of `config.width`, with residuals."""

    def __init__(self, config: LifterConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 3 * _KEYPOINTS * len(config.seconds) + 1
        self.first = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.width),
                nn.Linear(config.width, config.width),
                nn.GELU(),
                nn.Linear(config.width, config.width),
            )
            for _ in range(config.blocks)
        )
        self.last = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.GELU(),
            nn.Linear(config.width, config.guesses * (sum(_NUMBERS) * NUM_JOINTS + 1)),
        )

    def forward(self, features: Float[Tensor, "B F"]) -> Guesses:
        """The mixture, in the frame that the features are of."""
        hidden = self.first(features)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        numbers = self.last(hidden).unflatten(1, (self.config.guesses, -1))
        turns, spread, away, score = numbers.split((*(count * NUM_JOINTS for count in _NUMBERS), 1), dim=-1)
        upright = turns.new_tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
        rotmat = rot6d_to_rotmat(turns.unflatten(-1, (NUM_JOINTS, 6)) + upright)
        sigma = (spread - 1.5).exp().clamp(_LEAST_SIGMA, _MOST_SIGMA)
        away = (away.unflatten(-1, (NUM_JOINTS, 2)) - 3).exp().clamp(_LEAST_AWAY, _MOST_AWAY)
        return Guesses(rotmat, sigma, away, score[..., 0].log_softmax(dim=-1))


def _turn_to_front(axis: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """The least turns that take unit vectors to +z."""
    front = axis.new_tensor([0.0, 0.0, 1.0]).expand_as(axis)
    cross = torch.linalg.cross(axis, front, dim=-1)
    sine = cross.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (axis * front).sum(-1, keepdim=True))
    return rotvec_to_rotmat(cross / sine.clamp(min=1e-9) * angle)
