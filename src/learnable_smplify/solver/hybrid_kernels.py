"""From the network's answer to the hybrid's: precision, pose prior, transl, and Gauss-Newton steps.

The equations are those of `solver.hybrid`; one frame after the other.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.body.point_kernels import pose_points
from learnable_smplify.kernels.jit import kernel
from learnable_smplify.kernels.rotation import (
    copy_matrices,
    copy_matrix,
    exp_rotvec,
    log_rotmat,
    multiply,
    multiply_transposed,
)
from learnable_smplify.network.kernels import SOLVED
from learnable_smplify.solver.frame.cholesky import factor
from learnable_smplify.solver.frame.cholesky import solve as solve_factored
from learnable_smplify.solver.frame.kernels import minimise, workspace
from learnable_smplify.solver.frame.sight import CAMERA_SIZE

_ZERO, _ONE = np.float32(0), np.float32(1)
_SIZE = 3 * SOLVED
_MIN_WEIGHT = np.float32(1e-6)
# Nothing is known of transl but the keypoints.
_TRANSL_PRECISION = np.float32(1e-2)
_SQUARES = np.float32(0)


@kernel
def _turn_rows(mean, matrix):
    """R M in place: each three rows of a (66, 66) matrix turned by their joint."""
    for j in range(SOLVED):
        turn = mean[j]
        first, second, third = matrix[3 * j], matrix[3 * j + 1], matrix[3 * j + 2]
        for i in range(_SIZE):
            x, y, z = first[i], second[i], third[i]
            first[i] = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
            second[i] = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
            third[i] = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z


@kernel
def _prior_precision(error_precision, sigma, mean, inverse, other, precision):
    """R D^-1 E D^-1 R^T: from the joints' own axes, in units of `sigma` (66,), to their parents' frames.

    Rows first, then the rows of the transposed: both run along memory. `inverse` and `other` are scratch.
    """
    for i in range(_SIZE):
        inverse[i] = _ONE / sigma[i]
    for i in range(_SIZE):
        row, out, scale = error_precision[i], other[i], inverse[i]
        for j in range(_SIZE):
            out[j] = row[j] * inverse[j] * scale
    _turn_rows(mean, other)
    for i in range(_SIZE):
        for j in range(_SIZE):
            precision[i, j] = other[j, i]
    _turn_rows(mean, precision)


@kernel
def _and_human(mean, precision, pose_mean, pose_precision, weight, factored, vector, pull, scratch):
    """Move `mean` to the mode of its Gaussian times the pose prior's, and add the precisions."""
    for j in range(24):
        if j == 0:
            vector[0], vector[1], vector[2] = _ZERO, _ZERO, _ZERO
        else:
            multiply_transposed(mean[j], pose_mean[j], scratch[0])
            v = log_rotmat(scratch[0])
            vector[3 * j], vector[3 * j + 1], vector[3 * j + 2] = v[0], v[1], v[2]
    for i in range(_SIZE):
        total = _ZERO
        for j in range(72):
            total += pose_precision[i, j] * vector[j]
        pull[i] = weight * total
        for j in range(_SIZE):
            precision[i, j] += weight * pose_precision[i, j]
            factored[i, j] = precision[i, j]
    size = np.int64(_SIZE)  # not a literal: kernels are compiled anew for every literal
    if not factor(factored, size):
        return
    solve_factored(factored, size, pull)
    for j in range(SOLVED):
        exp_rotvec(-pull[3 * j], -pull[3 * j + 1], -pull[3 * j + 2], scratch[0])
        multiply(scratch[0], mean[j], scratch[1])
        copy_matrix(scratch[1], mean[j])


@kernel
def _strangeness(rotmat, start, precision, change, scratch):
    """Squared Mahalanobis distance of a change, e^T P e, over the joints below the pelvis."""
    for j in range(1, SOLVED):
        multiply_transposed(rotmat[j], start[j], scratch)
        v = log_rotmat(scratch)
        change[3 * j], change[3 * j + 1], change[3 * j + 2] = v[0], v[1], v[2]
    total = _ZERO
    for i in range(3, _SIZE):
        row = precision[i]
        part = _ZERO
        for j in range(3, _SIZE):
            part += row[j] * change[j]
        total += part * change[i]
    return total


