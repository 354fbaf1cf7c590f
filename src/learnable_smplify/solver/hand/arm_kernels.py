"""`solver.hand.arm`, one frame after the other."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import (
    copy_matrix,
    exp_rotvec,
    log_between,
    log_rotmat,
    multiply,
    multiply_inverse,
    times,
)
from learnable_smplify.skeleton import WAYS_UP, WRISTS

_ZERO, _HALF, _ONE, _TWO, _TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2), np.float32(1e-6)


# From the pelvis to each wrist.
_CHAINS = np.array([WAYS_UP[wrist][::-1] for wrist in WRISTS])
_LENGTH = _CHAINS.shape[1]
_SHOULDER, _ELBOW, _WRIST = _LENGTH - 3, _LENGTH - 2, _LENGTH - 1  # places in the chain


@part
def _climb(local, transl, offsets, chain, first, world, places):
    """World rotations and places along a chain from its joint `first` to the wrist; those before are known."""
    for n in range(first, _LENGTH):
        joint = chain[n]
        if n == 0:
            copy_matrix(local[joint], world[0])
            for c in range(3):
                places[0, c] = offsets[joint, c] + transl[c]
            continue
        above = world[n - 1]
        multiply(above, local[joint], world[n])
        bone = times(above, offsets[joint, 0], offsets[joint, 1], offsets[joint, 2])
        for c in range(3):
            places[n, c] = places[n - 1, c] + bone[c]


@kernel
def arm_ends(local, transl, offsets, turn, place):
    """World rotations (T, 2, 3, 3) and places (T, 2, 3) of the wrists; the last two are written."""
    world, places = np.empty((_LENGTH, 3, 3), np.float32), np.empty((_LENGTH, 3), np.float32)
    for t in range(local.shape[0]):
        own = offsets[t] if offsets.shape[0] > 1 else offsets[0]
        for s in range(2):
            _climb(local[t], transl[t], own, _CHAINS[s], 0, world, places)
            copy_matrix(world[_WRIST], turn[t, s])
            for c in range(3):
                place[t, s, c] = places[_WRIST, c]


@kernel
def hold_hands(local, transl, offsets, turn, place, seen, mean, precision, reach, rolls, limits):
    """`arm.with_wrists` in place; `reach`: how many steps, their squared damping, the squared farthest gap [m^2]."""
    world, places = np.empty((_LENGTH, 3, 3), np.float32), np.empty((_LENGTH, 3), np.float32)
    scratch = np.empty((4, 3, 3), np.float32)
    for t in range(local.shape[0]):
        own = offsets[t] if offsets.shape[0] > 1 else offsets[0]
        for s in range(2):
            if not seen[t, s]:
                continue
            chain = _CHAINS[s]
            _climb(local[t], transl[t], own, chain, 0, world, places)
            _reach(local[t], transl[t], own, chain, place[t, s], reach, world, places, scratch)
            _turn(local[t], own, chain, turn[t, s], world, mean, precision, rolls, scratch)
            _limit(local[t], own, chain, limits, scratch)


@part
def _reach(local, transl, offsets, chain, place, reach, world, places, scratch):
    """Turn shoulder and elbow so that the wrist comes to its place (damped least squares)."""
    steps, damping, farthest = reach
    gap, pull, arm, twist = np.empty(3, np.float32), np.empty(3, np.float32), scratch[3, 0], scratch[3, 1]
    square = scratch[0]
    for _ in range(steps):
        squared = _ZERO
        for c in range(3):
            gap[c] = place[c] - places[_WRIST, c]
            squared += gap[c] * gap[c]
        if squared >= farthest:
            return
        for i in range(3):
            for j in range(3):
                square[i, j] = damping if i == j else _ZERO
        for n in (_SHOULDER, _ELBOW):
            length = _ZERO
            for c in range(3):
                arm[c] = places[_WRIST, c] - places[n, c]
                length += arm[c] * arm[c]
            for i in range(3):
                square[i, i] += length
                for j in range(3):
                    square[i, j] -= arm[i] * arm[j]
        _solve_three(square, gap, pull)
        for n in (_SHOULDER, _ELBOW):
            for c in range(3):
                arm[c] = places[_WRIST, c] - places[n, c]
            twist[0] = arm[1] * pull[2] - arm[2] * pull[1]
            twist[1] = arm[2] * pull[0] - arm[0] * pull[2]
            twist[2] = arm[0] * pull[1] - arm[1] * pull[0]
            above = world[n - 1]
            x = above[0, 0] * twist[0] + above[1, 0] * twist[1] + above[2, 0] * twist[2]
            y = above[0, 1] * twist[0] + above[1, 1] * twist[1] + above[2, 1] * twist[2]
            z = above[0, 2] * twist[0] + above[1, 2] * twist[1] + above[2, 2] * twist[2]
            exp_rotvec(x, y, z, scratch[1])
            multiply(scratch[1], local[chain[n]], scratch[2])
            copy_matrix(scratch[2], local[chain[n]])
        _climb(local, transl, offsets, chain, _SHOULDER, world, places)


@part
def _solve_three(m, right, out):
    """Cramer's rule for a symmetric positive definite 3 x 3 system."""
    a, b, c = m[0, 0], m[0, 1], m[0, 2]
    d, e, f = m[1, 1], m[1, 2], m[2, 2]
    p, q, r = d * f - e * e, c * e - b * f, b * e - c * d
    whole = a * p + b * q + c * r
    out[0] = (p * right[0] + q * right[1] + r * right[2]) / whole
    out[1] = (q * right[0] + (a * f - c * c) * right[1] + (b * c - a * e) * right[2]) / whole
    out[2] = (r * right[0] + (b * c - a * e) * right[1] + (a * d - b * b) * right[2]) / whole


