"""Points of JSON that have names, in whatever objects they lie, put in the order of a layout by these names.

{"nose": [x, y, z], ...}    {"nose": {"x": 0, "y": 1, "z": 2}, ...}    {"nose_x": 0, "nose_y": 1, ...}
[{"name": "nose", "position": {...}}, ...]    or rows, with the names once for all frames
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError, some
from learnable_smplify.formats.keypoints.assemble import MOST_MARKERS, hand_places, matched_layout
from learnable_smplify.formats.keypoints.csv_headings import in_order, part_of
from learnable_smplify.formats.keypoints.json_frames import person_name
from learnable_smplify.layouts.layout import Layout

Row = list[float | None]
"""x, y, z and maybe a confidence; None where missing."""

FEWEST_NAMES = 5
_NAME_KEYS = (
    "name",
    "joint",
    "jointname",
    "keypoint",
    "landmark",
    "marker",
    "bone",
    "part",
    "label",
    "jointtype",
    "type",
)
_POINT_WORDS = ("position", "pos", "translation", "location", "point", "xyz", "coord", "real", "world")
_SCORE_KEYS = ("visibility", "score", "confidence", "likelihood", "presence", "c")
# As MediaPipe writes points.
_AXES = frozenset("xyz")
_USUAL_KEYS = _AXES | {"visibility", "presence"}
_WHO_KEYS = ("id", "bodyid", "trackid", "personid", "userid", "trackingid", "subject", "person")
# People are in frames, frames in lists, lists in objects.
_MOST_DEEP = 5


@dataclass(frozen=True, eq=False)
class NamedPoints:
    """One person's points in one frame.

    Args:
        rows: by name.
        odd: names of what is no point, though it is a list.
        person: who it is, where the file says so.
    """

    rows: dict[str, Row]
    odd: tuple[str, ...] = ()
    person: str | None = None


@dataclass(frozen=True)
class NameOrder:
    """Which name is which point.

    Args:
        layout: that has the names; of numbers for names what the user says, as the points are in its order.
        names: of the layout's points in their order, "" where the file has none.
        hands: (42,) of the left hand's points and the right's; () without hands.
        scored: whether the file states any confidence.
        notes: what is left out.
    """

    layout: str | Layout | None
    names: tuple[str, ...]
    hands: tuple[str, ...] = ()
    scored: bool = False
    notes: tuple[str, ...] = ()

    def table(self, points: NamedPoints) -> Float[np.ndarray, "K 4"]:
        """The body's points with confidence, which is 1 where the file states none; NaN where missing."""
        return _table(self.names, points)

    def hands_of(self, points: NamedPoints) -> Float[np.ndarray, "2 21 4"] | None:
        """Both hands' points likewise; None without hands."""
        return _table(self.hands, points).reshape(2, 21, 4) if self.hands else None


def with_named_points(value: Any, names: Sequence[str] = ()) -> tuple[Any, list[NamedPoints]]:
    """`value` with every object of named points, and every list of as many rows as `names`, as `NamedPoints`.

    Returns:
        the value, and what was found in it, in order.
    """
    found: list[NamedPoints] = []
    return _replaced(value, names, found, 0), found


def name_order(found: Sequence[NamedPoints], layout: str | Layout | None, path: Path) -> NameOrder | None:
    """The order of everything with names in a file; None where nothing has any.

    Raises:
        InputError: the names are of no layout or too many, or what is a point in one frame is none in another.
    """
    known = dict.fromkeys(name for points in found for name in points.rows)
    names = list(known)
    if not names:
        return None
    if len(names) > MOST_MARKERS:
        raise InputError(f"there are {len(names)} names of points", path=path, expected=f"at most {MOST_MARKERS}")
    for points in found:
        if wrong := next((name for name in points.odd if name in known), None):
            raise InputError("this is no point", path=path, where=f"'{wrong}'", expected="x, y, z in every frame")
    scored = any(len(row) == 4 for points in found for row in points.rows.values())
    if (numbered := in_order(names)) is not None:
        return NameOrder(layout, tuple(names[place] for place in numbered), (), scored)
    hands = hand_places(names)
    chosen, places = matched_layout(layout, names, path, bool(hands))
    name_at = {chosen.columns[place]: name for name, place in places.items()}
    of_body = tuple(name_at.get(place, "") for place in range(chosen.width))
    of_hands = tuple("" if place < 0 else names[place] for place in hands)
    ignored = [name for name in names if name not in (*of_body, *of_hands)]
    notes = (f"{len(ignored)} points are not keypoints of {chosen.name} and are ignored: {some(ignored)}",)
    return NameOrder(chosen, of_body, of_hands, scored, notes if ignored else ())


