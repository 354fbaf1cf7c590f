"""From the network's answer to the problem of the Gauss-Newton steps: precision, pose prior, transl.

The equations are those of `solver.hybrid`; one frame after the other.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.body.point_kernels import pose_points
from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import copy_matrices, copy_matrix, exp_rotvec, log_between, multiply
from learnable_smplify.network.kernels import SOLVED
from learnable_smplify.solver.frame.cholesky import factor
from learnable_smplify.solver.frame.cholesky import solve as solve_factored

_ZERO, _ONE = np.float32(0), np.float32(1)
_SIZE = 3 * SOLVED
_MIN_WEIGHT = np.float32(1e-6)


@part
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


@part
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


@part
def _and_human(mean, precision, pose_mean, pose_precision, weight, factored, vector, pull, scratch):
    """Move `mean` to the mode of its Gaussian times the pose prior's, and add the precisions."""
    for j in range(24):
        if j == 0:
            vector[0], vector[1], vector[2] = _ZERO, _ZERO, _ZERO
        else:
            v = log_between(mean[j], pose_mean[j], scratch[0])
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
def prior_frames(
    start,
    local,
    transl,
    stiffness_sigma,
    variance,
    offsets,
    anchor,
    anchor_pose,
    weight,
    target,
    confidence,
    error_precision,
    pose_mean,
    pose_precision,
    pose_weight,
    steps,
    trust,
    precision,
):
    """What the Gauss-Newton steps of B frames start from and hold on to.

    Args:
        start: (B, 24, 3, 3) start rotations; kept where no keypoint was seen.
        local: (B, 24, 3, 3) the network's rotations; the prior's mean is written.
        transl: (B, 3) kept where no keypoint was seen; elsewhere written, where the mean meets the keypoints best.
        stiffness_sigma: (B, 66) of the rotations about the joints' own axes [rad].
        variance: (B, K) of the keypoints [m^2].
        error_precision: (66, 66) in units of the stiffness sigmas.
        pose_weight: of the pose prior; 0 leaves it out.
        steps: that will follow; none need no precision.
        trust: (B, K) weights of the keypoints [1/m^2]; written.
        precision: (B, 66, 66) of the prior in the parents' frames [1/rad^2]; written.
    """
    count = weight.shape[1]
    world, joints = np.empty((24, 3, 3), np.float32), np.empty((24, 3), np.float32)
    parts, bent = np.empty((24, 3, count), np.float32), np.empty((24, 3, count), np.float32)
    inverse, other = np.empty(_SIZE, np.float32), np.empty((_SIZE, _SIZE), np.float32)
    vector, pull = np.empty(72, np.float32), np.empty(_SIZE, np.float32)
    small = np.empty((2, 3, 3), np.float32)
    for b in range(local.shape[0]):
        mean = local[b]
        seen, total = _ZERO, _ZERO
        for k in range(count):
            trust[b, k] = confidence[b, k] / variance[b, k]
            total += trust[b, k]
            if confidence[b, k] > _ZERO:
                seen += _ONE
        if steps > 0 or pose_weight > _ZERO:
            _prior_precision(error_precision, stiffness_sigma[b], mean, inverse, other, precision[b])
        if seen == _ZERO:
            copy_matrices(start[b], mean)
            continue
        if pose_weight > _ZERO:
            _and_human(mean, precision[b], pose_mean, pose_precision, pose_weight, other, vector, pull, small)
        who = b if anchor.shape[0] > 1 else 0
        pose_points(mean, offsets[who], anchor[who], anchor_pose, weight, bent, world, joints, parts)
        for x in range(3):
            gap = _ZERO
            for k in range(count):
                gap += trust[b, k] * (target[b, k, x] - parts[0, x, k])
            transl[b, x] = gap / max(total, _MIN_WEIGHT)


@kernel
def change_frames(rotmat, start, precision, out):
    """Squared Mahalanobis distances (B,) of changes from `start`, e^T P e, over the joints below the pelvis.

    `rotmat` and `start` are (B, 24, 3, 3), `precision` is (72, 72).
    """
    change = np.empty(_SIZE, np.float32)
    scratch = np.empty((3, 3), np.float32)
    for b in range(rotmat.shape[0]):
        for j in range(1, SOLVED):
            v = log_between(rotmat[b, j], start[b, j], scratch)
            change[3 * j], change[3 * j + 1], change[3 * j + 2] = v[0], v[1], v[2]
        total = _ZERO
        for i in range(3, _SIZE):
            row = precision[i]
            part = _ZERO
            for j in range(3, _SIZE):
                part += row[j] * change[j]
            total += part * change[i]
        out[b] = total
