"""What a layout says about the body for repairs: bones of fixed length, limbs, left-right pairs, which way is front."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from learnable_smplify.layouts.layout import Layout
from learnable_smplify.skeleton import SIDES, mirrored_name, sided

Difference: TypeAlias = Callable[[tuple[str, ...], tuple[str, ...]], np.ndarray]
VectorPair: TypeAlias = tuple[np.ndarray, np.ndarray]

SECTIONS = ("hips", "legs", "feet", "shoulders", "arms", "head")
"""Parts of the body whose two sides a detector exchanges together; some hang on another, see `PARENT_SECTION`."""
PARENT_SECTION = {"legs": "hips", "feet": "legs", "arms": "shoulders"}

_SECTION_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("head", ("eye", "ear", "mouth")),
    ("arms", ("elbow", "wrist", "hand", "knuckle", "thumb")),
    ("shoulders", ("shoulder", "collar")),
    ("feet", ("foot", "toe", "heel")),
    ("legs", ("knee", "ankle")),
    ("hips", ("hip",)),
)
# Points that move as one piece with each other, besides the layout's own edges.
_RIGID_WORDS = (("nose", "eye", "ear", "mouth", "chin", "head_top"), ("ankle", "heel", "toe", "foot"))


@dataclass(frozen=True, eq=False)
class BodyParts:
    """A layout's K keypoints as a body.

    Args:
        bones: (E, 2) keypoints whose distance hardly changes.
        limb: (K,) number of the limb of each keypoint; keypoints of one limb speed up together.
        pairs: (P, 2) keypoints on the left and their partners on the right.
        pair_section: (P,) index into `SECTIONS` of each pair.
        leftward: (F, 2, K) weights of vectors in pairs whose cross product points to the left, in any pose: a shin and
            its foot, a thigh and its shin, the trunk and the face.
        head_leftward: (H, 2, K) those of the head.
    """

    bones: Int[np.ndarray, "E 2"]
    limb: Int[np.ndarray, " K"]
    pairs: Int[np.ndarray, "P 2"]
    pair_section: Int[np.ndarray, " P"]
    leftward: Float[np.ndarray, "F 2 K"]
    head_leftward: Float[np.ndarray, "H 2 K"]

    def in_section(self, *names: str) -> Bool[np.ndarray, " P"]:
        """Which pairs belong to a section, or to one of several."""
        return np.logical_or.reduce([self.pair_section == SECTIONS.index(name) for name in names])

    def bone(self, one: int, other: int) -> int | None:
        """Number of the bone between two keypoints, None if there is none."""
        rows = np.flatnonzero((self.bones == (min(one, other), max(one, other))).all(axis=1))
        return int(rows[0]) if len(rows) else None


@cache
def body_parts(layout: Layout) -> BodyParts:
    """Read a layout's canonical points and edges."""
    main = [max(row, key=lambda part: abs(part[1]))[0] for row in layout.points]
    paired = [mirrored_name(name) != name and layout.mirror[index] != index for index, name in enumerate(main)]
    pairs, sections = [], []
    for index, name in enumerate(main):
        if paired[index] and name.startswith("left_"):
            section = next((part for part, words in _SECTION_WORDS if any(word in name for word in words)), None)
            if section is not None:
                pairs.append((index, layout.mirror[index]))
                sections.append(SECTIONS.index(section))
    place = {name: index for index, name in enumerate(main) if layout.points[index] == ((name, 1.0),)}
    difference = partial(_difference, place, len(layout))
    trunk = difference(sided("shoulder"), sided("hip"))
    faces = [difference(("nose",), back) for back in (("left_ear", "right_ear"), ("head",), ("neck",))]
    head = _first_known((trunk, face) for face in faces)
    return BodyParts(
        bones=np.array(_bones(layout, main, paired), dtype=np.int64).reshape(-1, 2),
        limb=np.array(_limbs(layout, main, paired)),
        pairs=np.array(pairs, dtype=np.int64).reshape(-1, 2),
        pair_section=np.array(sections, dtype=np.int64),
        leftward=np.array([*_hinges(difference, knees=not layout.markers), *head], dtype=np.float32).reshape(
            -1, 2, len(layout)
        ),
        head_leftward=np.array(head, dtype=np.float32).reshape(-1, 2, len(layout)),
    )


def _bones(layout: Layout, main: list[str], sided: list[bool]) -> list[tuple[int, int]]:
    bones = {(min(edge), max(edge)) for edge in layout.edges}
    for words in _RIGID_WORDS:
        members = [index for index, name in enumerate(main) if any(word in name for word in words)]
        for first, second in combinations(members, 2):
            if words[0] == "nose" or main[first].split("_")[0] == main[second].split("_")[0]:
                bones.add((first, second))
    bones |= {
        (min(index, other), max(index, other))
        for index, other in enumerate(layout.mirror)
        if sided[index] and any(word in main[index] for word in ("hip", "shoulder"))
    }
    return sorted(bones)


def _limbs(layout: Layout, main: list[str], sided: list[bool]) -> list[int]:
    numbers: dict[tuple[str, str], int] = {}
    limbs = []
    for index, group in enumerate(layout.groups):
        part = {"hands": "arms", "feet": "legs"}.get(group, group)
        side = main[index].split("_")[0] if sided[index] and part in ("arms", "legs") else ""
        limbs.append(numbers.setdefault((part, side), len(numbers)))
    return limbs


def _hinges(difference: Difference, knees: bool) -> list[VectorPair]:
    """Ankles and knees, which bend one way whatever the trunk does: feet point ahead of shins, shins behind thighs.

    Markers of the hips stand so far off them that a straight leg looks bent: there only ankles tell.
    """
    rows: list[VectorPair] = []
    for side in SIDES:
        hip, knee, ankle = ((f"{side}_{name}",) for name in ("hip", "knee", "ankle"))
        ways = (("big_toe", "heel"), ("big_toe", "ankle"), ("foot", "ankle"))
        feet = [difference((f"{side}_{tip}",), (f"{side}_{back}",)) for tip, back in ways]
        rows += _first_known((difference(knee, ankle), foot) for foot in feet)
        if knees:
            rows += _first_known([(difference(knee, hip), difference(ankle, knee))])
    return rows


def _first_known(pairs: Iterable[VectorPair]) -> list[VectorPair]:
    return [(one, other) for one, other in pairs if one.any() and other.any()][:1]


def _difference(
    place: dict[str, int], count: int, to: tuple[str, ...], start: tuple[str, ...]
) -> Float[np.ndarray, " K"]:
    """Weights of the vector from the middle of `start` to the middle of `to`; zeros where the layout lacks one."""
    row = np.zeros(count, dtype=np.float32)
    if all(name in place for name in (*to, *start)):
        for name in to:
            row[place[name]] += 1 / len(to)
        for name in start:
            row[place[name]] -= 1 / len(start)
    return row
