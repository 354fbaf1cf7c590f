"""`Keypoints2D`: what was seen in one camera's pictures. The value that enters `Solver.fit_2d`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout, load_layout


@dataclass(frozen=True, eq=False)
class Keypoints2D:
    """2D keypoints of one person over time, in the pictures of one camera.

    Args:
        pixels: (T, K, 2) float, column and row [px] from the upper left corner; a (K, 2) array is taken as one frame.
            NaN marks a missing keypoint (its confidence becomes 0).
        layout: name of a known layout ("body25", ...), path of a layout TOML file, or a `Layout`.
        fps: frames a second.
        confidence: (T, K) or (K,) float in [0, 1], 0 = missing; None means 1 wherever the position is finite.
        notes: what a reader did to the data, to be shown to the user.

    Raises:
        InputError: shapes that do not fit, an unknown layout, a frame rate that is not positive, or nothing finite.
    """

    pixels: Float[Tensor, "T K 2"]
    layout: Layout | str
    fps: float = 30.0
    confidence: Float[Tensor, "T K"] | None = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        layout = self.layout if isinstance(self.layout, Layout) else load_layout(self.layout)
        pixels = torch.as_tensor(self.pixels).detach().to(torch.float32)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        count = len(layout)
        if pixels.ndim != 3 or pixels.shape[1:] != (count, 2):
            raise InputError(
                f"2D keypoints have shape {tuple(pixels.shape)}", expected=f"(T, {count}, 2) for layout '{layout.name}'"
            )
        if pixels.shape[0] == 0:
            raise InputError("the clip is empty: it has no frames", expected="at least one frame")
        if not (self.fps > 0 and self.fps < 1e5):
            raise InputError(f"the frame rate is {self.fps}", expected="frames a second above 0", hint="--fps 30")
        finite = torch.isfinite(pixels).all(dim=-1)
        if self.confidence is None:
            confidence = finite.to(torch.float32)
        else:
            confidence = torch.as_tensor(self.confidence).detach().to(pixels)
            if confidence.ndim == 1:
                confidence = confidence[None].expand(pixels.shape[0], -1)
            if confidence.shape != pixels.shape[:2]:
                raise InputError(
                    f"confidence has shape {tuple(confidence.shape)}", expected=f"{tuple(pixels.shape[:2])}"
                )
            confidence = torch.where(finite & torch.isfinite(confidence), confidence, 0.0).clamp(min=0.0)
        if not bool((confidence > 0).any()):
            raise InputError(
                "no keypoint is usable: every position is NaN or has zero confidence",
                expected="at least one finite keypoint",
            )
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "pixels", torch.where(finite[..., None], pixels, 0.0))
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "fps", float(self.fps))

    def __len__(self) -> int:
        """Number of frames."""
        return self.pixels.shape[0]