@part
def _turn(local, offsets, chain, turn, world, mean, precision, rolls, scratch):
    """Turn the wrist as the hand is, and roll the forearm to where the pose prior is happiest."""
    elbow, wrist = chain[_ELBOW], chain[_WRIST]
    bone = np.empty(3, np.float32)
    _direction(offsets[wrist], bone)
    multiply_inverse(world[_ELBOW], turn, local[wrist])
    error = np.zeros(72, np.float32)
    for joint in range(1, 24):
        x, y, z = log_between(local[joint], mean[joint], scratch[0])
        error[3 * joint], error[3 * joint + 1], error[3 * joint + 2] = x, y, z
    elbow_alone, wrist_alone = np.empty((3, 3), np.float32), np.empty((3, 3), np.float32)
    copy_matrix(local[elbow], elbow_alone)
    copy_matrix(local[wrist], wrist_alone)
    change = np.empty(6, np.float32)
    roll = _ZERO
    for _ in range(rolls):
        change[0], change[1], change[2] = times(local[elbow], bone[0], bone[1], bone[2])
        for c in range(3):
            change[3 + c] = -bone[c]
        slope, curve = _ZERO, _ZERO
        for i in range(6):
            row = precision[3 * (elbow if i < 3 else wrist) + i % 3]
            total = _ZERO
            for j in range(72):
                total += row[j] * error[j]
            slope += change[i] * total
            for j in range(6):
                curve += change[i] * change[j] * row[3 * (elbow if j < 3 else wrist) + j % 3]
        roll -= min(max(slope / max(curve, _TINY), -_ONE), _ONE)
        exp_rotvec(roll * bone[0], roll * bone[1], roll * bone[2], scratch[1])
        multiply(elbow_alone, scratch[1], local[elbow])
        multiply_inverse(scratch[1], wrist_alone, local[wrist])
        for joint in (elbow, wrist):
            x, y, z = log_between(local[joint], mean[joint], scratch[0])
            error[3 * joint], error[3 * joint + 1], error[3 * joint + 2] = x, y, z


@part
def _direction(offset, out):
    length = _ZERO
    for c in range(3):
        length += offset[c] * offset[c]
    for c in range(3):
        out[c] = offset[c] / np.sqrt(max(length, _TINY))


@part
def _limit(local, offsets, chain, limits, scratch):
    """Give the forearm what the wrist is twisted too far, and bend the wrist no further than wrists bend."""
    elbow, wrist = chain[_ELBOW], chain[_WRIST]
    bone = np.empty(3, np.float32)
    _direction(offsets[wrist], bone)
    x, y, z = log_rotmat(local[wrist])
    half = _HALF * max(np.sqrt(x * x + y * y + z * z), _TINY)
    along = (x * bone[0] + y * bone[1] + z * bone[2]) * np.sin(half) / (_TWO * half)
    twist = _TWO * np.arctan2(along, np.cos(half))
    kept = min(max(twist, -limits[0]), limits[0])
    exp_rotvec(-twist * bone[0], -twist * bone[1], -twist * bone[2], scratch[0])
    multiply(scratch[0], local[wrist], scratch[1])
    x, y, z = log_rotmat(scratch[1])
    share = np.sqrt((y / limits[1]) ** 2 + (z / limits[2]) ** 2)
    if share <= _ONE and kept == twist:
        return
    share = max(share, _ONE)
    exp_rotvec(kept * bone[0], kept * bone[1], kept * bone[2], scratch[0])
    exp_rotvec(x / share, y / share, z / share, scratch[1])
    multiply(scratch[0], scratch[1], local[wrist])
    over = twist - kept
    exp_rotvec(over * bone[0], over * bone[1], over * bone[2], scratch[0])
    multiply(local[elbow], scratch[0], scratch[1])
    copy_matrix(scratch[1], local[elbow])
