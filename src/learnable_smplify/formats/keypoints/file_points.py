"""Which of the points of a file are the body's keypoints, which are the hands', and which nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout, infer_layout_from_count, load_layout
from learnable_smplify.layouts.whole_body import WholeBody, whole_body

_NOWHERE = -1


@dataclass(frozen=True)
class FilePoints:
    """What is what among the points of a file.

    Args:
        layout: of the body.
        body: (K,) the column of every keypoint; -1 where the file has none.
        hands: (42,) columns of the left hand's 21 points and the right's, -1 where there is none; () without hands.
        whole: the order of the file, where it is one of body, hands and face.
        notes: what is left out.
    """

    layout: Layout
    body: tuple[int, ...]
    hands: tuple[int, ...] = ()
    whole: WholeBody | None = None
    notes: tuple[str, ...] = ()

    def body_of(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
        """The keypoints of an array that has the file's points along `axis`; NaN where the file has none."""
        return taken(values, self.body, axis)

    def hands_of(self, values: Float[np.ndarray, "*T N D"]) -> Float[np.ndarray, "*T 2 21 D"] | None:
        """The hands' points of positions, or of anything with the points in the last axis but one."""
        if not self.hands:
            return None
        chosen = taken(values, self.hands, values.ndim - 2)
        return chosen.reshape(*values.shape[:-2], 2, 21, values.shape[-1])


def taken(values: np.ndarray, columns: Sequence[int], axis: int) -> np.ndarray:
    """`values` at the columns along `axis`, as float64; NaN at columns of -1."""
    places = np.asarray(columns, dtype=np.int64)
    found = np.take(values, np.maximum(places, 0), axis=axis).astype(np.float64)
    if (places == _NOWHERE).any():
        shape = [1] * values.ndim
        shape[axis] = len(places)
        found = np.where((places == _NOWHERE).reshape(shape), np.nan, found)
    return found


def same_count(found: Sequence[tuple[int, str | None, np.ndarray]], path: Path) -> int:
    """How many points everybody has in every frame.

    Args:
        found: at least one frame, the person in it by name, and their points.
        path: for the message.

    Raises:
        InputError: not all have as many; the message says where.
    """
    count = len(found[0][2])
    for frame, person, points in found:
        if len(points) != count:
            who = "a person" if person is None else f"person {person}"
            raise InputError(
                f"{who} has {len(points)} keypoints",
                path=path,
                where=f"frame {frame}",
                expected=f"{count}, as before",
            )
    return count


def file_points(
    layout: str | Layout | None, count: int, path: Path, body_first: dict[int, str] | None = None
) -> FilePoints:
    """What the `count` points of a file's frames are.

    Args:
        layout: what the user says: a layout of a body, or an order of a whole body (see `layouts.whole_body`).
        count: points a frame in the file.
        path: for messages.
        body_first: layouts of this format by number of points, asked before those of all formats.

    Raises:
        InputError: the number fits no layout, or several.
    """
    named = whole_body(layout) if isinstance(layout, str) else None
    if named is not None and named.count == count:
        return _whole_points(named, load_layout(named.body))
    if named is not None and count != len(load_layout(named.body)):
        raise InputError(
            f"the file has {count} keypoints a frame", path=path, expected=f"{named.count} for '{named.name}'"
        )
    whole = whole_body(count)
    if layout is None and count in (body_first or {}):
        layout = (body_first or {})[count]
    if layout is None and whole is not None:
        return _whole_points(whole, load_layout(whole.body))
    if layout is None:
        layout = infer_layout_from_count(count, path)
    chosen = load_layout(layout)
    if whole is not None and whole.body == chosen.name:
        return _whole_points(whole, chosen)
    if chosen.off_body and chosen.width == count:
        note = f"{len(chosen.off_body)} of {count} points a frame are not on the body and left out"
        return FilePoints(chosen, chosen.columns, notes=(note,))
    if whole is not None and chosen.width < count and len(load_layout(whole.body)) >= len(chosen):
        return _whole_points(whole, chosen)
    if chosen.width != count:
        raise InputError(
            f"the file has {count} keypoints a frame",
            path=path,
            expected=f"{chosen.width} for layout '{chosen.name}'",
            hint="lsmplify doctor (lists the layouts)",
        )
    return FilePoints(chosen, tuple(range(count)))


def _whole_points(whole: WholeBody, body: Layout) -> FilePoints:
    nowhere = (_NOWHERE,) * 21
    hands = (*(whole.left or nowhere), *(whole.right or nowhere))
    if whole.body == "hands":
        columns = tuple(hands[place] for place in HANDS_ALONE)
        note = "hands alone: the fingers are fitted, the body is put at rest behind them"
        return FilePoints(body, columns, hands, whole, (note,))
    said = [f"the first {len(body)} are read as {body.name}", f"{sum(place >= 0 for place in hands)} as hands"]
    if body.off_body:
        said[0] = f"{len(body)} are read as {body.name}"
    if whole.face:
        said.append(f"{whole.face} of the face are left out")
    elif others := set(body.off_body) - set(hands):
        said.append(f"{len(others)} others are left out")
    return FilePoints(body, body.columns, hands, whole, (f"{whole.count} keypoints a frame: {', '.join(said)}",))


# Where the keypoints of the layout "hands" are among the 42 points of two hands.
HANDS_ALONE = (0, 5, 17, 21, 26, 38)
