"""`Layout`: which keypoints a recording has, in which order, and where they sit on the body.

A layout is a small TOML file: a table from keypoint name to a canonical point (`layouts.points`) or to a weighted
sum of them, and the edges to draw. Adding one needs no code::

    name = "my_markers"
    title = "The markers of our lab"
    edges = [["Hip", "Knee"]]

    [keypoints]                                             # the order here is the order in the file
    Hip = { left_hip = 0.5, right_hip = 0.5 }
    Knee = "left_knee"
    Finger = {}                                             # in the file, but not on the body: passed over

    [aliases]                                               # optional: other spellings found in files
    KJC = "Knee"
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from learnable_smplify.errors import AmbiguousLayoutError, InputError
from learnable_smplify.layouts.bias import KeypointBias, parse_bias
from learnable_smplify.layouts.layout_values import parse_edges, parse_point
from learnable_smplify.layouts.spelling import plain, spelling_key
from learnable_smplify.layouts.whole_body import whole_body
from learnable_smplify.safe_files.toml_file import parse_toml, read_toml
from learnable_smplify.skeleton import JOINT_INDEX, mirrored_name

Group = Literal["head", "torso", "arms", "hands", "legs", "feet"]

# The layouts in the package. Of two that explain a file's names equally well, the one named earlier is taken.
_SHIPPED: tuple[str, ...] = (
    *("body25", "coco17", "coco_feet23", "halpe26", "body25b", "smpl24", "amass22", "h36m17", "mediapipe33", "ntu25"),
    *("kit21", "h36m32", "kinect32", "mocap20", "mhr70", "coco18"),
)
# Names that animation files have; nobody writes arrays in this order.
_BY_NAME_ONLY = ("mocap20",)

# Markers on the skin, of laboratories: named by the user, or told by names that no layout of keypoints has.
_MARKERS: tuple[str, ...] = ("opencap_lab", "plug_in_gait", "cmu41")

# What a body has of hands that were measured alone: by name only.
_HANDS: tuple[str, ...] = ("hands",)

_SHIPPED_BY_SPELLING = {
    spelling: name for name in reversed((*_SHIPPED, *_MARKERS, *_HANDS)) for spelling in (name, plain(name))
}

_KEYS = ("name", "title", "keypoints", "edges", "aliases", "bias", "markers")
# What a keypoint that is not on the body is called.
_NOWHERE: tuple[object, ...] = ({}, [], "", "ignored", "ignore", "none", False)
# Whole bodies with hands and face have 133 to 553.
_MOST_KEYPOINTS = 1000
# Fewer names than this in common is chance, not a layout: hips, knees and shoulders are in every one. Where no name is
# strange, two arms or two legs do.
_FEWEST_NAMES, _FEWEST_ALONE = 8, 6

_GROUP_WORDS: tuple[tuple[Group, tuple[str, ...]], ...] = (
    ("head", ("head", "nose", "eye", "ear", "mouth", "chin", "upper_neck")),
    ("hands", ("hand", "knuckle", "thumb")),
    ("feet", ("foot", "toe", "heel")),
    ("arms", ("shoulder", "elbow", "wrist")),
    ("legs", ("hip", "knee", "ankle")),
)


@dataclass(frozen=True)
class Layout:
    """A keypoint layout.

    Args:
        name: short name, as `load_layout` takes it.
        title: one line for people.
        keypoint_names: (K,) names in the order of the recording.
        points: (K,) for each keypoint the canonical points it is the weighted sum of; the weights sum to 1.
        edges: pairs of keypoint indices to draw as lines.
        aliases: other spellings and the keypoint index each one means.
        bias: (K,) where detectors put each keypoint beside the body's own; empty where nothing is known.
        markers: the keypoints are markers on the skin, and `bias` is where they lie beside the body's points.
        off_body: places in the file, between the keypoints, of points that are not on the body; they are no keypoints.
    """

    name: str
    title: str
    keypoint_names: tuple[str, ...]
    points: tuple[tuple[tuple[str, float], ...], ...]
    edges: tuple[tuple[int, int], ...]
    aliases: tuple[tuple[str, int], ...] = ()
    bias: tuple[KeypointBias, ...] = ()
    markers: bool = False
    off_body: tuple[int, ...] = ()

    def __len__(self) -> int:
        """Number of keypoints."""
        return len(self.keypoint_names)

    def __hash__(self) -> int:
        """Of the names alone: every frame of a stream looks things up by its layout."""
        return hash((self.name, self.keypoint_names))

    @cached_property
    def is_skeleton(self) -> bool:
        """Whether all keypoints are joints of SMPL's skeleton, as only a body has them."""
        return all(len(row) == 1 and row[0][0] in JOINT_INDEX for row in self.points)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """(K,) the place of every keypoint in a file that has the points in the layout's order."""
        return tuple(place for place in range(self.width) if place not in set(self.off_body))

    @property
    def width(self) -> int:
        """Number of points in such a file: the keypoints, and what is not on the body."""
        return len(self.keypoint_names) + len(self.off_body)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """(K,) index of the same keypoint on the other side of the body; a keypoint without a partner is its own.

        Where several have the same point of the body (markers round a joint), the first of the left goes with the first
        of the right, and so on.
        """
        rows = [tuple(sorted(row)) for row in self.points]
        places: dict[tuple[tuple[str, float], ...], list[int]] = {}
        for index, row in enumerate(rows):
            places.setdefault(row, []).append(index)
        partners = []
        for index, row in enumerate(rows):
            other = tuple(sorted((mirrored_name(name), weight) for name, weight in row))
            rank, across = places[row].index(index), places.get(other, [])
            partners.append(index if other == row or rank >= len(across) else across[rank])
        return tuple(partners)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """(K,) part of the body of each keypoint: head, torso, arms, hands, legs or feet."""
        return tuple(_group_of(row) for row in self.points)

    @cached_property
    def _index_by_key(self) -> dict[str, int]:
        keys = {spelling_key(alias): index for alias, index in self.aliases}
        return keys | {spelling_key(name): index for index, name in enumerate(self.keypoint_names)}

    def index_of_point(self, point: str) -> int | None:
        """Index of the keypoint that is this canonical point and nothing else; None where there is none."""
        return next((index for index, row in enumerate(self.points) if row == ((point, 1.0),)), None)

    def index(self, name: str) -> int:
        """Index of the keypoint called `name`, in any usual spelling (LWrist, left_wrist, l.wrist).

        Raises:
            InputError: the layout has no such keypoint.
        """
        index = self._index_by_key.get(spelling_key(name))
        if index is None:
            raise InputError(
                f"layout '{self.name}' has no keypoint '{name}'", expected="one of " + ", ".join(self.keypoint_names)
            )
        return index

    def match(self, names: Iterable[str]) -> dict[str, int]:
        """Which of `names` are keypoints of this layout.

        Returns:
            The file's spelling and the keypoint's index. Each keypoint is given out once: when two names mean the
            same one, the layout's own spelling is taken, otherwise the first.
        """
        listed = list(names)
        taken: dict[int, str] = {}
        for name in sorted(listed, key=lambda name: name not in self.keypoint_names):
            index = self._index_by_key.get(spelling_key(name))
            if index is not None and index not in taken:
                taken[index] = name
        by_name = {name: index for index, name in taken.items()}
        return {name: by_name[name] for name in dict.fromkeys(listed) if name in by_name}


