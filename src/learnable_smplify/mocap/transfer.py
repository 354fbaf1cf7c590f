"""From a foreign skeleton's motion to SMPL's: rotation transfer.

For each SMPL joint j, in the world: R_smpl[j] = R_source[j] A[j]. A[j] is constant over the clip: it turns SMPL's rest
bone onto the source's. So limbs point exactly where the source's point, whatever the two rest poses are, and turn
about their length as the source's do. Where the source's rest pose is the pose of a person, A comes from it
(`alignment`): the torso, the head and the feet are then taken over as they stand (A is the turn between the two rest
poses as a whole), because both rest poses stand upright with flat feet, while the inner bones of a torso point
wherever a rig's author put them. Where the rest pose is none, A comes from the motion itself (`calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.alignment import rest_alignment, rest_flaw
from learnable_smplify.mocap.bone_map import BoneMap, find_bone_map
from learnable_smplify.mocap.calibration import calibrate
from learnable_smplify.mocap.fingers import hand_pose
from learnable_smplify.mocap.plausible import ENDS, MAX_ANGLE_DEG
from learnable_smplify.mocap.source import SourceMotion, angle_deg, joint_places
from learnable_smplify.mocap.target import RetargetTarget
from learnable_smplify.mocap.vertical import find_up_axis
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS

# The floor is where the feet stand in the lowest twentieth of the clip. A larger gap than this is no floor contact at
# all (climbing, hanging), so the source's own height is left alone.
_FLOOR_QUANTILE = 0.05
_MAX_FLOOR_SHIFT_M = 0.2
_MISPLACED_SHARE = 0.9


def retarget(source: SourceMotion, target: RetargetTarget, bone_map: BoneMap | None = None) -> Motion:
    """Move the SMPL body `target` as `source` moves, with its fingers where both have them.

    The body keeps its mean shape (betas zero); the way through the world is scaled by the ratio of the leg lengths, so
    that steps fit the legs. The middle of the hips follows the source's, and the clip as a whole is lifted or lowered
    until the soles stand at height 0, which makes up for where the source's ankles are measured.

    Args:
        source: the captured motion, T frames. Where its up axis is unknown, it is found from the motion.
        target: the body, see `target_from_body`.
        bone_map: which bone moves which joint; None finds it by the joint names.

    Returns:
        A motion of T frames at the source's rate in the source's world axes.

    Raises:
        InputError: the skeleton's bones cannot be named, or have no length.
    """
    bone_map = bone_map or find_bone_map(source.names, source.parents)
    if source.up_axis is None:
        source = find_up_axis(source, bone_map)
    starts = bone_map.starts(source.names)
    notes = list(source.notes)
    flaw = rest_flaw(source, bone_map)
    if flaw is None:
        alignment, remarks = rest_alignment(source, target, bone_map)
        notes.extend(remarks)
    else:
        alignment = calibrate(source, target, bone_map)
        notes.append(f"rest pose is no pose ({flaw}): how the bones lie was found from the motion")
    pose, world = _pose(source, bone_map, alignment, flaw is None)
    if flaw is None and (ends := _misplaced_ends(pose)):
        found = calibrate(source, target, bone_map)
        alignment |= {name: found[name] for name in ends if name in found}
        notes.append(f"{', '.join(ends)}: bent beyond reach all along; how the bone lies was found from the motion")
        pose, world = _pose(source, bone_map, alignment, flaw is None)

    positions = source.positions()
    hips = [starts["left_hip"], starts["right_hip"]]
    pelvis_rest = target.rest_joints[0]
    mid_hip_rest = target.rest_joints[[JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(dim=0)
    scale = leg_length(target.rest_joints, JOINT_INDEX) / leg_length(positions, starts)
    transl = scale * positions[:, hips].mean(dim=1) - pelvis_rest - world[:, 0] @ (mid_hip_rest - pelvis_rest)
    assert source.up_axis is not None
    up = "xyz".index(source.up_axis)
    height = _sole_heights(target, world, transl, up)
    shift = -float(torch.quantile(height, _FLOOR_QUANTILE))
    if abs(shift) <= _MAX_FLOOR_SHIFT_M:
        transl[:, up] += shift
    else:
        notes.append(f"feet are {-shift:.2f} m from height 0 at their lowest: height left as it was")
    fingers = None if target.hands is None else hand_pose(source, target.hands, alignment, world)
    return Motion(
        pose=roma.rotmat_to_rotvec(pose),
        transl=transl,
        betas=torch.zeros(10),
        fps=source.fps,
        body=target.name,
        up_axis=source.up_axis,
        notes=tuple(notes),
        hand_pose=fingers,
    )


def _pose(
    source: SourceMotion, bone_map: BoneMap, alignment: dict[str, Tensor], from_rest: bool
) -> tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "T 24 3 3"]]:
    """Local and global rotations of SMPL's joints."""
    index = {name: i for i, name in enumerate(source.names)}
    world: list[Tensor] = []
    for joint, name in enumerate(JOINT_NAMES):
        if name not in bone_map.bones:
            world.append(world[PARENTS[joint]])
            continue
        # Halfway between two bones is a place only where both are measured from one pose.
        bones = bone_map.bones[name] if from_rest else bone_map.bones[name][:1]
        world.append(_bone_rotations(source, [index[bone] for bone in bones]) @ alignment[name])
    local = [world[0]]
    local += [world[parent].mT @ world[joint] for joint, parent in enumerate(PARENTS) if parent >= 0]
    return torch.stack(local, dim=1), torch.stack(world, dim=1)


