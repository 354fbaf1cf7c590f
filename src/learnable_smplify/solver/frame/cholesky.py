"""Small dense positive definite systems."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import part

_ZERO, _ONE = np.float32(0), np.float32(1)


@part
def factor(a, n):
    """a = L L^T in place, in the lower triangle of the first n rows; False if not positive definite.

    The diagonal holds 1 / L_ii. Row by row with inner products only, which compilers vectorise best.
    """
    for i in range(n):
        row = a[i]
        for j in range(i):
            other = a[j]
            total = _ZERO
            for k in range(j):
                total += row[k] * other[k]
            row[j] = (row[j] - total) * other[j]
        total = _ZERO
        for k in range(i):
            total += row[k] * row[k]
        left = row[i] - total
        if not left > _ZERO:  # NaN too
            return False
        row[i] = _ONE / np.sqrt(left)
    return True


@part
def solve(lower, n, x):
    """x = (L L^T)^-1 x in place, for the first n numbers; `lower` as `factor` left it."""
    for i in range(n):
        row = lower[i]
        total = _ZERO
        for k in range(i):
            total += row[k] * x[k]
        x[i] = (x[i] - total) * row[i]
    for i in range(n - 1, -1, -1):
        row = lower[i]
        value = x[i] * row[i]
        x[i] = value
        for k in range(i):
            x[k] -= value * row[k]
