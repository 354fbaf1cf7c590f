"""From a foreign skeleton's motion to SMPL's: rotation transfer.

For each SMPL joint j, in the world: R_smpl[j] = R_source[j] A[j]. A[j] is constant over the clip: it turns SMPL's rest
bone onto the source's rest bone. So limbs point exactly where the source's point, whatever the two rest poses are, and
turn about their length as the source's do. The torso, the head and the feet are taken over as they stand (A is the
turn between the two rest poses as a whole), because both rest poses stand upright with flat feet, while the inner
bones of a torso point wherever a rig's author put them. Feet that lean out with the legs in the rest pose (CMU's ASF)
are set upright first: `BoneMap.feet_splay`.
"""

from __future__ import annotations

from typing import Literal

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.motion import Motion
from learnable_smplify.retarget.bone_map import BoneMap, find_bone_map
from learnable_smplify.retarget.source import SourceMotion
from learnable_smplify.retarget.target import RetargetTarget
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS

# SMPL joints whose bone is aligned -> the joint at the far end of that bone.
_ALIGNED: dict[str, str] = {
    f"{side}_{joint}": f"{side}_{end}"
    for side in ("left", "right")
    for joint, end in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("wrist", "hand"),
    )
}
_ODD_REST_DEG = 80.0
# The floor is where the feet stand in the lowest twentieth of the clip. A larger gap than this is no floor contact at
# all (climbing, hanging), so the source's own height is left alone.
_FLOOR_QUANTILE = 0.05
_MAX_FLOOR_SHIFT_M = 0.2


