"""Which bone of a foreign skeleton moves which SMPL joint, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from learnable_smplify.errors import InputError
from learnable_smplify.skeleton import JOINT_NAMES


@dataclass(frozen=True)
class BoneMap:
    """For each SMPL joint the bones whose rotation it takes: one, or two to go halfway between.

    Args:
        name: what kind of skeleton this is, for the user.
        bones: SMPL joint name -> one or two source joint names, the first of which starts where the SMPL joint is.
            A joint without an entry keeps still relative to its parent.
        hand_tips: SMPL wrist name -> the source joint whose start shows which way the hand points; without it the
            end of the hand's own bone is taken.
        feet_splay: whether the feet of the rest pose lean out with the legs, instead of standing flat on the floor.
    """

    name: str
    bones: dict[str, tuple[str, ...]]
    hand_tips: dict[str, str]
    feet_splay: bool = False


def _both_sides(pairs: dict[str, str], left: str, right: str) -> dict[str, tuple[str, ...]]:
    """Entries for both sides from SMPL name (without its side) -> source name with {} for the side."""
    return {
        f"{side}_{smpl}": tuple(part.format(letter) for part in source.split("+"))
        for side, letter in (("left", left), ("right", right))
        for smpl, source in pairs.items()
    }


# The forearm of this skeleton turns about its own length in a bone of its own, `wrist`, in its last third. SMPL's
# elbow takes half of that turn, so that the skin twists over the whole forearm and not all at the wrist.
CMU_ASF = BoneMap(
    name="CMU ASF",
    bones={
        "pelvis": ("root",),
        "spine1": ("lowerback",),
        "spine2": ("upperback",),
        "spine3": ("thorax",),
        "neck": ("lowerneck", "upperneck"),
        "head": ("head",),
    }
    | _both_sides(
        {
            "hip": "{}femur",
            "knee": "{}tibia",
            "ankle": "{}foot",
            "foot": "{}toes",
            "collar": "{}clavicle",
            "shoulder": "{}humerus",
            "elbow": "{}radius+{}wrist",
            "wrist": "{}hand",
        },
        "l",
        "r",
    ),
    hand_tips={},
    # Its rest pose has the legs 20 degrees apart and the soles square to them.
    feet_splay=True,
)

# B. Hahne's conversions of the CMU clips to BVH. They have no thorax; the chest carries SMPL's two upper joints.
CMU_BVH = BoneMap(
    name="CMU BVH (cgspeed)",
    bones={
        "pelvis": ("hip",),
        "spine1": ("abdomen",),
        "spine2": ("chest",),
        "spine3": ("chest",),
        "neck": ("neck",),
        "head": ("head",),
    }
    | _both_sides(
        {
            "hip": "{}Thigh",
            "knee": "{}Shin",
            "ankle": "{}Foot",
            "collar": "{}Collar",
            "shoulder": "{}Shldr",
            "elbow": "{}ForeArm",
            "wrist": "{}Hand",
        },
        "l",
        "r",
    ),
    hand_tips={"left_wrist": "lMid1", "right_wrist": "rMid1"},
)

# For any other skeleton: plain names as the common tools write them, lower case, without prefix, side or separators.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "pelvis": ("hips", "hip", "pelvis", "root"),
    "spine1": ("spine", "spine1", "abdomen", "lowerback"),
    "neck": ("neck", "neck1", "lowerneck"),
    "head": ("head",),
    "hip": ("upleg", "thigh", "hip", "upperleg", "femur"),
    "knee": ("leg", "shin", "calf", "knee", "lowerleg", "tibia"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("shoulder", "collar", "clavicle"),
    "shoulder": ("arm", "shldr", "upperarm", "humerus", "shoulder", "uparm"),
    "elbow": ("forearm", "lowerarm", "elbow", "radius", "lowarm"),
    "wrist": ("wrist", "hand"),
    "hand_tip": ("handmiddle1", "mid1", "middle1", "middle01", "middleproximal"),
}
_SPINES = re.compile(r"(spine|chest|upperchest|thorax|torso|abdomen|lowerback|upperback)\d*")
_NEEDED = (
    "pelvis",
    *(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
)


def find_bone_map(names: Sequence[str]) -> BoneMap:
    """The bone map for a skeleton with these joint names, parents before children.

    Skeletons of CMU's ASF files and of the cgspeed BVH conversions are known; for others the names are guessed
    (Mixamo, LaFAN1, Unreal, Biped and their like).

    Raises:
        InputError: no bone can be found for a hip, knee, ankle, shoulder, elbow or wrist.
    """
    for known in (CMU_ASF, CMU_BVH):
        if all(source in names for sources in known.bones.values() for source in sources):
            return known
    return _guess(names)


def _plain(name: str) -> tuple[str, str]:
    """(side, rest) of a joint name: "mixamorig:LeftUpLeg" -> ("left", "upleg"), "thigh_l" -> ("left", "thigh")."""
    text = name.split(":")[-1]
    text = re.sub(r"^(mixamorig\d*_?|bip\d+[ _]?|character1_|smpl_)", "", text, flags=re.IGNORECASE)
    words = [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)]
    side = ""
    kept = []
    for word in words:
        if not side and word in ("left", "l", "right", "r"):
            side = "left" if word.startswith("l") else "right"
        else:
            kept.append(word)
    joined = "".join(kept)
    for prefix in ("left", "right"):
        if not side and joined.startswith(prefix):
            side, joined = prefix, joined[len(prefix) :]
    return side, joined


def _guess(names: Sequence[str]) -> BoneMap:
    plain = {name: _plain(name) for name in names}
    bones: dict[str, tuple[str, ...]] = {}
    tips: dict[str, str] = {}

    def first(side: str, joint: str) -> str | None:
        taken = {source for sources in bones.values() for source in sources}
        for synonym in _SYNONYMS[joint]:
            for name, (name_side, rest) in plain.items():
                if name_side == side and rest == synonym and name not in taken:
                    return name
        return None

    for side in ("", "left", "right"):
        central = ("pelvis", "neck", "head")
        # The upper arm goes before the collar: "shoulder" is the collar only where the arm has a name of its own.
        limbs = ("hip", "knee", "ankle", "foot", "shoulder", "collar", "elbow", "wrist")
        for joint in limbs if side else central:
            source = first(side, joint)
            if source is not None:
                bones[f"{side}_{joint}" if side else joint] = (source,)
        tip = first(side, "hand_tip") if side else None
        if tip is not None:
            tips[f"{side}_wrist"] = tip
    spines = [n for n, (s, rest) in plain.items() if not s and _SPINES.fullmatch(rest) and (n,) not in bones.values()]
    if spines:
        # However many spine joints there are, SMPL's lowest follows the lowest and its highest the highest.
        bones["spine1"] = (spines[0],)
        bones["spine2"] = (spines[len(spines) // 2],)
        bones["spine3"] = (spines[-1],)
    missing = [joint for joint in _NEEDED if joint not in bones]
    if missing:
        raise InputError(
            f"no bone found for {', '.join(missing)} among {', '.join(list(names)[:40])}",
            expected="joint names like Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand",
            hint="rename the joints in the file",
        )
    return BoneMap("guessed from the joint names", {j: bones[j] for j in JOINT_NAMES if j in bones}, tips)
