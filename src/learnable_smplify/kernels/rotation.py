"""Rotations of one joint at a time. Matrices are (3, 3) float32 arrays, written in place."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_SIXTH = np.float32(1 / 6)
_SMALL = np.float32(1e-4)
_TINY = np.float32(1e-12)
_SHORTEST = np.float32(1e-6)
_JACOBI_SWEEPS = 6


@part
def exp_rotvec(x, y, z, out):
    """Rodrigues: the matrix of a rotvec [rad]."""
    squared = x * x + y * y + z * z
    angle = np.sqrt(squared)
    if angle < _SMALL:
        first = _ONE - squared * _SIXTH
        second = _HALF
    else:
        first = np.sin(angle) / angle
        half = np.sin(_HALF * angle) / angle
        second = _TWO * half * half
    out[0, 0] = _ONE - second * (y * y + z * z)
    out[1, 1] = _ONE - second * (x * x + z * z)
    out[2, 2] = _ONE - second * (x * x + y * y)
    xy, xz, yz = second * x * y, second * x * z, second * y * z
    x, y, z = first * x, first * y, first * z
    out[0, 1] = xy - z
    out[1, 0] = xy + z
    out[0, 2] = xz + y
    out[2, 0] = xz - y
    out[1, 2] = yz - x
    out[2, 1] = yz + x


@part
def log_rotmat(r):
    """The rotvec [rad] of a matrix, by way of the quaternion (Shepperd 1978): three floats."""
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    if trace >= r[0, 0] and trace >= r[1, 1] and trace >= r[2, 2]:
        w, x, y, z = _ONE + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    elif r[0, 0] >= r[1, 1] and r[0, 0] >= r[2, 2]:
        x, y, z = _ONE + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]
        w = r[2, 1] - r[1, 2]
    elif r[1, 1] >= r[2, 2]:
        y, x, z = _ONE + r[1, 1] - r[0, 0] - r[2, 2], r[0, 1] + r[1, 0], r[1, 2] + r[2, 1]
        w = r[0, 2] - r[2, 0]
    else:
        z, x, y = _ONE + r[2, 2] - r[0, 0] - r[1, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1]
        w = r[1, 0] - r[0, 1]
    if w < _ZERO:
        w, x, y, z = -w, -x, -y, -z
    length = np.sqrt(x * x + y * y + z * z)
    scale = _TWO / w if length < _SHORTEST * w else _TWO * np.arctan2(length, w) / length
    return scale * x, scale * y, scale * z


@part
def multiply(a, b, out):
    """out = a b; `out` must be neither."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@part
def multiply_inverse(a, b, out):
    """out = a^T b; `out` must be neither."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[0, i] * b[0, j] + a[1, i] * b[1, j] + a[2, i] * b[2, j]


@part
def log_between(a, b, scratch):
    """log(a b^T), three floats; `scratch` (3, 3) is neither."""
    for i in range(3):
        for j in range(3):
            scratch[i, j] = a[i, 0] * b[j, 0] + a[i, 1] * b[j, 1] + a[i, 2] * b[j, 2]
    return log_rotmat(scratch)


@part
def times(m, x, y, z):
    """m (x, y, z), three floats."""
    return (
        m[0, 0] * x + m[0, 1] * y + m[0, 2] * z,
        m[1, 0] * x + m[1, 1] * y + m[1, 2] * z,
        m[2, 0] * x + m[2, 1] * y + m[2, 2] * z,
    )


@part
def copy_matrix(a, out):
    """out = a, without the machinery of a general array assignment."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, j]


@part
def copy_matrices(a, out):
    """out = a for the first matrices that `a` (N, 3, 3) holds."""
    for n in range(a.shape[0]):
        copy_matrix(a[n], out[n])


