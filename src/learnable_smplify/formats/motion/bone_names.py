"""What other programs call the bones that begin at SMPL's joints, so that their retargeting finds them unasked."""

from __future__ import annotations

from collections.abc import Sequence

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
# The fingers' joints from the knuckle on, {n} being 1 to 3 and {phalanx} VRM's word for it.
_VRM_FINGERS = {"thumb": "Thumb", "index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"}
_FINGERS: dict[str, tuple[str, str, str]] = {
    finger: (f"{{Side}}Hand{finger.capitalize()}{{n}}", f"{finger}_0{{n}}_{{s}}", f"{{side}}{other}{{phalanx}}")
    for finger, other in _VRM_FINGERS.items()
}
_PHALANGES = {"thumb": ("Metacarpal", "Proximal", "Distal")}
_USUAL_PHALANGES = ("Proximal", "Intermediate", "Distal")
_PREFIX = {"mixamo": "mixamorig:", "unreal": "", "vrm": ""}


def bone_names(skeleton: BoneNames, joints: Sequence[str] = JOINT_NAMES) -> tuple[str, ...]:
    """(J,) names of the bones that begin at these joints of SMPL, or of SMPL-H with its fingers."""
    if skeleton == "smpl":
        return tuple(joints)
    column = list(_PREFIX).index(skeleton)
    names = []
    for joint in joints:
        side, _, part = joint.rpartition("_")
        words = {"Side": side.capitalize(), "side": side, "s": side[:1]}
        finger, number = part[:-1], part[-1:]
        if finger in _FINGERS:
            phalanx = _PHALANGES.get(finger, _USUAL_PHALANGES)[int(number) - 1]
            pattern, words = _FINGERS[finger][column], {**words, "n": number, "phalanx": phalanx}
        else:
            pattern = _PATTERNS[part][column]
        names.append(_PREFIX[skeleton] + pattern.format(**words))
    return tuple(names)
