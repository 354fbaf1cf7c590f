"""`Observed`: what all cameras saw of a person, ready to be solved: undistorted, stacked, weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.camera import Camera
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.solver.frame.noise import keypoint_noise
from learnable_smplify.solver.frame.sight import Cameras, SightTerm
from learnable_smplify.views import View


@dataclass(frozen=True, eq=False)
class Observed:
    """T frames of one person in V cameras.

    Args:
        cameras: V pinholes in one world.
        pixels: (T, V, K, 2) from the principal point, without distortion; 0 where missing.
        confidence: (T, V, K), 0 = missing.
        layout: which keypoints they are.
        fps: frames a second.
        independent: frames have nothing to do with each other.
    """

    cameras: tuple[Camera, ...]
    pixels: Float[Tensor, "T V K 2"]
    confidence: Float[Tensor, "T V K"]
    layout: Layout
    fps: float
    independent: bool = False

    @staticmethod
    def of(views: Sequence[View], device: torch.device | str = "cpu") -> Observed:
        """What these views saw."""
        pixels, confidence = [], []
        for view in views:
            straight = view.camera.undistorted(view.keypoints.pixels)
            there = torch.isfinite(straight).all(-1) & (view.keypoints.confidence > 0)
            centred = straight - straight.new_tensor([view.camera.cx, view.camera.cy])
            pixels.append(torch.where(there[..., None], centred, 0.0))
            confidence.append(view.keypoints.confidence * there)
        return Observed(
            cameras=tuple(view.camera.pinhole for view in views),
            pixels=torch.stack(pixels, dim=1).to(device),
            confidence=torch.stack(confidence, dim=1).to(device),
            layout=load_layout(views[0].keypoints.layout),
            fps=views[0].keypoints.fps,
        )

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pixels)

    def frames(self, rows: slice | Tensor) -> Observed:
        """Some frames."""
        return replace(self, pixels=self.pixels[rows], confidence=self.confidence[rows])

    def of_cameras(self, numbers: Int[Tensor, " C"]) -> Observed:
        """What some of the cameras saw."""
        return replace(
            self,
            cameras=tuple(self.cameras[number] for number in numbers.tolist()),
            pixels=self.pixels[:, numbers],
            confidence=self.confidence[:, numbers],
        )

    @property
    def focal(self) -> Float[Tensor, "V 2"]:
        """Focal lengths [px]."""
        return self.pixels.new_tensor([[camera.fx, camera.fy] for camera in self.cameras])

    @property
    def rays(self) -> Float[Tensor, "T V K 2"]:
        """(x / z, y / z) in the cameras' frames."""
        return self.pixels / self.focal[:, None]

    def noise_px(self, least: float) -> Float[Tensor, " V"]:
        """What each camera's pixels jitter by from frame to frame, at least so much."""
        values = [keypoint_noise(self.pixels[:, v], self.confidence[:, v]) for v in range(len(self.cameras))]
        return self.pixels.new_tensor(values).clamp(min=least)

    def sight(self, sigma_px: Float[Tensor, " V"] | None = None, robust_scale: float | None = None) -> SightTerm:
        """The term of pixels that are off by so much: by one if nothing is said."""
        sigma_px = self.pixels.new_ones(len(self.cameras)) if sigma_px is None else sigma_px
        return SightTerm(
            Cameras.of(self.cameras, sigma_px), self.pixels / sigma_px[:, None, None], self.confidence, robust_scale
        )
