"""How a source skeleton's bones lie in the person, read from its rest pose, for skeletons whose rest pose is a pose."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.target import RetargetTarget
from learnable_smplify.rotation import shortest_turn
from learnable_smplify.skeleton import JOINT_INDEX

# SMPL joints whose bone is aligned -> the joint at the far end of that bone.
_ALIGNED: dict[str, str] = {
    f"{side}_{joint}": f"{side}_{end}"
    for side in ("left", "right")
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist", "hand"))
    for joint, end in itertools.pairwise(limb)
}
# Arms that hang are 90 degrees off; further than that, an arm stands up or in front.
_ODD_REST_DEG = 100.0
# Rest poses of rigs lean and straddle, but no further than this.
_LARGEST_LEAN_DEG = 50.0
_SHORTEST_M = 1e-6


def rest_alignment(
    source: SourceMotion, target: RetargetTarget, bone_map: BoneMap
) -> tuple[dict[str, Float[Tensor, "3 3"]], tuple[str, ...]]:
    """For every mapped SMPL joint the constant turn A of R_smpl = R_source A, from the source's rest pose.

    Limbs are turned the shortest way from SMPL's T pose to the source's rest pose; torso, head and feet are taken over
    as they stand.

    Args:
        source: the motion, whose rest pose is sound: see `rest_flaw`.
        target: the body it is for.
        bone_map: which bone moves which joint.

    Returns:
        SMPL joint name -> rotmat, from SMPL's rest axes (X left, Y up, Z forward) to the source's; and notes.
    """
    starts = _rest_places(source, bone_map)
    ends = {joint: starts[end] for joint, end in _ALIGNED.items() if end in starts}
    rest = source.rest_positions()
    for side in ("left", "right"):
        wrist, tip = f"{side}_wrist", bone_map.hand_tips.get(f"{side}_wrist")
        own_end = starts[wrist] + source.tips[source.names.index(bone_map.bones[wrist][0])]
        ends[wrist] = rest[source.names.index(tip)] if tip else own_end
    stance = _stance(starts)
    notes = []
    alignment: dict[str, Tensor] = {}
    for name in bone_map.bones:
        align = stance
        side, _, part = name.partition("_")
        if part in ("ankle", "foot") and bone_map.feet_splay:
            align = _splay(starts[f"{side}_ankle"] - starts[f"{side}_knee"], stance)
        elif name in _ALIGNED:
            bone_smpl = target.rest_joints[JOINT_INDEX[_ALIGNED[name]]] - target.rest_joints[JOINT_INDEX[name]]
            bone_source = ends[name] - starts[name]
            if float(bone_source.norm()) > _SHORTEST_M:
                turn = shortest_turn(stance @ bone_smpl, bone_source)
                align = turn @ stance
                angle_deg = _angle_deg(stance @ bone_smpl, bone_source)
                if angle_deg > _ODD_REST_DEG:
                    notes.append(
                        f"rest pose is no T or A pose at {name} ({angle_deg:.0f} degrees off): check its twist"
                    )
        alignment[name] = align
    return alignment, tuple(notes)


def rest_flaw(source: SourceMotion, bone_map: BoneMap) -> str | None:
    """What shows that a skeleton's zero pose is not the pose of a person, in words; None where it may be one.

    T, A, arms-down and the like stand upright on straight legs, shoulders over hips. Zero poses in which every bone
    lies along an axis of its own do not.
    """
    at = _rest_places(source, bone_map)
    hips = (at["left_hip"] + at["right_hip"]) / 2
    up = (at["left_shoulder"] + at["right_shoulder"]) / 2 - hips
    left, across = at["left_hip"] - at["right_hip"], at["left_shoulder"] - at["right_shoulder"]
    if float(left.norm()) < _SHORTEST_M:
        # Some skeletons hang both legs on one point.
        left = across
    if min(float(up.norm()), float(left.norm())) < _SHORTEST_M:
        return "hips and shoulders lie in one place"
    if _angle_deg(left, across) > _LARGEST_LEAN_DEG:
        return "the shoulders are turned away from the hips"
    if abs(_angle_deg(left, up) - 90) > _LARGEST_LEAN_DEG:
        return "the trunk lies along the hips"
    for side in ("left", "right"):
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            if _angle_deg(-up, at[f"{side}_{end}"] - at[f"{side}_{start}"]) > _LARGEST_LEAN_DEG:
                return f"the {side} {'thigh' if start == 'hip' else 'shin'} does not hang below the trunk"
        upper = at[f"{side}_elbow"] - at[f"{side}_shoulder"]
        if _angle_deg(upper, at[f"{side}_wrist"] - at[f"{side}_elbow"]) > _LARGEST_LEAN_DEG:
            return f"the {side} elbow is bent"
        if f"{side}_foot" in at:
            foot = at[f"{side}_foot"] - at[f"{side}_ankle"]
            forward = torch.linalg.cross(left, up)
            if float(foot.norm()) > _SHORTEST_M and float(foot @ forward) < 0:
                return f"the {side} foot points back"
    return None


def _rest_places(source: SourceMotion, bone_map: BoneMap) -> dict[str, Tensor]:
    rest = source.rest_positions()
    return {joint: rest[place] for joint, place in bone_map.starts(source.names).items()}


def _angle_deg(a: Tensor, b: Tensor) -> float:
    return float(torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(), a @ b)))


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
    return stance @ shortest_turn(torch.tensor([0.0, -1.0, 0.0], dtype=shin.dtype), down)
