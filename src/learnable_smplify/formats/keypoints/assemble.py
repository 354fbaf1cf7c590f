"""From the numbers in a file to `Keypoints`: layout, units and missing values, the same for every format."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float

from learnable_smplify.errors import InputError, some
from learnable_smplify.formats.keypoints.file_points import HANDS_ALONE, file_points, taken
from learnable_smplify.formats.keypoints.hand_points import measured_hands
from learnable_smplify.formats.keypoints.markers import unknown_names
from learnable_smplify.formats.keypoints.named_people import NamedColumns
from learnable_smplify.formats.keypoints.picture import refuse_picture, refuse_turns
from learnable_smplify.formats.keypoints.placeholders import blank_placeholders
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.times import DEFAULT_FPS
from learnable_smplify.formats.keypoints.units import FARTHEST_M, metres_per_unit
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, infer_layout, load_layout
from learnable_smplify.layouts.whole_body import WholeBody, hand_columns
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.text import decoded
from learnable_smplify.timeline import check_rate

# What programs put in front of a keypoint's name, beside the person's name and a colon.
_PREFIX = re.compile(
    r"^((mediapipe_|rtmpose_|yolo_)?(body|pose|bodypart|joint|subject\d*)|mixamorig\d*)_", re.IGNORECASE
)
# Fewer columns of the asked layout than this mean that it is the wrong layout.
_FEWEST_COLUMNS = 4
# Marker sets have some hundreds at most.
MOST_MARKERS = 5000


def check_file(path: str | PathLike[str]) -> Path:
    """`path` as a `Path`, once it is known to be a readable file.

    Raises:
        InputError: missing, or a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("this is a folder", path=path, expected="a keypoint file")
    if not path.is_file():
        raise InputError("there is no such file", path=path, hint=f"ls {path.parent}")
    return path


def read_text(path: str | PathLike[str]) -> str:
    """The text of a file, UTF-8 or UTF-16; other bytes become replacement characters.

    Raises:
        InputError: missing, unreadable.
    """
    path = check_file(path)
    try:
        return decoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", path=path) from error


def parse_number(text: str) -> float:
    """A number, or NaN for an empty field or a word for "missing".

    Raises:
        ValueError: anything else.
    """
    text = text.strip()
    if not text or text.lower() in ("nan", "na", "n/a", "null", "none", "-"):
        return math.nan
    if "_" in text:  # Python reads 1_000 as a number; no file means that
        raise ValueError(text)
    if text.count(",") == 1 and "." not in text:  # 0,35: the decimal comma of half of Europe
        text = text.replace(",", ".")
    return float(text)


def known_number(text: str) -> float | None:
    """As `parse_number`; None for anything else."""
    try:
        return parse_number(text)
    except ValueError:
        return None


def number_at(text: str, path: Path, line: int, column: str = "") -> float:
    """As `parse_number`, of a field in a line of a file.

    Raises:
        InputError: anything else; the message says where.
    """
    try:
        return parse_number(text)
    except ValueError as error:
        where = f"line {line}, column {column}" if column else f"line {line}"
        raise InputError(f"'{text[:40]}' is not a number", path=path, where=where, expected="a number") from error


def keypoints_from_markers(columns: NamedColumns, asked: Asked) -> Keypoints:
    """Keypoints from named columns in any order, of which some may be strange to the layout.

    Args:
        columns: x, y, z each; of two with equal names the first is taken.
        asked: without a layout, it is inferred from the names.

    Raises:
        InputError: the layout cannot be told or does not fit, or nothing is measured.
    """
    names, source = columns.names, columns.source
    if len(names) > MOST_MARKERS:
        raise InputError(f"there are {len(names)} markers", path=source.path, expected=f"at most {MOST_MARKERS}")
    said: list[str] = []
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        said.append(f"{len(repeated)} marker names are there twice, the first is used: {some(repeated)}")
    of_hands = hand_places(names)
    try:
        layout, keypoint_of = matched_layout(asked.layout, names, source.path, bool(of_hands))
    except InputError:
        if asked.layout is not None or not of_hands:
            raise
        layout, keypoint_of = load_layout("hands"), {}
    ignored = [name for name in dict.fromkeys(names) if name not in keypoint_of and names.index(name) not in of_hands]
    if ignored:
        said.append(f"{len(ignored)} columns are not keypoints of {layout.name} and are ignored: {some(ignored)}")
    alone = layout.name == "hands" and bool(of_hands)
    if alone:
        body = [of_hands[place] for place in HANDS_ALONE]
        said.append("hands alone: the fingers are fitted, the body is put at rest behind them")
    else:
        column_of = {keypoint: names.index(name) for name, keypoint in keypoint_of.items()}
        body = [column_of.get(keypoint, -1) for keypoint in range(len(layout))]
    positions = taken(columns.values, body, 1)
    seen = np.isfinite(positions).all(axis=-1).any(axis=0) if alone else np.array(body) >= 0
    trust = columns.confidence
    return keypoints_from_arrays(
        positions,
        None if trust is None else taken(trust, body, 1),
        layout,
        asked,
        source.noted(*said),
        measured=seen,
        hands=taken(columns.values, of_hands, 1).reshape(-1, 2, 21, 3) if of_hands else None,
        hand_confidence=taken(trust, of_hands, 1).reshape(-1, 2, 21) if of_hands and trust is not None else None,
    )


