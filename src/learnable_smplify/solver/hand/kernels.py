"""Levenberg-Marquardt of `solver.hand.problem`, one hand after the other: an arrow of five fingers on one wrist."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import part
from learnable_smplify.kernels.rotation import copy_matrix, exp_rotvec, log_between, multiply, times
from learnable_smplify.solver.frame.damping_kernels import kept_pull, robust_error
from learnable_smplify.solver.hand.anatomy import NEIGHBOURS

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_SMALL, _SIXTH = np.float32(1e-4), np.float32(1 / 6)
_PAIRS = np.array(NEIGHBOURS)


@part
def workspace():
    """Scratch for the work on one hand."""
    turn = np.empty((2, 3, 3), np.float32)  # the wrist's world rotation: here, and tried
    place = np.empty((2, 3), np.float32)
    params = np.empty((2, 5, 9), np.float32)
    world = np.empty((2, 5, 3, 3, 3), np.float32)  # of each joint's parent
    joints = np.empty((2, 5, 4, 3), np.float32)  # the three joints and the tip
    residual = np.empty((2, 21, 3), np.float32)
    fingers = np.empty((5, 9, 9), np.float32)
    coupled = np.empty((5, 9, 7), np.float32)  # finger against wrist, and the finger's gradient
    wrist = np.empty((6, 7), np.float32)  # and the wrist's gradient
    factored = np.empty((5, 9, 9), np.float32)
    solved = np.empty((5, 9, 7), np.float32)
    corner = np.empty((6, 6), np.float32)
    steps = np.empty(51, np.float32)  # five fingers, then the wrist
    frozen = np.empty((5, 9), np.bool_)
    levers = np.empty((3, 9, 3), np.float32)  # of a finger's points 2, 3, 4 by its parameters
    scratch = np.empty((4, 3, 3), np.float32)
    return (
        turn, place, params, world, joints, residual, fingers, coupled, wrist, factored, solved, corner, steps, frozen,
        levers, scratch,
    )  # fmt: skip


@part
def clamp(params, lower, upper, apart):
    """Put a hand's parameters (5, 9) within its limits, as `Anatomy.within`."""
    for f in range(5):
        for i in range(9):
            params[f, i] = min(max(params[f, i], lower[f, i]), upper[f, i])
    for n in range(3):
        first, second = _PAIRS[n, 0], _PAIRS[n, 1]
        short = apart[n] - (params[first, 1] - params[second, 1])
        if short > _ZERO:
            params[first, 1] += _HALF * short
            params[second, 1] -= _HALF * short
    for f in range(4):
        params[f, 1] = min(max(params[f, 1], lower[f, 1]), upper[f, 1])
    index, middle, ring, pinky = _PAIRS[0, 0], _PAIRS[0, 1], _PAIRS[1, 1], _PAIRS[2, 1]
    params[index, 1] = max(params[index, 1], params[middle, 1] + apart[0])
    params[ring, 1] = min(params[ring, 1], params[middle, 1] - apart[1])
    params[pinky, 1] = min(params[pinky, 1], params[ring, 1] - apart[2])


@part
def pose_hand(side, offsets, axes, work):
    """Joints and tips of a side (0 or 1) of the workspace."""
    turn, place, params, world, joints, _, _, _, _, _, _, _, _, _, _, scratch = work
    local = scratch[0]
    for f in range(5):
        copy_matrix(turn[side], world[side, f, 0])
        for k in range(4):
            above = world[side, f, 0] if k == 0 else world[side, f, k - 1]
            if k > 0:
                p, i = params[side, f], 3 * (k - 1)
                x, y, z = times(axes[f, k - 1], p[i], p[i + 1], p[i + 2])
                exp_rotvec(x, y, z, local)
                if k < 3:
                    multiply(above, local, world[side, f, k])
                    above = world[side, f, k]
                else:
                    multiply(above, local, scratch[1])
                    above = scratch[1]
            o = offsets[f, k]
            bone = times(above, o[0], o[1], o[2])
            for c in range(3):
                start = place[side, c] if k == 0 else joints[side, f, k - 1, c]
                joints[side, f, k, c] = start + bone[c]


