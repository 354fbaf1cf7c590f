"""Sports2D's TRC of pixels (`..._px_person00.trc`): markers of one person in the picture, Units px."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import named_sightings, tracks_from_sightings
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.formats.keypoints.trc import PIXELS, read_trc_table
from learnable_smplify.track import Track


def read_pixel_trc(path: Path, asked: Asked) -> list[Track]:
    """The person of a TRC file in pixels. Rows written with Y up, which are all negative, are turned.

    Raises:
        InputError: not a TRC file, positions that are no pixels, or markers of no layout.
    """
    columns = read_trc_table(path, asked.fps)
    units = columns.source.units
    if (units or "").lower() not in PIXELS:
        raise InputError(
            f"the positions are in '{units or 'an unknown unit'}'",
            path=path,
            where="line 3",
            expected="px: the file with '_px_' in its name (Sports2D)",
        )
    values = columns.values[..., :2]
    if np.nanmedian(values[..., 1]) < 0:
        values = values * [1, -1]
    sightings, chosen = named_sightings({"0": replace(columns, values=values)}, path, asked.layout)
    return tracks_from_sightings(sightings, len(values), replace(asked, layout=chosen), columns.source)
