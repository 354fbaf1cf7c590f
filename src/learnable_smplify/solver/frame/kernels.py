"""Levenberg-Marquardt of `solver.frame.levenberg_marquardt`, one frame after the other."""

from __future__ import annotations

import numpy as np

from learnable_smplify.body.point_kernels import fill_jacobian, pose_points
from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import copy_matrices, exp_rotvec, log_between, multiply
from learnable_smplify.solver.frame.cholesky import factor
from learnable_smplify.solver.frame.cholesky import solve as solve_factored
from learnable_smplify.solver.frame.damping import FIRST_GROWTH
from learnable_smplify.solver.frame.damping_kernels import after_step, is_stuck, kept_pull, robust_error
from learnable_smplify.solver.frame.sight_kernels import sight_cost, sight_distance, sight_quadratic

_ZERO, _ONE = np.float32(0), np.float32(1)


@part
def workspace(count):
    """Scratch for the work on one frame with `count` keypoints."""
    pose = np.empty((2, 24, 3, 3), np.float32)  # local rotations: here, and tried
    world = np.empty((2, 24, 3, 3), np.float32)
    joints = np.empty((2, 24, 3), np.float32)
    parts = np.empty((2, 24, 3, count), np.float32)
    bent = np.empty((24, 3, count), np.float32)
    residual = np.empty((2, 3, count), np.float32)
    error = np.zeros((2, 72), np.float32)
    pull = np.zeros((2, 72), np.float32)  # prior precision times error
    jacobian = np.empty((count, 3, 75), np.float32)
    quadratic = np.empty((count, 9), np.float32)
    normal = np.empty((75, 75), np.float32)
    factored = np.empty((75, 75), np.float32)
    vectors = np.empty((3, 75), np.float32)  # gradient, step, diagonal
    scratch = np.empty((2, 3, 72), np.float32)
    return (
        pose,
        world,
        joints,
        parts,
        bent,
        residual,
        error,
        pull,
        jacobian,
        normal,
        factored,
        vectors,
        scratch,
        quadratic,
    )


@part
def evaluate(side, transl, person, frame, prior, robust, solved, work):
    """Pose a side (0 or 1) of the workspace; its cost."""
    offsets, anchor, anchor_pose, weight, _ = person
    target, trust, sight = frame
    prior_local, precision, prior_transl, transl_precision = prior
    pose, world, joints, parts, bent, residual, error, pull, _, _, _, _, scratch, _ = work
    pose_points(pose[side], offsets, anchor, anchor_pose, weight, bent, world[side], joints[side], parts[side])
    count = weight.shape[1]
    cost = _ZERO
    for k in range(count):
        squared = _ZERO
        for x in range(3):
            gap = parts[side, 0, x, k] + transl[x] - target[k, x]
            residual[side, x, k] = gap
            squared += gap * gap
        cost += trust[k] * robust_error(squared, robust)
    if sight[0].shape[0] > 0:
        cost += sight_cost(parts[side, 0], transl, sight)
    turned = scratch[0, :, :3]
    away, drag = error[side], pull[side]
    for j in range(solved):
        v = log_between(pose[side, j], prior_local[j], turned)
        away[3 * j], away[3 * j + 1], away[3 * j + 2] = v[0], v[1], v[2]
    size = 3 * solved
    for i in range(size):
        row = precision[i]
        total = _ZERO
        for j in range(size):
            total += row[j] * away[j]
        drag[i] = total
    for i in range(size):
        cost += away[i] * drag[i]
    for x in range(3):
        moved = transl[x] - prior_transl[x]
        cost += transl_precision * moved * moved
    return cost


@part
def linearise(side, transl, person, frame, prior, robust, solved, work):
    """Fill normal matrix (lower triangle) and gradient at a side that was evaluated."""
    weight, share = person[3], person[4]
    trust, sight = frame[1], frame[2]
    precision, prior_transl, transl_precision = prior[1], prior[2], prior[3]
    _, world, joints, parts, _, residual, _, pull, jacobian, normal, _, vectors, scratch, quadratic = work
    fill_jacobian(parts[side], share, joints[side], world[side], solved, scratch[0], scratch[1], jacobian)
    size = 3 * solved
    whole = size + 3
    gradient = vectors[0]
    for i in range(size):
        for j in range(i + 1):
            normal[i, j] = precision[i, j]
        gradient[i] = pull[side, i]
    for x in range(3):
        for j in range(size + x):
            normal[size + x, j] = _ZERO
        normal[size + x, size + x] = transl_precision
        gradient[size + x] = transl_precision * (transl[x] - prior_transl[x])
    for k in range(weight.shape[1]):
        w = trust[k]
        if w == _ZERO:
            continue
        rx, ry, rz = residual[side, 0, k], residual[side, 1, k], residual[side, 2, k]
        w = w * kept_pull(rx * rx + ry * ry + rz * rz, robust)
        jx, jy, jz = jacobian[k, 0], jacobian[k, 1], jacobian[k, 2]
        rx, ry, rz = w * rx, w * ry, w * rz
        for i in range(whole):
            gradient[i] += rx * jx[i] + ry * jy[i] + rz * jz[i]
        for i in range(whole):
            a, b, c = w * jx[i], w * jy[i], w * jz[i]
            if a != _ZERO or b != _ZERO or c != _ZERO:  # most joints do not move most keypoints
                row = normal[i]
                for j in range(i + 1):
                    row[j] += a * jx[j] + b * jy[j] + c * jz[j]
    if sight[0].shape[0] > 0:
        sight_quadratic(parts[side, 0], transl, sight, quadratic)
        for k in range(weight.shape[1]):
            of = quadratic[k]
            if of[0] == _ZERO and of[3] == _ZERO and of[5] == _ZERO:
                continue
            jx, jy, jz = jacobian[k, 0], jacobian[k, 1], jacobian[k, 2]
            for i in range(whole):
                x, y, z = jx[i], jy[i], jz[i]
                gradient[i] += of[6] * x + of[7] * y + of[8] * z
                if x != _ZERO or y != _ZERO or z != _ZERO:
                    a = of[0] * x + of[1] * y + of[2] * z
                    b = of[1] * x + of[3] * y + of[4] * z
                    c = of[2] * x + of[4] * y + of[5] * z
                    row = normal[i]
                    for j in range(i + 1):
                        row[j] += a * jx[j] + b * jy[j] + c * jz[j]


