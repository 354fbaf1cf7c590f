"""Hands in MediaPipe's JSON, beside the pose or alone: Holistic's `left_hand_landmarks`, the Hand Landmarker's lists.

World landmarks are metres about the middle of the hand, the others shares of the picture: `hand_points` puts both at
the body's wrists. The Hand Landmarker was trained on mirrored pictures, so its words Left and Right are wrong where the
picture is not mirrored; which way the fingers bend tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.skeleton import SIDES

_KEYS = tuple(
    (
        f"{side}_hand_world_landmarks",
        f"{side}HandWorldLandmarks",
        f"{side}_hand_landmarks",
        f"{side}HandLandmarks",
    )
    for side in SIDES
)
_LIST_KEYS = (
    *("hand_world_landmarks", "handWorldLandmarks", "multi_hand_world_landmarks", "multiHandWorldLandmarks"),
    *("hand_landmarks", "handLandmarks", "multi_hand_landmarks", "multiHandLandmarks"),
)
_SIDE_KEYS = ("handedness", "handednesses", "multi_handedness", "multiHandedness")
_NAME_KEYS = ("category_name", "categoryName", "label", "display_name", "displayName")
# Fingers bend to the palm's side by this much [palm lengths] on average before they tell left from right.
_BENT = 0.15
# Hands alone are put this far apart [m], for they are both about the origin.
_ALONE_M = 0.25

Table = Callable[[Any], np.ndarray]


def frame_hands(value: Any, table: Table) -> Float[np.ndarray, "2 21 4"] | None:
    """Both hands of one frame, confidence last, NaN for one that is not there; None without hands.

    Args:
        value: a frame's object.
        table: makes (21, 3) or (21, 4) of a list of landmarks, or raises for anything else.
    """
    if not isinstance(value, dict):
        return None
    found = np.full((2, 21, 4), np.nan)
    for side, keys in enumerate(_KEYS):
        hand = next((value[key] for key in keys if value.get(key)), None)
        if hand is not None:
            found[side] = _padded(table(_opened(hand)))
    hands = next((value[key] for key in _LIST_KEYS if value.get(key)), None)
    if isinstance(hands, list):
        names = [_side_name(entry) for entry in next((value[key] for key in _SIDE_KEYS if value.get(key)), [])]
        for index, hand in enumerate(hands[:2]):
            name = names[index] if index < len(names) else ""
            side = 1 if name.startswith("r") else 0 if name.startswith("l") else index
            if np.isfinite(found[side]).any():
                side = 1 - side
            found[side] = _padded(table(_opened(hand)))
    return found if np.isfinite(found).any() else None


def are_lists(value: Any) -> bool:
    """Whether a frame has its hands in the Hand Landmarker's form, whose words for the sides may be exchanged."""
    return isinstance(value, dict) and any(value.get(key) for key in _LIST_KEYS)


def sides_by_bend(hands: Sequence[Float[np.ndarray, "2 21 4"]]) -> bool:
    """Whether left and right are exchanged in a recording: the fingers bend to the back of the hand.

    The cross product of wrist to index and wrist to little finger points out of a right hand's palm, and out of the
    back of a left one. Two of a kind in one frame, which is damage, say nothing.
    """
    points = np.stack(list(hands))[..., :3]
    wrist = points[:, :, 0]
    across = np.cross(points[:, :, 5] - wrist, points[:, :, 17] - wrist)
    palm = np.linalg.norm(points[:, :, 9] - wrist, axis=-1)
    bend = sum(points[:, :, tip] - points[:, :, knuckle] for knuckle, tip in ((5, 8), (9, 12), (13, 16), (17, 20))) / 4
    with np.errstate(invalid="ignore", divide="ignore"):
        amount = (bend * across).sum(axis=-1) / np.linalg.norm(across, axis=-1) / palm
    amount = amount * np.array([-1.0, 1.0])  # positive: as named
    known = amount[np.isfinite(amount)]
    return bool(len(known)) and float(known.mean()) < -_BENT


def apart(hands: Float[np.ndarray, "2 21 4"]) -> Float[np.ndarray, "2 21 4"]:
    """Two hands that are each about their own middle, a little apart as of somebody who faces the camera."""
    moved = hands.copy()
    moved[0, :, 0] += _ALONE_M
    moved[1, :, 0] -= _ALONE_M
    return moved


def about_their_middles(hands: Sequence[Float[np.ndarray, "2 21 4"]]) -> bool:
    """Whether these are world landmarks of hands, whose origin is in the hand."""
    middles = np.stack(list(hands))[..., :3].mean(axis=2)
    away = np.linalg.norm(middles, axis=-1)
    known = away[np.isfinite(away)]
    return bool(len(known)) and float(np.median(known)) < 0.05


def _opened(hand: Any) -> Any:
    """The list of landmarks in an object that holds nothing else."""
    return hand["landmark"] if isinstance(hand, dict) and "landmark" in hand else hand


def _padded(table: np.ndarray) -> np.ndarray:
    return table if table.shape[1] == 4 else np.concatenate((table, np.ones((len(table), 1))), axis=1)


def _side_name(entry: Any) -> str:
    """left or right of {"categoryName": "Left"}, [{...}], {"classification": [{"label": "Left"}]} or "Left"."""
    for _ in range(4):
        if isinstance(entry, str):
            return entry.lower()
        if isinstance(entry, list) and entry:
            entry = entry[0]
        elif isinstance(entry, dict):
            key = next((key for key in (*_NAME_KEYS, "classification", "categories") if key in entry), None)
            if key is None:
                return ""
            entry = entry[key]
    return ""
