"""Motion made of formulas, for tests: people who swing their limbs, as poses, keypoints and files."""

from __future__ import annotations

import torch
from torch import Tensor

from learnable_smplify.skeleton import JOINT_INDEX

# Joint -> axis of its swing, its middle and its reach [rad]. Knees and elbows bend one way only.
_SWINGS: dict[str, tuple[tuple[float, float, float], float, float]] = {
    "left_hip": ((-1, 0, 0), 0.3, 0.5),
    "right_hip": ((-1, 0, 0), 0.3, 0.5),
    "left_knee": ((1, 0, 0), 0.7, 0.6),
    "right_knee": ((1, 0, 0), 0.7, 0.6),
    "left_ankle": ((1, 0, 0), 0.0, 0.2),
    "right_ankle": ((1, 0, 0), 0.0, 0.2),
    "spine1": ((1, 0, 0), 0.1, 0.1),
    "spine2": ((0, 1, 0), 0.0, 0.15),
    "spine3": ((0, 0, 1), 0.0, 0.1),
    "neck": ((1, 0, 0), 0.1, 0.1),
    "head": ((0, 1, 0), 0.0, 0.3),
    "left_shoulder": ((0, 0, -1), 0.9, 0.5),
    "right_shoulder": ((0, 0, 1), 0.9, 0.5),
    "left_elbow": ((0, -1, 0), 0.8, 0.6),
    "right_elbow": ((0, 1, 0), 0.8, 0.6),
}


def swinging_poses(frames: int, seed: int = 0, fps: float = 30.0) -> Tensor:
    """(T, 24, 3) rotvec of a person who stands facing +Z and swings every limb, each at a pace of its own."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(frames) / fps
    pose = torch.zeros(frames, 24, 3)
    for name, (axis, middle, reach) in _SWINGS.items():
        hertz, phase = 0.3 + 0.5 * torch.rand(2, generator=generator)
        angle = middle + reach * torch.sin(2 * torch.pi * (hertz * time + 3 * phase))
        pose[:, JOINT_INDEX[name]] = angle[:, None] * torch.tensor(axis, dtype=torch.float32)
    return pose


def drifting_transl(frames: int, fps: float = 30.0) -> Tensor:
    """(T, 3) metres: slowly forward, somewhere in the room."""
    time = torch.arange(frames) / fps
    return torch.stack((0.5 + 0.1 * time, torch.full_like(time, 0.9), -1.0 + 0.4 * time), dim=-1)
