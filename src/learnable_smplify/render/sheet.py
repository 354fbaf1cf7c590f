"""Contact sheet: evenly spaced frames of a clip in one PNG."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8
from rich import get_console
from rich.progress import track

from learnable_smplify.errors import InputError
from learnable_smplify.render.camera import View
from learnable_smplify.render.clip import Clip, import_extra
from learnable_smplify.safe_files.atomic import atomic_output

_PAGE = (255, 255, 255)
_INK = (52, 58, 66)
_FAINT_INK = (120, 128, 138)
_FLAG_INK = (200, 80, 10)


def contact_sheet(
    clip: Clip,
    path: str | os.PathLike[str] | None = None,
    *,
    frames: int = 10,
    views: Sequence[View] = ("three-quarter",),
    size: tuple[int, int] = (240, 320),
    caption: str = "",
    progress: bool = False,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw evenly spaced frames in a grid, each with its time in seconds, and write them as one picture.

    Up to five are side by side, as many as make full rows.

    Args:
        clip: what to show.
        path: the PNG to write; None only returns the picture.
        frames: how many (fewer when the clip has fewer).
        views: each frame is shown from every one of these, below one another.
        size: (width, height) of one picture in pixels.
        caption: a line above the grid.
        progress: show a progress bar.

    Returns:
        (H, W, 3) uint8, sRGB.

    Raises:
        InputError: no frames asked for, no views, or a place that cannot be written to.
        MissingExtraError: pillow is not installed.
    """
    import_extra("PIL.Image", "pillow", "Drawing a contact sheet")
    from PIL import Image, ImageDraw, ImageFont

    if frames < 1:
        raise InputError(f"the contact sheet has {frames} frames", expected="at least one")
    if not views:
        raise InputError("the contact sheet has no view", expected="one or more of front, three-quarter, side")
    chosen = np.unique(np.linspace(0, len(clip) - 1, frames).round().astype(int))
    across = _columns(len(chosen))
    down = math.ceil(len(chosen) / across)

    width, height = size
    unit = max(10, round(width / 18))  # everything in proportion to one picture
    gap, margin = max(4, unit // 2), unit + unit // 2
    header = round(1.9 * unit) if caption else 0
    seam = 2  # between views of the same moment
    cell_height = (height + seam) * len(views) - seam
    fall = gap if len(views) == 1 else 2 * gap
    page = Image.new(
        "RGB",
        (2 * margin + across * (width + gap) - gap, 2 * margin + header + down * (cell_height + fall) - fall),
        _PAGE,
    )
    draw = ImageDraw.Draw(page)
    title_font = ImageFont.load_default(size=round(1.25 * unit))
    time_font = ImageFont.load_default(size=unit)
    if caption:
        text = _shortened(caption, page.width - 2 * margin, title_font.getlength)
        draw.text((margin, margin + round(0.2 * unit)), text, fill=_INK, font=title_font, anchor="lt")

    floor = clip.floor_height()
    cameras = {view: clip.cameras(chosen, view=view, size=size) for view in views}
    hidden = not (progress and get_console().is_terminal)
    numbered = track(list(enumerate(chosen)), "Drawing frames", transient=True, disable=hidden)
    for place, frame in numbered:
        left = margin + (place % across) * (width + gap)
        top = margin + header + (place // across) * (cell_height + fall)
        for row, view in enumerate(views):
            picture = clip.picture(frame, cameras[view][place], panel="overlay", floor_height=floor, size=size)
            page.paste(Image.fromarray(picture), (left, top + row * (height + seam)))
        flagged = clip.flagged is not None and bool(clip.flagged[frame])
        label = f"{frame / clip.fps:.2f} s" + ("  not trusted" if flagged else "")
        corner = (left + unit // 2, top + unit // 2)
        draw.text(corner, label, fill=_FLAG_INK if flagged else _FAINT_INK, font=time_font, anchor="lt")

    if path is not None:
        with atomic_output(path) as temporary:
            page.save(temporary, format="PNG", optimize=True)
    return np.asarray(page)


def _columns(count: int) -> int:
    """Five a row at most; among 3, 4 and 5 the one that leaves the fewest gaps, wider first."""
    if count <= 5:
        return count
    return min((5, 4, 3), key=lambda across: (-count % across, -across))


def _shortened(text: str, room: float, measure: Callable[[str], float]) -> str:
    if measure(text) <= room:
        return text
    while text and measure(text + "...") > room:
        text = text[:-1]
    return text + "..."
