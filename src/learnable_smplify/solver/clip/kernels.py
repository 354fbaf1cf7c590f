"""What accelerations of joints add to a clip's system, as machine code: `LinearisedClip._moves` without its zeros.

A joint moves with the joints above it only, about a fifth of all pairs.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.skeleton import NUM_JOINTS, PARENTS, WAYS_UP

_LONGEST = max(len(way) for way in WAYS_UP) - 1
# The joints above each joint (24, N), nearest first, -1 where there are no more.
_ABOVE = np.array([(*way[1:], *[-1] * (_LONGEST + 1 - len(way))) for way in WAYS_UP])
_PARENTS = np.array(PARENTS)
_TRANSL = 3 * NUM_JOINTS


@part
def _derivatives(rotmat, offsets, world, joints, out):
    """d joint / d turns of the joints above it, in their parents' frames, for one person: out (24, N, 3, 3)."""
    for j in range(24):
        parent = _PARENTS[j]
        for x in range(3):
            joints[j, x] = offsets[j, x] if j == 0 else joints[parent, x]
            for y in range(3):
                if j == 0:
                    world[j, x, y] = rotmat[j, x, y]
                else:
                    joints[j, x] += world[parent, x, y] * offsets[j, y]
                    total = 0.0
                    for z in range(3):
                        total += world[parent, x, z] * rotmat[j, z, y]
                    world[j, x, y] = total
    for k in range(24):
        for n in range(_LONGEST):
            j = _ABOVE[k, n]
            if j < 0:
                break
            parent = _PARENTS[j]
            a, b, c = joints[k, 0] - joints[j, 0], joints[k, 1] - joints[j, 1], joints[k, 2] - joints[j, 2]
            for axis in range(3):  # (R_parent e_axis) x lever
                if j == 0:
                    p = 1.0 if axis == 0 else 0.0
                    q = 1.0 if axis == 1 else 0.0
                    r = 1.0 if axis == 2 else 0.0
                else:
                    p, q, r = world[parent, 0, axis], world[parent, 1, axis], world[parent, 2, axis]
                out[k, n, 0, axis] = q * c - r * b
                out[k, n, 1, axis] = r * a - p * c
                out[k, n, 2, axis] = p * b - q * a


@part
def _add(here, there, weight, matrix, first):
    """J_here^T W J_there, added to the columns from `first` on of (75, 225)."""
    for k in range(24):
        w = weight[k]
        if w == 0.0:
            continue
        for n in range(_LONGEST):
            j = _ABOVE[k, n]
            if j < 0:
                break
            for a in range(3):
                x, y, z = w * here[k, n, 0, a], w * here[k, n, 1, a], w * here[k, n, 2, a]
                row = matrix[3 * j + a]
                for m in range(_LONGEST):
                    i = _ABOVE[k, m]
                    if i < 0:
                        break
                    for b in range(3):
                        row[first + 3 * i + b] += x * there[k, m, 0, b] + y * there[k, m, 1, b] + z * there[k, m, 2, b]
                row[first + _TRANSL] += x
                row[first + _TRANSL + 1] += y
                row[first + _TRANSL + 2] += z
        for m in range(_LONGEST):
            i = _ABOVE[k, m]
            if i < 0:
                break
            for x in range(3):
                for b in range(3):
                    matrix[_TRANSL + x, first + 3 * i + b] += w * there[k, m, x, b]
        for x in range(3):
            matrix[_TRANSL + x, first + _TRANSL + x] += w


@kernel
def add_moves(rotmat, offsets, same, next_, second, pull, packed, gradient):
    """Of B frames; `rotmat` (B + 2 at most, 24, 3, 3) holds those after them too.

    `same`, `next_`, `second` (B, 24) are what the joints' positions in the frame, the next and the one after that have
    to do with those in the frame [1/m^2], `pull` (B, 24, 3) half the cost's derivative by positions. Adds to
    `BandedColumns.packed` and to `gradient` (B, 75).
    """
    count, known = packed.shape[0], rotmat.shape[0]
    moves = np.empty((known, 24, _LONGEST, 3, 3))
    world, joints = np.empty((24, 3, 3)), np.empty((24, 3))
    for t in range(known):
        _derivatives(rotmat[t], offsets, world, joints, moves[t])
    for t in range(count):
        here = moves[t]
        matrix = packed[t, : 75 * 225].reshape((75, 225))
        _add(here, here, same[t], matrix, 0)
        if t + 1 < known:
            _add(here, moves[t + 1], next_[t], matrix, 75)
        if t + 2 < known:
            _add(here, moves[t + 2], second[t], matrix, 150)
        for k in range(24):
            for n in range(_LONGEST):
                j = _ABOVE[k, n]
                if j < 0:
                    break
                for a in range(3):
                    for x in range(3):
                        gradient[t, 3 * j + a] += here[k, n, x, a] * pull[t, k, x]
            for x in range(3):
                gradient[t, _TRANSL + x] += pull[t, k, x]
