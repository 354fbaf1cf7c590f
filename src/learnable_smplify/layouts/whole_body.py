"""Files that hold a body, two hands of 21 points and maybe a face in one list: what lies where, and what it is called.

Sources of the orders: COCO-WholeBody (body, feet, 68 of the face, left hand, right hand), Halpe (26, face, left,
right), OpenPose's BODY_25 and BODY_135 (hands of 20 there: the wrist is the body's), MediaPipe Holistic (pose, face,
left, right), freemocap (pose, right, left, face), EasyMocap (`bodyhand`, `bodyhandface`), SAM 3D Body (fingers from
the tip), and the joints that the `smplx` package gives for SMPL-H and SMPL-X, alone or with points of the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learnable_smplify.layouts.spelling import plain, spelling_key

_HAND = tuple(range(21))
# SAM 3D Body lists every finger from its tip to its root, and the wrist last.
_TIPS_FIRST = (20, *(4 * finger + part for finger in range(5) for part in (3, 2, 1, 0)))


@dataclass(frozen=True)
class WholeBody:
    """One such order.

    Args:
        name: as `--layout` takes it.
        count: points a frame.
        body: name of the layout of the body, whose points come first.
        left: (21,) places of the left hand's points in the order of `hands.py`, -1 where it has none; () for no hand.
        right: of the right hand.
        face: points of the face, which nothing here uses.
    """

    name: str
    count: int
    body: str
    left: tuple[int, ...]
    right: tuple[int, ...]
    face: int = 0


def _whole(name: str, count: int, body: str, left: int, right: int, face: int = 0) -> WholeBody:
    places = [tuple(first + point for point in _HAND) for first in (left, right)]
    return WholeBody(name, count, body, places[0], places[1], face)


def _without_wrist(first: int) -> tuple[int, ...]:
    return (-1, *range(first, first + 20))


def _of_joints(first: int, tips: int = -1) -> tuple[int, ...]:
    """A hand of SMPL-H's or SMPL-X's 15 joints from `first` on, and of five tips, which only the mesh has.

    The joints are index, middle, little finger, ring finger and thumb; the wrist is the body's.
    """
    ends = [-1] * 5 if tips < 0 else range(tips, tips + 5)
    roots = [first + joint for joint in (12, 0, 3, 9, 6)]
    return (-1, *(place for root, end in zip(roots, ends, strict=True) for place in (*range(root, root + 3), end)))


WHOLE_BODIES: tuple[WholeBody, ...] = (
    _whole("coco_wholebody133", 133, "coco_feet23", 91, 112, 68),
    _whole("halpe136", 136, "halpe26", 94, 115, 68),
    _whole("halpe68", 68, "halpe26", 26, 47),
    _whole("openpose137", 137, "body25", 25, 46, 70),
    WholeBody("openpose135", 135, "body25b", _without_wrist(25), _without_wrist(45), 70),
    _whole("bodyhand", 67, "body25", 25, 46),
    _whole("bodyhandface", 118, "body25", 25, 46, 51),
    _whole("holistic543", 543, "mediapipe33", 501, 522, 468),
    _whole("holistic75", 75, "mediapipe33", 33, 54),
    _whole("freemocap553", 553, "mediapipe33", 54, 33, 478),
    WholeBody(
        "mhr70", 70, "mhr70", tuple(42 + place for place in _TIPS_FIRST), tuple(21 + place for place in _TIPS_FIRST)
    ),
    WholeBody("smplh52", 52, "amass22", _of_joints(22), _of_joints(37)),
    WholeBody("smplh73", 73, "amass22", _of_joints(22, 63), _of_joints(37, 68)),
    WholeBody("smplx55", 55, "amass22", _of_joints(25), _of_joints(40)),
    WholeBody("smplx127", 127, "amass22", _of_joints(25, 66), _of_joints(40, 71), 51),
    WholeBody("smplx144", 144, "amass22", _of_joints(25, 66), _of_joints(40, 71), 68),
    _whole("hands42", 42, "hands", 0, 21),
    WholeBody("hand21_left", 21, "hands", _HAND, ()),
    WholeBody("hand21_right", 21, "hands", (), _HAND),
)
_OTHER_NAMES = {
    "wholebody": "coco_wholebody133",
    "cocowholebody": "coco_wholebody133",
    "coco133": "coco_wholebody133",
    "wholebody133": "coco_wholebody133",
    "halpe": "halpe136",
    "openpose67": "bodyhand",
    "body25hands": "bodyhand",
    "holistic": "holistic543",
    "freemocap": "freemocap553",
    "hands": "hands42",
}
# Numbers of points that something else has too, so that only a name tells.
_BY_NAME_ONLY = ("hand21_left", "hand21_right")


def whole_body(name_or_count: str | int) -> WholeBody | None:
    """The order called so in any usual spelling, or with so many points; None where there is none."""
    if isinstance(name_or_count, int):
        return next((w for w in WHOLE_BODIES if w.count == name_or_count and w.name not in _BY_NAME_ONLY), None)
    word = plain(name_or_count[:100])
    word = plain(_OTHER_NAMES.get(word, word))
    return next((whole for whole in WHOLE_BODIES if plain(whole.name) == word), None)


_FINGER_WORDS = (
    ("thumb",),
    ("index", "indexfinger", "forefinger", "fore"),
    ("middle", "middlefinger"),
    ("ring", "ringfinger"),
    ("pinky", "pinkyfinger", "pinkie", "little", "littlefinger"),
)
_FINGERS = {word: finger for finger, words in enumerate(_FINGER_WORDS) for word in words}
_PARTS = {"1": 0, "2": 1, "3": 2, "4": 3, "tip": 3, "dip": 2, "pip": 1, "mcp": 0}
_THUMB_PARTS = _PARTS | {"cmc": 0, "mcp": 1, "ip": 2}
_WRISTS = ("wrist", "root", "palm", "base")
# Fewer are a body's own names: a fingertip, a thumb.
_FEWEST_POINTS = 6


def hand_columns(names: Sequence[str]) -> tuple[dict[int, int], dict[int, int]]:
    """Which of `names` are points of a hand, for the left and the right: the point's number (0..20), and its column.

    MediaPipe's `left_hand_index_finger_mcp`, COCO-WholeBody's `left_forefinger1` and `left_hand_root`, numbers as in
    `left_hand_12` or `LHand12`, and the same with the side behind or as a letter. Fingers need a part (a number from 1,
    or mcp, pip, dip, tip), so that the body's own knuckles keep their names.
    """
    found: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for column, name in enumerate(names):
        told = _hand_point(name)
        if told is not None:
            found[told[0]].setdefault(told[1], column)
    left, right = (points if len(points) >= _FEWEST_POINTS else {} for points in found)
    return left, right


def _hand_point(name: str) -> tuple[int, int] | None:
    key = spelling_key(name)
    side, _, word = key.partition(".")
    if side not in ("l", "r") or not word:
        # lthumb1, rindex3: a letter in front of a finger.
        word = plain(name)
        if word[:1] not in ("l", "r"):
            return None
        side, word = word[0], word[1:]
        if not word.startswith("hand") and not any(word.startswith(finger) for finger in _FINGERS):
            return None
    of_hand = word.startswith("hand")
    word = word.removeprefix("hand")
    if of_hand and word in _WRISTS:
        return ("lr".index(side), 0)
    if of_hand and word.isdigit() and int(word) < 21:
        return ("lr".index(side), int(word))
    for length in (3, 2, 1):
        finger, part = word[:-length], word[-length:]
        if finger in _FINGERS:
            parts = _THUMB_PARTS if finger == "thumb" else _PARTS
            if part in parts:
                return ("lr".index(side), 1 + 4 * _FINGERS[finger] + parts[part])
    return None
