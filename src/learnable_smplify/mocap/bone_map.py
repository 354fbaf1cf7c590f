"""Which bone of a foreign skeleton moves which SMPL joint, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bone_name import LIMB_WORDS, SPINE, SYNONYMS, plain_names
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

    def starts(self, names: Sequence[str]) -> dict[str, int]:
        """For each SMPL joint the index, among these joint names, of the source joint that starts where it does."""
        return {joint: names.index(sources[0]) for joint, sources in self.bones.items()}


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

_NEEDED = (
    "pelvis",
    *(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
)
_MOST_NAMES_SHOWN = 20


def find_bone_map(names: Sequence[str], parents: Sequence[int] | None = None, given: BoneMap | None = None) -> BoneMap:
    """The bone map for a skeleton with these joint names, parents before children.

    Skeletons of CMU's ASF files and of the cgspeed BVH conversions are known; for others the names are guessed
    (Mixamo, LaFAN1, Unreal, Unity, VRM, Biped, Character Creator, Xsens, Rokoko and their like).

    Args:
        names: joint names.
        parents: for each its parent's index, -1 for the root; where they are known, a pelvis without a usual name is
            found as the joint that both legs hang on.
        given: what the user says of some joints, or of all; goes before any guess.

    Raises:
        InputError: no bone can be found for a hip, knee, ankle, shoulder, elbow or wrist, or `given` names bones that
            the skeleton does not have.
    """
    if given is not None:
        _check_given(given, names)
    else:
        for known in (CMU_ASF, CMU_BVH):
            if all(source in names for sources in known.bones.values() for source in sources):
                return known
        part = _part_of(CMU_ASF, names)
        if part is not None:
            return part
    return _guess(names, parents, given)


def _part_of(known: BoneMap, names: Sequence[str]) -> BoneMap | None:
    """What a skeleton has of a known one, where that is enough."""
    bones = {joint: tuple(s for s in sources if s in names) for joint, sources in known.bones.items()}
    bones = {joint: sources for joint, sources in bones.items() if sources}
    if any(joint not in bones for joint in _NEEDED):
        return None
    return replace(known, name=f"{known.name}, in part", bones=bones)


def _guess(names: Sequence[str], parents: Sequence[int] | None, given: BoneMap | None) -> BoneMap:
    plain = plain_names(names)
    bones: dict[str, tuple[str, ...]] = dict(given.bones) if given else {}
    tips: dict[str, str] = dict(given.hand_tips) if given else {}

    def first(side: str, joint: str) -> str | None:
        taken = {source for sources in bones.values() for source in sources}
        for synonym in SYNONYMS[joint]:
            for name, (name_side, rest) in plain.items():
                if name_side == side and rest == synonym and name not in taken:
                    return name
        return None

    for side in ("", "left", "right"):
        central = ("pelvis", "neck", "head")
        # The upper arm goes before the collar: "shoulder" is the collar only where the arm has a name of its own.
        limbs = ("hip", "knee", "ankle", "foot", "shoulder", "collar", "elbow", "wrist")
        for joint in limbs if side else central:
            full = f"{side}_{joint}" if side else joint
            source = None if full in bones else first(side, joint)
            if source is not None:
                bones[full] = (source,)
        tip = first(side, "hand_tip") if side and f"{side}_wrist" not in tips else None
        if tip is not None:
            tips[f"{side}_wrist"] = tip
    if "pelvis" not in bones and parents is not None and "left_hip" in bones and "right_hip" in bones:
        bones["pelvis"] = (_common_parent(names, parents, bones["left_hip"][0], bones["right_hip"][0]),)
    taken = {source for sources in bones.values() for source in sources}
    spines = [n for n, (side, rest) in plain.items() if not side and SPINE.fullmatch(rest) and n not in taken]
    if spines:
        # However many spine joints there are, SMPL's lowest follows the lowest and its highest the highest.
        guessed = {"spine1": (spines[0],), "spine2": (spines[len(spines) // 2],), "spine3": (spines[-1],)}
        bones = guessed | bones
    missing = [joint for joint in _NEEDED if not bones.get(joint)]
    if missing:
        raise InputError(
            f"no bone found for {', '.join(missing)} among {_shown_names(names, plain)}",
            expected="joint names like Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand",
            hint=f'--bone-map FILE.toml with lines such as {missing[0]} = "ITS BONE" below [bones]',
        )
    how = "guessed from the joint names" if given is None else f"{given.name}, the rest guessed from the joint names"
    return BoneMap(how, {j: bones[j] for j in JOINT_NAMES if bones.get(j)}, tips)


def _common_parent(names: Sequence[str], parents: Sequence[int], left: str, right: str) -> str:
    """The nearest joint that both of two joints hang on, or the root."""
    above = []
    joint = parents[names.index(left)]
    while joint >= 0:
        above.append(joint)
        joint = parents[joint]
    joint = parents[names.index(right)]
    while joint >= 0 and joint not in above:
        joint = parents[joint]
    return names[max(joint, 0)]


def _check_given(given: BoneMap, names: Sequence[str]) -> None:
    asked = {source: joint for joint, sources in given.bones.items() for source in sources}
    asked |= {tip: f"hand_tips.{wrist}" for wrist, tip in given.hand_tips.items()}
    for source, joint in asked.items():
        if source not in names:
            close = difflib.get_close_matches(source, names, n=5, cutoff=0.3) or list(names)[:10]
            raise InputError(
                f"the skeleton has no joint '{source[:40]}', which {given.name[:80]} gives for {joint}",
                expected="one of its names, such as " + ", ".join(name[:40] for name in close),
            )


def _shown_names(names: Sequence[str], plain: Mapping[str, tuple[str, str]]) -> str:
    """The names that could be limbs, or else the first ones: a face can have forty bones."""
    limbs = [name for name in names if any(word in plain[name][1] for word in LIMB_WORDS)]
    shown = [name[:40] for name in limbs or names]
    more = len(names) - len(shown[:_MOST_NAMES_SHOWN])
    return ", ".join(shown[:_MOST_NAMES_SHOWN]) + (f" (and {more} other joints)" if more else "")
