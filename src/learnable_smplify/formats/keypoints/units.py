"""Which unit a recording is in: told by the length of its limbs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.skeleton import SIDES

METRES_PER_UNIT: dict[str, float] = {
    "m": 1.0,
    "dm": 0.1,
    "cm": 0.01,
    "mm": 0.001,
    "in": 0.0254,
    "ft": 0.3048,
}

_SPELLINGS = {
    **dict.fromkeys(("metre", "meter"), "m"),
    **dict.fromkeys(("centimetre", "centimeter"), "cm"),
    **dict.fromkeys(("millimetre", "millimeter"), "mm"),
    **dict.fromkeys(("inch", "inche"), "in"),
    **dict.fromkeys(("foot", "feet"), "ft"),
}

Bone = tuple[str, str, float]
"""Two points and the length between them."""

# Nothing on earth is measured further away; larger numbers are damage, and their squares overflow.
FARTHEST_M = 1e6
# Adult bone lengths in metres. Bones, not the body's extent: they do not depend on the pose.
_BONES: tuple[Bone, ...] = tuple(
    (f"{side}_{start}", f"{side}_{end}", length)
    for side in SIDES
    for start, end, length in (
        ("hip", "knee", 0.40),
        ("knee", "ankle", 0.41),
        ("shoulder", "elbow", 0.28),
        ("elbow", "wrist", 0.26),
        ("shoulder", "hip", 0.47),
    )
)

# How many times longer than in metres an adult's limbs are in feet and in inches. A small child's in
# centimetres are as long as the latter, but its legs are 1.3 to 1.4 times as long as the trunk, an adult's 1.5 to 1.8.
_FEET, _INCHES, _GROWN = (3.0, 4.2), (29.0, 47.0), 1.44

# What tells the size where only hands are measured: the palm.
_PALM_BONES = tuple(
    (f"{side}_wrist", f"{side}_{end}_knuckle", length)
    for side in SIDES
    for end, length in (("index", 0.095), ("pinky", 0.085))
)


def known_unit(unit: str) -> str | None:
    """Short name of a unit in any usual spelling ("mm", "Millimeters"); None for any other word."""
    word = unit.strip().strip("()[]\"'").strip().lower()
    return word if word in METRES_PER_UNIT else _SPELLINGS.get(word.rstrip("s"))


def unit_in_metres(unit: str) -> tuple[str, float]:
    """Short name and length in metres of a unit, in any usual spelling.

    Raises:
        InputError: unknown unit.
    """
    short = known_unit(unit)
    if short is None:
        raise InputError(
            f"unknown unit '{unit}'", expected="one of " + ", ".join(METRES_PER_UNIT), hint="--units mm (for example)"
        )
    return short, METRES_PER_UNIT[short]


def size_of_body(
    positions: Float[np.ndarray, "T K 3"], layout: Layout, *, sets: Sequence[Sequence[Bone]] = (_BONES, _PALM_BONES)
) -> float | None:
    """How many times longer the bones are than an adult's in metres: 1 for metres, 1000 for millimetres.

    The median over frames and over the bones whose two ends are measured (not NaN); None when there are none or
    all have length zero.

    Args:
        positions: NaN where missing.
        layout: names the bones.
        sets: bones to look at, the first of which any is there.
    """
    index = {row[0][0]: keypoint for keypoint, row in enumerate(layout.points) if len(row) == 1}
    for bones in sets:
        ratios: list[float] = []
        for start, end, length in bones:
            if start not in index or end not in index:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                lengths = np.linalg.norm(positions[:, index[start]] - positions[:, index[end]], axis=-1)
            lengths = lengths[np.isfinite(lengths) & (lengths > 0)]
            if lengths.size:
                ratios.append(float(np.median(lengths)) / length)
        if ratios:
            return float(np.median(ratios))
    return None


def metres_per_unit(
    positions: Float[np.ndarray, "T K 3"], layout: Layout, *, units: str | None = None, declared: str | None = None
) -> tuple[float, tuple[str, ...]]:
    """What makes metres of positions, as a factor, and what was done.

    Args:
        positions: NaN where missing.
        layout: names the bones.
        units: what the user says; obeyed without looking.
        declared: what the file says; obeyed unless it is no unit, or the body would then be a hundred or a thousand
            times too large or too small.

    Returns:
        The factor, and notes for the user (empty when nothing had to be done).

    Raises:
        InputError: unknown unit in `units`.
    """
    if units is not None:
        short, metres = unit_in_metres(units)
        return metres, () if short == "m" else (f"read as {short}, as you said",)

    notes: list[str] = []
    metres = 1.0
    if declared is not None and (said := known_unit(declared)) is None:
        notes.append(f"the file's unit '{declared[:40]}' is not known: told by the limbs")
    elif declared is not None and said is not None:
        metres = METRES_PER_UNIT[said]
        notes += [f"the file is in {said}: converted to metres"] * (said != "m")
    written = size_of_body(positions, layout)
    if written is None or 0.3 <= written * metres <= _FEET[0]:
        return metres, tuple(notes)
    if (declared is None or notes) and metres == 1.0 and (other := _other_unit(written, positions, layout)) is not None:
        said, short = other
        return METRES_PER_UNIT[short], (*notes, said)
    # 40 % to 250 % of an adult: a child to a giant. Down to 25 %, an infant, where no other unit would make a person.
    # Between the bands the unit cannot be told.
    for name, factor, least in (("millimetres", 1000.0, 0.25), ("centimetres", 100.0, 0.4)):
        if least < written / factor <= 2.5:
            said = f"looked like {name}: divided by {factor:.0f}"
            return 1 / factor, (*notes, said) if metres == 1.0 else (f"the file says {declared} but {said}",)
    if metres != 1.0 and 0.4 <= written <= 2.5:
        return 1.0, (f"the file says {declared} but is in metres: not converted",)
    like = ", as in feet" if _FEET[0] < written * metres < _FEET[1] else ""
    notes.append(
        f"the limbs are {written * metres:.3g} times as long as an adult's{like}: check the units (--units mm, cm, ft, "
        "...), or use --scale-to-body if the scale is unknown"
    )
    return metres, tuple(notes)


def _other_unit(written: float, positions: Float[np.ndarray, "T K 3"], layout: Layout) -> tuple[str, str] | None:
    """Inches, or a small child's centimetres, where limbs are as long as in one of them: in words, and short."""
    if not _INCHES[0] < written < _INCHES[1]:
        return None
    legs = _legs_to_trunk(positions, layout)
    if legs is None or legs > _GROWN:
        said = "looked like inches: times 0.0254 (--units cm, if they are the centimetres of a small child, or "
        return said + "--scale-to-body if the scale is unknown)", "in"
    return "looked like centimetres of a small child: divided by 100 (--units in, if they are inches)", "cm"


def _legs_to_trunk(positions: Float[np.ndarray, "T K 3"], layout: Layout) -> float | None:
    """How many times longer the legs are than the trunk; None where they are not both seen."""
    thigh, shank, trunk = (
        size_of_body(positions, layout, sets=[[(f"{side}_{start}", f"{side}_{end}", 1.0) for side in SIDES]])
        for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
    )
    return None if thigh is None or shank is None or trunk is None else (thigh + shank) / trunk
