"""What surrounds the matrix products of a `PoseMlp`, and the products themselves for a few frames.

Frame by frame: `encode` makes the input features, `decode` the rotations and sigmas (see `network.pose_mlp`). Large
batches leave the products between them to torch; a single frame is bound by reading the weights once, which
`multilayer` does from 16-bit numbers.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.body.point_kernels import pose_points
from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import closest_rotmat, copy_matrix, log_rotmat, multiply, rot6d_rotmat
from learnable_smplify.network.pose_mlp import (
    KEYPOINT_SIGMA,
    LEFT_UNDONE,
    MOST_FREEDOM,
    REACH_FLOOR,
    REACH_UNIT,
    ROTATION_SIGMA,
    STIFFNESS_SIGMA,
)

SOLVED, KEYPOINTS = 22, 25
FEATURES = 4 * 3 * KEYPOINTS + KEYPOINTS + 24 * 6 + 10 + 3 + 1 + 3 + 2 + 1

_ZERO, _HALF, _ONE, _TWO, _FIVE = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2), np.float32(5)
_HUNDRED, _THREE_TENTHS, _PULL = np.float32(100), np.float32(0.3), np.float32(1e-3)
_THIRTY, _FOUR, _SHORT = np.float32(30), np.float32(4), np.float32(1e-2)
_LEAST, _MOST = (np.float32(bound) for bound in ROTATION_SIGMA)
_STIFF_LEAST, _STIFF_MOST = (np.float32(bound) for bound in STIFFNESS_SIGMA)
_KEYPOINT_LEAST, _KEYPOINT_MOST = (np.float32(bound) for bound in KEYPOINT_SIGMA)
_UNIT, _UNDONE, _FREEDOM = np.float32(REACH_UNIT), np.float32(LEFT_UNDONE), np.float32(MOST_FREEDOM)
_FLOORS = np.array(REACH_FLOOR, np.float32)
_EPSILON = np.float32(1e-5)


@part
def _centre(points, seen, trunk, out):
    """Mean of the seen trunk points (K, 3), or of all seen ones where the trunk is hidden; how many were used."""
    number = _ZERO
    for k in range(KEYPOINTS):
        number += seen[k] * trunk[k]
    whole = number == _ZERO
    for x in range(3):
        out[x] = _ZERO
    number = _ZERO
    for k in range(KEYPOINTS):
        share = seen[k] if whole else seen[k] * trunk[k]
        number += share
        for x in range(3):
            out[x] += share * points[k, x]
    for x in range(3):
        out[x] /= max(number, _ONE)


@part
def encode(local, source, target, confidence, betas, kind, seconds, reach, trunk, first, out, scratch):
    """Features (489,) of one pass, and how far there is to go [m]; `reach` is what the pass before had to cover.

    On the first pass the pelvis of `local` is turned onto the measured trunk. `source` (25, 3) are the keypoints of
    `local`; it is overwritten. `scratch` is (4, 3, 3).
    """
    centres, turn, cross, turned = scratch[0], scratch[1], scratch[2], scratch[3]
    seen = out[4 * 75 : 4 * 75 + KEYPOINTS]
    for k in range(KEYPOINTS):
        seen[k] = _ONE if confidence[k] > _ZERO else _ZERO
    _centre(source, seen, trunk, centres[0])
    _centre(target, seen, trunk, centres[1])
    after = 4 * 75 + KEYPOINTS + 24 * 6
    for i in range(10):
        out[after + i] = _HALF * betas[i]
    for x in range(3):
        out[after + 10 + x] = _ZERO
    out[after + 13] = _ONE if first else _ZERO
    pelvis = local[0]
    if first:
        for x in range(3):
            for y in range(3):
                total = _PULL if x == y else _ZERO
                for k in range(KEYPOINTS):
                    if seen[k] * trunk[k] > _ZERO:
                        total += (target[k, x] - centres[1, x]) * (source[k, y] - centres[0, y])
                cross[x, y] = total
        closest_rotmat(cross, turn)
        multiply(turn, pelvis, turned)
        for x in range(3):  # pelvis^T turn pelvis
            for y in range(3):
                cross[x, y] = pelvis[0, x] * turned[0, y] + pelvis[1, x] * turned[1, y] + pelvis[2, x] * turned[2, y]
        v = log_rotmat(cross)
        for x in range(3):
            out[after + 10 + x] = np.tanh(_TWO * v[x])
        for k in range(KEYPOINTS):
            a, b, c = source[k, 0] - centres[0, 0], source[k, 1] - centres[0, 1], source[k, 2] - centres[0, 2]
            for x in range(3):
                source[k, x] = turn[x, 0] * a + turn[x, 1] * b + turn[x, 2] * c + centres[0, x]
        copy_matrix(turned, pelvis)
    squared, number = _ZERO, _ZERO
    for k in range(KEYPOINTS):
        number += seen[k]
        for x in range(3):
            here, there = _ZERO, _ZERO
            for y in range(3):  # positions seen from the pelvis: R^T (point - centre)
                here += pelvis[y, x] * (source[k, y] - centres[0, y])
                there += pelvis[y, x] * (target[k, y] - centres[1, y])
            at = 3 * k + x
            gap = (there - here) * seen[k]
            out[at] = _TWO * here
            out[75 + at] = _TWO * there * seen[k]
            out[150 + at] = gap
            squared += gap * gap
            out[225 + at] = _THREE_TENTHS * np.arcsinh(_HUNDRED * gap)
    floor = _FLOORS[kind]
    if not first:
        floor = max(floor, _UNDONE * reach)
    reach = np.sqrt(squared / max(number, _ONE) + floor * floor)
    for i in range(75):
        out[150 + i] /= reach
    after += 14
    for i in range(3):
        out[after + i] = _ONE if i == kind else _ZERO
    known = seconds > _ZERO
    out[after + 3] = _ONE if known else _ZERO
    out[after + 4] = np.log2(max(_THIRTY * seconds, _SHORT)) / _FOUR if known else _ZERO
    out[after + 5] = _HALF * np.log(reach / _UNIT)
    at = 4 * 75 + KEYPOINTS
    for j in range(24):
        for x in range(3):
            for y in range(2):
                if j == 0:
                    out[at] = _ONE if x == y else _ZERO
                else:
                    out[at] = local[j, x, y]
                at += 1
    return reach


@part
def decode(local, output, reach, sigma, keypoint_sigma, stiffness_sigma, weight_sigma, scratch):
    """Turn `local` (24, 3, 3) by what the network said (270,), and write its sigmas: see `PassOutput`."""
    turn, turned = scratch[0], scratch[1]
    far = reach / _UNIT
    unit = far / np.sqrt(_ONE + far * far)
    at = 6 * SOLVED
    for j in range(SOLVED):
        o = output[6 * j : 6 * j + 6]
        rot6d_rotmat(unit * o[0] + _ONE, unit * o[1], unit * o[2], unit * o[3] + _ONE, unit * o[4], unit * o[5], turn)
        multiply(local[j], turn, turned)
        copy_matrix(turned, local[j])
        sigma[j] = min(max(unit * np.exp(output[at + j]), _LEAST), _MOST)
    at += SOLVED
    for k in range(KEYPOINTS):
        keypoint_sigma[k] = min(max(np.exp(output[at + k] - _TWO), _KEYPOINT_LEAST), _KEYPOINT_MOST)
    at += KEYPOINTS
    loosest, closest = _ZERO, _KEYPOINT_MOST
    for i in range(3 * SOLVED):
        stiffness_sigma[i] = min(max(unit * np.exp(output[at + i]), _STIFF_LEAST), _STIFF_MOST)
        loosest = max(loosest, stiffness_sigma[i])
    at += 3 * SOLVED
    for k in range(KEYPOINTS):
        weight_sigma[k] = min(max(np.exp(output[at + k] - _FIVE), _KEYPOINT_LEAST), _KEYPOINT_MOST)
        closest = min(closest, weight_sigma[k])
    if loosest > _FREEDOM * closest:
        for i in range(3 * SOLVED):
            stiffness_sigma[i] *= _FREEDOM * closest / loosest


@kernel
def encode_frames(
    local, offsets, anchor, anchor_pose, weight, target, confidence, betas, kind, seconds, reach, trunk, first, out
):
    """Features (B, 489) of B frames; `reach` (B,) is overwritten. Tables of people may have one row for all."""
    world = np.empty((24, 3, 3), np.float32)
    joints = np.empty((24, 3), np.float32)
    parts = np.empty((24, 3, KEYPOINTS), np.float32)
    bent = np.empty((24, 3, KEYPOINTS), np.float32)
    source = np.empty((KEYPOINTS, 3), np.float32)
    scratch = np.empty((4, 3, 3), np.float32)
    for b in range(local.shape[0]):
        who = b if anchor.shape[0] > 1 else 0
        pose_points(local[b], offsets[who], anchor[who], anchor_pose, weight, bent, world, joints, parts)
        for k in range(KEYPOINTS):
            for x in range(3):
                source[k, x] = parts[0, x, k]
        shape = betas[b] if betas.shape[0] > 1 else betas[0]
        reach[b] = encode(
            local[b], source, target[b], confidence[b], shape, kind, seconds, reach[b], trunk, first, out[b], scratch
        )


@kernel
def decode_frames(local, output, reach, sigma, keypoint_sigma, stiffness_sigma, weight_sigma):
    """`decode` of B frames."""
    scratch = np.empty((2, 3, 3), np.float32)
    for b in range(local.shape[0]):
        decode(
            local[b],
            output[b],
            reach[b],
            sigma[b],
            keypoint_sigma[b],
            stiffness_sigma[b],
            weight_sigma[b],
            scratch,
        )


@part
def _affine(weight, scale, bias, x, out):
    """out = scale (weight x) + bias, with whole numbers as weights and a scale for every output."""
    columns = weight.shape[1]
    for o in range(weight.shape[0]):  # each row is read once, for all frames
        row = weight[o]
        for b in range(x.shape[0]):
            line = x[b]
            total = _ZERO
            for i in range(columns):
                total += np.float32(row[i]) * line[i]
            out[b, o] = scale[o] * total + bias[o]


@part
def _normalise(x, scale, shift, out):
    """LayerNorm of every row."""
    width = x.shape[1]
    part = _ONE / np.float32(width)
    for b in range(x.shape[0]):
        mean = _ZERO
        for i in range(width):
            mean += x[b, i]
        mean *= part
        spread = _ZERO
        for i in range(width):
            away = x[b, i] - mean
            spread += away * away
        inverse = _ONE / np.sqrt(spread * part + _EPSILON)
        for i in range(width):
            out[b, i] = (x[b, i] - mean) * inverse * scale[i] + shift[i]


@kernel
def multilayer(features, remembered, enter, recall, blocks, leave, vectors, heads, hidden, out):
    """The residual MLP for a few frames.

    Args:
        features: (B, 489).
        remembered: (B, W) hidden features of the pass before; (0, W) on the first pass.
        enter: (W, 489) int16.
        recall: (W, W) int16.
        blocks: (N, 2, W, W) int16, each block's two layers.
        leave: (270, W) int16, all heads.
        vectors: (3 + 6 N + 2, W): enter's scale and bias; recall's scale; each block's norm scale and shift, then scale
            and bias of its two layers; the last norm's scale and shift.
        heads: (2, 270) scale and bias of the heads.
        hidden: (B, W) this pass's hidden features; written.
        out: (B, 270); written.
    """
    few, width = features.shape[0], enter.shape[0]
    state = np.empty((few, width), np.float32)
    inner = np.empty((few, width), np.float32)
    middle = np.empty((few, width), np.float32)
    _affine(enter, vectors[0], vectors[1], features, state)
    if remembered.shape[0] > 0:
        _affine(recall, vectors[2], np.zeros(width, np.float32), remembered, middle)
        for b in range(few):
            for i in range(width):
                state[b, i] += middle[b, i]
    for n in range(blocks.shape[0]):
        at = 3 + 6 * n
        _normalise(state, vectors[at], vectors[at + 1], inner)
        _affine(blocks[n, 0], vectors[at + 2], vectors[at + 3], inner, middle)
        for b in range(few):
            for i in range(width):
                middle[b, i] = middle[b, i] / (_ONE + np.exp(-middle[b, i]))
        _affine(blocks[n, 1], vectors[at + 4], vectors[at + 5], middle, inner)
        for b in range(few):
            for i in range(width):
                state[b, i] += inner[b, i]
    last = vectors.shape[0] - 2
    _normalise(state, vectors[last], vectors[last + 1], hidden)
    _affine(leave, heads[0], heads[1], hidden, out)
