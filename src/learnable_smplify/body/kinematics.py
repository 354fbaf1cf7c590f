"""Forward kinematics of the 24-joint tree by levels of the tree instead of by joints, and of any other tree."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.skeleton import NUM_JOINTS, PARENTS, WAYS_UP

LEVELS: tuple[tuple[int, ...], ...] = tuple(
    tuple(joint for joint, way in enumerate(WAYS_UP) if len(way) == length)
    for length in range(1, 1 + max(len(way) for way in WAYS_UP))
)
# Joints in the order in which the levels visit them, and the way back to SMPL's order.
_LEVEL_ORDER = tuple(joint for level in LEVELS for joint in level)
_BACK_TO_SMPL_ORDER = tuple(_LEVEL_ORDER.index(joint) for joint in range(NUM_JOINTS))
# IS_ANCESTOR[j][i]: joint i lies on the way from the root to joint j (j itself included).
IS_ANCESTOR = tuple(tuple(other in way for other in range(NUM_JOINTS)) for way in WAYS_UP)


@cache
def subtree_matrix(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "24 24"]:
    """D with D[i, j] = 1 when joint i is joint j or hangs below it.

    `values @ D` sums values over subtrees, `D @ values` along the way from the root. Not to be written to.
    """
    return torch.tensor(IS_ANCESTOR, dtype=dtype, device=device)


def world_rotations(local_rotmat: Float[Tensor, "B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
    """Rotation of every joint in the world: the product of the local rotations from the root down."""
    levels = [local_rotmat[:, :1]]
    previous = LEVELS[0]
    for level in LEVELS[1:]:
        above = [previous.index(PARENTS[joint]) for joint in level]
        levels.append(levels[-1][:, above] @ local_rotmat[:, list(level)])
        previous = level
    return torch.cat(levels, dim=1)[:, list(_BACK_TO_SMPL_ORDER)]


def parent_rotations(world_rotmat: Float[Tensor, "B 24 3 3"]) -> Float[Tensor, "B 24 3 3"]:
    """World rotation of every joint's parent; the identity for the root."""
    identity = torch.eye(3, dtype=world_rotmat.dtype, device=world_rotmat.device)
    root = identity.expand(world_rotmat.shape[0], 1, 3, 3)
    return torch.cat((root, world_rotmat[:, list(PARENTS[1:])]), dim=1)


def joint_positions(
    parent_rotmat: Float[Tensor, "B 24 3 3"], offsets: Float[Tensor, "B 24 3"]
) -> Float[Tensor, "B 24 3"]:
    """World joint positions: the rotated offsets summed along the chain.

    Args:
        parent_rotmat: world rotation of every joint's parent.
        offsets: rest position of every joint relative to its parent (the root: its rest position), metres; a first
            dimension of 1 is broadcast.
    """
    steps = (parent_rotmat @ offsets[..., None])[..., 0]
    return subtree_matrix(steps.dtype, steps.device) @ steps


def rest_offsets(rest_joints: Float[Tensor, "*B 24 3"]) -> Float[Tensor, "*B 24 3"]:
    """Offsets of every joint from its parent; the root keeps its rest position."""
    parents = list(PARENTS[1:])
    return torch.cat((rest_joints[..., :1, :], rest_joints[..., 1:, :] - rest_joints[..., parents, :]), dim=-2)


def posed_tree(
    local_rotmat: Float[Tensor, "B J 3 3"], rest_joints: Float[Tensor, "#B J 3"], parents: tuple[int, ...]
) -> tuple[Float[Tensor, "B J 3 3"], Float[Tensor, "B J 3"]]:
    """World rotations and places [m] of the joints of any tree, the root where it rests.

    Args:
        local_rotmat: rotation of every joint relative to its parent.
        rest_joints: places in the rest pose [m].
        parents: of each joint, earlier ones; -1 of the root, which is the first.
    """
    world, placed = [local_rotmat[:, 0]], [rest_joints[:, 0].expand(len(local_rotmat), 3)]
    for joint, parent in enumerate(parents[1:], start=1):
        offset = rest_joints[:, joint] - rest_joints[:, parent]
        placed.append(placed[parent] + (world[parent] @ offset[..., None])[..., 0])
        world.append(world[parent] @ local_rotmat[:, joint])
    return torch.stack(world, dim=1), torch.stack(placed, dim=1)


def skinned(
    vertices: Float[Tensor, "#B V 3"],
    weights: Float[Tensor, "V J"],
    world_rotmat: Float[Tensor, "B J 3 3"],
    joints: Float[Tensor, "B J 3"],
    rest_joints: Float[Tensor, "#B J 3"],
) -> Float[Tensor, "B V 3"]:
    """Rest vertices carried along by joints that turned and moved: linear blend skinning (Loper et al. 2015)."""
    shift = joints - (world_rotmat @ rest_joints[..., None])[..., 0]
    blended = weights @ torch.cat((world_rotmat.flatten(2), shift), dim=-1)
    turn, move = blended[..., :9].unflatten(-1, (3, 3)), blended[..., 9:]
    return (turn @ vertices[..., None])[..., 0] + move
