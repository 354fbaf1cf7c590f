"""Which way is up, and whether the recording is a mirror image: told by the body itself, or by the user.

Positions stay in the file's frame, with two exceptions that are always said in a note: data whose up axis points down
(camera frames, MediaPipe) are turned by 180 degrees, and data in which left and right are mirrored (left-handed
coordinates) have one axis negated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.body_points import FACE, HIPS, SHOULDERS, either, mean_of, measured, unit
from learnable_smplify.formats.keypoints.upright import AXES, overrules, standing_direction, told_by_floor
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import UpAxis

_DIRECTIONS = ("x", "y", "z", "-x", "-y", "-z")

# A foot or a face must point forward or backward by this cosine to have a say, a knee be bent by this sine. Below,
# noise decides.
_CLEARLY = 0.3


def settle_people(
    people: Sequence[Keypoints], up: str | None = None, *, assumed: str | None = None, mirrored: bool | None = None
) -> list[Keypoints]:
    """Keypoints whose `up_axis` is known where it can be, with that axis pointing up, in right-handed coordinates.

    Args:
        people: of one recording; they share its frame, and all are turned the same way.
        up: "x", "y", "z", "-x", "-y" or "-z": which way is up in the file, as the user says; obeyed without looking.
            None believes their `up_axis`, else looks at the direction from feet to head over the recording.
        assumed: which way is up in most files of this format. Given, their `up_axis` counts as a habit of the
            format and not as a statement, so people who stand along another axis are believed instead.
        mirrored: whether left and right are mirrored (left-handed coordinates); None looks at where toes, knees and
            face point.

    Returns:
        The people, with a note for everything that was told from the data or changed. `up_axis` stays None, with a
        note, where nothing says which way is up.

    Raises:
        InputError: `up` is no direction.
    """
    direction, notes = _up_direction(people, up, assumed)
    matrix = np.eye(3)
    if direction is not None and direction.startswith("-"):
        turned = "z" if direction == "-x" else "x"
        for axis in set(AXES) - {turned}:
            matrix[AXES.index(axis)] *= -1
        direction = direction[1:]
        notes.append(f"{direction} points down in the file: turned by 180 degrees about {turned}, so that it points up")
    if is_mirrored(people) if mirrored is None else mirrored:
        axis = "z" if direction == "x" else "x"
        matrix[AXES.index(axis)] *= -1
        reason = (
            "toes, knees and face point backward, as in left-handed coordinates" if mirrored is None else "as asked"
        )
        notes.append(
            f"mirrored: {reason}: {axis} is negated. If only the names left and right are swapped, rename them"
        )
    factors = torch.from_numpy(np.diag(matrix).astype(np.float32))
    return [
        replace(
            person,
            positions=person.positions * factors.to(person.positions.device),
            hands=None if person.hands is None else person.hands.moved(torch.diag(factors)),
            up_axis=cast("UpAxis | None", direction),
            notes=(*person.notes, *notes),
        )
        for person in people
    ]


def is_mirrored(people: Sequence[Keypoints]) -> bool:
    """Whether the bodies are mirror images: their toes, knees and faces point backward in nearly all frames.

    In right-handed coordinates the cross product of "to the left" and "up" of a body points forward. Two kinds of
    evidence must agree, or one must be there in ten frames without exception to speak of; otherwise the answer is no.
    """
    shares: list[float] = []
    weights: list[int] = []
    frames = sum(len(person) for person in people)
    for kind in zip(*map(_forward_evidence, people), strict=True):
        values = np.concatenate(kind)
        values = values[values != 0]
        if len(values) and len(values) >= 0.05 * frames:
            shares.append(float(np.mean(values < 0)))
            weights.append(len(values))
    if len(shares) == 1:
        return shares[0] > 0.95 and weights[0] >= 10
    return bool(shares) and float(np.mean(shares)) > 0.85 and min(shares) > 0.6


def _up_direction(people: Sequence[Keypoints], up: str | None, assumed: str | None) -> tuple[str | None, list[str]]:
    if up is not None:
        direction = up.strip().lower().removeprefix("+")
        if direction not in _DIRECTIONS:
            raise InputError(f"unknown up direction '{up}'", expected="one of " + ", ".join(_DIRECTIONS), hint="--up y")
        return direction, []
    stated: str | None = next((person.up_axis for person in people if person.up_axis is not None), None)
    if stated is not None and assumed is None:
        return stated, []
    habit = stated or assumed
    standing = standing_direction(people, arms_tell=habit is None)
    floor = told_by_floor(people, standing) if habit is None and standing is not None else None
    if floor is not None and standing is not None:
        does = "stands on its hands" if floor[-1] == standing[-1] else f"lies along {standing}"
        return floor, [f"{floor} is taken as up: the body {does} on a floor (--up={standing} to say otherwise)"]
    if standing is not None and standing.endswith("x") and standing != habit:
        # No program puts x up: a body along x lies down.
        said = f"the body lies along {standing}, so which way is up cannot be told (--up y, for example)"
        return habit, [] if habit else [said]
    if standing is None:
        return habit, [] if habit else ["which way is up cannot be told from the poses (--up y, for example)"]
    if habit is None:
        otherwise = f"--up={standing[1:]}" if standing.startswith("-") else "--up"
        return standing, [
            f"{standing} is taken as up: the body is along it, feet to head ({otherwise} to say otherwise)"
        ]
    if standing == habit:
        return standing, []
    if overrules(people, standing, habit):
        return standing, [
            f"{standing} is taken as up: the body is along it, feet to head, not along {habit} as is usual in such "
            f"files (--up={habit} to say otherwise)"
        ]
    return habit, [
        f"{habit} is taken as up, as is usual in such files: the body is along {standing}, but nothing shows that "
        f"it stands (--up={standing} to say otherwise)"
    ]


def _forward_evidence(person: Keypoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For feet, head and knees: +1 where it points forward as it should, -1 backward, 0 where it does not say.

    Feet are judged by their shins and shins by their thighs: beside the trunk of somebody who bends down or arches
    their back, they point backward.
    """
    points, layout = measured(person)

    def mean(*names: str) -> Float[np.ndarray, "T 3"]:
        return mean_of(points, layout, names)

    up = unit(mean_of(points, layout, SHOULDERS) - mean_of(points, layout, HIPS))
    hips = unit(mean("left_hip") - mean("right_hip"))
    shoulders = unit(mean("left_shoulder") - mean("right_shoulder"))
    left_low, left_high = either(hips, shoulders), either(shoulders, hips)

    feet: list[np.ndarray] = []
    knees: list[np.ndarray] = []
    for side in ("left", "right"):
        hip, knee, ankle = (mean(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        toes = mean(f"{side}_big_toe", f"{side}_small_toe", f"{side}_foot")
        foot, shin = toes - either(mean(f"{side}_heel"), ankle), unit(ankle - knee)
        feet.append(np.cross(either(-shin, up), unit(foot)))
        knees.append(np.cross(unit(knee - hip), shin))
    # H36M's "Neck" is half face, half skull. Without ears, the line from the neck to the crown is the back of the head.
    face = mean_of(points, layout, FACE | {"head"}, must=FACE)
    neck = mean("neck", "upper_neck", "left_shoulder", "right_shoulder")
    back = either(mean("left_ear", "right_ear"), (neck + mean("head", "head_top")) / 2)
    return (
        np.concatenate([_sign(foot, left_low) for foot in feet]),
        _sign(np.cross(up, unit(face - back)), left_high),
        np.concatenate([_sign(knee, left_low) for knee in knees]),
    )


def _sign(leftward: Float[np.ndarray, "T 3"], left: Float[np.ndarray, "T 3"]) -> np.ndarray:
    along = (leftward * left).sum(axis=-1)
    return np.where(np.abs(along) >= _CLEARLY, np.sign(along), 0.0)
