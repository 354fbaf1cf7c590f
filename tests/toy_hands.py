"""Somebody with the arms out whose fingers bend: a body's keypoints in any layout, and the points of two toy hands."""

from __future__ import annotations

import numpy as np
import torch

from learnable_smplify.body import load_body

# Of each finger, thumb first: where it leaves the palm [m] (along the arm, to the front), and its three bones.
_ROOTS = ((0.02, 0.03), (0.09, 0.025), (0.092, 0.003), (0.088, -0.018), (0.08, -0.037))
_BONES = (0.045, 0.032, 0.026), (0.04, 0.024, 0.018), (0.044, 0.028, 0.02), (0.04, 0.026, 0.019), (0.031, 0.019, 0.017)


def hand(bend: float) -> np.ndarray:
    """(21, 3) a left hand about its wrist: fingers along x, palm down (-y), thumb to the front (z); `bend` in rad."""
    points = [np.zeros(3)]
    for finger, ((along, front), bones) in enumerate(zip(_ROOTS, _BONES, strict=True)):
        place = np.array([along, 0.0, front])
        points.append(place)
        angle = 0.0
        for bone in bones:
            angle += bend * (0.5 if finger == 0 else 1.0)
            direction = np.array([np.cos(angle), -np.sin(angle), 0.9 if finger == 0 else 0.0])
            place = place + bone * direction / np.linalg.norm(direction)
            points.append(place)
    return np.stack(points)


def body_and_hands(layout: str, frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """(T, K, 3) keypoints and (T, 2, 21, 3) hands [m], y up, facing z, knees and fingers bending over time."""
    pose = torch.zeros(frames, 24, 3)
    pose[:, 4, 0] = torch.linspace(0.2, 0.8, frames)
    pose[:, 18, 1] = torch.linspace(-0.2, -0.9, frames)
    people = load_body()
    place = torch.tensor([[0.2, 1.0, 0.3]]).expand(frames, 3)
    points = people.keypoints(pose, torch.zeros(1, 10), place, layout=layout).numpy().astype(np.float64)
    wrists = people.keypoints(pose, torch.zeros(1, 10), place, layout="smpl24").numpy()[:, 20:22]
    left = np.stack([hand(bend) for bend in np.linspace(0.1, 0.7, frames)])
    turn = pose[:, 18, 1].numpy()
    turned = np.stack(
        [
            np.cos(turn)[:, None] * left[..., 0] + np.sin(turn)[:, None] * left[..., 2],
            left[..., 1],
            -np.sin(turn)[:, None] * left[..., 0] + np.cos(turn)[:, None] * left[..., 2],
        ],
        axis=-1,
    )
    hands = np.stack((turned, left[::-1] * [-1, 1, 1]), axis=1)
    return points, hands + wrists[:, :, None]
