"""Numbers that are no positions in space: landmarks in picture coordinates, pixels, rotations. Told by their range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.body_points import FEET, HIPS, TOP, mean_of
from learnable_smplify.layouts.layout import Layout

# Somebody in a picture is larger than this [px], and nobody on earth is [m]; confidences and COCO's 0, 1, 2 are below.
_SMALLEST_PX, _MOST_TRUST = 20.0, 2.0
# How far off 1 the length of a written quaternion is.
_UNIT = 0.01
# Nobody is so small in a picture and found.
_FEWEST_PX = 4.0
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


def refuse_turns(
    positions: Float[np.ndarray, "*T K 3"], confidence: Float[np.ndarray, "*T K"] | None, path: Path
) -> None:
    """Refuse four numbers a joint that are unit quaternions, and no positions with their confidence.

    Args:
        positions: NaN where missing.
        confidence: of them.
        path: for the message.

    Raises:
        InputError: they are.
    """
    if confidence is None:
        return
    length = np.sqrt((positions**2).sum(axis=-1) + confidence**2)
    length = length[np.isfinite(length)]
    if length.size and (np.abs(length - 1) < _UNIT).all():
        raise InputError(
            "four numbers a joint, together of length 1: these are rotations (quaternions)",
            path=path,
            expected="positions of the joints",
            hint="the same motion as .bvh or .glb, then lsmplify import-motion",
        )


def refuse_small(pixels: Float[np.ndarray, "T K 2"], path: Path) -> None:
    """Refuse people of a few pixels: their keypoints are shares of the picture, or metres.

    Args:
        pixels: of a person each, NaN where missing.
        path: for the message.

    Raises:
        InputError: they do.
    """
    span = _span(pixels).max(axis=-1)
    if len(span) and np.median(span) < _FEWEST_PX:
        raise InputError(
            f"the people are only {np.median(span):.2g} high or wide: shares of the picture (0 to 1), or metres",
            path=path,
            expected="pixels: shares times the width and the height of the picture",
            hint=f"lsmplify fit {path} -o motion.npz, if they are positions in space",
        )


def refuse_picture(positions: Float[np.ndarray, "T K 3"], layout: Layout, path: Path) -> None:
    """Refuse positions in a picture: pixels with a confidence for depth, and MediaPipe's `pose_landmarks`, whose x and
    y are shares of the picture and whose z is from the hips.

    Args:
        positions: NaN where missing.
        layout: of the K keypoints.
        path: for the message.

    Raises:
        InputError: they are.
    """
    if _are_pixels(positions):
        raise flat_keypoints(path, " in pixels: x, y, confidence")
    flat = positions[np.isfinite(positions).all(axis=-1)]
    middle, feet = mean_of(positions, layout, HIPS), mean_of(positions, layout, FEET)
    hips = middle[np.isfinite(middle).all(axis=-1)]
    if not len(flat) or not len(hips):
        return
    inside = float(((flat[:, :2] > _LOW) & (flat[:, :2] < _HIGH)).all(axis=-1).mean())
    depth, place = float(np.median(np.abs(hips[:, 2]))), float(np.median(hips[:, :2].min(axis=-1)))
    down = (feet if np.isfinite(feet).any() else middle) - mean_of(positions, layout, TOP)
    down = down[np.isfinite(down).all(axis=-1)]
    if inside > _INSIDE and depth < _HIP_DEPTH and place > _HIP_PLACE and len(down) and np.median(down[:, 1]) > 0:
        raise InputError(
            "these look like picture coordinates (0 to 1 across the image, y down, z from the hips), not like metres",
            path=path,
            expected="positions in space, such as MediaPipe's pose_world_landmarks instead of pose_landmarks",
            hint="--units m, if they are metres all the same",
        )


def _are_pixels(positions: Float[np.ndarray, "T K 3"]) -> bool:
    known = np.isfinite(positions).all(axis=-1, keepdims=True)
    depth = positions[known[..., 0], 2]
    if not len(depth) or depth.min() < 0 or depth.max() > _MOST_TRUST:
        return False
    return float(np.median(_span(positions[..., :2]).max(axis=-1))) > _SMALLEST_PX


def _span(points: Float[np.ndarray, "T K D"]) -> Float[np.ndarray, "N D"]:
    """From the lowest to the highest coordinate of a frame's points, where there are any."""
    known = np.isfinite(points).all(axis=-1, keepdims=True)
    span = np.where(known, points, -np.inf).max(axis=1) - np.where(known, points, np.inf).min(axis=1)
    return span[np.isfinite(span).all(axis=-1)]
