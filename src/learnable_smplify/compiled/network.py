"""What surrounds the matrix products of a `PoseMlp`, and the products themselves for a few frames.

Frame by frame: `encode` makes the input features, `decode` the rotations and sigmas (see `network.pose_mlp`). Large
batches leave the products between them to torch; a single frame is bound by reading the weights once, which
`multilayer` does from 8-bit and 16-bit numbers.
"""

from __future__ import annotations

import numpy as np

from learnable_smplify.compiled.jit import kernel
from learnable_smplify.compiled.points import pose_points
from learnable_smplify.compiled.rotation import closest_rotmat, copy_matrix, log_rotmat, multiply, rot6d_rotmat

SOLVED, KEYPOINTS = 22, 25
FEATURES = 4 * 3 * KEYPOINTS + KEYPOINTS + 24 * 6 + 10 + 3 + 1
OUTPUTS = SOLVED * 6 + SOLVED + KEYPOINTS

_ZERO, _HALF, _ONE, _TWO, _FIVE = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2), np.float32(5)
_HUNDRED, _THREE_TENTHS, _PULL = np.float32(100), np.float32(0.3), np.float32(1e-3)
_LEAST, _MOST = np.float32(2e-3), np.float32(2.0)
_KEYPOINT_LEAST, _KEYPOINT_MOST = np.float32(1e-3), np.float32(1.0)
_EPSILON = np.float32(1e-5)


@kernel
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


@kernel
def encode(local, source, target, confidence, betas, trunk, first, out, room):
    """Features (483,) of one pass. On the first pass the pelvis of `local` is turned onto the measured trunk.

    `source` (25, 3) are the keypoints of `local`; it is overwritten. `room` is (4, 3, 3).
    """
    centres, turn, cross, turned = room[0], room[1], room[2], room[3]
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
    for k in range(KEYPOINTS):
        for x in range(3):
            here, there = _ZERO, _ZERO
            for y in range(3):  # positions seen from the pelvis: R^T (point - centre)
                here += pelvis[y, x] * (source[k, y] - centres[0, y])
                there += pelvis[y, x] * (target[k, y] - centres[1, y])
            at = 3 * k + x
            gap = (there - here) * seen[k]
            out[at] = _TWO * here
            out[75 + at] = _TWO * there * seen[k]
            out[150 + at] = _FIVE * gap
            out[225 + at] = _THREE_TENTHS * np.arcsinh(_HUNDRED * gap)
    at = 4 * 75 + KEYPOINTS
    for j in range(24):
        for x in range(3):
            for y in range(2):
                if j == 0:
                    out[at] = _ONE if x == y else _ZERO
                else:
                    out[at] = local[j, x, y]
                at += 1


@kernel
def decode(local, output, sigma, keypoint_sigma, room):
    """Turn `local` (24, 3, 3) by what the network said (179,), and write its sigmas, the first 22 and 25 numbers."""
    turn, turned = room[0], room[1]
    for j in range(SOLVED):
        o = output[6 * j : 6 * j + 6]
        rot6d_rotmat(o[0] + _ONE, o[1], o[2], o[3] + _ONE, o[4], o[5], turn)
        multiply(local[j], turn, turned)
        copy_matrix(turned, local[j])
        sigma[j] = min(max(np.exp(output[6 * SOLVED + j]), _LEAST), _MOST)
    for k in range(KEYPOINTS):
        value = np.exp(output[7 * SOLVED + k] - _TWO)
        keypoint_sigma[k] = min(max(value, _KEYPOINT_LEAST), _KEYPOINT_MOST)


@kernel
def encode_frames(local, offsets, anchor, anchor_pose, weight, target, confidence, betas, trunk, first, out):
    """Features (B, 483) of B frames. Tables of people may have one row for all."""
    world = np.empty((24, 3, 3), np.float32)
    joints = np.empty((24, 3), np.float32)
    parts = np.empty((24, 3, KEYPOINTS), np.float32)
    bent = np.empty((24, 3, KEYPOINTS), np.float32)
    source = np.empty((KEYPOINTS, 3), np.float32)
    room = np.empty((4, 3, 3), np.float32)
    for b in range(local.shape[0]):
        who = b if anchor.shape[0] > 1 else 0
        pose_points(local[b], offsets[who], anchor[who], anchor_pose, weight, bent, world, joints, parts)
        for k in range(KEYPOINTS):
            for x in range(3):
                source[k, x] = parts[0, x, k]
        shape = betas[b] if betas.shape[0] > 1 else betas[0]
        encode(local[b], source, target[b], confidence[b], shape, trunk, first, out[b], room)


@kernel
def decode_frames(local, output, sigma, keypoint_sigma):
    """`decode` of B frames."""
    room = np.empty((2, 3, 3), np.float32)
    for b in range(local.shape[0]):
        decode(local[b], output[b], sigma[b], keypoint_sigma[b], room)


@kernel
def _affine(weight, scale, bias, x, out):
    """out = scale (weight x) + bias, with whole numbers of 8 or 16 bits as weights and a scale for every output."""
    columns = weight.shape[1]
    for b in range(x.shape[0]):
        line = x[b]
        for o in range(weight.shape[0]):
            row = weight[o]
            total = _ZERO
            for i in range(columns):
                total += np.float32(row[i]) * line[i]
            out[b, o] = scale[o] * total + bias[o]


@kernel
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
def multilayer(features, enter, blocks, leave, vectors, heads, out):
    """The residual MLP for a few frames.

    Args:
        features: (B, 483).
        enter: (W, 483) int16.
        blocks: (N, 2, W, W) int8, each block's two layers.
        leave: (179, W) int16, both heads.
        vectors: (2 + 6 N + 2, W): enter's scale and bias; each block's norm scale and shift, then scale and bias of its
            two layers; the last norm's scale and shift.
        heads: (2, 179) scale and bias of the heads.
        out: (B, 179); written.
    """
    few, width = features.shape[0], enter.shape[0]
    hidden = np.empty((few, width), np.float32)
    inner = np.empty((few, width), np.float32)
    middle = np.empty((few, width), np.float32)
    _affine(enter, vectors[0], vectors[1], features, hidden)
    for n in range(blocks.shape[0]):
        at = 2 + 6 * n
        _normalise(hidden, vectors[at], vectors[at + 1], inner)
        _affine(blocks[n, 0], vectors[at + 2], vectors[at + 3], inner, middle)
        for b in range(few):
            for i in range(width):
                middle[b, i] = middle[b, i] / (_ONE + np.exp(-middle[b, i]))
        _affine(blocks[n, 1], vectors[at + 4], vectors[at + 5], middle, inner)
        for b in range(few):
            for i in range(width):
                hidden[b, i] += inner[b, i]
    last = vectors.shape[0] - 2
    _normalise(hidden, vectors[last], vectors[last + 1], inner)
    _affine(leave, heads[0], heads[1], inner, out)
