"""Pictures as machine code: what `raster`, `light`, `ground` and `frame` do in numpy, pixel by pixel.

Those stay the reference, and draw where numba is not installed; the tests hold the two together.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part

_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1), np.float32(0)
_SLACK = np.float32(1e-5)
_FLAT = np.float32(1e-12)


@part
def _span(a, b, c, limit):
    """First pixel and one past the last whose centres lie between three numbers; none where one is not finite."""
    low, high = min(min(a, b), c), max(max(a, b), c)
    if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)) or high < _ZERO or low > limit:
        return 0, 0
    return int(max(np.ceil(low - _HALF), _ZERO)), int(min(np.floor(high + _HALF), np.float32(limit)))


@part
def _draw(a, b, c, number, width, height, depth, owner):
    """One triangle, corners (column, row, depth), into a z-buffer (H * W,); `owner` is told its number."""
    left, right = _span(a[0], b[0], c[0], width)
    top, bottom = _span(a[1], b[1], c[1], height)
    if right <= left or bottom <= top or not np.isfinite(a[2] + b[2] + c[2]):
        return
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    if not np.abs(area) > _FLAT:
        return
    inverse = _ONE / area
    ux, uy = (c[1] - a[1]) * inverse, (a[0] - c[0]) * inverse
    vx, vy = (a[1] - b[1]) * inverse, (b[0] - a[0]) * inverse
    to_b, to_c = b[2] - a[2], c[2] - a[2]
    for row in range(top, bottom):
        y = np.float32(row) + _HALF - a[1]
        for column in range(left, right):
            x = np.float32(column) + _HALF - a[0]
            u = x * ux + y * uy
            v = x * vx + y * vy
            if u >= -_SLACK and v >= -_SLACK and u + v <= _ONE + _SLACK:
                value = max(a[2] + u * to_b + v * to_c, _ZERO)
                at = row * width + column
                if value < depth[at]:
                    depth[at] = value
                    owner[at] = number


@kernel
def draw_triangles(points, faces, width, height, depth, owner):
    """`raster.rasterise`'s z-buffer: `depth` (H * W,) comes in infinite, `owner` (H * W,) is told the triangle."""
    for face in range(faces.shape[0]):
        _draw(points[faces[face, 0]], points[faces[face, 1]], points[faces[face, 2]], face, width, height, depth, owner)


@kernel
def draw_maps(points, faces, turned, size, depth, owner):
    """A depth map (D, size * size) of each of the views `points` (D, V, 3), of the faces that are `turned` (D, F)."""
    for view in range(points.shape[0]):
        seen = points[view]
        for face in range(faces.shape[0]):
            if turned[view, face]:
                a, b, c = seen[faces[face, 0]], seen[faces[face, 1]], seen[faces[face, 2]]
                _draw(a, b, c, face, size, size, depth[view], owner)


@kernel
def weights_of(points, faces, pixel, owner, width, weights):
    """Barycentric weights (P, 3) of the triangles `owner` (P,) at pixel centres."""
    for i in range(pixel.shape[0]):
        face = faces[owner[i]]
        a, b, c = points[face[0]], points[face[1]], points[face[2]]
        inverse = _ONE / ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
        row = pixel[i] // width
        x, y = np.float32(pixel[i] - row * width) + _HALF - a[0], np.float32(row) + _HALF - a[1]
        u = (x * (c[1] - a[1]) + y * (a[0] - c[0])) * inverse
        v = (x * (a[1] - b[1]) + y * (b[0] - a[0])) * inverse
        weights[i, 0], weights[i, 1], weights[i, 2] = _ONE - u - v, u, v


@kernel
def see_lights(points, basis, reach, cell, size, depth, out):
    """`light.DepthMaps.visibility`: out (D, N) for points (N, 3) about the maps' middle; `depth` (D, size * size)."""
    for view in range(basis.shape[0]):
        turn, nearest = basis[view], depth[view]
        for i in range(points.shape[0]):
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            across = np.float32(turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z)
            down = np.float32(turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z)
            away = np.float32(turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z)
            column, row = int((across + reach) / cell), int((down + reach) / cell)
            out[view, i] = _ONE
            if 0 <= column < size and 0 <= row < size and nearest[row * size + column] < away + (reach - cell):
                out[view, i] = _ZERO


