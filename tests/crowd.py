"""People who walk about in a room of cameras, and what detectors see of them. OpenCV projects them."""

from __future__ import annotations

import numpy as np
import torch

from calibrated import Calibrated
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.track import Track

FPS = 30.0
# COCO's 17 keypoints of somebody who stands in the middle and looks along Y, X to the right of the body, Z up [m].
STANDING = np.array(
    [
        [0, 0.1, 1.6], [-0.03, 0.08, 1.63], [0.03, 0.08, 1.63], [-0.07, 0, 1.6], [0.07, 0, 1.6],
        [-0.18, 0, 1.4], [0.18, 0, 1.4], [-0.25, 0.02, 1.12], [0.25, 0.02, 1.12], [-0.27, 0.1, 0.88], [0.27, 0.1, 0.88],
        [-0.1, 0, 0.9], [0.1, 0, 0.9], [-0.1, 0.03, 0.48], [0.1, 0.03, 0.48], [-0.1, 0, 0.08], [0.1, 0, 0.08],
    ]
)  # fmt: skip


def walk(frames: int, seed: int = 0, middle: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """(T, 17, 3): somebody who turns, sways, lifts arms and legs, and goes up and down about a place."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames) / FPS
    phase = rng.uniform(0, 6, 8)
    turn = 0.8 * np.sin(0.7 * time + phase[0]) + phase[1]
    points = np.repeat(STANDING[None], frames, axis=0)
    for joint, amount, pace, shift in ((9, 0.5, 2.1, 2), (10, 0.6, 2.9, 3), (13, 0.12, 3.3, 4), (14, 0.12, 2.6, 5)):
        points[:, joint, 2] += amount * (1 + np.sin(pace * time + phase[shift])) / 2
        points[:, joint, 1] += 0.3 * amount * np.sin(1.3 * pace * time + phase[shift])
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y = points[..., 0].copy(), points[..., 1].copy()
    points[..., 0] = cosine[:, None] * x - sine[:, None] * y
    points[..., 1] = sine[:, None] * x + cosine[:, None] * y
    way = np.stack(
        [0.4 * np.sin(1.1 * time + phase[6]), 0.4 * np.cos(0.8 * time + phase[7]), 0.03 * np.sin(4 * time)], 1
    )
    points += (way + np.array([*middle, 0.0]))[:, None]
    return points


def seen(camera: Calibrated, points: np.ndarray, noise_px: float = 3.0, seed: int = 0) -> np.ndarray:
    """(T, K, 2) pixels."""
    import cv2

    flat, _ = cv2.projectPoints(points.reshape(-1, 3), camera.rotation, camera.transl, camera.matrix, camera.distortion)
    rng = np.random.default_rng([seed, int(camera.name[-2:])])
    return flat.reshape(*points.shape[:2], 2) + rng.normal(0, noise_px, (*points.shape[:2], 2))


def track(pixels: np.ndarray, name: str = "0") -> Track:
    """A track of COCO's keypoints; NaN is missing."""
    return Track(Keypoints2D(torch.as_tensor(pixels), load_layout("coco17"), FPS), name)