def layout_names() -> tuple[str, ...]:
    """Names of the layouts in the package, in the order in which ties between them are decided."""
    return _SHIPPED


def marker_layout_names() -> tuple[str, ...]:
    """Names of the layouts in the package whose points are markers on the skin, and not a detector's joints."""
    return _MARKERS


def load_layout(name_or_path: str | PathLike[str] | Layout) -> Layout:
    """The layout called `name_or_path` ("body25", "BODY_25", "coco-17"), or the one in a user's TOML file.

    A `Layout` is returned as it is, so that whatever takes a layout can take it in any of these forms. An order of
    body, hands and face (`layouts.whole_body`) has the layout of its body: readers know what else is in the file.

    Raises:
        InputError: no such layout or file, or the file is not a layout; the message names the file and the key.
    """
    if isinstance(name_or_path, Layout):
        return name_or_path
    text = str(name_or_path)
    shipped = _shipped_by_name(text)
    if shipped is not None:
        return shipped
    path = Path(text)
    if path.suffix.lower() == ".toml" or path.is_file():
        return _parse_layout(read_toml(path, "layout"), path)
    raise InputError(
        f"no layout is called '{text}'",
        expected="one of "
        + ", ".join((*_SHIPPED, *_MARKERS))
        + ", an order with hands, such as coco_wholebody133, or the path of a layout .toml file",
        hint="lsmplify doctor (lists the layouts)",
    )


