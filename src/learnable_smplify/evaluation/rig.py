"""Synthetic cameras around people of the evaluation clips, and what they see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.camera import Camera
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.views import View

WIDTH, HEIGHT = 1920, 1080
# Focal length [px] of 65 degrees across; the nearest that a camera stands to anybody it sees [m], and how far outside
# the picture's middle, as a share of its half, it lets people come.
FOCAL = WIDTH / 2 / math.tan(math.radians(32.5))
_NEAREST, _MARGIN = 2.5, 0.9


@dataclass(frozen=True)
class Damage:
    """What the detections of a synthetic camera suffer.

    Args:
        noise_px: Gaussian, of every coordinate.
        missing: share of keypoints that are not seen.
        swapped: cameras whose left and right are exchanged, always.
    """

    noise_px: float = 0.0
    missing: float = 0.0
    swapped: tuple[int, ...] = ()


def ring(joints: Float[Tensor, "T 24 3"], count: int, first_angle: float) -> list[Camera]:
    """Level cameras, Y up, evenly spread around a person, each as near as shows them from first frame to last."""
    middle = (joints.amin((0, 1)) + joints.amax((0, 1))) / 2
    cameras = []
    for number in range(count):
        angle = first_angle + 2 * math.pi * number / count
        out = torch.tensor([math.sin(angle), 0.0, math.cos(angle)])
        rotation = torch.stack(
            (torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), out), torch.tensor([0.0, -1.0, 0.0]), -out)
        )
        local = (joints - middle).reshape(-1, 3) @ rotation.T
        across = torch.maximum(
            local[:, 0].abs() / (_MARGIN * WIDTH / 2 / FOCAL), local[:, 1].abs() / (_MARGIN * HEIGHT / 2 / FOCAL)
        )
        distance = float((torch.maximum(across, torch.tensor(_NEAREST)) - local[:, 2]).max())
        cameras.append(
            Camera(
                fx=FOCAL,
                fy=FOCAL,
                cx=WIDTH / 2,
                cy=HEIGHT / 2,
                R_camera_world=rotation,
                t_camera_world=torch.tensor([0.0, 0.0, distance]) - rotation @ middle,
                width=WIDTH,
                height=HEIGHT,
                up_axis="y",
                name=f"camera {number + 1}",
            )
        )
    return cameras


def seen(
    cameras: list[Camera], keypoints: Float[Tensor, "T K 3"], fps: float, damage: Damage, generator: torch.Generator
) -> list[View]:
    """BODY_25 keypoints as the cameras' detections show them."""
    views = []
    mirror = list(load_layout("body25").mirror)
    for number, camera in enumerate(cameras):
        pixels = camera.project(keypoints)
        pixels = pixels + damage.noise_px * torch.randn(pixels.shape, generator=generator)
        gone = torch.rand(pixels.shape[:2], generator=generator) < damage.missing
        if number in damage.swapped:
            pixels = pixels[:, mirror]
        views.append(View(Keypoints2D(torch.where(gone[..., None], torch.nan, pixels), "body25", fps), camera))
    return views
