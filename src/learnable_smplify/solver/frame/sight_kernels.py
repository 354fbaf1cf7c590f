"""`solver.frame.sight` for one frame: points in space, and what cameras see of them.

A `sight` is (cameras (V, 14), seen (V, K, 2), weights (V, K), squared robust scale or 0), as `SightTerm` has them.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import part
from learnable_smplify.solver.frame.damping_kernels import kept_pull, robust_error
from learnable_smplify.solver.frame.sight import NEAREST

_ZERO, _ONE = np.float32(0), np.float32(1)
_NEAREST = np.float32(NEAREST)


@part
def _off(camera, a, b, c, seen):
    """How far a place (a, b, c) is drawn from where it was seen."""
    z = max(camera[6] * a + camera[7] * b + camera[8] * c + camera[11], _NEAREST)
    return (
        camera[12] * (camera[0] * a + camera[1] * b + camera[2] * c + camera[9]) / z - seen[0],
        camera[13] * (camera[3] * a + camera[4] * b + camera[5] * c + camera[10]) / z - seen[1],
    )


@part
def sight_cost(points, transl, sight):
    """Of keypoints (3, K) moved by `transl`."""
    cameras, seen, weights, robust = sight
    cost = _ZERO
    for v in range(cameras.shape[0]):
        for k in range(points.shape[1]):
            if weights[v, k] == _ZERO:
                continue
            a, b, c = points[0, k] + transl[0], points[1, k] + transl[1], points[2, k] + transl[2]
            ex, ey = _off(cameras[v], a, b, c, seen[v, k])
            cost += weights[v, k] * robust_error(ex * ex + ey * ey, robust)
    return cost


@part
def sight_distance(points, transl, sight):
    """Mean distance of the seen keypoints in the pictures."""
    cameras, seen, weights, _ = sight
    total, count = _ZERO, _ZERO
    for v in range(cameras.shape[0]):
        for k in range(points.shape[1]):
            if weights[v, k] == _ZERO:
                continue
            a, b, c = points[0, k] + transl[0], points[1, k] + transl[1], points[2, k] + transl[2]
            ex, ey = _off(cameras[v], a, b, c, seen[v, k])
            total += np.sqrt(ex * ex + ey * ey)
            count += _ONE
    return total / max(count, _ONE)


@part
def sight_quadratic(points, transl, sight, quadratic):
    """Write what cameras say of each keypoint into `quadratic` (K, 9): xx, xy, xz, yy, yz, zz, half a gradient."""
    cameras, seen, weights, robust = sight
    for k in range(points.shape[1]):
        for i in range(9):
            quadratic[k, i] = _ZERO
    for v in range(cameras.shape[0]):
        camera = cameras[v]
        for k in range(points.shape[1]):
            w = weights[v, k]
            if w == _ZERO:
                continue
            a, b, c = points[0, k] + transl[0], points[1, k] + transl[1], points[2, k] + transl[2]
            depth = camera[6] * a + camera[7] * b + camera[8] * c + camera[11]
            free = _ONE if depth > _NEAREST else _ZERO
            z = max(depth, _NEAREST)
            x = (camera[0] * a + camera[1] * b + camera[2] * c + camera[9]) / z
            y = (camera[3] * a + camera[4] * b + camera[5] * c + camera[10]) / z
            ex, ey = camera[12] * x - seen[v, k, 0], camera[13] * y - seen[v, k, 1]
            w = w * kept_pull(ex * ex + ey * ey, robust)
            sx, sy = camera[12] / z, camera[13] / z
            x, y = x * free, y * free
            ux, uy, uz = (
                sx * (camera[0] - x * camera[6]),
                sx * (camera[1] - x * camera[7]),
                sx * (camera[2] - x * camera[8]),
            )
            vx, vy, vz = (
                sy * (camera[3] - y * camera[6]),
                sy * (camera[4] - y * camera[7]),
                sy * (camera[5] - y * camera[8]),
            )
            to = quadratic[k]
            to[0] += w * (ux * ux + vx * vx)
            to[1] += w * (ux * uy + vx * vy)
            to[2] += w * (ux * uz + vx * vz)
            to[3] += w * (uy * uy + vy * vy)
            to[4] += w * (uy * uz + vy * vz)
            to[5] += w * (uz * uz + vz * vz)
            to[6] += w * (ux * ex + vx * ey)
            to[7] += w * (uy * ex + vy * ey)
            to[8] += w * (uz * ex + vz * ey)