@kernel
def closest_rotmat(matrix, out):
    """The rotation R that maximises trace(R^T M): Horn 1987, the largest eigenvector of a 4 x 4 matrix (by Jacobi)."""
    m, a = np.empty((3, 3)), np.empty((4, 4))  # float64: eigenvalues lie close together where few points decide
    for i in range(3):
        for j in range(3):
            m[i, j] = matrix[i, j]
    a[0, 0] = m[0, 0] + m[1, 1] + m[2, 2]
    a[1, 1] = m[0, 0] - m[1, 1] - m[2, 2]
    a[2, 2] = m[1, 1] - m[0, 0] - m[2, 2]
    a[3, 3] = m[2, 2] - m[0, 0] - m[1, 1]
    a[0, 1] = a[1, 0] = m[2, 1] - m[1, 2]
    a[0, 2] = a[2, 0] = m[0, 2] - m[2, 0]
    a[0, 3] = a[3, 0] = m[1, 0] - m[0, 1]
    a[1, 2] = a[2, 1] = m[0, 1] + m[1, 0]
    a[1, 3] = a[3, 1] = m[0, 2] + m[2, 0]
    a[2, 3] = a[3, 2] = m[1, 2] + m[2, 1]
    v = np.zeros((4, 4))
    for i in range(4):
        v[i, i] = _ONE
    for _ in range(_JACOBI_SWEEPS):
        for p in range(3):
            for q in range(p + 1, 4):
                off = a[p, q]
                if np.abs(off) <= _TINY:
                    continue
                theta = (a[q, q] - a[p, p]) / (_TWO * off)
                t = _ONE / (np.abs(theta) + np.sqrt(theta * theta + _ONE))
                if theta < _ZERO:
                    t = -t
                c = _ONE / np.sqrt(t * t + _ONE)
                s = t * c
                for k in range(4):
                    left, right = a[k, p], a[k, q]
                    a[k, p] = c * left - s * right
                    a[k, q] = s * left + c * right
                for k in range(4):
                    left, right = a[p, k], a[q, k]
                    a[p, k] = c * left - s * right
                    a[q, k] = s * left + c * right
                for k in range(4):
                    left, right = v[k, p], v[k, q]
                    v[k, p] = c * left - s * right
                    v[k, q] = s * left + c * right
    best = 0
    for i in range(1, 4):
        if a[i, i] > a[best, best]:
            best = i
    w, x, y, z = v[0, best], v[1, best], v[2, best], v[3, best]
    n = _TWO / (w * w + x * x + y * y + z * z)
    out[0, 0] = _ONE - n * (y * y + z * z)
    out[1, 1] = _ONE - n * (x * x + z * z)
    out[2, 2] = _ONE - n * (x * x + y * y)
    out[0, 1], out[1, 0] = n * (x * y - w * z), n * (x * y + w * z)
    out[0, 2], out[2, 0] = n * (x * z + w * y), n * (x * z - w * y)
    out[1, 2], out[2, 1] = n * (y * z - w * x), n * (y * z + w * x)


@part
def rot6d_rotmat(d0, d1, d2, d3, d4, d5, out):
    """Gram-Schmidt of the two columns (d0, d2, d4), (d1, d3, d5); the identity where they have no direction."""
    length = np.sqrt(d0 * d0 + d2 * d2 + d4 * d4)
    if not length > _SHORTEST:
        _identity(out)
        return
    a, b, c = d0 / length, d2 / length, d4 / length
    along = a * d1 + b * d3 + c * d5
    p, q, r = d1 - along * a, d3 - along * b, d5 - along * c
    length = np.sqrt(p * p + q * q + r * r)
    if not length > _SHORTEST:
        _identity(out)
        return
    p, q, r = p / length, q / length, r / length
    out[0, 0], out[1, 0], out[2, 0] = a, b, c
    out[0, 1], out[1, 1], out[2, 1] = p, q, r
    out[0, 2], out[1, 2], out[2, 2] = b * r - c * q, c * p - a * r, a * q - b * p


@part
def _identity(out):
    for i in range(3):
        for j in range(3):
            out[i, j] = _ONE if i == j else _ZERO


@kernel
def exp_frames(rotvec, out):
    """Matrices (B, J, 3, 3) of rotvecs (B, J, 3)."""
    for frame in range(rotvec.shape[0]):
        for joint in range(rotvec.shape[1]):
            v = rotvec[frame, joint]
            exp_rotvec(v[0], v[1], v[2], out[frame, joint])


@kernel
def log_frames(rotmat, out):
    """Rotvecs (B, J, 3) of matrices (B, J, 3, 3)."""
    for frame in range(rotmat.shape[0]):
        for joint in range(rotmat.shape[1]):
            x, y, z = log_rotmat(rotmat[frame, joint])
            out[frame, joint, 0] = x
            out[frame, joint, 1] = y
            out[frame, joint, 2] = z


@kernel
def closest_frames(matrix, out):
    """`closest_rotmat` of matrices (B, 3, 3)."""
    for row in range(matrix.shape[0]):
        closest_rotmat(matrix[row], out[row])
