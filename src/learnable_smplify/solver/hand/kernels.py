"""Levenberg-Marquardt of `solver.hand.problem`, one hand after the other: an arrow of five fingers on one wrist."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel
from learnable_smplify.kernels.rotation import (
    closest_rotmat,
    copy_matrix,
    exp_rotvec,
    log_rotmat,
    multiply,
    multiply_transposed,
)
from learnable_smplify.solver.frame.cholesky import factor
from learnable_smplify.solver.frame.cholesky import solve as solve_factored
from learnable_smplify.solver.frame.damping import FIRST_GROWTH, LEAST_FORETOLD, LEAST_LEFT, MOST_DAMPING
from learnable_smplify.solver.hand.anatomy import NEIGHBOURS

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_SMALL = np.float32(1e-4)
_SIXTH = np.float32(1 / 6)
_LEAST_LEFT, _FIRST_GROWTH = np.float32(LEAST_LEFT), np.float32(FIRST_GROWTH)
_MOST_DAMPING, _LEAST_FORETOLD = np.float32(MOST_DAMPING), np.float32(LEAST_FORETOLD)
_PAIRS = np.array(NEIGHBOURS)
_FINGERS, _PER_FINGER, _WRIST = 5, 9, 6


@kernel
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


@kernel
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


@kernel
def pose_hand(side, offsets, axes, work):
    """Joints and tips of a side (0 or 1) of the workspace."""
    turn, place, params, world, joints, _, _, _, _, _, _, _, _, _, _, scratch = work
    local = scratch[0]
    for f in range(5):
        copy_matrix(turn[side], world[side, f, 0])
        for k in range(4):
            above = world[side, f, 0] if k == 0 else world[side, f, k - 1]
            if k > 0:
                p, a = params[side, f], axes[f, k - 1]
                i = 3 * (k - 1)
                x = a[0, 0] * p[i] + a[0, 1] * p[i + 1] + a[0, 2] * p[i + 2]
                y = a[1, 0] * p[i] + a[1, 1] * p[i + 1] + a[1, 2] * p[i + 2]
                z = a[2, 0] * p[i] + a[2, 1] * p[i + 1] + a[2, 2] * p[i + 2]
                exp_rotvec(x, y, z, local)
                if k < 3:
                    multiply(above, local, world[side, f, k])
                    above = world[side, f, k]
                else:
                    multiply(above, local, scratch[1])
                    above = scratch[1]
            o = offsets[f, k]
            for c in range(3):
                start = place[side, c] if k == 0 else joints[side, f, k - 1, c]
                joints[side, f, k, c] = start + above[c, 0] * o[0] + above[c, 1] * o[1] + above[c, 2] * o[2]


@kernel
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
        if robust > _ZERO:
            squared = squared / (_ONE + squared / robust)
        cost += trust[k] * squared
    for f in range(5):
        for i in range(9):
            pull = _ZERO
            for j in range(9):
                pull += precision[f, i, j] * (params[side, f, j] - mean[f, j])
            cost += pull * (params[side, f, i] - mean[f, i])
    multiply_transposed(turn[side], prior_turn, scratch[0])
    x, y, z = log_rotmat(scratch[0])
    cost += turn_precision * (x * x + y * y + z * z)
    for c in range(3):
        moved = place[side, c] - prior_place[c]
        cost += place_precision * moved * moved
    return cost


@kernel
def _turned_axes(above, axes, params, i, out, scratch):
    """Columns of `out`: how a joint turns in the world by each of its parts, above J_l(v) axes with v = axes params."""
    x = axes[0, 0] * params[i] + axes[0, 1] * params[i + 1] + axes[0, 2] * params[i + 2]
    y = axes[1, 0] * params[i] + axes[1, 1] * params[i + 1] + axes[1, 2] * params[i + 2]
    z = axes[2, 0] * params[i] + axes[2, 1] * params[i + 1] + axes[2, 2] * params[i + 2]
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


@kernel
def linearise(side, hand, frame, prior, robust, work):
    """Fill the fingers' blocks (lower triangle), their coupling with the wrist and the wrist's block, and gradients."""
    turn, place, params, world, joints, residual, fingers, coupled, wrist, _, _, _, _, _, levers, scratch = work
    trust = frame[1]
    mean, precision, prior_turn, prior_place, turn_precision, place_precision = prior
    axes = hand[1]
    for i in range(6):
        for j in range(7):
            wrist[i, j] = _ZERO
    multiply_transposed(turn[side], prior_turn, scratch[0])
    x, y, z = log_rotmat(scratch[0])
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


@kernel
def _kept(residual, robust):
    """The share of its pull that a point keeps so far off."""
    if robust == _ZERO:
        return _ONE
    squared = residual[0] * residual[0] + residual[1] * residual[1] + residual[2] * residual[2]
    drop = _ONE / (_ONE + squared / robust)
    return drop * drop


@kernel
def freeze(side, lower, upper, work):
    """Parameters at a limit that the cost wants beyond it take no part in the step."""
    params, coupled, frozen = work[2], work[7], work[13]
    for f in range(5):
        for i in range(9):
            here, slope = params[side, f, i], coupled[f, i, 6]
            frozen[f, i] = (here <= lower[f, i] and slope > _ZERO) or (here >= upper[f, i] and slope < _ZERO)


@kernel
def eliminate(damping, work):
    """The damped step, fingers first; False where a block is not positive definite. Leaves the blocks factored."""
    _, _, _, _, _, _, fingers, coupled, wrist, factored, solved, corner, steps, frozen, _, _ = work
    for i in range(6):
        for j in range(i + 1):
            corner[i, j] = wrist[i, j]
        corner[i, i] *= _ONE + damping
        steps[45 + i] = -wrist[i, 6]
    for f in range(5):
        block, cross = factored[f], solved[f]
        for i in range(9):
            for j in range(i + 1):
                block[i, j] = _ZERO if frozen[f, i] or frozen[f, j] else fingers[f, i, j]
            block[i, i] = _ONE if frozen[f, i] else fingers[f, i, i] * (_ONE + damping)
            for j in range(7):
                cross[i, j] = _ZERO if frozen[f, i] else coupled[f, i, j]
        if not factor(block, 9):
            return False
        for i in range(9):  # cross = L^-1 cross
            row = block[i]
            for c in range(7):
                total = cross[i, c]
                for k in range(i):
                    total -= row[k] * cross[k, c]
                cross[i, c] = total * row[i]
        for k in range(9):
            for i in range(6):
                here = cross[k, i]
                for j in range(i + 1):
                    corner[i, j] -= here * cross[k, j]
                steps[45 + i] += here * cross[k, 6]
    if not factor(corner, 6):
        return False
    solve_factored(corner, 6, steps[45:])
    for f in range(5):
        block, cross = factored[f], solved[f]
        for i in range(9):
            total = cross[i, 6]
            for j in range(6):
                total += cross[i, j] * steps[45 + j]
            steps[9 * f + i] = -total
        for i in range(8, -1, -1):  # L^-T
            value = steps[9 * f + i] * block[i, i]
            steps[9 * f + i] = value
            for k in range(i):
                steps[9 * f + k] -= value * block[i, k]
    total = _ZERO
    for i in range(51):
        total += steps[i]
    return np.isfinite(total)


@kernel
def minimise(turn, place, params, hand, frame, prior, robust, options, work):
    """Improve a hand in place; cost, whether it converged, and the mean distance of its seen points [m]."""
    iterations, step_tolerance, cost_tolerance, damping = options
    turns, places, sides, residual = work[0], work[1], work[2], work[5]
    fingers, coupled, wrist, steps, frozen, scratch = work[6], work[7], work[8], work[12], work[13], work[15]
    lower, upper, apart = hand[2], hand[3], hand[4]
    here = np.int64(0)
    clamp(params, lower, upper, apart)
    copy_matrix(turn, turns[0])
    for c in range(3):
        places[0, c] = place[c]
    for f in range(5):
        for i in range(9):
            sides[0, f, i] = params[f, i]
    cost = evaluate(here, hand, frame, prior, robust, work)
    growth = _FIRST_GROWTH
    converged = False
    fresh = True
    for _ in range(iterations):
        if fresh:
            linearise(here, hand, frame, prior, robust, work)
            freeze(here, lower, upper, work)
        sound = eliminate(damping, work)
        if not sound:
            for i in range(51):
                steps[i] = _ZERO
        largest = _ZERO
        foretold = _ZERO
        there = 1 - here
        for f in range(5):
            for i in range(9):
                step = steps[9 * f + i]
                sides[there, f, i] = sides[here, f, i] + step
                if not frozen[f, i]:
                    foretold += step * (damping * fingers[f, i, i] * step - coupled[f, i, 6])
        clamp(sides[there], lower, upper, apart)
        for f in range(5):
            for i in range(9):
                largest = max(largest, np.abs(sides[there, f, i] - sides[here, f, i]))
        for i in range(6):
            step = steps[45 + i]
            largest = max(largest, np.abs(step))
            foretold += step * (damping * wrist[i, i] * step - wrist[i, 6])
        exp_rotvec(steps[45], steps[46], steps[47], scratch[0])
        multiply(scratch[0], turns[here], turns[there])
        for c in range(3):
            places[there, c] = places[here, c] + steps[48 + c]
        new_cost = evaluate(there, hand, frame, prior, robust, work)
        if new_cost < cost:  # False for NaN too
            gained = cost - new_cost
            gain = _TWO * gained / max(foretold, _LEAST_FORETOLD) - _ONE
            damping *= max(_ONE - gain * gain * gain, _LEAST_LEFT)
            growth = _FIRST_GROWTH
            small_gain = gained < cost_tolerance * cost
            here = there
            cost = new_cost
            fresh = True
        else:
            damping *= growth
            growth *= _TWO
            small_gain = False
            fresh = False
        if largest < step_tolerance or small_gain or damping > _MOST_DAMPING:
            converged = True
            break
    copy_matrix(turns[here], turn)
    for c in range(3):
        place[c] = places[here, c]
    for f in range(5):
        for i in range(9):
            params[f, i] = sides[here, f, i]
    trust = frame[1]
    distance, seen = _ZERO, _ZERO
    for k in range(21):
        if trust[k] > _ZERO:
            x, y, z = residual[here, k, 0], residual[here, k, 1], residual[here, k, 2]
            distance += np.sqrt(x * x + y * y + z * z)
            seen += _ONE
    return cost, converged, distance / max(seen, _ONE), here


@kernel
def variances(side, hand, frame, prior, robust, work, of_joints, of_wrist):
    """Squared standard deviations [rad^2] of the joints' turns (15,) and [rad^2], [m^2] of the wrist's (2,)."""
    linearise(side, hand, frame, prior, robust, work)
    frozen, factored, solved, corner, steps = work[13], work[9], work[10], work[11], work[12]
    for f in range(5):
        for i in range(9):
            frozen[f, i] = False
    if not eliminate(_ZERO, work):
        for i in range(15):
            of_joints[i] = np.float32(np.inf)
        of_wrist[0] = of_wrist[1] = np.float32(np.inf)
        return
    of_wrist[0] = of_wrist[1] = _ZERO
    column = steps[:9]
    for i in range(6):
        # The diagonal of (L L^T)^-1 is the squared length of L^-1 e_i.
        of_wrist[i // 3] += _inverse_diagonal(corner, 6, i, column)
    for f in range(5):
        block, cross = factored[f], solved[f]
        for i in range(9):
            total = _inverse_diagonal(block, 9, i, column)  # leaves L^-1 e_i
            # And what the wrist's doubt adds: the row of (L^-T cross) against the corner's inverse.
            reach = steps[9:15]
            for j in range(6):
                reach[j] = _ZERO
                for k in range(i, 9):
                    reach[j] += column[k] * cross[k, j]
            for j in range(6):
                value = reach[j]
                for k in range(j):
                    value -= corner[j, k] * reach[k]
                reach[j] = value * corner[j, j]
                total += reach[j] * reach[j]
            if i % 3 == 0:
                of_joints[3 * f + i // 3] = _ZERO
            of_joints[3 * f + i // 3] += total


@kernel
def _inverse_diagonal(lower, size, i, column):
    """Element (i, i) of (L L^T)^-1; `column` becomes L^-1 e_i."""
    total = _ZERO
    for k in range(size):
        if k < i:
            column[k] = _ZERO
            continue
        value = _ONE if k == i else _ZERO
        for n in range(i, k):
            value -= lower[k, n] * column[n]
        column[k] = value * lower[k, k]
        total += column[k] * column[k]
    return total


@kernel
def minimise_hands(
    turn, place, params, sides, hands, target, trust, prior, prior_turn, prior_place, turn_precision, place_precision,
    robust, options, cost, converged, distance, of_joints, of_wrist,
):  # fmt: skip
    """`minimise` for B hands; `turn` (B, 3, 3), `place` (B, 3), `params` (B, 5, 9) and the last five are written.

    `sides` (B,) says which of the two `hands` each is; `prior` is mean (B, 5, 9) and precision (B, 5, 9, 9).
    """
    work = workspace()
    offsets, axes, lower, upper, apart = hands
    mean, precision = prior
    for b in range(turn.shape[0]):
        s = sides[b]
        hand = (offsets[s], axes[s], lower[s], upper[s], apart[s])
        frame = (target[b], trust[b])
        own = (mean[b], precision[b], prior_turn[b], prior_place[b], turn_precision[b], place_precision[b])
        cost[b], converged[b], distance[b], here = minimise(
            turn[b], place[b], params[b], hand, frame, own, robust, options, work
        )
        variances(here, hand, frame, own, robust, work, of_joints[b], of_wrist[b])


@kernel
def palm_starts(targets, trust, offsets, fewest, turn, place):
    """Wrists that lay each hand's palm points on the measured ones (Kabsch); `turn`, `place` stay where too few are.

    Targets (B, 21, 3), trust (B, 21) and offsets (B, 5, 4, 3); `turn` (B, 3, 3) and `place` (B, 3) are written.
    """
    across = np.empty((3, 3), np.float32)
    centre, own = np.empty(3, np.float32), np.empty(3, np.float32)
    for b in range(targets.shape[0]):
        total, seen = _ZERO, 0
        for c in range(3):
            centre[c] = own[c] = _ZERO
        for p in range(6):
            k = 0 if p == 0 else 4 * p - 3
            w = trust[b, k]
            if w > _ZERO:
                seen += 1
                total += w
                for c in range(3):
                    centre[c] += w * targets[b, k, c]
                    own[c] += w * offsets[b, p - 1, 0, c] if p > 0 else _ZERO
        if seen == 0:
            continue
        for c in range(3):
            centre[c] /= total
            own[c] /= total
        if seen >= fewest:
            for i in range(3):
                for j in range(3):
                    across[i, j] = _ZERO
            for p in range(6):
                k = 0 if p == 0 else 4 * p - 3
                w = trust[b, k]
                if w > _ZERO:
                    for i in range(3):
                        gap = w * (targets[b, k, i] - centre[i])
                        for j in range(3):
                            across[i, j] += gap * ((offsets[b, p - 1, 0, j] if p > 0 else _ZERO) - own[j])
            closest_rotmat(across, turn[b])
        for c in range(3):
            place[b, c] = centre[c] - (turn[b, c, 0] * own[0] + turn[b, c, 1] * own[1] + turn[b, c, 2] * own[2])