def keypoints_in_order(
    values: Float[np.ndarray, "T N 3"],
    confidence: Float[np.ndarray, "T N"] | None,
    asked: Asked,
    source: Source,
    beside: tuple[Float[np.ndarray, "T 2 21 3"], Float[np.ndarray, "T 2 21"] | None] | None = None,
) -> Keypoints:
    """Keypoints from points without names, in the order of a layout or of a body with hands and face.

    Args:
        values: NaN where missing.
        confidence: None where the file states none.
        asked: without a layout, it is told from the number of points.
        source: what the file says.
        beside: hands that are not among the points, and their confidence.

    Raises:
        InputError: the layout cannot be told or does not fit, or nothing is measured.
    """
    points = file_points(asked.layout, values.shape[1], source.path)
    hands, trust = beside or (points.hands_of(values), None)
    if beside is None and confidence is not None and (scores := points.hands_of(confidence[..., None])) is not None:
        trust = scores[..., 0]
    return keypoints_from_arrays(
        points.body_of(values, 1),
        None if confidence is None else points.body_of(confidence, 1),
        points.layout,
        asked,
        source.noted(*points.notes),
        hands=hands,
        hand_confidence=trust,
        whole=points.whole,
    )


def matched_layout(
    layout: str | Layout | None, names: Sequence[str], path: Path, has_hands: bool = False
) -> tuple[Layout, dict[str, int]]:
    """The layout of named columns, and the keypoint of each column that is one.

    Args:
        layout: name, TOML path or `Layout`; None infers it from the names.
        names: of the columns.
        path: for messages.
        has_hands: columns of hands are among them, so that none need be of the body in the layout of hands alone.

    Raises:
        InputError: no layout has these names, or the one given has too few of them.
    """
    if layout is None:
        try:
            chosen, index_by_name = _inferred(names)
        except InputError as error:
            raise unknown_names(names, path, error) from error
    else:
        chosen = load_layout(layout)
        index_by_name = _matched(chosen, names)
        alone = chosen.name == "hands" and has_hands
        if len(index_by_name) < min(_FEWEST_COLUMNS, len(chosen)) and not alone:
            raise InputError(
                f"the file has {len(index_by_name)} of the {len(chosen)} keypoints of layout '{chosen.name}'",
                path=path,
                expected="names such as " + ", ".join(chosen.keypoint_names[:4]) + f"; the file has {some(names)}",
                hint="leave --layout away to have it inferred",
            )
    return chosen, index_by_name


