"""The usual spellings of a keypoint's name."""

from __future__ import annotations

import re

# Parts of the body that take a side, as they are left when the side is cut off: tells "lwrist" from "lumbar".
_SIDED_PARTS = frozenset(
    (
        *("shoulder", "collar", "clavicle", "elbow", "wrist", "hand", "handtip", "thumb", "index", "pinky"),
        *("hip", "knee", "ankle", "foot", "footindex", "toe", "toebase", "bigtoe", "smalltoe", "heel"),
        *("eye", "eyeinner", "eyeouter", "ear", "mouth"),
        *("arm", "uarm", "upperarm", "forearm", "farm", "lowerarm", "upleg", "thigh", "leg", "shin"),
    )
)


def plain(text: str) -> str:
    """Letters and digits, small."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def spelling_key(name: str) -> str:
    """The same string for every usual spelling of a name: LWrist, left_wrist, L_Wrist, lwrist, WristLeft, wrist.l."""
    word = plain(name)
    for side in ("left", "right"):
        if word.startswith(side) and word != side:
            return f"{side[0]}.{word[len(side) :]}"
        if word.endswith(side) and word != side:
            return f"{side[0]}.{word[: -len(side)]}"
    if word[:1] in ("l", "r") and word[1:] in _SIDED_PARTS:
        return f"{word[0]}.{word[1:]}"
    if word[-1:] in ("l", "r") and word[:-1] in _SIDED_PARTS:
        return f"{word[-1]}.{word[:-1]}"
    return word
