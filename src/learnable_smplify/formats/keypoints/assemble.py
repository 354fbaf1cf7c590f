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
from jaxtyping import Float

from learnable_smplify.errors import InputError, some
from learnable_smplify.formats.keypoints.file_points import HANDS_ALONE, taken
from learnable_smplify.formats.keypoints.hand_points import measured_hands
from learnable_smplify.formats.keypoints.markers import unknown_names
from learnable_smplify.formats.keypoints.picture import refuse_picture, refuse_turns
from learnable_smplify.formats.keypoints.placeholders import blank_placeholders
from learnable_smplify.formats.keypoints.units import to_metres
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, infer_layout, infer_layout_from_count, load_layout
from learnable_smplify.layouts.whole_body import WholeBody, hand_columns
from learnable_smplify.motion import UpAxis
from learnable_smplify.safe_files.text import decoded

_DEFAULT_FPS = 30.0
# What programs put in front of a keypoint's name, beside the person's name and a colon.
_PREFIX = re.compile(
    r"^((mediapipe_|rtmpose_|yolo_)?(body|pose|bodypart|joint|subject\d*)|mixamorig\d*)_", re.IGNORECASE
)
# Fewer columns of the asked layout than this mean that it is the wrong layout.
_FEWEST_COLUMNS = 4
# Marker sets have some hundreds at most.
MOST_MARKERS = 5000
# Nothing on earth is measured further away; larger numbers are damage, and their squares overflow.
FARTHEST_M = 1e6


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


