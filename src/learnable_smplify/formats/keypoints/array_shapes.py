"""How programs lay keypoints out in an array: frames, people, keypoints and coordinates in several orders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.follow import MOST_PEOPLE, follow_slots
from learnable_smplify.formats.keypoints.picture import flat_keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.layouts.whole_body import whole_body

# Fewer keypoints than this are no body: a short axis is that of the coordinates.
_FEWEST_KEYPOINTS = 5


def points_a_frame(layout: str | Layout | None) -> int:
    """Points a frame in a file of the layout that the user named; 0 for none."""
    if layout is None:
        return 0
    whole = whole_body(layout) if isinstance(layout, str) else None
    return load_layout(layout).width if whole is None else whole.count


def only_points(arrays: Mapping[str, np.ndarray], axes: Collection[int], coordinates: Collection[int]) -> str | None:
    """The one array that has the shape of keypoints, where none has a known name.

    Args:
        arrays: of a file.
        axes: how many it may have.
        coordinates: how many numbers a point may have, in the last axis.
    """
    found = [
        key
        for key, array in arrays.items()
        if array.dtype.kind == "f"
        and array.ndim in axes
        and array.shape[-2] >= _FEWEST_KEYPOINTS
        and array.shape[-1] in coordinates
    ]
    return found[0] if len(found) == 1 else None


def text_in(arrays: Mapping[str, np.ndarray], key: str) -> str | None:
    """The text in an array of one; None where there is no such array."""
    if key not in arrays or arrays[key].size != 1:
        return None
    value = arrays[key].reshape(()).item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def people_of_array(
    array: np.ndarray, layout: str | Layout | None, path: Path, where: str | None = None
) -> tuple[list[Float[np.ndarray, "T K D"]], tuple[str, ...]]:
    """The people of an array of positions, x, y, z and maybe a confidence last, and notes on what was turned round.

    Args:
        array: (T, K, D) with D of 3 or 4; (K, D) is one frame, (T, K D) needs a layout; (T, D, K) is turned; of four
            axes one is that of the people, the shorter of the first two.
        layout: what the user says.
        path, where: for messages.

    Raises:
        InputError: another shape.
    """
    width, shape = points_a_frame(layout), array.shape
    notes: tuple[str, ...] = ()
    if array.ndim == 2 and width > 1 and shape[1] in (3 * width, 4 * width):
        array = array.reshape(len(array), width, shape[1] // width)
    if array.ndim in (3, 4) and array.shape[-2] in (3, 4) and array.shape[-1] >= _FEWEST_KEYPOINTS:
        array = np.swapaxes(array, -1, -2)
        notes = (f"the array has shape {shape}: its last two axes are exchanged, so that x, y, z are last",)
    if array.ndim in (2, 3):
        array = array[None] if array.ndim == 3 else array[None, None]
    elif array.ndim == 4 and array.shape[0] > array.shape[1]:
        array = np.swapaxes(array, 0, 1)
    if array.ndim != 4 or array.shape[-1] not in (3, 4) or not 0 < len(array) <= MOST_PEOPLE:
        if array.ndim == 4 and array.shape[-1] == 2:
            raise flat_keypoints(path, f": the array has shape {shape}", where)
        raise InputError(
            f"the array has shape {shape}",
            path=path,
            where=where,
            expected="(T, K, 3), or (T, K, 4) with confidence; of several people (T, P, K, 3)",
        )
    if len(array) > 1:
        notes = (*notes, f"the array has shape {shape}: read as {len(array)} people")
    return list(array), notes


def followed(
    people: list[Float[np.ndarray, "T K D"]], scores: list[np.ndarray | None], fps: float | None
) -> tuple[list[Float[np.ndarray, "T K D"]], list[np.ndarray | None], tuple[str, ...]]:
    """The people of an array and their confidences (T, K), each person one and the same throughout, and a note.

    Args:
        people: as `people_of_array` gives them.
        scores: of each; None where not stated.
        fps: frames a second, as far as known.
    """
    order = follow_slots(people, fps)
    if order is None:
        return people, scores, ()
    positions = [_from_slots(people, slots) for slots in order]
    stated = [score for score in scores if score is not None]
    known = [_from_slots(stated, slots) if len(stated) == len(people) else None for slots in order]
    return positions, known, ("people change places in the array: they are followed by distance",)


def _from_slots(slots: list[np.ndarray], order: Int[np.ndarray, " T"]) -> np.ndarray:
    """Of each frame the slot that the order names, NaN where it names none."""
    taken = np.stack(slots)[order, np.arange(len(order))].astype(np.float64)
    taken[order < 0] = np.nan
    return taken
