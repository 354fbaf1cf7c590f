"""Keypoints as small shaded balls and bones as rods, drawn over a body so that one sees where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from learnable_smplify.hands import hand_edges
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.render.camera import Camera

# Colours of Okabe and Ito's set, which colour-blind readers can tell apart.
LEFT_COLOR = (0, 104, 190)
RIGHT_COLOR = (222, 90, 10)
MIDDLE_COLOR = (38, 150, 104)

# Of the balls [m]: fingers lie close together.
_BODY_RADIUS, _HAND_RADIUS = 0.02, 0.006

# How much of a keypoint shows through the body in front of it.
_THROUGH = 0.5


def keypoint_colors(layout: Layout) -> Float[np.ndarray, "K 3"]:
    """Colours (K, 3) in 0..255 of a layout's keypoints: the body's left blue, its right orange, the middle green."""
    colors = []
    for row in layout.points:
        sides = {name.split("_")[0] for name, _ in row}
        colors.append(LEFT_COLOR if sides == {"left"} else RIGHT_COLOR if sides == {"right"} else MIDDLE_COLOR)
    return np.array(colors, dtype=float)


def with_hand_points(
    points: Float[np.ndarray, "T K 3"],
    edges: Sequence[tuple[int, int]],
    colors: Float[np.ndarray, "K 3"],
    hands: Float[np.ndarray, "T 2 21 3"],
) -> tuple[Float[np.ndarray, "T N 3"], list[tuple[int, int]], Float[np.ndarray, "N 3"], Float[np.ndarray, "N"]]:
    """Keypoints with those of both hands behind them: positions, edges, colours, and the radius of each ball [m]."""
    count = points.shape[1]
    joined = np.concatenate((points, hands.reshape(len(hands), -1, 3)), axis=1)
    paint = np.concatenate((colors, np.repeat(np.array([LEFT_COLOR, RIGHT_COLOR], dtype=float), 21, axis=0)))
    return joined, [*edges, *hand_edges(count)], paint, np.repeat((_BODY_RADIUS, _HAND_RADIUS), (count, 42))


def draw_keypoints(
    image: Float[np.ndarray, "H W 4"],
    depth: Float[np.ndarray, "H W"],
    keypoints: Float[np.ndarray, "K 3"],
    camera: Camera,
    *,
    edges: Sequence[tuple[int, int]] = (),
    colors: ArrayLike | None = None,
    radii: ArrayLike | None = None,
) -> None:
    """Draw into `image` (premultiplied RGBA, 0..1) in place; `depth` is the mesh's [m], infinite where there is none.

    Args:
        keypoints: (K, 3) world, metres; a row with NaN is a missing keypoint and is not drawn.
        edges: pairs of keypoint numbers joined by a rod.
        colors: (K, 3) in 0..255.
        radii: (K,) of the balls, metres; rods are thinner. None takes the usual one.
    """
    height, width = depth.shape
    projected = camera.project(keypoints, (width, height))
    present = np.isfinite(projected).all(axis=1) & (projected[:, 2] > 0.05)
    paint = (np.full((len(projected), 3), 60.0) if colors is None else np.asarray(colors, float)) / 255.0
    focal, sizes = camera.focal(height), np.broadcast_to(_BODY_RADIUS if radii is None else radii, len(projected))
    # Far ones first, so that near ones cover them.
    for a, b in sorted(edges, key=lambda edge: -float(np.nan_to_num(projected[list(edge), 2]).sum())):
        if present[a] and present[b]:
            middle = np.allclose(paint[a] * 255, MIDDLE_COLOR)
            color = paint[b] if middle else paint[a]
            thin = 0.42 * float(min(sizes[a], sizes[b]))
            _capsule(image, depth, projected[a], projected[b], thin * focal, color, thin)
    for index in sorted(np.flatnonzero(present), key=lambda index: -projected[index, 2]):
        point = projected[index]
        _capsule(image, depth, point, point, float(sizes[index]) * focal, paint[index], float(sizes[index]))


def _capsule(
    image: Float[np.ndarray, "H W 4"],
    depth: Float[np.ndarray, "H W"],
    start: Float[np.ndarray, "3"],
    end: Float[np.ndarray, "3"],
    thickness: float,
    color: Float[np.ndarray, "3"],
    radius: float,
) -> None:
    """A rod from `start` to `end` (column, row, depth) with round ends; a ball when they are the same point."""
    height, width = depth.shape
    radius_px = max(1.3, thickness / float(0.5 * (start[2] + end[2])))
    low = np.floor(np.minimum(start, end)[:2] - radius_px - 1)
    high = np.ceil(np.maximum(start, end)[:2] + radius_px + 1)
    x0, y0 = (int(v) for v in np.clip(low, 0, (width, height)))
    x1, y1 = (int(v) for v in np.clip(high, 0, (width, height)))
    if x0 >= x1 or y0 >= y1:
        return
    x = np.arange(x0, x1) + 0.5 - start[0]
    y = np.arange(y0, y1)[:, None] + 0.5 - start[1]
    along = (end - start)[:2]
    length2 = float(along @ along)
    t = np.clip((x * along[0] + y * along[1]) / length2, 0, 1) if length2 > 0 else np.zeros(np.broadcast(x, y).shape)
    dx, dy = x - t * along[0], y - t * along[1]
    distance = np.hypot(dx, dy) / radius_px
    cover = np.clip((1.0 - distance) * radius_px + 0.5, 0, 1)
    bulge = np.sqrt(np.clip(1.0 - distance**2, 0, 1))
    # Lit from the upper left, as the body is; a dark edge parts it from a body of similar brightness.
    light = 0.62 + 0.38 * np.clip((-0.5 * dx - 0.65 * dy) / radius_px + 0.57 * bulge, 0, 1)
    shine = np.clip((-0.45 * dx - 0.55 * dy) / radius_px * 0.9 + 0.72 * bulge, 0, 1) ** 24
    shaded = np.clip(color * light[..., None] + 0.4 * shine[..., None], 0, 1)
    own_depth = start[2] + t * (end[2] - start[2]) - radius * bulge
    patch = (slice(y0, y1), slice(x0, x1))
    alpha = (cover * np.where(own_depth <= depth[patch], 1.0, _THROUGH))[..., None]
    image[patch][..., :3] *= 1 - alpha
    image[patch][..., :3] += shaded * alpha
    image[patch][..., 3:] += (1 - image[patch][..., 3:]) * alpha