@part
def minimise(local, transl, person, frame, prior, robust, solved, options, work):
    """Improve `local` (24, 3, 3) and `transl` (3,) in place; cost, whether it converged, mean keypoint distance."""
    iterations, step_tolerance, cost_tolerance, damping = options
    pose, _, _, parts, _, residual, _, _, _, normal, factored, vectors, scratch, _ = work
    gradient, step, diagonal = vectors[0], vectors[1], vectors[2]
    tried = scratch[1, 0]
    turn = scratch[0, :, :3]
    whole = 3 * solved + 3
    here = np.int64(0)  # not a literal: kernels are compiled anew for every literal
    copy_matrices(local, pose[0])
    copy_matrices(local, pose[1])
    cost = evaluate(here, transl, person, frame, prior, robust, solved, work)
    growth = np.float32(FIRST_GROWTH)
    converged = False
    fresh = True
    for _ in range(iterations):
        if fresh:
            linearise(here, transl, person, frame, prior, robust, solved, work)
            for i in range(whole):
                diagonal[i] = normal[i, i]
        for i in range(whole):
            for j in range(i):
                factored[i, j] = normal[i, j]
            factored[i, i] = diagonal[i] * (_ONE + damping)
            step[i] = -gradient[i]
        sound = factor(factored, whole)
        if sound:
            solve_factored(factored, whole, step)
            for i in range(whole):
                if not np.isfinite(step[i]):
                    sound = False
        largest = _ZERO
        foretold = _ZERO
        for i in range(whole):
            if not sound:
                step[i] = _ZERO
            largest = max(largest, np.abs(step[i]))
            foretold += step[i] * (damping * diagonal[i] * step[i] - gradient[i])
        there = 1 - here
        for j in range(solved):
            exp_rotvec(step[3 * j], step[3 * j + 1], step[3 * j + 2], turn)
            multiply(turn, pose[here, j], pose[there, j])
        for x in range(3):
            tried[x] = transl[x] + step[whole - 3 + x]
        new_cost = evaluate(there, tried, person, frame, prior, robust, solved, work)
        fresh = new_cost < cost  # False for NaN too
        gained = cost - new_cost
        damping, growth = after_step(damping, growth, fresh, gained, foretold)
        small_gain = fresh and gained < cost_tolerance * cost
        if fresh:
            here = there
            cost = new_cost
            for x in range(3):
                transl[x] = tried[x]
        if largest < step_tolerance or small_gain or is_stuck(damping):
            converged = True
            break
    copy_matrices(pose[here], local)
    trust, sight = frame[1], frame[2]
    if sight[0].shape[0] > 0:
        return cost, converged, sight_distance(parts[here, 0], transl, sight)
    distance, seen = _ZERO, _ZERO
    for k in range(trust.shape[0]):
        if trust[k] > _ZERO:
            x, y, z = residual[here, 0, k], residual[here, 1, k], residual[here, 2, k]
            distance += np.sqrt(x * x + y * y + z * z)
            seen += _ONE
    return cost, converged, distance / max(seen, _ONE)


@kernel
def minimise_frames(
    local,
    transl,
    offsets,
    anchor,
    anchor_pose,
    weight,
    share,
    target,
    trust,
    sight,
    prior_local,
    precision,
    prior_transl,
    transl_precision,
    robust,
    solved,
    options,
    cost,
    converged,
    distance,
):
    """`minimise` for B frames; `local` (B, 24, 3, 3), `transl` (B, 3) and the last three (B,) are written.

    Anchors, offsets and precision may have one row for all frames. `robust` is the squared scale [m^2], 0 for squares;
    the first `solved` joints are moved. `sight` is that of `solver.frame.sight_kernels`, its pixels and weights with a
    first dimension B; without cameras it does nothing.
    """
    cameras, seen, clear, robust_sight = sight
    work = workspace(weight.shape[1])
    for b in range(local.shape[0]):
        who = b if anchor.shape[0] > 1 else 0
        person = (offsets[who], anchor[who], anchor_pose, weight, share)
        sure = precision[b] if precision.shape[0] > 1 else precision[0]
        prior = (prior_local[b], sure, prior_transl[b], transl_precision)
        frame = (target[b], trust[b], (cameras, seen[b], clear[b], robust_sight))
        cost[b], converged[b], distance[b] = minimise(
            local[b], transl[b], person, frame, prior, robust, solved, options, work
        )