def shipped_layout(name: str, path: Path) -> Layout:
    """The layout of the package that the file `path` names. A file opens no other file.

    Raises:
        InputError: no layout of the package is called so.
    """
    layout = _shipped_by_name(name)
    if layout is None:
        raise InputError(
            f"no layout is called '{name[:60]}', which the file names",
            path=path,
            expected="one of " + ", ".join(_SHIPPED),
            hint="--layout FILE.toml, if you have its layout",
        )
    return layout


def infer_layout(names: Sequence[str]) -> tuple[Layout, dict[str, int]]:
    """The layout whose keypoints explain most of `names`, whatever their order and spelling.

    Ties go to the layout that has the fewest keypoints the file lacks, then to the earlier in `layout_names()`; of less
    than eight names to the latter.

    Returns:
        The layout, and for each recognised name its keypoint index.

    Raises:
        InputError: fewer than eight names fit any layout, or than six, if no other names are there.
    """
    matches = [(layout, layout.match(names)) for layout in map(_shipped_layout, (*_SHIPPED, *_MARKERS))]
    most = max(len(matched) for _, matched in matches)
    few = most < _FEWEST_NAMES
    # Of few names, the most usual layout: the smallest may be one that calls something else a neck.
    best = max(matches, key=lambda match: (len(match[1]), 0 if few else -len(match[0])))
    if most < min(_FEWEST_ALONE if most == len(set(names)) else _FEWEST_NAMES, len(best[0])):
        shown = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
        raise InputError(
            f"the keypoint layout cannot be told from these names: {shown or '(none)'}",
            expected="at least eight names of one of " + ", ".join(_SHIPPED),
            hint="--layout NAME, or --layout FILE.toml with your own names",
        )
    return best


def infer_layout_from_count(count: int, path: str | PathLike[str] | None = None) -> Layout:
    """The only layout in the package with `count` keypoints.

    Raises:
        InputError: none has that many; `path` only names the file in the message, which lists them.
        AmbiguousLayoutError: several have.
    """
    ordered = _array_layouts()
    candidates = [layout for layout in ordered if layout.width == count]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        named = ", ".join(layout.name for layout in candidates)
        problem, hint = f"several layouts have {count} keypoints, so the layout must be given", candidates[0].name
        raise AmbiguousLayoutError(problem, path=path, expected=f"one of {named}", hint=f"--layout {hint}")
    sizes = ", ".join(f"{layout.name} ({layout.width})" for layout in ordered)
    hint = "--layout FILE.toml with your own names"
    raise InputError(f"no layout has {count} keypoints", path=path, expected=f"one of {sizes}", hint=hint)


def others_as_wide(layout: Layout) -> tuple[str, ...]:
    """Names of the other layouts in the package that have as many points a frame."""
    wide = (other.name for other in _array_layouts() if other.width == layout.width)
    return tuple(name for name in wide if name != layout.name)


def _array_layouts() -> list[Layout]:
    """The layouts in whose order somebody writes arrays."""
    return [_shipped_layout(name) for name in _SHIPPED if name not in _BY_NAME_ONLY]


def _shipped_by_name(text: str) -> Layout | None:
    name = _SHIPPED_BY_SPELLING.get(text) or _SHIPPED_BY_SPELLING.get(plain(text[:100]))
    if name is None and (whole := whole_body(text)) is not None:
        name = whole.body
    return None if name is None else _shipped_layout(name)