def _misplaced_ends(pose: Float[Tensor, "T 24 3 3"]) -> list[str]:
    """Hands, feet and heads that are bent beyond reach nearly all the time: their markers were mistaken.

    With an ankle go the toes.
    """
    found = []
    for name in ENDS:
        rotmats = pose[:, JOINT_INDEX[name]]
        if float((angle_deg(rotmats) > MAX_ANGLE_DEG[name]).double().mean()) > _MISPLACED_SHARE:
            found.append(name)
            if name.endswith("ankle"):
                found.append(name.replace("ankle", "foot"))
    return found


def world_joints(
    target: RetargetTarget, world_rotmats: Float[Tensor, "T 24 3 3"], transl: Float[Tensor, "T 3"]
) -> Float[Tensor, "T 24 3"]:
    """Joints of the target body in the world, from each joint's global rotation, metres."""
    rest = target.rest_joints
    bones = torch.cat((rest[:1], rest[1:] - rest[list(PARENTS[1:])]))
    return joint_places(PARENTS, bones, world_rotmats, rest[0] + transl)


def _sole_heights(target: RetargetTarget, world_rotmats: Tensor, transl: Tensor, up: int) -> Tensor:
    """(T,) height of the lowest sole point in each frame."""
    joints = world_joints(target, world_rotmats, transl)
    owner = target.sole_joints
    arms = target.sole_points - target.rest_joints[owner]
    points = joints[:, owner] + torch.einsum("tpij,pj->tpi", world_rotmats[:, owner], arms)
    return points[..., up].min(dim=1).values


def _bone_rotations(source: SourceMotion, bones: list[int]) -> Tensor:
    """(T, 3, 3) global rotation of one bone, or halfway from the first bone to the second."""
    first = source.rotations[:, bones[0]]
    if len(bones) == 1:
        return first
    turn = roma.rotmat_to_unitquat(first.mT @ source.rotations[:, bones[1]])
    # Half of a turn that grows past 180 degrees must not jump to the other side: follow it over time, on the side
    # where most of the clip turns less than that.
    sign = torch.where((turn[1:] * turn[:-1]).sum(dim=-1) < 0, -1.0, 1.0).to(turn)
    turn[1:] *= sign.cumprod(dim=0).unsqueeze(-1)
    if float(turn[:, 3].median()) < 0:
        turn = -turn
    sine = turn[:, :3].norm(dim=-1, keepdim=True)
    half_angle = torch.atan2(sine, turn[:, 3:])
    return first @ roma.rotvec_to_rotmat(turn[:, :3] / sine.clamp(min=1e-12) * half_angle)


def leg_length(positions: Float[Tensor, "*T J 3"], joints: Mapping[str, int]) -> float:
    """Thigh and shin, metres, mean of both sides and over the frames, where these SMPL joints are."""
    total = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (positions[..., joints[f"{side}_{joint}"], :] for joint in ("hip", "knee", "ankle"))
        total += float(((knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1)).mean())
    if total < 1e-6:
        raise InputError("the legs of the skeleton have no length", expected="offsets between hip, knee and ankle")
    return total / 2
