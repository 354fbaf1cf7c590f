"""A made-up recording for the tests of the keypoint readers."""

from __future__ import annotations

import numpy as np
import torch

from learnable_smplify.body import load_body
from learnable_smplify.formats.keypoints.axes import settle_people
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout

BODY25 = load_layout("body25").keypoint_names


def standing_person(frames: int = 4) -> np.ndarray:
    """(T, 25, 3) a standing BODY_25 figure in metres, right-handed, y up, facing z, with a centimetre of noise."""
    height = {"Hip": 0.95, "Knee": 0.55, "Ankle": 0.12, "Shoulder": 1.42, "Elbow": 1.15, "Wrist": 0.9, "MidHip": 0.95}
    points = np.zeros((frames, 25, 3))
    for index, name in enumerate(BODY25):
        part = name.lstrip("LR")
        forward = {"BigToe": 0.2, "SmallToe": 0.15, "Heel": -0.05, "Nose": 0.1, "Eye": 0.08}.get(part, 0.0)
        low = 0.05 if part in ("BigToe", "SmallToe", "Heel") else 1.6
        points[:, index] = [{"L": 0.15, "R": -0.15}.get(name[0], 0.0), height.get(part, low), forward]
    return points + 0.01 * np.random.default_rng(0).normal(size=points.shape)


def squatting_person(frames: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Poses (T, 24, 3) and transl (T, 3) of two squats of the mean open body on fixed feet, floor at y = 0."""
    body, pose = load_body(), torch.zeros(frames, 24, 3)
    bend = 0.9 * (1 - torch.cos(torch.linspace(0, 4 * torch.pi, frames))) / 2
    pose[:, 1:3, 0], pose[:, 4:6, 0], pose[:, 7:9, 0] = -bend[:, None], 2 * bend[:, None], -bend[:, None]
    betas = torch.zeros(frames, 10)
    foot = body.joints(pose, betas, torch.zeros(frames, 3))[:, [7, 8]].mean(dim=1)
    transl = foot[:1] - foot
    low = body.vertices(pose[:1], betas[0], transl[:1])[..., 1].min()
    transl[:, 1] -= low
    return pose, transl


def settle_axes(
    person: Keypoints, up: str | None = None, *, assumed: str | None = None, mirrored: bool | None = None
) -> Keypoints:
    """`settle_people` of one person."""
    return settle_people([person], up, assumed=assumed, mirrored=mirrored)[0]
