"""Triangles to pixels on the CPU: a z-buffer, as machine code or in numpy.

Own code because the ray casters on the package index lack wheels for some systems (Linux on ARM among them), and a
body's small triangles suit a rasteriser: numpy tests all pixels of all triangles in one vectorised pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from learnable_smplify.kernels.usable import has_numba

# Pixel tests held in memory at once; a body at 960 x 960 needs about half a million.
_CHUNK = 2_000_000
_EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, eq=False)
class Fragments:
    """What the z-buffer kept: one nearest triangle for each pixel that any triangle covers.

    Args:
        pixel: (P,) flat pixel index, row * width + column, ascending.
        face: (P,) index of the triangle.
        weights: (P, 3) barycentric weights in the picture plane (linear on the screen).
        depth: (P,) the third coordinate, interpolated linearly on the screen.
    """

    pixel: Int[np.ndarray, "P"]
    face: Int[np.ndarray, "P"]
    weights: Float[np.ndarray, "P 3"]
    depth: Float[np.ndarray, "P"]


def rasterise(points: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], size: tuple[int, int]) -> Fragments:
    """The nearest triangle at every pixel centre.

    Args:
        points: (N, 3) corners as column, row [px] and a non-negative depth, smaller is nearer. Depth is interpolated
            linearly on the screen: give an orthographic depth, or a constant minus the inverse of a perspective one.
        faces: (F, 3) point numbers.
        size: (width, height) in pixels.

    Triangles facing either way are drawn; those with zero area or a non-finite corner are not.
    """
    width, height = size
    if has_numba():
        return _rasterise_compiled(np.asarray(points), np.asarray(faces), width, height)
    # Columns on their own: numpy reduces over a last axis of three far slower than it adds three arrays.
    x, y, depth = (np.ascontiguousarray(column, dtype=np.float32) for column in np.asarray(points).T)
    a, b, c = np.ascontiguousarray(faces.T)
    with np.errstate(invalid="ignore"):
        left, right = _pixel_range(x[a], x[b], x[c], width)
        top, bottom = _pixel_range(y[a], y[b], y[c], height)
        # Most of a depth map's triangles lie between pixel centres: drop them before any more work.
        drawn = np.flatnonzero((right > left) & (bottom > top) & np.isfinite(depth[a] + depth[b] + depth[c]))
        a, b, c = a[drawn], b[drawn], c[drawn]
        area = (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])
        solid = np.abs(area) > 1e-12
    drawn, a, b, c = drawn[solid], a[solid], b[solid], c[solid]
    inverse = 1.0 / area[solid]
    # Each triangle's first corner, and the screen slopes of the weights of its second and third corner.
    planes = (
        *(x[a], y[a]),
        *((y[c] - y[a]) * inverse, (x[a] - x[c]) * inverse),
        *((y[a] - y[b]) * inverse, (x[b] - x[a]) * inverse),
    )
    left, top = left[drawn].astype(np.int64), top[drawn].astype(np.int64)
    span_x = right[drawn].astype(np.int64) - left
    count = span_x * (bottom[drawn].astype(np.int64) - top)

    buffer = np.full(width * height, _EMPTY, dtype=np.uint64)
    ends = np.cumsum(count)
    start = 0
    while start < len(drawn):
        base = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, base + _CHUNK, side="right")))
        part = slice(start, stop)
        owner = np.repeat(np.arange(start, stop), count[part])
        offset = np.arange(len(owner)) - np.repeat(ends[part] - count[part] - base, count[part])
        down, across = np.divmod(offset, span_x[owner])
        row, column = top[owner] + down, left[owner] + across
        u, v = _weights(planes, owner, column, row)
        # A hair of slack, so that rounding leaves no pinhole on the edge two triangles share.
        inside = np.flatnonzero((u >= -1e-5) & (v >= -1e-5) & (u + v <= 1 + 1e-5))
        owner, u, v = owner[inside], u[inside], v[inside]
        at_a = depth[a[owner]]
        value = at_a + u * (depth[b[owner]] - at_a) + v * (depth[c[owner]] - at_a)
        # The bits of a non-negative float32 sort like the number itself.
        bits = np.maximum(value, np.float32(0)).view(np.uint32).astype(np.uint64)
        np.minimum.at(buffer, row[inside] * width + column[inside], (bits << np.uint64(32)) | owner.astype(np.uint64))
        start = stop

    pixel = np.flatnonzero(buffer != _EMPTY)
    kept = buffer[pixel]
    owner = (kept & np.uint64(0xFFFF_FFFF)).astype(np.int64)
    u, v = _weights(planes, owner, pixel % width, pixel // width)
    return Fragments(
        pixel=pixel,
        face=drawn[owner],
        weights=np.stack([1 - u - v, u, v], axis=1),
        depth=(kept >> np.uint64(32)).astype(np.uint32).view(np.float32),
    )


def _rasterise_compiled(
    points: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], width: int, height: int
) -> Fragments:
    from learnable_smplify.render.kernels import draw_triangles, weights_of

    corners = np.ascontiguousarray(points, np.float32)
    triangles = np.ascontiguousarray(faces, np.int64)
    depth, owner = np.full(width * height, np.inf, np.float32), np.empty(width * height, np.int64)
    draw_triangles(corners, triangles, width, height, depth, owner)
    pixel = np.flatnonzero(depth < np.inf)
    face = owner[pixel]
    weights = np.empty((len(pixel), 3), np.float32)
    weights_of(corners, triangles, pixel, face, width, weights)
    return Fragments(pixel, face, weights, depth[pixel])


def _pixel_range(
    a: Float[np.ndarray, "F"], b: Float[np.ndarray, "F"], c: Float[np.ndarray, "F"], limit: int
) -> tuple[Float[np.ndarray, "F"], Float[np.ndarray, "F"]]:
    """First pixel and one past the last whose centres lie between the three corners' extremes."""
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    return np.clip(np.ceil(low - 0.5), 0, limit), np.clip(np.floor(high + 0.5), 0, limit)


def _weights(
    planes: tuple[Float[np.ndarray, "F"], ...],
    owner: Int[np.ndarray, "P"],
    column: Int[np.ndarray, "P"],
    row: Int[np.ndarray, "P"],
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
    """Weights of the second and third corner at pixel centres."""
    at_x, at_y, u_x, u_y, v_x, v_y = (plane[owner] for plane in planes)
    x = column.astype(np.float32) + np.float32(0.5) - at_x
    y = row.astype(np.float32) + np.float32(0.5) - at_y
    return x * u_x + y * u_y, x * v_x + y * v_y