@cache
def _shipped_layout(name: str) -> Layout:
    path = Path(f"{name}.toml")
    text = (resources.files("learnable_smplify.layouts") / path.name).read_text(encoding="utf-8")
    return _parse_layout(parse_toml(text, path, "layout"), path)


def _parse_layout(table: dict[str, Any], path: Path) -> Layout:
    wrong = partial(InputError, path=path)
    for key in table:
        if key not in _KEYS:
            raise wrong(f"unknown key '{key}'", expected=f"{', '.join(_KEYS)} (see body25.toml)")
    if not isinstance(table.get("markers", False), bool):
        raise wrong("the value is neither true nor false", where="key 'markers'", expected="true or false")
    for key in ("name", "title"):
        if not isinstance(table.get(key, ""), str):
            raise wrong("the value is not text", where=f"key '{key}'", expected='a string in "quotes"')
    keypoints = table.get("keypoints")
    if not isinstance(keypoints, dict) or not keypoints:
        expected = 'a table [keypoints] with lines such as LKnee = "left_knee"'
        raise wrong("there are no keypoints", where="key 'keypoints'", expected=expected)
    if len(keypoints) > _MOST_KEYPOINTS:
        raise wrong(f"there are {len(keypoints)} keypoints", expected=f"at most {_MOST_KEYPOINTS}")
    off_body = tuple(place for place, value in enumerate(keypoints.values()) if value in _NOWHERE)
    names = tuple(name for name, value in keypoints.items() if value not in _NOWHERE)
    if not names:
        raise wrong("no keypoint is on the body", where="key 'keypoints'", expected='LKnee = "left_knee"')
    index_by_key: dict[str, int] = {}
    for index, name in enumerate(names):
        first = index_by_key.setdefault(spelling_key(name), index)
        if first != index:
            raise wrong(
                f"keypoint '{name}' is the same name as '{names[first]}'",
                where=f"keypoints.{name}",
                expected="names that differ by more than case and punctuation",
            )
    name = table.get("name", path.stem)
    layout = Layout(
        name=name,
        title=table.get("title", name),
        keypoint_names=names,
        points=tuple(parse_point(keypoints[name], path, f"keypoints.{name}") for name in names),
        edges=parse_edges(table.get("edges", []), names, set(keypoints) - set(names), path),
        aliases=_parse_aliases(table.get("aliases", {}), names, index_by_key, path),
        markers=table.get("markers", False),
        off_body=off_body,
    )

    def index_of(name: str) -> int | None:
        return index_by_key.get(spelling_key(name))

    return replace(layout, bias=parse_bias(table.get("bias", {}), names, layout.mirror, layout.groups, index_of, path))


def _parse_aliases(
    value: object, names: tuple[str, ...], index_by_key: dict[str, int], path: Path
) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict):
        raise InputError("the aliases are not a table", path=path, where="key 'aliases'", expected='Other = "LKnee"')
    aliases: list[tuple[str, int]] = []
    for alias, target in value.items():
        wrong = partial(InputError, path=path, where=f"aliases.{alias}")
        if target not in names:
            problem = f"the alias means '{target}', which is not in [keypoints]"
            raise wrong(problem, expected="one of " + ", ".join(names))
        index = names.index(target)
        if index_by_key.get(spelling_key(alias), index) != index:
            raise wrong(f"'{alias}' is already the name of another keypoint")
        aliases.append((alias, index))
    return tuple(aliases)


def _group_of(row: Sequence[tuple[str, float]]) -> Group:
    main = max(row, key=lambda part: abs(part[1]))[0]
    group: Group = "torso"
    for candidate, words in _GROUP_WORDS:
        if any(word in main for word in words):
            group = candidate
            break
    # The middle of two shoulders or hips is on the trunk, not on a limb.
    both_sides = any(name.startswith("left_") for name, _ in row) and any(name.startswith("right_") for name, _ in row)
    return "torso" if both_sides and group in ("arms", "legs") else group
