"""What a joint's name says: its side, and the part of the body, in the words of the common tools."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Plain names (lower case, without prefix, side, separators and leading zeros) as the common tools write them, for the
# SMPL joint that starts where theirs does. Those earlier in a row go first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    # Where a skeleton has both hip and pelvis, the legs hang on the pelvis.
    "pelvis": ("hips", "pelvis", "hip", "spinebase", "root"),
    "neck": ("neck", "neck1", "lowerneck", "necklower", "necktwist1"),
    "head": ("head",),
    # "Leg" is the thigh where the shin has a name of its own.
    "hip": ("upleg", "thigh", "thighbend", "hip", "upperleg", "femur", "leg"),
    "knee": ("leg", "shin", "calf", "knee", "lowerleg", "lowleg", "shank", "tibia"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "toe0", "ball", "foot"),
    "collar": ("shoulder", "collar", "clavicle", "scapula"),
    "shoulder": ("arm", "shldr", "shldrbend", "upperarm", "humerus", "shoulder", "uparm", "uarm"),
    "elbow": ("forearm", "forearmbend", "lowerarm", "elbow", "radius", "lowarm", "larm"),
    "wrist": ("wrist", "hand"),
    "hand_tip": ("handmiddle1", "mid1", "middle1", "fmiddle1", "middleproximal", "finger2"),
}
SPINE = re.compile(
    r"(spine|chest|upperchest|thorax|torso|abdomen|waist|lowerback|upperback)(base|mid|lower|upper|navel|chest)?\d*"
    r"|[lt]\d+"
)
LIMB_WORDS = (
    *("hip", "thigh", "leg", "shin", "calf", "knee", "foot", "ankle", "femur", "tibia", "pelvis"),
    *("shoulder", "shldr", "arm", "elbow", "wrist", "hand", "humerus", "radius", "clavicle", "collar"),
)
_PREFIX = re.compile(
    r"^(mixamorig\d*_?|valvebiped\.bip\d+_?|bip\d+[ _-]?|character\d*_|smpl_|cc_base_|j_bip_|def-|org-)", re.IGNORECASE
)
# Vertebrae, as Xsens names the segments of the back: no left and no right.
_VERTEBRA = re.compile(r"[LT]\d+")
_NO_PART = frozenset(("jnt", "joint", "jt", "bone", "bind"))
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_SIDED = frozenset(s for joint in SYNONYMS if joint not in ("pelvis", "neck", "head") for s in SYNONYMS[joint])


def plain_names(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For every joint name its side ("left", "right" or "") and the rest, plain.

    "mixamorig:LeftUpLeg" gives ("left", "upleg"), "thigh_l" ("left", "thigh"), "lfemur" ("left", "femur"). What all
    names begin with, up to a separator, is the program's or the person's and says nothing.
    """
    # What the first and the last in the alphabet share, all share.
    low, high = min(names, default=""), max(names, default="")
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), 0)
    start = max((low.rfind(separator, 0, shared) + 1 for separator in " _:.-|"), default=0)
    return {name: _plain(name[start:]) for name in names}


def _plain(name: str) -> tuple[str, str]:
    text = _PREFIX.sub("", name.split(":")[-1].split("|")[-1])
    if _VERTEBRA.fullmatch(text):
        return "", text.lower()
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", text)]
    side = ""
    kept = []
    for place, word in enumerate(words):
        if not side and word in _SIDES:
            side = _SIDES[word]
        # A single c or m at either end is for centre and middle.
        elif word not in _NO_PART and not (word in ("c", "m") and place in (0, len(words) - 1)):
            kept.append((word.lstrip("0") or "0") if word.isdigit() else word)
    rest = "".join(kept)
    for glued in ("left", "right", "l", "r"):
        cut = rest.removeprefix(glued)
        if not side and cut != rest and (len(glued) > 1 or cut in _SIDED):
            side, rest = _SIDES[glued], cut
    return side, rest