def point_row(point: Any) -> Row | None:
    """A point as a row, whatever it is written as; None for anything else."""
    if isinstance(point, dict) and _AXES <= point.keys() <= _USUAL_KEYS:  # there may be a million of them
        score = point.get("visibility", point.get("presence"))
        place = [point["x"], point["y"], point["z"]]
        point = [*place, score] if isinstance(score, float) else place
    elif isinstance(point, dict):
        told = {key.lower(): value for key, value in point.items()}
        inner = next((told[k] for k in told if k.startswith(_POINT_WORDS) and isinstance(told[k], dict | list)), told)
        axes = {key.lower(): value for key, value in inner.items()} if isinstance(inner, dict) else {}
        row = [axes[axis] for axis in "xyz"] if {"x", "y", "z"} <= set(axes) else inner
        score = next((told[key] for key in _SCORE_KEYS if key in told), None)
        point = [*row[:3], score] if isinstance(row, list) and isinstance(score, float) else row
    if isinstance(point, list) and len(point) in (3, 4) and all(v is None or isinstance(v, float) for v in point):
        return point
    return None


def are_rows(value: Any) -> bool:
    """Whether JSON is a list of points without names, as the first of them is one."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return {"x", "y", "z"} <= set(first) if isinstance(first, dict) else point_row(first) is not None


def stated_person(value: dict[str, Any]) -> str | None:
    """Who an object of a person says that it is; None where it does not."""
    told = {key.lower().replace("_", ""): number for key, number in value.items()}
    return person_name(next((told[key] for key in _WHO_KEYS if isinstance(told.get(key), float | str)), None))


def _replaced(value: Any, names: Sequence[str], found: list[NamedPoints], depth: int) -> Any:
    points = _named_points(value, names)
    if points is not None:
        found.append(points)
        return points
    if depth == _MOST_DEEP or are_rows(value):
        return value
    if isinstance(value, dict):
        return {key: _replaced(inner, names, found, depth + 1) for key, inner in value.items()}
    if isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value[:2]):
        return [_replaced(inner, names, found, depth + 1) for inner in value]
    return value


def _named_points(value: Any, names: Sequence[str]) -> NamedPoints | None:
    if isinstance(value, list):
        if len(value) == len(names) and names:
            pairs = list(zip(names, value, strict=True))
        elif value and _name_of(value[0]):
            pairs = [(name, entry) for entry in value if (name := _name_of(entry))]
        else:
            return None
    else:
        pairs = list(value.items()) if isinstance(value, dict) else []
    rows = {name: row for name, point in pairs if (row := point_row(point)) is not None}
    if len(rows) < FEWEST_NAMES and isinstance(value, dict):
        rows = _from_columns(value)
    if len(rows) < FEWEST_NAMES:
        return None
    odd = tuple(name for name, point in pairs if name not in rows and isinstance(point, list) and point)
    return NamedPoints(rows, odd, stated_person(value) if isinstance(value, dict) else None)


def _from_columns(value: dict[str, Any]) -> dict[str, Row]:
    """Points of an object that has a number for every axis: {"nose_x": 0, "nose_y": 1, "nose_z": 2, ...}."""
    parts: dict[str, dict[str, float | None]] = {}
    for heading, number in value.items():
        if (isinstance(number, float) or number is None) and (told := part_of(heading)):
            parts.setdefault(told[0], {})[told[1]] = number
    return {
        name: [found[part] for part in "xyzc" if part in found]
        for name, found in parts.items()
        if {"x", "y", "z"} <= set(found)
    }


def _name_of(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    told = {key.lower().replace("_", ""): value for key, value in entry.items()}
    return next((told[key] for key in _NAME_KEYS if isinstance(told.get(key), str)), None)


def _table(names: Sequence[str], points: NamedPoints) -> Float[np.ndarray, "K 4"]:
    missing: Row = [None] * 4
    rows = [[*points.rows.get(name, missing), 1.0][:4] for name in names]
    return np.array(rows, dtype=np.float64)
