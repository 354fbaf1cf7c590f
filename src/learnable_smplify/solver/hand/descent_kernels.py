"""The descent of `solver.hand.problem`: steps, and how sure the answer is; one hand after the other. See `kernels`."""

from __future__ import annotations

import numpy as np

from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import closest_rotmat, copy_matrix, exp_rotvec, multiply
from learnable_smplify.solver.frame.cholesky import factor
from learnable_smplify.solver.frame.cholesky import solve as solve_factored
from learnable_smplify.solver.frame.damping import FIRST_GROWTH
from learnable_smplify.solver.frame.damping_kernels import after_step, is_stuck
from learnable_smplify.solver.hand.kernels import clamp, evaluate, linearise, workspace

_ZERO, _ONE = np.float32(0), np.float32(1)


@part
def freeze(side, lower, upper, work):
    """Parameters at a limit that the cost wants beyond it take no part in the step."""
    params, coupled, frozen = work[2], work[7], work[13]
    for f in range(5):
        for i in range(9):
            here, slope = params[side, f, i], coupled[f, i, 6]
            frozen[f, i] = (here <= lower[f, i] and slope > _ZERO) or (here >= upper[f, i] and slope < _ZERO)


@part
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


@part
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
    growth = np.float32(FIRST_GROWTH)
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
        fresh = new_cost < cost  # False for NaN too
        gained = cost - new_cost
        damping, growth = after_step(damping, growth, fresh, gained, foretold)
        small_gain = fresh and gained < cost_tolerance * cost
        if fresh:
            here = there
            cost = new_cost
        if largest < step_tolerance or small_gain or is_stuck(damping):
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


@part
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


@part
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
        own = (mean[b], precision[b], prior_turn[b], prior_place[b], turn_precision, place_precision)
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
