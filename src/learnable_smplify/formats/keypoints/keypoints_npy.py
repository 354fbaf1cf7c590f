"""Keypoints in a bare NumPy array, as freemocap and many scripts write them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.formats.keypoints.array_shapes import followed, people_of_array
from learnable_smplify.formats.keypoints.assemble import check_file, keypoints_from_arrays
from learnable_smplify.formats.keypoints.file_points import file_points
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout


def _refuse_objects(path: Path) -> None:
    """Estimators save dictionaries as .npy too: their header says so in its first bytes."""
    with path.open("rb") as file:
        head = file.read(256)
    if head.startswith(b"\x93NUMPY") and b"'|O'" in head:
        raise InputError(
            "the array holds Python objects: perhaps an estimator's result",
            path=path,
            expected="numbers, saved by numpy.save",
            hint=f"lsmplify convert {path} -o OUT.npz (or refine {path} KEYPOINTS)",
        )


def read_keypoints_npy(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
) -> list[Keypoints]:
    """The people of an array (T, K, 3), or (T, K, 4) with confidence last; (K, 3) and (K, 4) are one frame.

    With a layout, rows (T, 3 K) or (T, 4 K) are read too, and other orders of the axes: see `array_shapes`.

    Of a body with hands and face (133 points of COCO-WholeBody, 553 of freemocap: see `layouts.whole_body`) the face is
    left out.

    Args:
        path: the .npy file.
        layout: layout name, TOML path or `Layout`; None takes the only layout with K keypoints.
        fps: frames a second; None means 30, with a note.
        units: of the positions; None detects metres, centimetres or millimetres by the limbs.

    Raises:
        InputError: not an array of numbers, of another shape, truncated, or several layouts have K keypoints.
    """
    path = check_file(path)
    _refuse_objects(path)
    try:
        # Mapped, not loaded: a header that promises more than the file holds is refused without allocating it.
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # NumPy reads the header as Python text: damaged bytes raise nearly anything
        raise InputError(
            f"not a readable .npy file ({reason(error)})", path=path, expected="numbers, saved by numpy.save"
        ) from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"the array holds {array.dtype}", path=path, expected="numbers")
    people, notes = people_of_array(array, layout, path)
    people, _, said = followed(people, [None] * len(people), fps)
    notes += said
    return [
        _person(frames, layout, path, fps, units, notes, str(number) if len(people) > 1 else None)
        for number, frames in enumerate(people)
        if len(people) == 1 or (np.isfinite(frames[..., :3]).any() and frames[..., :3].any())
    ] or [_person(people[0], layout, path, fps, units, notes, None)]


def _person(
    frames: np.ndarray,
    layout: str | Layout | None,
    path: Path,
    fps: float | None,
    units: str | None,
    notes: tuple[str, ...],
    name: str | None,
) -> Keypoints:
    points = file_points(layout, frames.shape[1], path)
    body, hands = points.body_of(frames, 1), points.hands_of(frames)
    scored = frames.shape[2] == 4
    return keypoints_from_arrays(
        body[..., :3],
        path=path,
        layout=points.layout,
        fps=fps,
        units=units,
        confidence=body[..., 3] if scored else None,
        person_id=name,
        notes=(*notes, *points.notes),
        hands=None if hands is None else hands[..., :3],
        hand_confidence=hands[..., 3] if hands is not None and scored else None,
        whole=points.whole,
    )