@part
def evaluate(side, hand, frame, prior, robust, work):
    """Pose a side of the workspace; its cost."""
    turn, place, params, _, joints, residual, _, _, _, _, _, _, _, _, _, scratch = work
    target, trust = frame
    mean, precision, prior_turn, prior_place, turn_precision, place_precision = prior
    pose_hand(side, hand[0], hand[1], work)
    cost = _ZERO
    for k in range(21):
        squared = _ZERO
        for c in range(3):
            here = place[side, c] if k == 0 else joints[side, (k - 1) // 4, (k - 1) % 4, c]
            gap = here - target[k, c]
            residual[side, k, c] = gap
            squared += gap * gap
        cost += trust[k] * robust_error(squared, robust)
    for f in range(5):
        for i in range(9):
            pull = _ZERO
            for j in range(9):
                pull += precision[f, i, j] * (params[side, f, j] - mean[f, j])
            cost += pull * (params[side, f, i] - mean[f, i])
    x, y, z = log_between(turn[side], prior_turn, scratch[0])
    cost += turn_precision * (x * x + y * y + z * z)
    for c in range(3):
        moved = place[side, c] - prior_place[c]
        cost += place_precision * moved * moved
    return cost


@part
def _turned_axes(above, axes, params, i, out, scratch):
    """Columns of `out`: how a joint turns in the world by each of its parts, above J_l(v) axes with v = axes params."""
    x, y, z = times(axes, params[i], params[i + 1], params[i + 2])
    squared = x * x + y * y + z * z
    angle = np.sqrt(squared)
    if angle < _SMALL:
        first, second = _HALF, _SIXTH
    else:
        half = np.sin(_HALF * angle) / angle
        first = _TWO * half * half
        second = (angle - np.sin(angle)) / (squared * angle)
    left = scratch[2]
    left[0, 0] = _ONE - second * (y * y + z * z)
    left[1, 1] = _ONE - second * (x * x + z * z)
    left[2, 2] = _ONE - second * (x * x + y * y)
    left[0, 1] = second * x * y - first * z
    left[1, 0] = second * x * y + first * z
    left[0, 2] = second * x * z + first * y
    left[2, 0] = second * x * z - first * y
    left[1, 2] = second * y * z - first * x
    left[2, 1] = second * y * z + first * x
    multiply(left, axes, scratch[3])
    multiply(above, scratch[3], out)


@part
def linearise(side, hand, frame, prior, robust, work):
    """Fill the fingers' blocks (lower triangle), their coupling with the wrist and the wrist's block, and gradients."""
    turn, place, params, world, joints, residual, fingers, coupled, wrist, _, _, _, _, _, levers, scratch = work
    trust = frame[1]
    mean, precision, prior_turn, prior_place, turn_precision, place_precision = prior
    axes = hand[1]
    for i in range(6):
        for j in range(7):
            wrist[i, j] = _ZERO
    x, y, z = log_between(turn[side], prior_turn, scratch[0])
    wrist[0, 6], wrist[1, 6], wrist[2, 6] = turn_precision * x, turn_precision * y, turn_precision * z
    for c in range(3):
        wrist[c, c] = turn_precision
        wrist[3 + c, 3 + c] = place_precision + trust[0] * _kept(residual[side, 0], robust)
        pull = place_precision * (place[side, c] - prior_place[c])
        wrist[3 + c, 6] = pull + trust[0] * _kept(residual[side, 0], robust) * residual[side, 0, c]
    turned = scratch[1]
    for f in range(5):
        block, cross = fingers[f], coupled[f]
        for i in range(9):
            pull = _ZERO
            for j in range(9):
                block[i, j] = precision[f, i, j]
                pull += precision[f, i, j] * (params[side, f, j] - mean[f, j])
            for j in range(6):
                cross[i, j] = _ZERO
            cross[i, 6] = pull
        for j in range(3):
            _turned_axes(world[side, f, j], axes[f, j], params[side, f], 3 * j, turned, scratch)
            for k in range(j, 3):
                ax = joints[side, f, k + 1, 0] - joints[side, f, j, 0]
                ay = joints[side, f, k + 1, 1] - joints[side, f, j, 1]
                az = joints[side, f, k + 1, 2] - joints[side, f, j, 2]
                for c in range(3):
                    tx, ty, tz = turned[0, c], turned[1, c], turned[2, c]
                    lever = levers[k, 3 * j + c]
                    lever[0] = ty * az - tz * ay
                    lever[1] = tz * ax - tx * az
                    lever[2] = tx * ay - ty * ax
        for k in range(4):
            row = 1 + 4 * f + k
            w = trust[row] * _kept(residual[side, row], robust)
            if w == _ZERO:
                continue
            rx, ry, rz = w * residual[side, row, 0], w * residual[side, row, 1], w * residual[side, row, 2]
            ax = joints[side, f, k, 0] - place[side, 0]
            ay = joints[side, f, k, 1] - place[side, 1]
            az = joints[side, f, k, 2] - place[side, 2]
            # The point moves by turn x arm + move: its derivative by the wrist's turn is -[arm]x.
            wrist[0, 0] += w * (ay * ay + az * az)
            wrist[1, 1] += w * (ax * ax + az * az)
            wrist[2, 2] += w * (ax * ax + ay * ay)
            wrist[1, 0] -= w * ax * ay
            wrist[2, 0] -= w * ax * az
            wrist[2, 1] -= w * ay * az
            wrist[3, 1] += w * az
            wrist[3, 2] -= w * ay
            wrist[4, 0] -= w * az
            wrist[4, 2] += w * ax
            wrist[5, 0] += w * ay
            wrist[5, 1] -= w * ax
            for c in range(3):
                wrist[3 + c, 3 + c] += w
            wrist[0, 6] += ay * rz - az * ry
            wrist[1, 6] += az * rx - ax * rz
            wrist[2, 6] += ax * ry - ay * rx
            wrist[3, 6] += rx
            wrist[4, 6] += ry
            wrist[5, 6] += rz
            if k == 0:
                continue
            lever = levers[k - 1]
            for i in range(3 * k):
                lx, ly, lz = lever[i, 0], lever[i, 1], lever[i, 2]
                cross[i, 6] += lx * rx + ly * ry + lz * rz
                lx, ly, lz = w * lx, w * ly, w * lz
                for j in range(i + 1):
                    block[i, j] += lx * lever[j, 0] + ly * lever[j, 1] + lz * lever[j, 2]
                cross[i, 0] += ay * lz - az * ly
                cross[i, 1] += az * lx - ax * lz
                cross[i, 2] += ax * ly - ay * lx
                cross[i, 3] += lx
                cross[i, 4] += ly
                cross[i, 5] += lz


@part
def _kept(residual, robust):
    """The share of its pull that a point keeps so far off."""
    return kept_pull(residual[0] * residual[0] + residual[1] * residual[1] + residual[2] * residual[2], robust)
