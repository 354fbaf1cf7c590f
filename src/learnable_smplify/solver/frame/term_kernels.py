"""What terms add to the Gauss-Newton matrices of many frames (`terms`, `sight`), without the zeros in between.

In the precision that the tensors have. `normal` (B, 75, 75) are views of larger arrays.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel

_UNKNOWNS, _ROTATIONS = 75, 72


@kernel
def add_points(levers, parent, matrix, pull, normal, gradient):
    """Quadratics in the keypoints: J^T M J to `normal`, J^T p to `gradient` (B, 75).

    `levers` (B, K, 24, 3) and `parent` (B, 24, 3, 3) are those of `PosedPoints`, `matrix` (B, K, 3, 3) and `pull`
    (B, K, 3) of the keypoints. J is `point_derivatives`; most joints move few keypoints.
    """
    count = levers.shape[1]
    jacobian = np.zeros((3, _UNKNOWNS), levers.dtype)
    for x in range(3):
        jacobian[x, _ROTATIONS + x] = 1
    total = np.empty((_UNKNOWNS, _UNKNOWNS), levers.dtype)
    moved = np.empty(_UNKNOWNS, np.int64)
    for b in range(levers.shape[0]):
        total[:] = 0
        for k in range(count):
            m = matrix[b, k]
            if m[0, 0] == 0 and m[1, 1] == 0 and m[2, 2] == 0:
                continue
            size = 0
            for j in range(24):
                x, y, z = levers[b, k, j, 0], levers[b, k, j, 1], levers[b, k, j, 2]
                moves = x != 0 or y != 0 or z != 0
                for a in range(3):  # (R_parent e_a) x lever
                    i = 3 * j + a
                    p, q, r = parent[b, j, 0, a], parent[b, j, 1, a], parent[b, j, 2, a]
                    jacobian[0, i], jacobian[1, i], jacobian[2, i] = q * z - r * y, r * x - p * z, p * y - q * x
                    if moves:
                        moved[size] = i
                        size += 1
            for x in range(3):
                moved[size] = _ROTATIONS + x
                size += 1
            jx, jy, jz = jacobian[0], jacobian[1], jacobian[2]
            for n in range(size):
                i = moved[n]
                x, y, z = jx[i], jy[i], jz[i]
                gradient[b, i] += pull[b, k, 0] * x + pull[b, k, 1] * y + pull[b, k, 2] * z
                u = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
                v = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
                w = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
                row = total[i]
                for c in range(_UNKNOWNS):
                    row[c] += u * jx[c] + v * jy[c] + w * jz[c]
        for i in range(_UNKNOWNS):
            for c in range(_UNKNOWNS):
                normal[b, i, c] += total[i, c]


@kernel
def add_precision(precision, change, normal):
    """C^T P C to the rotations' part of `normal`: `precision` (B or 1, 72, 72), `change` (B, 24, 3, 3) C's blocks."""
    half = np.empty((_ROTATIONS, _ROTATIONS), precision.dtype)
    for b in range(change.shape[0]):
        of = precision[b] if precision.shape[0] > 1 else precision[0]
        for i in range(24):
            for a in range(3):
                x, y, z = change[b, i, 0, a], change[b, i, 1, a], change[b, i, 2, a]
                row = half[3 * i + a]
                for c in range(_ROTATIONS):
                    row[c] = x * of[3 * i, c] + y * of[3 * i + 1, c] + z * of[3 * i + 2, c]
        for i in range(_ROTATIONS):
            for j in range(24):
                x, y, z = half[i, 3 * j], half[i, 3 * j + 1], half[i, 3 * j + 2]
                for a in range(3):
                    normal[b, i, 3 * j + a] += x * change[b, j, 0, a] + y * change[b, j, 1, a] + z * change[b, j, 2, a]