def keypoints_from_arrays(
    positions: Float[np.ndarray, "T K 3"],
    confidence: Float[np.ndarray, "T K"] | None,
    layout: Layout,
    asked: Asked,
    source: Source,
    *,
    measured: Bool[np.ndarray, " K"] | None = None,
    hands: Float[np.ndarray, "T 2 21 3"] | None = None,
    hand_confidence: Float[np.ndarray, "T 2 21"] | None = None,
    whole: WholeBody | None = None,
    aspect: float | None = None,
) -> Keypoints:
    """Keypoints from the points of one body: missing values marked, units made metres, notes written.

    Without `confidence`, a keypoint at exactly (0, 0, 0) counts as missing, as OpenPose-like tools write it; the
    root of a recording that is relative to it (zero in every frame) does not.

    Args:
        positions: in the order of `layout`, NaN where missing.
        confidence: as in `Keypoints`; None where the file states none.
        layout: of the K keypoints, whatever the user asked for.
        asked: fps and units; where the file says neither, there are 30 frames a second, and the unit is detected.
        source: what the file says.
        measured: which of the keypoints the file has at all; None means all.
        hands: in the same unit, and as a rule in the same frame (see `hand_points`), NaN where missing.
        hand_confidence: in [0, 1]; None where the file states none of the hands.
        whole: the order of the file, where it is one of body, hands and face.
        aspect: width over height of the picture, for hands in picture coordinates.

    Raises:
        InputError: empty, a frame rate that is none, or nothing is measured.
    """
    path, said, fps = source.path, list(source.notes), source.rate(asked)
    if len(positions) == 0:
        raise InputError("the clip is empty: it has no frames", path=path, expected="at least one frame")
    if fps is None:
        fps = DEFAULT_FPS
        said.append(f"the file does not say its frame rate: {fps:g} frames a second assumed (--fps)")
    check_rate(fps, path=path)

    refuse_turns(np.asarray(positions, dtype=np.float64), confidence, path)
    columns = slice(None) if measured is None else measured
    positions = np.array(positions, dtype=np.float64)
    broken = ~np.isfinite(positions).all(axis=-1)
    positions[broken] = np.nan
    _add_count(said, broken[:, columns], "have no position (NaN or empty)")
    said += blank_placeholders(positions)
    if confidence is None:
        zero = (positions == 0).all(axis=-1)
        for keypoint in np.flatnonzero((zero | broken).all(axis=0)):
            if _is_root(layout, int(keypoint)):
                zero[:, keypoint] = False
        positions[zero] = np.nan
        _add_count(said, zero[:, columns], "are exactly (0, 0, 0) and taken as missing")
    else:
        confidence = np.where(np.isfinite(confidence), confidence, 0.0)
        positions[confidence <= 0] = np.nan

    if asked.units is None and source.units is None:
        refuse_picture(positions, layout, path)
    metres, unit_notes = metres_per_unit(positions, layout, units=asked.units, declared=source.units)
    said += unit_notes
    positions = positions * metres
    hands = None if hands is None else hands * metres
    far = np.asarray((np.abs(np.nan_to_num(positions)) > FARTHEST_M).any(axis=-1))
    positions[far] = np.nan
    _add_count(said, far[:, columns], "lie beyond 1000 km and are taken as missing")
    if not np.isfinite(positions).any():
        raise nothing_usable(path)
    trust = np.isfinite(positions).all(axis=-1) if confidence is None else confidence
    found, hand_notes = measured_hands(hands, hand_confidence, positions, layout, path=path, whole=whole, aspect=aspect)
    said += hand_notes
    return Keypoints(
        positions=torch.from_numpy(positions.astype(np.float32)),
        layout=layout,
        fps=fps,
        confidence=torch.from_numpy(trust),
        up_axis=cast("UpAxis | None", source.up_axis),
        person_id=source.person_id,
        start_s=source.start_s,
        notes=tuple(said),
        hands=found,
    )


def nothing_usable(path: Path) -> InputError:
    """That nothing in a file is measured."""
    return InputError(
        "no keypoint is usable: every position is missing (NaN, zero or without confidence)",
        path=path,
        expected="at least one measured keypoint",
    )


def hand_places(names: Sequence[str]) -> tuple[int, ...]:
    """(42,) the places of the hands' points among names, -1 where there is none; () without hands."""
    found = hand_columns([_bare(name) for name in names])
    if not any(found):
        return ()
    return tuple(found[side].get(point, -1) for side in (0, 1) for point in range(21))


def _inferred(names: Sequence[str]) -> tuple[Layout, dict[str, int]]:
    """As `infer_layout`, where a program may have put the part or the person in front: body_nose, Ann:LKnee."""
    found = {_bare(name): name for name in reversed(names)}
    try:
        chosen, matched = infer_layout(names)
    except InputError:
        if len(found) < len(set(names)) or set(found) == set(names):
            raise
        chosen, matched = infer_layout(list(found))
        return chosen, {found[name]: index for name, index in matched.items()}
    return chosen, matched


def _matched(layout: Layout, names: Sequence[str]) -> dict[str, int]:
    """As `Layout.match`, with prefixes taken off where that finds more."""
    found = {_bare(name): name for name in reversed(names)}
    plain, bare = layout.match(names), layout.match(list(found))
    return plain if len(bare) <= len(plain) else {found[name]: index for name, index in bare.items()}


def _bare(name: str) -> str:
    return _PREFIX.sub("", name.rpartition(":")[2])


def _is_root(layout: Layout, keypoint: int) -> bool:
    return {point for point, _ in layout.points[keypoint]} in ({"pelvis"}, {"left_hip", "right_hip"})


def _add_count(notes: list[str], marked: np.ndarray, what: str) -> None:
    if marked.any():
        frames = int(marked.any(axis=1).sum())
        notes.append(f"{int(marked.sum())} keypoints in {frames} of {len(marked)} frames {what}")
