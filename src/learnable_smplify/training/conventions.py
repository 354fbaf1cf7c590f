"""Other people's conventions: what a motion source does that keypoints hardly show, as constant rotations of joints.

Sources of SMPL poses differ in how a bend is shared among the joints of the spine, what a collar does, the twist of
forearm, neck and feet, and the rest pose behind them. A network that sees one source learns its habit and imposes it
on everybody. With a random convention for every pair, the same in start and target, there is no habit to learn: what
the keypoints do not show has to be kept from the start pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS

# No source differs in where the person faces, and nobody solves the hands.
FREE_JOINTS = ("pelvis", "left_hand", "right_hand")
_SPINE = tuple(JOINT_INDEX[name] for name in ("spine1", "spine2", "spine3"))
# Neighbours between which sources share a turn differently, and the axis (0 x, 1 y) about which, None for all three.
_SHARED: tuple[tuple[str, str, int | None], ...] = (
    ("neck", "head", None),
    *((f"{side}_collar", f"{side}_shoulder", None) for side in ("left", "right")),
    *((f"{side}_shoulder", f"{side}_elbow", 0) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_wrist", 0) for side in ("left", "right")),
    *((f"{side}_hip", f"{side}_knee", 1) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_ankle", 1) for side in ("left", "right")),
    *((f"{side}_ankle", f"{side}_foot", None) for side in ("left", "right")),
)


@dataclass(frozen=True)
class Conventions:
    """How far conventions differ.

    Args:
        share: samples that get one; the others keep the store's.
        offset_deg: the standard deviation of a joint's rotation about each axis is uniform in [0, this] [deg].
        twist_share: joints that are further twisted about their bone ...
        twist_deg: ... by an angle uniform within plus or minus this [deg].
        shared_deg: standard deviation of a turn that neighbours share differently: one has it, the other takes it
            back [deg].
    """

    share: float = 0.75
    offset_deg: float = 8.0
    twist_share: float = 0.3
    twist_deg: float = 25.0
    shared_deg: float = 12.0


def draw_conventions(
    options: Conventions, batch: int, device: torch.device, generator: torch.Generator
) -> Float[Tensor, "B 24 3 3"]:
    """Constant rotations O for B people; their pose R becomes R O, joint by joint. Pelvis and hands stay."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    spread = math.radians(options.offset_deg) * uniform(batch, 1, 1)
    offset = spread * normal(batch, NUM_JOINTS, 3)
    twist = math.radians(options.twist_deg) * (2 * uniform(batch, NUM_JOINTS) - 1)
    twist = twist * (uniform(batch, NUM_JOINTS) < options.twist_share)
    arms = bone_axis(device) == 0
    offset[..., 0] += twist * arms
    offset[..., 1] += twist * ~arms

    shared = torch.zeros_like(offset)
    strength = math.radians(options.shared_deg) * uniform(batch, 1)
    weights = normal(batch, len(_SPINE))
    weights = weights - weights.mean(1, keepdim=True)
    shared[:, _SPINE] = weights[..., None] * (strength * normal(batch, 3))[:, None]
    for parent, child, axis in _SHARED:
        turn = strength * normal(batch, 3)
        if axis is not None:
            turn = turn * torch.eye(3, device=device)[axis]
        shared[:, JOINT_INDEX[parent]] += turn
        shared[:, JOINT_INDEX[child]] -= turn
    for name in FREE_JOINTS:
        offset[:, JOINT_INDEX[name]] = 0
        shared[:, JOINT_INDEX[name]] = 0
    has_one = (uniform(batch, 1, 1) < options.share).to(offset)
    return rotvec_to_rotmat(has_one * offset) @ rotvec_to_rotmat(has_one * shared)


def bone_axis(device: torch.device) -> Tensor:
    """(24,) the axis each joint's bone lies along in the rest pose: 0 (x) in the arms, 1 (y) elsewhere."""
    arms = ("collar", "shoulder", "elbow", "wrist", "hand")
    return torch.tensor([0 if name.endswith(arms) else 1 for name in JOINT_NAMES], device=device)
