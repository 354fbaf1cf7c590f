"""Machine code of `rays` and of what is built on it: `triangulate.triangulate` and `side_costs.missing_each_other`.

Points are the last axis of every array, and the innermost loop.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part

_LEAST = 1e-12  # as in `rays.meeting`


@part
def _add_ray(direction, centre, pull, matrix, right):
    """w (1 - d d^T), as xx yy zz xy xz yz, to `matrix` (6, N), and w (1 - d d^T) c to `right` (3, N)."""
    dx, dy, dz = direction
    for n in range(pull.shape[0]):
        x, y, z, w = dx[n], dy[n], dz[n], pull[n]
        along = centre[0] * x + centre[1] * y + centre[2] * z
        matrix[0, n] += w - w * x * x
        matrix[1, n] += w - w * y * y
        matrix[2, n] += w - w * z * z
        matrix[3, n] -= w * x * y
        matrix[4, n] -= w * x * z
        matrix[5, n] -= w * y * z
        right[0, n] += w * (centre[0] - along * x)
        right[1, n] += w * (centre[1] - along * y)
        right[2, n] += w * (centre[2] - along * z)


@part
def _reset(matrix, right):
    matrix[:3] = _LEAST
    matrix[3:] = 0.0
    right[:] = 0.0


@part
def _solve(matrix, right, place):
    """By cofactors."""
    for n in range(place.shape[1]):
        xx, yy, zz, xy, xz, yz = matrix[0, n], matrix[1, n], matrix[2, n], matrix[3, n], matrix[4, n], matrix[5, n]
        a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
        d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
        size = 1.0 / max(xx * a + xy * b + xz * c, _LEAST * _LEAST * _LEAST)
        x, y, z = right[0, n] * size, right[1, n] * size, right[2, n] * size
        place[0, n] = a * x + b * y + c * z
        place[1, n] = b * x + d * y + e * z
        place[2, n] = c * x + e * y + f * z


@part
def _angles(direction, centre, place, squared, out):
    """`Rays.squared_distance` and `Rays.angle` of one camera."""
    dx, dy, dz = direction
    for n in range(out.shape[0]):
        x, y, z = place[0, n] - centre[0], place[1, n] - centre[1], place[2, n] - centre[2]
        along = max(dx[n] * x + dy[n] * y + dz[n] * z, 0.0)
        away = max(x * x + y * y + z * z, 1e-9)
        squared[n] = away
        out[n] = np.sqrt(max(1.0 - along * along / away, 0.0))


@kernel
def place_points(towards, trust, centres, far, same_side, points, sure):
    """`triangulate` of N points: directions (3, V, N), confidence (V, N), centres (V, 3); writes (3, N) and (N,)."""
    views, count = trust.shape
    matrix, right, place = np.empty((6, count)), np.empty((3, count)), np.empty((3, count))
    squared, angle, score = np.empty(count), np.empty(count), np.empty(count)
    pull, best = np.empty((2, count)), np.full(count, np.inf)
    for a in range(views):
        one = (towards[0, a], towards[1, a], towards[2, a])
        for b in range(a + 1, views):
            other = (towards[0, b], towards[1, b], towards[2, b])
            pull[:] = 1.0
            _reset(matrix, right)
            _add_ray(one, centres[a], pull[0], matrix, right)
            _add_ray(other, centres[b], pull[1], matrix, right)
            _solve(matrix, right, place)
            score[:] = 0.0
            for v in range(views):
                _angles((towards[0, v], towards[1, v], towards[2, v]), centres[v], place, squared, angle)
                for n in range(count):
                    off = min(angle[n], far)
                    score[n] += trust[v, n] * off * off
            for n in range(count):
                same = one[0][n] * other[0][n] + one[1][n] * other[1][n] + one[2][n] * other[2][n]
                if trust[a, n] > 0.0 and trust[b, n] > 0.0 and same < same_side and score[n] < best[n]:
                    best[n] = score[n]
                    points[0, n], points[1, n], points[2, n] = place[0, n], place[1, n], place[2, n]
    _reset(matrix, right)
    agreeing = np.zeros(count)
    sure[:] = 0.0
    for v in range(views):
        ray = (towards[0, v], towards[1, v], towards[2, v])
        _angles(ray, centres[v], points, squared, angle)
        for n in range(count):
            agrees = angle[n] < far and trust[v, n] > 0.0
            pull[0, n] = trust[v, n] / squared[n] if agrees else 0.0
            agreeing[n] += 1.0 if agrees else 0.0
            sure[n] += trust[v, n] if agrees else 0.0
        _add_ray(ray, centres[v], pull[0], matrix, right)
    _solve(matrix, right, points)
    for n in range(count):
        enough = agreeing[n] >= 2.0 and best[n] < np.inf
        sure[n] = sure[n] / agreeing[n] if enough else 0.0
        if not enough:
            points[0, n], points[1, n], points[2, n] = np.nan, np.nan, np.nan


@kernel
def miss_each_other(towards, weight, centres, labels, far, rounds, out):
    """`side_costs._missed`: (3, 2, V, J, T), (2, V, J, T), (V, 3), (H, V); adds to `out` (H, T)."""
    _, views, joints, count = weight.shape
    matrix, right, place = np.empty((6, count)), np.empty((3, count)), np.empty((3, count))
    squared, angle, pull = np.empty(count), np.empty((views, count)), np.empty((views, count))
    for h in range(labels.shape[0]):
        for j in range(joints):
            for v in range(views):
                pull[v] = weight[labels[h, v], v, j]
            for number in range(rounds):
                _reset(matrix, right)
                for v in range(views):
                    side = towards[:, labels[h, v], v, j]
                    _add_ray((side[0], side[1], side[2]), centres[v], pull[v], matrix, right)
                _solve(matrix, right, place)
                for v in range(views):
                    side = towards[:, labels[h, v], v, j]
                    _angles((side[0], side[1], side[2]), centres[v], place, squared, angle[v])
                    if number + 1 < rounds:
                        of = weight[labels[h, v], v, j]
                        for n in range(count):
                            kept = 1.0 + (2.0 * angle[v, n] / far) ** 2
                            pull[v, n] = of[n] / (kept * kept)
            for v in range(views):
                of = weight[labels[h, v], v, j]
                for n in range(count):
                    out[h, n] += min(angle[v, n], far) / joints if of[n] > 0.0 else 0.0
