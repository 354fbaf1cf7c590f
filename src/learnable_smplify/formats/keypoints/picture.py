"""Landmarks in picture coordinates, which are no positions in space: told by their range and where the hips are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.body_points import FEET, HIPS, TOP, mean_of
from learnable_smplify.layouts.layout import Layout

# The picture is 0 to 1; landmarks a little outside are guessed by detectors, and few are.
_LOW, _HIGH, _INSIDE = -0.2, 1.2, 0.97
# Depth is from the hips [picture widths], which are somewhere in the picture themselves.
_HIP_DEPTH, _HIP_PLACE = 0.05, 0.15


def flat_keypoints(path: Path, what: str = "", where: str | None = None) -> InputError:
    """That a file holds 2D keypoints where positions in space belong, and what to type.

    Args:
        path: the file.
        what: more about them, to be put behind.
        where: the place in the file.
    """
    return InputError(
        f"these are 2D keypoints{what}",
        path=path,
        where=where,
        expected="3D keypoints x, y, z",
        hint=f"lsmplify fit {path} --camera camera.json (or --image-size WIDTHxHEIGHT, or --cameras)",
    )


def refuse_picture(positions: Float[np.ndarray, "T K 3"], layout: Layout, path: Path) -> None:
    """Refuse positions that are MediaPipe's `pose_landmarks`: x and y are shares of a picture, z is from the hips.

    Args:
        positions: NaN where missing.
        layout: of the K keypoints.
        path: for the message.

    Raises:
        InputError: they are.
    """
    flat = positions[np.isfinite(positions).all(axis=-1)]
    hips = mean_of(positions, layout, HIPS)
    hips = hips[np.isfinite(hips).all(axis=-1)]
    if not len(flat) or not len(hips):
        return
    inside = float(((flat[:, :2] > _LOW) & (flat[:, :2] < _HIGH)).all(axis=-1).mean())
    depth, place = float(np.median(np.abs(hips[:, 2]))), float(np.median(hips[:, :2].min(axis=-1)))
    lower = mean_of(positions, layout, FEET) if np.isfinite(mean_of(positions, layout, FEET)).any() else None
    down = (mean_of(positions, layout, HIPS) if lower is None else lower) - mean_of(positions, layout, TOP)
    down = down[np.isfinite(down).all(axis=-1)]
    if inside > _INSIDE and depth < _HIP_DEPTH and place > _HIP_PLACE and len(down) and np.median(down[:, 1]) > 0:
        raise InputError(
            "these look like picture coordinates (0 to 1 across the image, y down, z from the hips), not like metres",
            path=path,
            expected="positions in space, such as MediaPipe's pose_world_landmarks instead of pose_landmarks",
            hint="--units m, if they are metres all the same",
        )
