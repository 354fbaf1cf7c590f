"""What other programs call the bones that begin at SMPL's joints, so that their retargeting finds them unasked."""

from __future__ import annotations

from learnable_smplify.formats.motion.style import BoneNames
from learnable_smplify.skeleton import JOINT_NAMES

# {Side} is Left or Right, {side} left or right, {s} l or r.
_PATTERNS: dict[str, tuple[str, str, str]] = {
    # SMPL joint, without its side: Mixamo, Unreal's mannequin, VRM 1.0
    "pelvis": ("Hips", "pelvis", "hips"),
    "spine1": ("Spine", "spine_01", "spine"),
    "spine2": ("Spine1", "spine_02", "chest"),
    "spine3": ("Spine2", "spine_03", "upperChest"),
    "neck": ("Neck", "neck_01", "neck"),
    "head": ("Head", "head", "head"),
    "hip": ("{Side}UpLeg", "thigh_{s}", "{side}UpperLeg"),
    "knee": ("{Side}Leg", "calf_{s}", "{side}LowerLeg"),
    "ankle": ("{Side}Foot", "foot_{s}", "{side}Foot"),
    "foot": ("{Side}ToeBase", "ball_{s}", "{side}Toes"),
    "collar": ("{Side}Shoulder", "clavicle_{s}", "{side}Shoulder"),
    "shoulder": ("{Side}Arm", "upperarm_{s}", "{side}UpperArm"),
    "elbow": ("{Side}ForeArm", "lowerarm_{s}", "{side}LowerArm"),
    "wrist": ("{Side}Hand", "hand_{s}", "{side}Hand"),
    "hand": ("{Side}HandMiddle1", "middle_01_{s}", "{side}MiddleProximal"),
}
_PREFIX = {"mixamo": "mixamorig:", "unreal": "", "vrm": ""}


def bone_names(skeleton: BoneNames) -> tuple[str, ...]:
    """(24,) names of the bones, in the order of SMPL's joints."""
    if skeleton == "smpl":
        return tuple(JOINT_NAMES)
    column = list(_PREFIX).index(skeleton)
    names = []
    for joint in JOINT_NAMES:
        side, _, part = joint.rpartition("_")
        pattern = _PATTERNS[part][column]
        names.append(_PREFIX[skeleton] + pattern.format(Side=side.capitalize(), side=side, s=side[:1]))
    return tuple(names)
