"""Which way is up, and whether the recording is a mirror image: told by the body itself, or by the user.

Positions stay in the file's frame, with two exceptions that are always said in a note: data whose up axis points down
(camera frames, MediaPipe) are turned by 180 degrees, and data in which left and right are mirrored (left-handed
coordinates) have one axis negated.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import UpAxis

_AXES = ("x", "y", "z")
_DIRECTIONS = ("x", "y", "z", "-x", "-y", "-z")

# The body stands along an axis when the median direction from feet to head is within 37 degrees of it, and that
# axis is the nearest in most frames.
_CLEAR_COSINE = 0.8
_CLEAR_SHARE = 0.6

# A foot or a face must point forward or backward by this cosine to have a say, a knee stick out by this share of the
# leg. Below, noise decides.
_FORWARD_COSINE = 0.3
_KNEE_OFFSET = 0.08


def _sided(*names: str) -> frozenset[str]:
    return frozenset(f"{side}_{name}" for side in ("left", "right") for name in names)


_SHOULDERS = _sided("shoulder", "collar") | {"neck"}
_HIPS = _sided("hip") | {"pelvis"}
_FACE = _sided("eye", "eye_inner", "eye_outer", "mouth") | {"nose", "chin"}
_TOP = _SHOULDERS | _FACE | _sided("ear") | {"head", "head_top", "upper_neck", "jugular"}
_FEET = _sided("ankle", "foot", "heel", "big_toe", "small_toe")


def settle_axes(
    keypoints: Keypoints, up: str | None = None, *, assumed: str | None = None, mirrored: bool | None = None
) -> Keypoints:
    """Keypoints whose `up_axis` is known where it can be, with that axis pointing up, in right-handed coordinates.

    Args:
        keypoints: of one person, in any frame.
        up: "x", "y", "z", "-x", "-y" or "-z": which way is up in the file, as the user says; obeyed without looking.
            None believes `keypoints.up_axis`, else looks at the direction from feet to head over the recording.
        assumed: which way is up in most files of this format. Given, `keypoints.up_axis` counts as a habit of the
            format and not as a statement, so a body that clearly stands along another axis is believed instead.
        mirrored: whether left and right are mirrored (left-handed coordinates); None looks at where toes, knees and
            face point.

    Returns:
        The keypoints, with a note for everything that was told from the data or changed. `up_axis` stays None, with a
        note, where nothing says which way is up.

    Raises:
        InputError: `up` is no direction.
    """
    return settle_people([keypoints], up, assumed=assumed, mirrored=mirrored)[0]


def settle_people(
    people: Sequence[Keypoints], up: str | None = None, *, assumed: str | None = None, mirrored: bool | None = None
) -> list[Keypoints]:
    """As `settle_axes`, for the people of one recording, who share its frame: all are turned the same way.

    Raises:
        InputError: `up` is no direction.
    """
    direction, notes = _up_direction(people, up, assumed)
    matrix = np.eye(3)
    if direction is not None and direction.startswith("-"):
        turned = "z" if direction == "-x" else "x"
        for axis in set(_AXES) - {turned}:
            matrix[_AXES.index(axis)] *= -1
        direction = direction[1:]
        notes.append(f"{direction} points down in the file: turned by 180 degrees about {turned}, so that it points up")
    if is_mirrored(people) if mirrored is None else mirrored:
        axis = "z" if direction == "x" else "x"
        matrix[_AXES.index(axis)] *= -1
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
            up_axis=cast("UpAxis | None", direction),
            notes=(*person.notes, *notes),
        )
        for person in people
    ]


def standing_direction(people: Sequence[Keypoints]) -> str | None:
    """The axis along which the bodies stand, feet to head: "x", "-x", ..., or None where none is clear.

    Hips stand for feet that are not measured. People lie, bend and somersault; only a direction that most frames share
    counts.
    """
    found: list[np.ndarray] = []
    for person in people:
        points, layout = _measured(person)
        top = _mean_of(points, layout, _TOP)
        found.append(_unit(_either(top - _mean_of(points, layout, _FEET), top - _mean_of(points, layout, _HIPS))))
    directions = np.concatenate(found) if found else np.zeros((0, 3))
    directions = directions[np.isfinite(directions).all(axis=-1)]
    if not len(directions):
        return None
    middle = np.median(directions, axis=0)
    axis = int(np.abs(middle).argmax())
    length = float(np.linalg.norm(middle))
    if not abs(middle[axis]) >= _CLEAR_COSINE * max(length, 1e-9) or length < _CLEAR_COSINE:
        return None
    signed = np.sign(middle[axis]) * directions[:, axis]
    if np.mean(signed >= np.abs(directions).max(axis=-1)) < _CLEAR_SHARE:
        return None
    return ("-" if middle[axis] < 0 else "") + _AXES[axis]


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
    standing = standing_direction(people)
    if standing is not None and standing.endswith("x") and standing != habit:
        # No program puts x up: a body along x lies down.
        said = (
            "" if habit else f"the body lies along {standing}, so which way is up cannot be told (--up y, for example)"
        )
        return habit, [said] if said else []
    if standing is None:
        return habit, [] if habit else ["which way is up cannot be told from the poses (--up y, for example)"]
    if habit is None:
        note = f"{standing} is taken as up: the body stands along it (--up to say otherwise)"
        return standing, [] if standing.startswith("-") else [note]  # that it points down is said where it is turned
    if standing != habit:
        return standing, [
            f"{standing} is taken as up: the body stands along it, not along {habit} as is usual in such files "
            f"(--up={habit} to say otherwise)"
        ]
    return standing, []


def _forward_evidence(person: Keypoints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For feet, head and knees: +1 where it points forward as it should, -1 backward, 0 where it does not say."""
    points, layout = _measured(person)

    def mean(*names: str) -> Float[np.ndarray, "T 3"]:
        return _mean_of(points, layout, names)

    up = _mean_of(points, layout, _SHOULDERS) - _mean_of(points, layout, _HIPS)
    hips = mean("left_hip") - mean("right_hip")
    shoulders = mean("left_shoulder") - mean("right_shoulder")
    forward_low = _unit(np.cross(_either(hips, shoulders), up))
    forward_high = _unit(np.cross(_either(shoulders, hips), up))

    feet: list[np.ndarray] = []
    knees: list[np.ndarray] = []
    for side in ("left", "right"):
        hip, knee, ankle = (mean(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        toes = mean(f"{side}_big_toe", f"{side}_small_toe", f"{side}_foot")
        feet.append(_unit(toes - _either(mean(f"{side}_heel"), ankle)))
        leg = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            knees.append((knee - (hip + ankle) / 2) / leg[:, None])
    # H36M's "Neck" is half face, half skull. Without ears, the line from the neck to the crown is the back of the head.
    face = _mean_of(points, layout, _FACE | {"head"}, must=_FACE)
    neck = mean("neck", "upper_neck", "left_shoulder", "right_shoulder")
    back = _either(mean("left_ear", "right_ear"), (neck + mean("head", "head_top")) / 2)
    return (
        np.concatenate([_sign(foot, forward_low, _FORWARD_COSINE) for foot in feet]),
        _sign(_unit(face - back), forward_high, _FORWARD_COSINE),
        np.concatenate([_sign(knee, forward_low, _KNEE_OFFSET) for knee in knees]),
    )


def _measured(person: Keypoints) -> tuple[Float[np.ndarray, "T K 3"], Layout]:
    """Positions with NaN where missing, and the layout."""
    assert isinstance(person.layout, Layout)
    points = person.positions.detach().cpu().numpy().astype(np.float64)
    return np.where(person.confidence.cpu().numpy()[..., None] > 0, points, np.nan), person.layout


def _mean_of(
    points: Float[np.ndarray, "T K 3"], layout: Layout, names: Collection[str], must: Collection[str] = ()
) -> Float[np.ndarray, "T 3"]:
    """Mean of the measured keypoints that are made of the canonical points `names` alone, at least one in `must`."""
    columns = [
        index
        for index, row in enumerate(layout.points)
        if all(name in names for name, _ in row) and (not must or any(name in must for name, _ in row))
    ]
    chosen = points[:, columns]
    there = np.isfinite(chosen).all(axis=-1)
    with np.errstate(invalid="ignore"):
        return (
            np.where(there[..., None], chosen, 0.0).sum(axis=1)
            / np.where(there.any(axis=1), there.sum(axis=1), np.nan)[:, None]
        )


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`first` where it is measured, else `second`."""
    return np.where(np.isfinite(first), first, second)


def _unit(vectors: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 1e-9, lengths, np.nan)


def _sign(vectors: Float[np.ndarray, "T 3"], forward: Float[np.ndarray, "T 3"], least: float) -> np.ndarray:
    along = (vectors * forward).sum(axis=-1)
    return np.where(np.abs(along) >= least, np.sign(along), 0.0)
