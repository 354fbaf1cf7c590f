"""Keypoints in a bare NumPy array, as freemocap and many scripts write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.formats.keypoints.array_shapes import followed, people_of_array
from learnable_smplify.formats.keypoints.assemble import check_file, keypoints_in_order
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints


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


def read_keypoints_npy(path: Path, asked: Asked) -> list[Keypoints]:
    """The people of an array (T, K, 3), or (T, K, 4) with confidence last; (K, 3) and (K, 4) are one frame.

    With a layout, rows (T, 3 K) or (T, 4 K) are read too, and other orders of the axes: see `array_shapes`.

    Of a body with hands and face (133 points of COCO-WholeBody, 553 of freemocap: see `layouts.whole_body`) the face is
    left out.

    Args:
        path: the .npy file.
        asked: without a layout, the only one with K keypoints is taken; without fps, 30 with a note; without units,
            metres, centimetres or millimetres are told by the limbs.

    Raises:
        InputError: not an array of numbers, of another shape, truncated, or several layouts have K keypoints.
    """
    check_file(path)
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
    people, notes = people_of_array(array, asked.layout, path)
    people, _, said = followed(people, [None] * len(people), asked.fps)
    source = Source(path, notes=(*notes, *said))
    seen = {
        str(number): frames
        for number, frames in enumerate(people)
        if np.isfinite(frames[..., :3]).any() and frames[..., :3].any()
    }
    if len(people) == 1 or not seen:
        return [_person(people[0], asked, source)]
    return [_person(frames, asked, replace(source, person_id=name)) for name, frames in seen.items()]


def _person(frames: np.ndarray, asked: Asked, source: Source) -> Keypoints:
    return keypoints_in_order(frames[..., :3], frames[..., 3] if frames.shape[2] == 4 else None, asked, source)
