"""Sports2D's TRC of pixels (`..._px_person00.trc`): markers of one person in the picture, Units px."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.assemble import matched_layout
from learnable_smplify.formats.keypoints.trc import PIXELS, read_trc_table
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.track import Track


def read_pixel_trc(path: Path, layout: str | Layout | None = None, fps: float | None = None) -> list[Track]:
    """The person of a TRC file in pixels. Rows written with Y up, which are all negative, are turned.

    Raises:
        InputError: not a TRC file, positions that are no pixels, or markers of no layout.
    """
    table = read_trc_table(path, fps)
    if table.unit.lower() not in PIXELS:
        raise InputError(
            f"the positions are in '{table.unit or 'an unknown unit'}'",
            path=path,
            where="line 3",
            expected="px: the file with '_px_' in its name (Sports2D)",
        )
    chosen, columns = matched_layout(layout, table.names, path)
    pixels = np.full((len(table.values), len(chosen), 3), np.nan)
    for name, target in columns.items():
        pixels[:, target, :2] = table.values[:, table.names.index(name), :2]
    missing = ~np.isfinite(pixels[..., :2]).all(axis=-1) | (pixels[..., :2] == 0).all(axis=-1)
    pixels[..., 2] = 1.0
    pixels[missing] = np.nan
    with np.errstate(invalid="ignore"):
        if not missing.all() and np.nanmedian(pixels[..., 1]) < 0:
            pixels[..., 1] *= -1
    sightings = [Sighting(frame, "0", points) for frame, points in enumerate(pixels)]
    return tracks_from_sightings(sightings, len(pixels), path=path, layout=chosen, fps=table.fps, notes=table.notes)
