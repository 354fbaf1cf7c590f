"""The lines of `lsmplify stream`: one frame of keypoints in, one pose out, both as JSON on a line.

In: `{"keypoints": [[x, y, z], ...]}` in metres, in the order of the layout; a fourth number is the confidence, `null`
in place of a number or of a keypoint marks it missing; 21 points of a hand are under `"left_hand"` and `"right_hand"`,
or among the keypoints of a whole body. A number or text under `"time"` or `"id"` is handed through.
Out: `{"frame", "pose", "transl", "betas", "flagged"}` with pose as 72 numbers, rotvec [rad], and transl in metres, and
once hands were there `hand_pose` as 90 numbers and `hand_flagged`; or `{"line", "error"}`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.budget import shown
from learnable_smplify.solver.stream import StreamFrame

# A line longer than this holds something else than one person's keypoints.
MAX_LINE = 200_000
_PASSED_ON = ("time", "id")
_HANDS = ("left_hand", "right_hand")
_EXAMPLE = '{"keypoints": [[x, y, z], ...]}'
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class StreamLine:
    """A frame as it came.

    Args:
        keypoints: (K, 3), NaN where missing.
        confidence: (K,) in [0, 1].
        passed_on: what the answer repeats.
        hands: (2, 21, 4) left and right, confidence last, NaN where missing; None without.
    """

    keypoints: np.ndarray
    confidence: np.ndarray
    passed_on: dict[str, Any]
    hands: np.ndarray | None = None


def parse_line(text: str | bytes, number: int) -> StreamLine:
    """Read one line.

    Raises:
        InputError: not such a line; says which one and what is wrong with it.
    """
    where = f"line {number}"
    if len(text) > MAX_LINE:
        raise InputError(f"the line has {len(text):,} characters", where=where, expected=f"at most {MAX_LINE:,}")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError("this is not JSON", where=where, expected=f"{_EXAMPLE}, null for what is missing") from error
    points = value.get("keypoints") if isinstance(value, dict) else value
    if not isinstance(points, list) or not points:
        raise InputError("there are no keypoints in it", where=where, expected=_EXAMPLE)
    rows = [_row(point, where, index) for index, point in enumerate(points)]
    table = np.array(rows, dtype=np.float64)
    passed_on: dict[str, Any] = {}
    if isinstance(value, dict):
        kept = {key: value[key] for key in _PASSED_ON if key in value}
        passed_on = {key: held for key, held in kept.items() if _passes(held)}
    hands = _hands(value, where) if isinstance(value, dict) else None
    return StreamLine(table[:, :3].astype(np.float32), np.clip(table[:, 3], 0, 1).astype(np.float32), passed_on, hands)


def _hands(value: dict[str, Any], where: str) -> np.ndarray | None:
    found = np.full((2, 21, 4), np.nan)
    for side, key in enumerate(_HANDS):
        points = value.get(key)
        if points is None or points == []:
            continue
        if not isinstance(points, list) or len(points) != 21:
            raise InputError(f"'{key}' is no hand", where=where, expected="21 points, [x, y, z] or [x, y, z, c]")
        found[side] = [_row(point, where, index) for index, point in enumerate(points)]
    return found if np.isfinite(found[..., 0]).any() else None


def _no_number(word: str) -> float:
    """NaN and Infinity are no JSON, though Python reads and writes them."""
    raise ValueError(word)


def _passes(held: object) -> bool:
    """Text and numbers that JSON can say: 1e999 is read as infinity."""
    return isinstance(held, str | int) or (isinstance(held, float) and math.isfinite(held))


def _row(point: object, where: str, index: int) -> tuple[float, float, float, float]:
    if point is None:
        return math.nan, math.nan, math.nan, 0.0
    if not isinstance(point, list) or len(point) not in (3, 4):
        raise InputError(f"keypoint {index} is not [x, y, z] or [x, y, z, confidence]", where=where, expected=_EXAMPLE)
    numbers = [_number(part, where, index) for part in point]
    x, y, z = numbers[:3]
    trust = numbers[3] if len(numbers) == 4 else 1.0
    if not all(abs(part) < 1e30 for part in (x, y, z)) or math.isnan(trust):  # NaN and infinity too
        return math.nan, math.nan, math.nan, 0.0
    return x, y, z, trust


def _number(part: object, where: str, index: int) -> float:
    if part is None:
        return math.nan
    if isinstance(part, bool) or not isinstance(part, int | float):
        raise InputError(f"keypoint {index} holds {shown(part)}", where=where, expected="numbers or null")
    try:
        return float(part)
    except OverflowError:
        return math.inf


def pose_line(frame: StreamFrame, passed_on: dict[str, Any]) -> str:
    """The answer to a frame."""
    answer = {
        "frame": frame.frame,
        **passed_on,
        "pose": _rounded(frame.pose.flatten().tolist()),
        "transl": _rounded(frame.transl.tolist()),
        "betas": _rounded(frame.betas.tolist()),
        "flagged": frame.flagged,
    }
    if frame.hand_pose is not None and frame.hand_flagged is not None:
        answer["hand_pose"] = _rounded(frame.hand_pose.flatten().tolist())
        answer["hand_flagged"] = frame.hand_flagged.tolist()
    return json.dumps(answer, allow_nan=False)


def error_line(number: int, error: InputError) -> str:
    """The answer to a line that is not a frame."""
    return json.dumps({"line": number, "error": str(error)})


def _rounded(values: list[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
