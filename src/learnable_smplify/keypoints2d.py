"""`Keypoints2D`: what was seen in one camera's pictures. The value that enters `Solver.fit_2d`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import checked_clip, noted
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.timeline import beside

# A moment that is nearer to a frame than this is that frame.
_ON_A_FRAME = 0.02


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
        fps_guessed: nothing says how many frames a second there are.

    Raises:
        InputError: shapes that do not fit, an unknown layout, a frame rate that is not positive, or nothing finite.
    """

    pixels: Float[Tensor, "T K 2"]
    layout: Layout | str
    fps: float = 30.0
    confidence: Float[Tensor, "T K"] = None  # type: ignore[assignment]  # filled in below
    notes: tuple[str, ...] = field(default=())
    fps_guessed: bool = False

    def __post_init__(self) -> None:
        layout = load_layout(self.layout)
        pixels = as_tensor(self.pixels, "2D keypoints").detach().to(torch.float32)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        count = len(layout)
        if pixels.ndim != 3 or pixels.shape[1:] != (count, 2):
            raise InputError(
                f"2D keypoints have shape {tuple(pixels.shape)}", expected=f"(T, {count}, 2) for layout '{layout.name}'"
            )
        pixels, confidence = checked_clip(pixels, self.confidence, self.fps)
        object.__setattr__(self, "notes", noted(self.notes, self.confidence))
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "fps", float(self.fps))

    def __len__(self) -> int:
        """Number of frames."""
        return self.pixels.shape[0]

    def at_frames(self, places: Float[Tensor, " N"], fps: float) -> Keypoints2D:
        """The same person at other moments, which may lie between frames or outside the recording.

        Args:
            places: in frames of this recording. Between two frames pixels go straight; what only one of them shows,
                and what lies outside, is missing.
            fps: of the moments.

        Raises:
            InputError: nothing is seen at these moments.
        """
        before, after, share, inside = beside(places, len(self), _ON_A_FRAME)
        pixels = torch.lerp(self.pixels[before].double(), self.pixels[after].double(), share[:, None, None])
        trust = torch.minimum(self.confidence[before], self.confidence[after]) * inside[:, None]
        return replace(
            self,
            pixels=torch.where(trust[..., None] > 0, pixels, torch.nan).float(),
            confidence=trust,
            fps=fps,
            fps_guessed=False,
        )
