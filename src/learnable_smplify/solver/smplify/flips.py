"""The other poses that look the same from the camera: limbs mirrored in depth.

In one picture a forearm that comes towards the camera and one that leans away by as much fall on the same line. Descent
cannot step from one to the other, so the mirrored ones are tried (Sminchisescu, Triggs 2003, "Kinematic jump
processes"), and kept where they make the energy lower.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.kinematics import parent_rotations, world_rotations
from learnable_smplify.rotation import rotmat_to_rotvec, shortest_turn
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.smplify.smplify import People

# Root, middle and end joint of each limb.
LIMBS: tuple[tuple[int, int, int], ...] = tuple(
    (JOINT_INDEX[f"{side}_{root}"], JOINT_INDEX[f"{side}_{middle}"], JOINT_INDEX[f"{side}_{end}"])
    for root, middle, end in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for side in ("left", "right")
)
# Which bones of a limb are mirrored: upper, lower.
CHOICES: tuple[tuple[bool, bool], ...] = ((True, False), (False, True), (True, True))


def flipped(people: People, folded: FoldedPoints, limb: tuple[int, int, int], choice: tuple[bool, bool]) -> People:
    """The people with one limb mirrored in depth about its joints, bone by bone; they are in the camera's frame."""
    local = people.local_rotmat()
    joints = _joints(people, folded, local)
    wanted = []
    for flip, joint, child in ((choice[0], limb[0], limb[1]), (choice[1], limb[1], limb[2])):
        bone = joints[:, child] - joints[:, joint]
        view = torch.nn.functional.normalize(joints[:, joint], dim=-1)
        wanted.append(bone - 2 * (bone * view).sum(-1, keepdim=True) * view if flip else bone)
    for direction, joint, child in ((wanted[0], limb[0], limb[1]), (wanted[1], limb[1], limb[2])):
        joints = _joints(people, folded, local)
        turn = shortest_turn(joints[:, child] - joints[:, joint], direction)
        parent = parent_rotations(world_rotations(local))[:, joint]
        local = local.clone()
        local[:, joint] = parent.transpose(-1, -2) @ turn @ parent @ local[:, joint]
    # The hand or foot stays as it is seen.
    parent = parent_rotations(world_rotations(local))[:, limb[2]]
    local[:, limb[2]] = parent.transpose(-1, -2) @ world_rotations(people.local_rotmat())[:, limb[2]]
    columns = people.body_pose.clone()
    for joint in limb:
        columns[:, 3 * joint - 3 : 3 * joint] = rotmat_to_rotvec(local[:, joint])
    return replace(people, body_pose=columns)


def _joints(people: People, folded: FoldedPoints, local: Tensor) -> Float[Tensor, "B 24 3"]:
    return folded.shaped(people.betas).pose(local).joints + people.transl[:, None]
