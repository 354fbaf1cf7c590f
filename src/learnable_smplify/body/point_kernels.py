"""Forward kinematics, keypoints and their derivatives for one frame (see `body.fold` for the equations)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.kinematics import rest_offsets, subtree_matrix
from learnable_smplify.kernels.jit import kernel, part
from learnable_smplify.kernels.rotation import copy_matrix, multiply
from learnable_smplify.skeleton import NUM_JOINTS, PARENTS

_PARENTS = np.array(PARENTS, dtype=np.int64)
_ZERO, _ONE = np.float32(0), np.float32(1)


@dataclass(frozen=True, eq=False)
class PointTables:
    """A body's folded points, laid out for the kernels: keypoints innermost.

    Args:
        weight: (24, K) s_kj.
        share: (24, K) sums of s_kj over the joints at and below j.
        anchor: (24 * 3 * K,) a_kj for betas 0.
        anchor_shape: (10, 24 * 3 * K) its change per beta.
        anchor_pose: (207, 24 * 3 * K) its change per number of the pose feature; no rows without pose correctives.
        offsets: (72,) joint offsets for betas 0.
        offsets_shape: (10, 72).
    """

    weight: np.ndarray
    share: np.ndarray
    anchor: np.ndarray
    anchor_shape: np.ndarray
    anchor_pose: np.ndarray
    offsets: np.ndarray
    offsets_shape: np.ndarray

    def shaped(self, betas: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Anchors (B, 24, 3, K) and joint offsets (B, 24, 3) of people with betas (B, 10)."""
        values = np.ascontiguousarray(betas.numpy())
        anchor = self.anchor + values @ self.anchor_shape
        offsets = self.offsets + values @ self.offsets_shape
        return anchor.reshape(len(values), NUM_JOINTS, 3, -1), offsets.reshape(len(values), NUM_JOINTS, 3)


@lru_cache(maxsize=16)
def point_tables(folded: FoldedPoints) -> PointTables:
    """The tables of a body's points; the latest are kept."""

    def inner(values: Tensor) -> Tensor:  # (K, 24, 3, ...) -> (..., 24 * 3 * K)
        moved = values.permute(*range(3, values.ndim), 1, 2, 0)
        return moved.reshape(*moved.shape[: values.ndim - 3], -1).contiguous()

    count = folded.weight.shape[0]
    share = (folded.weight @ subtree_matrix(folded.weight.dtype, folded.weight.device)).T.contiguous()
    correctives = torch.zeros(0, NUM_JOINTS * 3 * count) if folded.anchor_pose is None else inner(folded.anchor_pose)
    shape = rest_offsets(folded.rest_joints_shape.permute(2, 0, 1))
    return PointTables(
        weight=folded.weight.T.contiguous().numpy(),
        share=share.numpy(),
        anchor=inner(folded.anchor).numpy(),
        anchor_shape=inner(folded.anchor_shape).numpy(),
        anchor_pose=correctives.numpy(),
        offsets=rest_offsets(folded.rest_joints).reshape(-1).contiguous().numpy(),
        offsets_shape=shape.reshape(len(shape), -1).contiguous().numpy(),
    )


@kernel
def pose_points(local, offsets, anchor, anchor_pose, weight, bent, world, joints, parts):
    """Put one person into a pose.

    Writes the world rotations (24, 3, 3), joint positions (24, 3), and `parts` (24, 3, K): what of each keypoint hangs
    at or below each joint. `parts[0]` are the keypoints themselves. `bent` (24, 3, K) is scratch for corrected anchors.
    """
    count = weight.shape[1]
    axes = joints.shape[1]  # 3; not a literal: compilers copy the loops inside it for every turn
    copy_matrix(local[0], world[0])
    for x in range(3):
        joints[0, x] = offsets[0, x]
    for j in range(1, 24):
        parent = _PARENTS[j]
        up = world[parent]
        multiply(up, local[j], world[j])
        for x in range(3):
            step = up[x, 0] * offsets[j, 0] + up[x, 1] * offsets[j, 1] + up[x, 2] * offsets[j, 2]
            joints[j, x] = joints[parent, x] + step
    used = anchor
    if anchor_pose.shape[0] > 0:
        used = bent
        _bend(local, anchor, anchor_pose, bent)
    for j in range(24):
        for x in range(axes):
            a, b, c = world[j, x, 0], world[j, x, 1], world[j, x, 2]
            at = joints[j, x]
            for k in range(count):
                parts[j, x, k] = a * used[j, 0, k] + b * used[j, 1, k] + c * used[j, 2, k] + weight[j, k] * at
    for j in range(23, 0, -1):
        parent = _PARENTS[j]
        for x in range(axes):
            for k in range(count):
                parts[parent, x, k] += parts[j, x, k]


@part
def _bend(local, anchor, anchor_pose, bent):
    flat, straight = bent.reshape(bent.size), anchor.reshape(anchor.size)
    for i in range(flat.size):
        flat[i] = straight[i]
    for row in range(anchor_pose.shape[0]):
        j, x, y = 1 + row // 9, row // 3 % 3, row % 3
        feature = local[j, x, y] - (_ONE if x == y else _ZERO)
        if feature != _ZERO:
            for i in range(flat.size):
                flat[i] += feature * anchor_pose[row, i]


@kernel
def fill_jacobian(parts, share, joints, world, solved, turn, lever, jacobian):
    """Derivatives (K, 3, 3 * solved + 3) of the keypoints by rotations in the parents' frames and by transl.

    `turn` (3, 72) and `lever` (3, 72) are scratch for one keypoint's factors.
    """
    count = share.shape[1]
    size = 3 * solved
    for j in range(solved):
        for x in range(3):
            for a in range(3):
                if j == 0:
                    turn[x, a] = _ONE if x == a else _ZERO
                else:
                    turn[x, 3 * j + a] = world[_PARENTS[j], x, a]
    for k in range(count):
        for j in range(solved):
            part = share[j, k]
            for x in range(3):
                c = parts[j, x, k] - part * joints[j, x]
                lever[x, 3 * j] = c
                lever[x, 3 * j + 1] = c
                lever[x, 3 * j + 2] = c
        for i in range(size):
            jacobian[k, 0, i] = turn[1, i] * lever[2, i] - turn[2, i] * lever[1, i]
            jacobian[k, 1, i] = turn[2, i] * lever[0, i] - turn[0, i] * lever[2, i]
            jacobian[k, 2, i] = turn[0, i] * lever[1, i] - turn[1, i] * lever[0, i]
        for x in range(3):
            for y in range(3):
                jacobian[k, x, size + y] = _ONE if x == y else _ZERO