def retarget(
    source: SourceMotion,
    target: RetargetTarget,
    bone_map: BoneMap | None = None,
    floor: Literal["feet", "source"] = "feet",
) -> Motion:
    """Move the SMPL body `target` as `source` moves.

    The body keeps its mean shape (betas zero); the way through the world is scaled by the ratio of the leg lengths, so
    that steps fit the legs. The middle of the hips follows the source's.

    Args:
        source: the captured motion, T frames.
        target: the body, see `target_from_body`.
        bone_map: which bone moves which joint; None finds it by the joint names.
        floor: "feet" lifts or lowers the clip as a whole until the soles stand at height 0, which makes up for where
            the source's ankles are measured; "source" keeps the source's height.

    Returns:
        A motion of T frames at the source's rate in the source's world axes.

    Raises:
        InputError: the skeleton's bones cannot be named, or have no length.
    """
    bone_map = bone_map or find_bone_map(source.names)
    index = {name: i for i, name in enumerate(source.names)}
    rest = source.rest_positions()
    starts = {joint: rest[index[bones[0]]] for joint, bones in bone_map.bones.items()}
    ends = {joint: starts[end] for joint, end in _ALIGNED.items() if end in starts}
    for side in ("left", "right"):
        wrist, tip = f"{side}_wrist", bone_map.hand_tips.get(f"{side}_wrist")
        own_end = starts[wrist] + source.tips[index[bone_map.bones[wrist][0]]]
        ends[wrist] = rest[index[tip]] if tip else own_end

    scale = target.leg_length() / _leg_length(starts)
    stance = _stance(starts)
    notes = list(source.notes)
    world: list[Tensor] = []
    for joint, name in enumerate(JOINT_NAMES):
        if name not in bone_map.bones:
            world.append(world[PARENTS[joint]])
            continue
        align = stance
        side, _, part = name.partition("_")
        if part in ("ankle", "foot") and bone_map.feet_splay:
            align = _splay(starts[f"{side}_ankle"] - starts[f"{side}_knee"], stance)
        elif name in _ALIGNED:
            bone_smpl = target.rest_joints[JOINT_INDEX[_ALIGNED[name]]] - target.rest_joints[joint]
            bone_source = ends[name] - starts[name]
            if float(bone_source.norm()) > 1e-6:
                turn = _shortest_turn(stance @ bone_smpl, bone_source)
                align = turn @ stance
                angle_deg = float(torch.rad2deg(roma.rotmat_geodesic_distance(turn, torch.eye(3, dtype=turn.dtype))))
                if angle_deg > _ODD_REST_DEG:
                    notes.append(
                        f"rest pose is no T or A pose at {name} ({angle_deg:.0f} degrees off): check its twist"
                    )
        world.append(_bone_rotations(source, [index[bone] for bone in bone_map.bones[name]]) @ align)

    local = [world[0]]
    local += [world[parent].mT @ world[joint] for joint, parent in enumerate(PARENTS) if parent >= 0]
    pose = roma.rotmat_to_rotvec(torch.stack(local, dim=1))

    positions = source.positions()
    hips = [index[bone_map.bones[f"{side}_hip"][0]] for side in ("left", "right")]
    pelvis_rest = target.rest_joints[0]
    mid_hip_rest = target.rest_joints[[JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(dim=0)
    transl = scale * positions[:, hips].mean(dim=1) - pelvis_rest - world[0] @ (mid_hip_rest - pelvis_rest)
    if floor == "feet" and source.up_axis is not None:
        up = "xyz".index(source.up_axis)
        height = _sole_heights(target, torch.stack(world, dim=1), transl, up)
        shift = -float(torch.quantile(height, _FLOOR_QUANTILE))
        if abs(shift) <= _MAX_FLOOR_SHIFT_M:
            transl[:, up] += shift
        else:
            notes.append(f"feet are {-shift:.2f} m from height 0 at their lowest: height left as it was")
    return Motion(
        pose=pose,
        transl=transl,
        betas=torch.zeros(10),
        fps=source.fps,
        body=target.name,
        up_axis=source.up_axis,
        notes=tuple(notes),
    )


def world_joints(
    target: RetargetTarget, world_rotmats: Float[Tensor, "T 24 3 3"], transl: Float[Tensor, "T 3"]
) -> Float[Tensor, "T 24 3"]:
    """Joints of the target body in the world, from each joint's global rotation, metres."""
    joints: list[Tensor] = []
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            joints.append(target.rest_joints[0] + transl)
        else:
            bone = target.rest_joints[joint] - target.rest_joints[parent]
            joints.append(joints[parent] + world_rotmats[:, parent] @ bone)
    return torch.stack(joints, dim=1)


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


def _leg_length(starts: dict[str, Tensor]) -> float:
    total = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (starts[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        total += float((knee - hip).norm() + (ankle - knee).norm())
    if total < 1e-6:
        raise InputError("the legs of the skeleton have no length", expected="offsets between hip, knee and ankle")
    return total / 2


def _stance(starts: dict[str, Tensor]) -> Tensor:
    """(3, 3) turn from SMPL's rest axes (X left, Y up, Z forward) to the source's rest axes, in steps of 90 degrees.

    A rig may stand along any world axes. Small leans in it are its author's drawing, not a pose, and are left out.
    """
    left = starts["left_hip"] - starts["right_hip"] + starts["left_shoulder"] - starts["right_shoulder"]
    hips = (starts["left_hip"] + starts["right_hip"]) / 2
    up = (starts["left_shoulder"] + starts["right_shoulder"]) / 2 - hips
    feet = (starts["left_ankle"] + starts["right_ankle"]) / 2
    axes: list[Tensor] = []
    for vector in (left, up + (hips - feet)):
        weight = vector.abs().clone()
        for taken in axes:
            weight[taken.abs() > 0.5] = -1.0
        largest = int(weight.argmax())
        axis = torch.zeros(3, dtype=vector.dtype)
        axis[largest] = 1.0 if float(vector[largest]) >= 0 else -1.0
        axes.append(axis)
    return torch.stack([axes[0], axes[1], torch.linalg.cross(axes[0], axes[1])], dim=1)


def _splay(shin: Tensor, stance: Tensor) -> Tensor:
    """(3, 3) the rest stance, leaning sideways as far as the rest shin does."""
    sideways = stance.mT @ shin
    down = torch.stack([sideways[0], sideways[1], torch.zeros_like(sideways[2])])
    return stance @ _shortest_turn(torch.tensor([0.0, -1.0, 0.0], dtype=shin.dtype), down)


def _shortest_turn(start: Tensor, end: Tensor) -> Tensor:
    """(3, 3) smallest rotation that takes the direction of `start` to the direction of `end`."""
    a, b = start / start.norm(), end / end.norm()
    axis = torch.linalg.cross(a, b)
    sine = axis.norm()
    if float(sine) < 1e-12:
        if float(a @ b) > 0:
            return torch.eye(3, dtype=a.dtype)
        side = torch.linalg.cross(a, torch.eye(3, dtype=a.dtype)[int(a.abs().argmin())])
        return roma.rotvec_to_rotmat(torch.pi * side / side.norm())
    return roma.rotvec_to_rotmat(axis / sine * torch.atan2(sine, a @ b))