def keypoints_from_markers(
    names: Sequence[str],
    values: Float[np.ndarray, "T M 3"],
    *,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
    declared_units: str | None = None,
    confidence: Float[np.ndarray, "T M"] | None = None,
    up_axis: str | None = None,
    person_id: str | None = None,
    start_s: float = 0.0,
    notes: Sequence[str] = (),
) -> Keypoints:
    """Keypoints from named columns in any order, of which some may be strange to the layout.

    Args:
        names: (M,) markers; of two equal ones the first is taken.
        values: NaN where missing.
        path: for messages.
        layout: name, TOML path or `Layout`; None infers it from the names.
        fps: None means unknown.
        units: what the user says the numbers are in; None detects.
        declared_units: what the file says.
        confidence: as in `Keypoints`.
        up_axis: as in `Keypoints`.
        person_id: as in `Keypoints`.
        start_s: as in `Keypoints`.
        notes: lines for the user so far.

    Raises:
        InputError: the layout cannot be told or does not fit, or nothing is measured.
    """
    if len(names) > MOST_MARKERS:
        raise InputError(f"there are {len(names)} markers", path=path, expected=f"at most {MOST_MARKERS}")
    said = list(notes)
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        said.append(f"{len(repeated)} marker names are there twice, the first is used: {some(repeated)}")
    of_hands = hand_places(names)
    if layout is None and of_hands and _only_hands(names):
        index_by_name: dict[str, int] = {}
        chosen = load_layout("hands")
    else:
        chosen, index_by_name = matched_layout(layout, names, path, bool(of_hands))
    hands, hand_confidence = None, None
    if of_hands:
        hands = taken(values, of_hands, 1).reshape(-1, 2, 21, 3)
        if confidence is not None:
            hand_confidence = taken(confidence, of_hands, 1).reshape(-1, 2, 21)
    ignored = [
        name
        for place, name in enumerate(names)
        if name not in index_by_name and place not in of_hands and name not in names[:place]
    ]
    if ignored:
        said.append(f"{len(ignored)} columns are not keypoints of {chosen.name} and are ignored: {some(ignored)}")

    columns = [list(names).index(name) for name in index_by_name]
    targets = list(index_by_name.values())
    positions = np.full((len(values), len(chosen), 3), np.nan)
    positions[:, targets] = values[:, columns]
    placed: np.ndarray | None = None
    if confidence is not None:
        placed = np.zeros((len(values), len(chosen)))
        placed[:, targets] = confidence[:, columns]
    if chosen.name == "hands" and hands is not None:
        positions = hands.reshape(-1, 42, 3)[:, HANDS_ALONE]
        placed = None if hand_confidence is None else hand_confidence.reshape(-1, 42)[:, HANDS_ALONE]
        targets = [place for place in range(len(chosen)) if np.isfinite(positions[:, place]).any()]
        said.append("hands alone: the fingers are fitted, the body is put at rest behind them")
    return keypoints_from_arrays(
        positions,
        path=path,
        layout=chosen,
        fps=fps,
        units=units,
        declared_units=declared_units,
        confidence=placed,
        up_axis=up_axis,
        person_id=person_id,
        start_s=start_s,
        notes=said,
        measured=targets,
        hands=hands,
        hand_confidence=hand_confidence,
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
    *,
    path: Path,
    layout: str | Layout | None,
    fps: float | None,
    units: str | None,
    declared_units: str | None = None,
    confidence: Float[np.ndarray, "T K"] | None = None,
    up_axis: str | None = None,
    person_id: str | None = None,
    start_s: float = 0.0,
    notes: Sequence[str] = (),
    measured: Sequence[int] | None = None,
    hands: Float[np.ndarray, "T 2 21 3"] | None = None,
    hand_confidence: Float[np.ndarray, "T 2 21"] | None = None,
    whole: WholeBody | None = None,
    aspect: float | None = None,
) -> Keypoints:
    """Keypoints from an array in the order of the layout: missing values marked, units made metres, notes written.

    Without `confidence`, a keypoint at exactly (0, 0, 0) counts as missing, as OpenPose-like tools write it; the
    root of a recording that is relative to it (zero in every frame) does not.

    Args:
        positions: (T, K, 3), NaN where missing.
        measured: indices of the keypoints the file has at all; None means all.
        hands: in the same unit, and as a rule in the same frame (see `hand_points`), NaN where missing.
        hand_confidence: in [0, 1]; None where the file states none of the hands.
        whole: the order of the file, where it is one of body, hands and face.
        aspect: width over height of the picture, for hands in picture coordinates.
        (others): as for `keypoints_from_markers`; a `layout` of None is told from K.

    Raises:
        InputError: the layout cannot be told or does not fit, empty, or nothing is measured.
    """
    said = list(notes)
    chosen = infer_layout_from_count(positions.shape[1], path) if layout is None else load_layout(layout)
    if positions.shape[1] != len(chosen):
        raise InputError(
            f"the file has {positions.shape[1]} keypoints a frame",
            path=path,
            expected=f"{len(chosen)} for layout '{chosen.name}'",
            hint="lsmplify doctor (lists the layouts)",
        )
    if len(positions) == 0:
        raise InputError("the clip is empty: it has no frames", path=path, expected="at least one frame")
    if fps is None:
        fps = _DEFAULT_FPS
        said.append(f"the file does not say its frame rate: {fps:g} frames a second assumed (--fps)")
    if not 0 < fps < 1e5:
        raise InputError(f"the frame rate is {fps:g}", path=path, expected="frames a second above 0", hint="--fps 30")

    refuse_turns(np.asarray(positions, dtype=np.float64), confidence, path)
    columns = list(range(len(chosen))) if measured is None else list(measured)
    positions = np.array(positions, dtype=np.float64)
    broken = ~np.isfinite(positions).all(axis=-1)
    positions[broken] = np.nan
    _add_count(said, broken[:, columns], "have no position (NaN or empty)")
    said += blank_placeholders(positions)
    if confidence is None:
        zero = (positions == 0).all(axis=-1)
        for keypoint in np.flatnonzero((zero | broken).all(axis=0)):
            if _is_root(chosen, int(keypoint)):
                zero[:, keypoint] = False
        positions[zero] = np.nan
        _add_count(said, zero[:, columns], "are exactly (0, 0, 0) and taken as missing")
    else:
        confidence = np.where(np.isfinite(confidence), confidence, 0.0)
        positions[confidence <= 0] = np.nan

    if units is None and declared_units is None:
        refuse_picture(positions, chosen, path)
    count = len(chosen)
    if hands is not None:
        positions = np.concatenate((positions, hands.reshape(len(positions), -1, 3)), axis=1)
    positions, unit_notes = to_metres(positions, chosen, units=units, declared=declared_units)
    said += unit_notes
    if hands is not None:
        positions, hands = positions[:, :count], positions[:, count:].reshape(-1, 2, 21, 3)
    far = (np.abs(np.nan_to_num(positions)) > FARTHEST_M).any(axis=-1)
    positions[far] = np.nan
    _add_count(said, far[:, columns], "lie beyond 1000 km and are taken as missing")
    if not np.isfinite(positions).any():
        raise InputError(
            "no keypoint is usable: every position is missing (NaN, zero or without confidence)",
            path=path,
            expected="at least one measured keypoint",
        )
    trust = np.isfinite(positions).all(axis=-1) if confidence is None else confidence
    found, hand_notes = measured_hands(hands, hand_confidence, positions, chosen, path=path, whole=whole, aspect=aspect)
    said += hand_notes
    return Keypoints(
        positions=torch.from_numpy(positions.astype(np.float32)),
        layout=chosen,
        fps=fps,
        confidence=torch.from_numpy(trust),
        up_axis=cast("UpAxis | None", up_axis),
        person_id=person_id,
        start_s=start_s,
        notes=tuple(said),
        hands=found,
    )


def hand_places(names: Sequence[str]) -> tuple[int, ...]:
    """(42,) the places of the hands' points among names, -1 where there is none; () without hands."""
    found = hand_columns([_bare(name) for name in names])
    if not any(found):
        return ()
    return tuple(found[side].get(point, -1) for side in (0, 1) for point in range(21))


def _only_hands(names: Sequence[str]) -> bool:
    """Whether no layout of bodies has these names."""
    try:
        _inferred(names)
    except InputError:
        return True
    return False


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
