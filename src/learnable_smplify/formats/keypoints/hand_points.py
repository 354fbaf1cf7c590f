"""From the numbers of a file to `HandKeypoints`: missing points, which hand is which, hands in a frame of their own.

Hands that were triangulated with the body are in its frame. MediaPipe's hand models are run on their own: their world
landmarks are metres about the middle of the hand, their picture landmarks shares of the picture. Both have the axes of
the pose's world landmarks, so such a hand is put with its wrist where the body's wrist is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.units import FARTHEST_M, size_of_body
from learnable_smplify.hands import HandKeypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.layouts.whole_body import WholeBody
from learnable_smplify.skeleton import SIDES

# A hand whose wrist is this far from the body's in most frames is in a frame of its own. Detectors are off by less.
_APART_M = 0.15
# Left and right are exchanged in a file where that brings the wrists nearer by this factor.
_NEARER = 0.5
# In picture coordinates depth counts from the wrist itself.
_WRIST_DEPTH = 1e-3
_LOW, _HIGH, _INSIDE = -0.3, 1.3, 0.95
# An adult's palm, from the wrist to the knuckles of four fingers, mean [m].
_PALM_M = 0.095
_KNUCKLES = (5, 9, 13, 17)
_USUAL_ASPECT = 16 / 9


def measured_hands(
    hands: Float[np.ndarray, "T 2 21 3"] | None,
    confidence: Float[np.ndarray, "T 2 21"] | None,
    body: Float[np.ndarray, "T K 3"],
    layout: Layout,
    *,
    path: Path,
    whole: WholeBody | None = None,
    aspect: float | None = None,
) -> tuple[HandKeypoints | None, tuple[str, ...]]:
    """The hands of one person, and what was done, for the user.

    Args:
        hands: left and right [m], NaN where missing; without `confidence`, exactly zero is missing too.
        confidence: in [0, 1], 0 = missing.
        body: the body's keypoints [m] in the file's frame, NaN where missing.
        layout: of the body.
        path: for the message.
        whole: the order of the file, where it is known.
        aspect: width of the picture over its height, for hands in picture coordinates; None takes 16:9.

    Returns:
        None where no point of any hand is measured.

    Raises:
        InputError: hands alone in picture coordinates.
    """
    if hands is None:
        return None, ()
    points = np.array(hands, dtype=np.float64)
    if layout.name == "mediapipe33" and confidence is not None:
        confidence = _seen_though_unscored(points, confidence)
    missing = ~np.isfinite(points).all(axis=-1) | (np.abs(np.nan_to_num(points)) > FARTHEST_M).any(axis=-1)
    unseen = (points == 0).all(axis=-1) if confidence is None else ~(np.nan_to_num(confidence) > 0)
    points = np.where((missing | unseen)[..., None], np.nan, points)
    if whole is not None and -1 in (*whole.left, *whole.right):
        points = _with_wrists(points, body, layout)
    if not np.isfinite(points).any():
        return None, ()
    if layout.name == "hands" and any(_is_picture(points[:, side]) for side in (0, 1)):
        raise InputError(
            "these look like picture coordinates (0 to 1 across the image, z from the wrist), not like metres",
            path=path,
            expected="positions in space, such as MediaPipe's hand_world_landmarks instead of hand_landmarks",
        )
    notes: list[str] = []
    wrists = _body_wrists(body, layout)
    if layout.name != "hands" and wrists is not None:
        if _exchanged(points, wrists):
            points, notes = points[:, ::-1], ["the hands are exchanged in the file: each is read where its wrist is"]
            confidence = None if confidence is None else confidence[:, ::-1]
        points, said = _at_the_body(points, wrists, size_of_body(body, layout) or 1.0, aspect)
        notes += said
    seen = np.asarray(np.isfinite(points).all(axis=-1))
    if not seen.any():
        return None, tuple(notes)
    trust = seen.astype(np.float32) if confidence is None else np.where(seen, np.nan_to_num(confidence), 0.0)
    found = HandKeypoints(
        torch.from_numpy(points.astype(np.float32)), torch.from_numpy(trust.clip(0.0, 1.0).astype(np.float32))
    )
    return found, tuple(notes)


def _seen_though_unscored(points: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """MediaPipe's hands have no visibility: a field of zeros beside positions says nothing."""
    placed = np.isfinite(points).all(axis=-1) & (points != 0).any(axis=-1)
    silent = (np.nan_to_num(confidence) <= 0).all(axis=-1, keepdims=True)
    return np.where(silent & placed, 1.0, confidence)


def _body_wrists(body: Float[np.ndarray, "T K 3"], layout: Layout) -> Float[np.ndarray, "T 2 3"] | None:
    columns = [layout.index_of_point(f"{side}_wrist") for side in SIDES]
    found = [body[:, column] if column is not None else np.full((len(body), 3), np.nan) for column in columns]
    return None if columns == [None, None] else np.stack(found, axis=1)


def _with_wrists(points: np.ndarray, body: np.ndarray, layout: Layout) -> np.ndarray:
    wrists = _body_wrists(body, layout)
    if wrists is not None:
        there = np.isfinite(points[:, :, 1:]).all(axis=-1).any(axis=-1)
        points[:, :, 0] = np.where(there[..., None], wrists, np.nan)
    return points


def _away(points: np.ndarray, wrists: np.ndarray) -> Float[np.ndarray, "T 2"]:
    return np.asarray(np.linalg.norm(points[:, :, 0] - wrists, axis=-1))


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.inf


def _exchanged(points: np.ndarray, wrists: np.ndarray) -> bool:
    as_named, other = _middle(_away(points, wrists)), _middle(_away(points[:, ::-1], wrists))
    return other < _APART_M and other < _NEARER * as_named


def _at_the_body(
    points: np.ndarray, wrists: np.ndarray, size: float, aspect: float | None
) -> tuple[Float[np.ndarray, "T 2 21 3"], list[str]]:
    """Hands that are not at the body's wrists are put there, those of a picture with the size of a hand."""
    notes: list[str] = []
    away = _away(points, wrists)
    for side, name in enumerate(SIDES):
        if not _APART_M < _middle(away[:, side]) < np.inf:
            continue
        hand = points[:, side]
        if _is_picture(hand):
            hand = hand * np.array([1.0, 1.0 / (aspect or _USUAL_ASPECT), 1.0])
            # A frame without one of the knuckles has no size, and so no hand.
            palm = np.linalg.norm(hand[:, _KNUCKLES] - hand[:, :1], axis=-1).mean(axis=1)
            hand = hand * (_PALM_M * size / np.where(palm > 1e-6, palm, np.nan))[:, None, None]
            shape = "" if aspect else ", of a picture that is taken as 16:9"
            notes.append(f"the {name} hand is in picture coordinates{shape}: given a hand's size")
        points[:, side] = hand - hand[:, :1] + wrists[:, side, None]
        notes.append(f"the {name} hand is in a frame of its own: put with its wrist at the body's")
    return points, notes


def _is_picture(hand: Float[np.ndarray, "T 21 3"]) -> bool:
    flat = hand[np.isfinite(hand).all(axis=-1)]
    if not len(flat):
        return False
    inside: Bool[np.ndarray, "N 2"] = (flat[:, :2] > _LOW) & (flat[:, :2] < _HIGH)
    depth = np.abs(hand[:, 0, 2])
    return float(inside.all(axis=-1).mean()) > _INSIDE and _middle(depth) < _WRIST_DEPTH
