"""Hands: names of their joints and points, and `HandKeypoints`, what was measured of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.errors import InputError
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS, SIDES

# SMPL-H's order of the fingers' joints, each from the knuckle to the last; the thumb's first is at its root.
FINGERS: tuple[str, ...] = ("index", "middle", "pinky", "ring", "thumb")
HAND_JOINT_NAMES: tuple[str, ...] = tuple(
    f"{side}_{finger}{number}" for side in SIDES for finger in FINGERS for number in (1, 2, 3)
)
NUM_HAND_JOINTS = len(HAND_JOINT_NAMES)
# SMPL's joints up to the wrists, then the fingers' in place of the two hands.
NUM_SHARED_JOINTS = 22
SMPLH_JOINT_NAMES: tuple[str, ...] = (*JOINT_NAMES[:NUM_SHARED_JOINTS], *HAND_JOINT_NAMES)
SMPLH_PARENTS: tuple[int, ...] = (
    *PARENTS[:NUM_SHARED_JOINTS],
    *(
        JOINT_INDEX[f"{name.split('_')[0]}_wrist"] if name.endswith("1") else NUM_SHARED_JOINTS + index - 1
        for index, name in enumerate(HAND_JOINT_NAMES)
    ),
)
# The points of one hand, in the order of MediaPipe, OpenPose and COCO-WholeBody. Of a thumb, 1 is its root, 2 its
# knuckle and 3 its last joint; of a finger, 1 is the knuckle, 2 and 3 its joints; 4 is the tip.
POINT_FINGERS: tuple[str, ...] = ("thumb", "index", "middle", "ring", "pinky")
HAND_POINT_NAMES: tuple[str, ...] = (
    "wrist",
    *(f"{finger}{number}" for finger in POINT_FINGERS for number in (1, 2, 3, 4)),
)
NUM_HAND_POINTS = len(HAND_POINT_NAMES)
# How a hand hangs that does nothing: turns [rad] of the left hand's joints about the rest pose's axes (X along the
# fingers, Y from the palm's back, Z to the thumb); the right's are mirrored.
_RELAXED_LEFT: tuple[tuple[float, float, float], ...] = (
    *((0.061, 0.105, -0.344), (0.050, 0.000, -0.486), (0.029, 0.000, -0.295)),
    *((-0.067, -0.052, -0.431), (-0.041, 0.000, -0.522), (-0.030, 0.000, -0.313)),
    *((-0.250, -0.243, -0.461), (-0.187, 0.000, -0.452), (-0.119, 0.000, -0.272)),
    *((-0.167, -0.156, -0.460), (-0.126, 0.000, -0.508), (-0.094, 0.000, -0.300)),
    *((0.019, 0.251, 0.143), (0.080, 0.114, 0.000), (0.037, 0.059, 0.000)),
)


def hand_edges(first: int) -> list[tuple[int, int]]:
    """Lines between the points of both hands, from the wrists along every finger, where `first` points go before."""
    return [
        (wrist + (4 * finger + number if number else 0), wrist + 4 * finger + number + 1)
        for wrist in (first, first + NUM_HAND_POINTS)
        for finger in range(5)
        for number in range(4)
    ]


def relaxed_hands() -> Float[Tensor, "30 3"]:
    """Rotvecs [rad] of the fingers of two hands at rest: what a `Motion` without `hand_pose` stands for."""
    left = torch.tensor(_RELAXED_LEFT)
    return torch.cat((left, mirrored_hand(left)))


def mirrored_hand(rotvec: Float[Tensor, "*B 15 3"]) -> Float[Tensor, "*B 15 3"]:
    """The same hand pose on the other side: mirrored across the body's middle, the plane x = 0."""
    return rotvec * rotvec.new_tensor((1.0, -1.0, -1.0))


def checked_confidence(
    confidence: Tensor | None, finite: Bool[Tensor, "T *K"], name: str = "confidence"
) -> Float[Tensor, "T *K"]:
    """How sure each point of each frame is, in [0, 1]: values outside are cut, and points that are not finite are 0.

    Args:
        confidence: (T, *K), or (*K) for all frames; None means 1 wherever the point is finite.
        finite: (T, *K) points whose place is known.
        name: for messages.

    Raises:
        InputError: another shape.
    """
    if confidence is None:
        return finite.to(torch.float32)
    trust = as_tensor(confidence, name).detach().to(finite.device)
    if trust.shape == finite.shape[1:]:
        trust = trust.expand(finite.shape)
    if trust.shape != finite.shape:
        raise InputError(f"{name} has shape {tuple(trust.shape)}", expected=f"{tuple(finite.shape)}")
    return torch.where(finite & torch.isfinite(trust), trust, 0.0).clamp(0.0, 1.0).to(torch.float32)


@dataclass(frozen=True, eq=False)
class HandKeypoints:
    """3D keypoints of one person's two hands over time, in the world and at the times of the body's.

    Args:
        positions: (T, 2, 21, 3) float, metres; 0 is the left hand, 1 the right, points as in `HAND_POINT_NAMES`. NaN
            marks a missing point (its confidence becomes 0, and it becomes zero).
        confidence: (T, 2, 21) or (2, 21) float in [0, 1], 0 = missing; None means 1 wherever the position is finite.

    Raises:
        InputError: shapes that do not fit. That nothing is seen of the hands is no error.
    """

    positions: Float[Tensor, "T 2 21 3"]
    confidence: Float[Tensor, "T 2 21"] = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        positions = as_tensor(self.positions, "hand keypoints").detach().to(torch.float32)
        if positions.ndim != 4 or positions.shape[1:] != (2, NUM_HAND_POINTS, 3):
            raise InputError(
                f"hand keypoints have shape {tuple(positions.shape)}",
                expected=f"(T, 2, {NUM_HAND_POINTS}, 3): left and right hand, wrist, thumb, index ... pinky",
            )
        finite = torch.isfinite(positions).all(dim=-1)
        object.__setattr__(self, "positions", torch.where(finite[..., None], positions, 0.0))
        object.__setattr__(self, "confidence", checked_confidence(self.confidence, finite, "the hands' confidence"))

    def __len__(self) -> int:
        """Number of frames."""
        return self.positions.shape[0]

    def __getitem__(self, frames: slice | Tensor | np.ndarray) -> HandKeypoints:
        """Some of the frames."""
        return HandKeypoints(self.positions[frames], self.confidence[frames])

    def moved(
        self,
        turn: Float[Tensor, "3 3"] | None = None,
        offset: Float[Tensor, "T 3"] | Float[Tensor, "3"] | None = None,
        scale: float = 1.0,
    ) -> HandKeypoints:
        """The hands where x becomes `scale` `turn` x + `offset`; a mirroring `turn` does not exchange left and right.

        Args:
            turn: None does not turn.
            offset: (T, 3) or (3,) metres; None does not move.
        """
        positions = self.positions * scale
        if turn is not None:
            positions = positions @ turn.to(positions).mT
        if offset is not None:
            positions = positions + (offset[:, None, None] if offset.ndim == 2 else offset).to(positions)
        return replace(self, positions=torch.where((self.confidence > 0)[..., None], positions, 0.0))