@kernel
def lay_ground(image, view, position, up, axes, focal, drop, centre, shade, low, high, step, paint):
    """`ground.with_ground` from its samples on, into `image` (H, W, 3); `shade` (A, B), or (0, 0) for no shadow."""
    height, width = image.shape[0], image.shape[1]
    cells = shade.shape[0]
    for row in range(height):
        y = (row + 0.5 - 0.5 * height) / focal
        for column in range(width):
            x = (column + 0.5 - 0.5 * width) / focal
            length = np.sqrt(x * x + y * y + 1.0)
            down, along, beside = 0.0, 0.0, 0.0
            for i in range(3):
                ray = (x * view[0, i] + y * view[1, i] + view[2, i]) / length
                down += ray * up[i]
                along += ray * axes[0, i]
                beside += ray * axes[1, i]
            if down == 0.0:
                continue
            distance = drop / down
            if not (distance > 0.0 and distance < 60.0):
                continue
            a = position[0] + along * distance
            b = position[1] + beside * distance
            soft = distance / focal / np.sqrt(max(np.abs(down), 0.02))
            off_a = np.abs(a / step - np.floor(a / step + 0.5)) * step
            off_b = np.abs(b / step - np.floor(b / step + 0.5)) * step
            line = min(max((0.004 + soft - min(off_a, off_b)) / soft, 0.0), 1.0) * min(1.0, 0.012 / soft)
            fade = min(max(1.0 - np.hypot(a - centre[0], b - centre[1]) / 3.4, 0.0), 1.0)
            fade = fade * fade * (3.0 - 2.0 * fade)
            light = 1.0
            if cells > 0:
                s = (a - low[0]) / (high[0] - low[0]) * (cells - 1)
                t = (b - low[1]) / (high[1] - low[1]) * (cells - 1)
                i, j = int(np.floor(s)), int(np.floor(t))
                if 0 <= i < cells - 1 and 0 <= j < cells - 1:
                    u, v = s - i, t - j
                    light = (shade[i, j] * (1 - u) + shade[i + 1, j] * u) * (1 - v)
                    light += (shade[i, j + 1] * (1 - u) + shade[i + 1, j + 1] * u) * v
            for i in range(3):
                base = image[row, column, i]
                base = base + fade * 0.75 * (paint[0, i] - base)
                base = base * (1.0 - 0.085 * (fade * line))
                image[row, column, i] = base * (1.0 - (1.0 - light) * paint[1, i])


@kernel
def shade_pixels(pixel, owner, weights, away, faces, inverse, table, view, focal, lights, near, layer, depth):
    """`frame._shade` of the pixels (P,) that a mesh covers, into `layer` (H, W, 4) and `depth` (H, W).

    `table` (V, 8) holds every vertex's normal, key light, sky light and albedo; `lights` (4, 3) the directions of the
    key and the rim light, and the colours of key and sky.
    """
    height, width = depth.shape
    value = np.empty(8, np.float32)
    for p in range(pixel.shape[0]):
        face = faces[owner[p]]
        value[:] = _ZERO
        total = _ZERO
        for i in range(3):
            share = weights[p, i] * np.float32(inverse[face[i]])
            total += share
            for n in range(8):
                value[n] += share * table[face[i], n]
        for n in range(8):
            value[n] /= total
        length = np.sqrt(max(value[0] * value[0] + value[1] * value[1] + value[2] * value[2], _FLAT))
        row = pixel[p] // width
        column = pixel[p] - row * width
        x, y = (column + 0.5 - 0.5 * width) / focal, (row + 0.5 - 0.5 * height) / focal
        ray = np.sqrt(x * x + y * y + 1.0)
        to_key, to_rim, to_eye, to_half, half_squared = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(3):
            normal = value[i] / length
            eye = -(x * view[0, i] + y * view[1, i] + view[2, i]) / ray
            half = lights[0, i] + eye
            to_key += normal * lights[0, i]
            to_rim += normal * lights[1, i]
            to_eye += normal * eye
            to_half += normal * half
            half_squared += half * half
        key = min(max(to_key, 0.0), 1.0) * value[3]
        sky = value[4]
        grazing = 1.0 - min(max(to_eye, 0.0), 1.0)
        rim = min(max(to_rim, 0.0), 1.0) * grazing * grazing * sky
        shine = min(max(to_half / np.sqrt(max(half_squared, 1e-12)), 0.0), 1.0)
        for _ in range(5):  # to the power of 32
            shine *= shine
        for i in range(3):
            light = 0.98 * key * lights[2, i] + 0.52 * sky * lights[3, i] + 0.5 * rim
            tone = value[5 + i] * light + 0.05 * shine * value[3] + 0.05 * grazing**4 * sky
            tone = max(tone, 0.0)
            if tone >= 0.7:
                tone = 0.7 + 0.3 * np.tanh((tone - 0.7) / 0.3)
            layer[row, column, i] = tone ** (1 / 2.2)
        layer[row, column, 3] = _ONE
        depth[row, column] = 1.0 / (1.0 / near - away[p])


@kernel
def put_over(layer, image, out):
    """A layer (2 H, 2 W, 4), premultiplied, over an image (H, W, 3): 8-bit numbers (H, W, 3)."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            r, c = 2 * row, 2 * column
            clear = 1.0 - 0.25 * (layer[r, c, 3] + layer[r, c + 1, 3] + layer[r + 1, c, 3] + layer[r + 1, c + 1, 3])
            for i in range(3):
                mean = 0.25 * (layer[r, c, i] + layer[r, c + 1, i] + layer[r + 1, c, i] + layer[r + 1, c + 1, i])
                value = mean + clear * image[row, column, i]
                out[row, column, i] = np.uint8(min(max(value, 0.0), 1.0) * 255.0 + 0.5)
