"""Bodies of which one side is seen: where the other shoulder and the other hip are.

One shoulder or one hip leaves a body free to lie about it in any way. The other one is as high, to the other side of
what is known to lie between them or of the head, or else across the way that feet, face, knees or hands say that the
body faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.skeleton import SIDES, sided
from learnable_smplify.timeline import averaged

Track = Float[Tensor, "T 3"]
_JOINTS = ("shoulder", "hip")
# What lies between a pair besides the mean of both.
_BETWEEN = {"shoulder": "neck", "hip": "pelvis"}
_TOES, _HEELS = ("big_toe", "foot", "small_toe"), ("heel", "ankle")
# Ways shorter than this do not say where a body faces [m]; bodies turn as slowly as feet do in the mean over this to
# either side [s], or heads over this.
_LEAST, _FEET_S, _HEAD_S = 0.04, 0.5, 2.0


@dataclass(frozen=True, eq=False)
class OtherSides:
    """Joints (T, 3) by name, NaN where they are not known; and whether nothing said where the body faces."""

    places: dict[str, Track]
    faces_anywhere: bool = False


def other_sides(
    keypoints: Keypoints,
    seen: Bool[Tensor, " K"],
    points: Mapping[str, Track | None],
    up: Float[Tensor, "3"],
    widths: Mapping[str, float],
) -> OtherSides:
    """The other shoulder and the other hip of somebody of whom one of each is seen at most.

    Args:
        keypoints: one person's, metres.
        seen: keypoints that are part of the recording.
        points: (T, 3) of joints by name, NaN where they are missing, None where they never are.
        up: unit vector.
        widths: from one shoulder and hip to the other [m].

    Returns:
        nothing where both of a pair are seen, or none of either.
    """
    single = [(side, joint) for joint in _JOINTS for side in SIDES if points[f"{side}_{joint}"] is not None]
    if len({joint for _, joint in single}) != len(single):
        return OtherSides({})
    layout = load_layout(keypoints.layout)
    made: dict[str, Track] = {}
    anywhere = False
    for side, joint in single:
        here = points[f"{side}_{joint}"]
        assert here is not None
        if (middle := middle_of(keypoints, layout, seen, joint)) is not None:
            across = 2 * _level(middle - here, up)
        elif joint == "shoulder" and (skull := _skull(keypoints, layout, seen)) is not None:
            across = widths[joint] * torch.nn.functional.normalize(_level(skull - here, up), dim=-1)
        else:
            ahead, anywhere = _facing(keypoints, layout, seen, up)
            across = widths[joint] * torch.linalg.cross(ahead, up.expand_as(ahead))
            across = across if side == "left" else -across
        made[f"{'right' if side == 'left' else 'left'}_{joint}"] = here + across
    return OtherSides(made, anywhere)


def _facing(keypoints: Keypoints, layout: Layout, seen: Tensor, up: Float[Tensor, "3"]) -> tuple[Track, bool]:
    """Where a body faces, level unit vectors (T, 3), by the first of feet, face, knees and hands that tell it.

    And whether it could be anywhere: hands are in front of the body only as a rule.
    """

    def at(*names: str) -> Track | None:
        return next((track for name in names if (track := track_of(keypoints, layout, seen, name)) is not None), None)

    def ways(start: Track | None, end: Track | None) -> list[Track]:
        return [] if start is None or end is None else [_level(end - start, up)]

    feet = [
        way
        for side in SIDES
        for way in ways(at(*(f"{side}_{name}" for name in _HEELS)), at(*(f"{side}_{name}" for name in _TOES)))
    ]
    face = ways(at(*sided("ear")), at("nose"))
    knees = [
        way
        for side in SIDES
        if (hip := at(f"{side}_hip")) is not None and (ankle := at(f"{side}_ankle")) is not None
        for way in ways((hip + ankle) / 2, at(f"{side}_knee"))
    ]
    hands = [way for side in SIDES for way in ways(at(f"{side}_shoulder", f"{side}_elbow"), at(f"{side}_wrist"))]
    brief, long = (round(seconds * keypoints.fps) for seconds in (_FEET_S, _HEAD_S))
    clues = ((feet, brief), (face, long), (knees, len(keypoints)), (hands, len(keypoints)))
    for told, over in clues:
        for way in told:
            known = torch.isfinite(way).all(dim=-1)
            slow = averaged(way.nan_to_num(), known, over) if bool(known.any()) else way
            if bool((slow.norm(dim=-1) > _LEAST).all()):
                return torch.nn.functional.normalize(slow, dim=-1), told is hands
    anywhere = _level(torch.eye(3, dtype=up.dtype)[[int(up.abs().argmin())]], up)
    return torch.nn.functional.normalize(anywhere, dim=-1).expand(len(keypoints), 3), True


def middle_of(keypoints: Keypoints, layout: Layout, seen: Tensor, joint: str) -> Track | None:
    """Where the middle of both shoulders or both hips is, if the recording has a keypoint for it."""
    both = {(f"{side}_{joint}", 0.5) for side in SIDES}
    index = next((index for index, row in enumerate(layout.points) if set(row) == both), None)
    if index is None:
        return track_of(keypoints, layout, seen, _BETWEEN[joint])
    return _of(keypoints, index) if bool(seen[index]) else None


def _skull(keypoints: Keypoints, layout: Layout, seen: Tensor) -> Track | None:
    """Where the middle of the head is, above both shoulders."""
    ears = [track_of(keypoints, layout, seen, name) for name in sided("ear")]
    if ears[0] is not None and ears[1] is not None:
        return (ears[0] + ears[1]) / 2
    return track_of(keypoints, layout, seen, "head")


def track_of(keypoints: Keypoints, layout: Layout, seen: Tensor, name: str) -> Track | None:
    """(T, 3) of a point by name, NaN where it is missing; None where it is not part of the recording."""
    index = layout.index_of_point(name)
    return None if index is None or not bool(seen[index]) else _of(keypoints, index)


def _of(keypoints: Keypoints, index: int) -> Track:
    there = (keypoints.confidence[:, index] > 0)[:, None]
    return torch.where(there, keypoints.positions[:, index], torch.nan).double().cpu()


def _level(ways: Track, up: Float[Tensor, "3"]) -> Track:
    return ways - (ways @ up)[:, None] * up
