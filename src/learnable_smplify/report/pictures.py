"""Pictures of single moments of a clip, as PNG files in memory."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np

from learnable_smplify.render.clip import Clip, import_extra

_SIZE = (264, 352)
_ARM_LENGTH_M = 1.0


@dataclass(frozen=True)
class Picture:
    """One frame of the motion, and what to write below it."""

    frame: int
    png: bytes
    caption: str = ""


def draw_moments(clip: Clip, frames: list[int], captions: list[str]) -> list[Picture]:
    """Draw every frame of `clip`, which holds only the moments to show.

    Args:
        clip: N frames.
        frames: (N,) their numbers in the whole motion.
        captions: (N,) what to write below each.

    Raises:
        MissingExtraError: pillow is not installed.
    """
    import_extra("PIL.Image", "pillow", "Drawing the pictures of a report")
    from PIL import Image

    floor = clip.floor_height()
    cameras = _without_strays(clip).cameras(np.arange(len(clip)), view="three-quarter", size=_SIZE, follow=True)
    pictures = []
    for place, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        pixels = clip.picture(place, cameras[place], panel="overlay", floor_height=floor, size=_SIZE)
        file = io.BytesIO()
        # 128 colours do for a grey body and three colours of dots, at a third of the size.
        Image.fromarray(pixels).quantize(128, dither=Image.Dither.FLOYDSTEINBERG).save(file, "PNG", optimize=True)
        pictures.append(Picture(frame, file.getvalue(), caption))
    return pictures


def _without_strays(clip: Clip) -> Clip:
    """The clip without keypoints more than an arm's length off the body: one at 50 m would make all pictures tiny."""
    if clip.keypoints is None:
        return clip
    low = clip.vertices.min(axis=1, keepdims=True) - _ARM_LENGTH_M
    high = clip.vertices.max(axis=1, keepdims=True) + _ARM_LENGTH_M
    near = ((clip.keypoints >= low) & (clip.keypoints <= high)).all(axis=-1, keepdims=True)
    return replace(clip, keypoints=np.where(near, clip.keypoints, np.nan))