@kernel
def refine_frames(
    start,
    local,
    transl,
    stiffness_sigma,
    variance,
    offsets,
    anchor,
    anchor_pose,
    weight,
    share,
    target,
    confidence,
    error_precision,
    pose_mean,
    pose_precision,
    change_precision,
    settings,
    steps,
    distance,
    strangeness,
):
    """The hybrid's second half for B frames.

    Args:
        start: (B, 24, 3, 3) start rotations; kept where no keypoint was seen.
        local: (B, 24, 3, 3) the network's rotations; written.
        transl: (B, 3) for frames that no keypoint places; written.
        stiffness_sigma: (B, 66) of the rotations about the joints' own axes [rad].
        variance: (B, K) of the keypoints [m^2].
        error_precision: (66, 66) in units of the stiffness sigmas.
        settings: (3,) weight of the pose prior (0 leaves it out); Marquardt damping of the first step; whether
            `strangeness` is wanted.
        steps: of Gauss-Newton; none leave the network's pose.
        distance: (B,) mean keypoint distance [m]; written.
        strangeness: (B,) squared Mahalanobis distance of the change from `start` under `change_precision` (72, 72), the
            pelvis left out, or 0; written.
    """
    count = weight.shape[1]
    work = workspace(count)
    world, joints, parts, bent = work[1][0], work[2][0], work[3][0], work[4]
    precision = np.empty((_SIZE, _SIZE), np.float32)
    inverse, other = np.empty(_SIZE, np.float32), np.empty((_SIZE, _SIZE), np.float32)
    factored = work[10]
    vector = np.empty(72, np.float32)
    pull = np.empty(_SIZE, np.float32)
    small = np.empty((2, 3, 3), np.float32)
    trust = np.empty(count, np.float32)
    mean = np.empty((24, 3, 3), np.float32)
    place = np.empty(3, np.float32)
    unseen = (
        np.empty((0, CAMERA_SIZE), np.float32),
        np.empty((0, count, 2), np.float32),
        np.empty((0, count), np.float32),
        _ZERO,
    )
    solved = np.int64(SOLVED)
    pose_weight, asks_change = settings[0], settings[2]
    options = (steps, _ZERO, _ZERO, settings[1])
    for b in range(local.shape[0]):
        seen, total = _ZERO, _ZERO
        for k in range(count):
            trust[k] = confidence[b, k] / variance[b, k]
            total += trust[k]
            if confidence[b, k] > _ZERO:
                seen += _ONE
        if seen == _ZERO:
            copy_matrices(start[b], local[b])
            distance[b], strangeness[b] = _ZERO, _ZERO
            continue
        who = b if anchor.shape[0] > 1 else 0
        copy_matrices(local[b], mean)
        if steps > 0 or pose_weight > _ZERO:
            _prior_precision(error_precision, stiffness_sigma[b], mean, inverse, other, precision)
        if pose_weight > _ZERO:
            _and_human(mean, precision, pose_mean, pose_precision, pose_weight, factored, vector, pull, small)
        pose_points(mean, offsets[who], anchor[who], anchor_pose, weight, bent, world, joints, parts)
        for x in range(3):
            gap = _ZERO
            for k in range(count):
                gap += trust[k] * (target[b, k, x] - parts[0, x, k])
            place[x] = gap / max(total, _MIN_WEIGHT)
            transl[b, x] = place[x]
        copy_matrices(mean, local[b])
        person = (offsets[who], anchor[who], anchor_pose, weight, share)
        prior = (mean, precision, place, _TRANSL_PRECISION)
        _, _, distance[b] = minimise(
            local[b], transl[b], person, (target[b], trust, unseen), prior, _SQUARES, solved, options, work
        )
        strangeness[b] = _ZERO
        if asks_change > _ZERO:
            strangeness[b] = _strangeness(local[b], start[b], change_precision, vector, small[0])
