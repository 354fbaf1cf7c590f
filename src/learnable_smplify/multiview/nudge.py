"""Cameras that were touched since they were calibrated: turned by fractions of a degree until rays meet again.

A camera on a tripod is off by pixels within days. What it is off by is the same for every keypoint in every frame, and
so can be told from what a detector is off by, as far as cameras look from different sides. Only rotations are moved,
and every one is held to where the calibration has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from learnable_smplify.camera import Camera
from learnable_smplify.formats.cameras.placed import rotation_from_vector
from learnable_smplify.multiview.points import triangulated
from learnable_smplify.views import View

_ROUNDS = 12
# Keypoints farther off [rad] lose their pull; a turn weighs so much beside being off by as much.
_ROBUST, _HELD = 0.012, 0.03
# Frames looked at, at most, and keypoints of each camera needed.
_LOOKED_AT, _FEWEST = 40, 200
# Turns are believed when the median distance falls by this share, and none is larger than this [rad].
_BETTER, _LARGEST = 0.12, 0.017


@dataclass(frozen=True, eq=False)
class Nudge:
    """How cameras are turned.

    Args:
        vectors: (V, 3) rotation vectors [rad] of the turns on the left of each rotation and translation.
        before, after: median distance of triangulated keypoints from where cameras saw them [px].
    """

    vectors: Float[np.ndarray, "V 3"]
    before: float
    after: float

    def degrees(self) -> list[float]:
        """By how much each is turned."""
        degrees: list[float] = np.rad2deg(np.linalg.norm(self.vectors, axis=1)).tolist()
        return degrees

    def apply(self, camera: Camera, index: int) -> Camera:
        """Camera number `index`, turned."""
        turn = torch.as_tensor(rotation_from_vector(self.vectors[index]))
        return replace(
            camera,
            R_camera_world=turn @ camera.R_camera_world.double(),
            t_camera_world=turn @ camera.t_camera_world.double(),
        )


def find_nudge(views: Sequence[View]) -> Nudge | None:
    """Turns of three or more cameras that saw one person; None where they help little, or nothing tells.

    Alternately, points are triangulated and each camera is turned towards them by one robust Gauss-Newton step.
    """
    if len(views) < 3:
        return None
    views = [view.every(-(-len(view.keypoints) // _LOOKED_AT)) for view in views]
    rays = [view.camera.rays(view.keypoints.pixels).numpy() for view in views]
    seen = [
        (view.keypoints.confidence > 0.3).numpy() & np.isfinite(ray).all(axis=-1)
        for view, ray in zip(views, rays, strict=True)
    ]
    nudge = Nudge(np.zeros((len(views), 3)), np.inf, np.inf)
    for number in range(_ROUNDS + 1):
        turned = [View(view.keypoints, nudge.apply(view.camera, index)) for index, view in enumerate(views)]
        points = triangulated(turned)
        placed, sure = points.positions.double().numpy(), (points.confidence > 0).numpy()
        if min(int((sure & known).sum()) for known in seen) < _FEWEST:
            return None
        after = _missed_px(turned, placed, sure)
        nudge = replace(nudge, before=after if number == 0 else nudge.before, after=after)
        if number == _ROUNDS:
            break
        vectors = []
        for view, ray, known, vector in zip(views, rays, seen, nudge.vectors, strict=True):
            local = placed @ view.camera.R_camera_world.double().numpy().T + view.camera.t_camera_world.double().numpy()
            vectors.append(_step(local, ray, known & sure, vector))
        nudge = replace(nudge, vectors=np.stack(vectors))
    if np.linalg.norm(nudge.vectors, axis=1).max() > _LARGEST or nudge.after > (1 - _BETTER) * nudge.before:
        return None
    return nudge


def _step(
    local: Float[np.ndarray, "T K 3"],
    rays: Float[np.ndarray, "T K 2"],
    used: Bool[np.ndarray, "T K"],
    vector: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "3"]:
    """The rotation vector after one step: of residuals proj(R local) - rays, held towards zero."""
    points = local[used] @ rotation_from_vector(vector).T
    x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    residual = np.stack([x, y], axis=1) - rays[used]
    # d (x, y) / d (small turn in the camera's frame).
    jacobian = np.stack([np.stack([-x * y, 1 + x * x, -y], axis=1), np.stack([-(1 + y * y), x * y, x], axis=1)], axis=1)
    weight = 1 / (1 + (residual**2).sum(axis=1) / _ROBUST**2) ** 2
    weight = weight / max(float(weight.sum()), 1e-9)
    normal = np.einsum("n,nia,nib->ab", weight, jacobian, jacobian)
    pull = np.einsum("n,nia,ni->a", weight, jacobian, residual)
    return vector - np.linalg.solve(normal + _HELD * np.eye(3), pull + _HELD * vector)


def _missed_px(views: Sequence[View], placed: Float[np.ndarray, "T K 3"], sure: Bool[np.ndarray, "T K"]) -> float:
    away = []
    for view in views:
        distance = (view.camera.project(torch.as_tensor(placed)) - view.keypoints.pixels).norm(dim=-1).numpy()
        away.append(distance[sure & (view.keypoints.confidence > 0).numpy() & np.isfinite(distance)])
    return float(np.median(np.concatenate(away)))
