"""The canonical points: every place on a body that some keypoint layout can name.

A layout maps each of its keypoints to one of these points or to a weighted sum of them, so a new layout never
needs a new regressor. A body supplies the points: the 24 joints come from the kinematic chain itself, the
landmarks from the body's `point_regressor` (a sparse row of vertex weights).
"""

from __future__ import annotations

from learnable_smplify.skeleton import JOINT_NAMES, mirrored_name

_LEFT_LANDMARKS: tuple[tuple[str, str], ...] = (
    ("left_eye", "centre of the left eyeball"),
    ("left_eye_inner", "inner corner of the left eye"),
    ("left_eye_outer", "outer corner of the left eye"),
    ("left_ear", "left ear, at the tragus (front of the ear canal)"),
    ("left_mouth", "left corner of the mouth"),
    ("left_big_toe", "tip of the left big toe"),
    ("left_small_toe", "tip of the left small toe"),
    ("left_heel", "rearmost point of the left heel, near the sole"),
    ("left_index_knuckle", "left index finger, knuckle at the palm (MCP)"),
    ("left_pinky_knuckle", "left little finger, knuckle at the palm (MCP)"),
    ("left_thumb_knuckle", "left thumb, middle knuckle (MCP)"),
    ("left_thumb_tip", "tip of the left thumb"),
    ("left_hand_tip", "tip of the left middle finger"),
)

_MIDDLE_LANDMARKS: tuple[tuple[str, str], ...] = (
    ("nose", "tip of the nose"),
    ("chin", "front of the chin"),
    ("head_top", "crown of the head"),
    ("upper_neck", "middle of the neck at chin height (BODY_25B, MPII)"),
    ("jugular", "notch between the collar bones"),
)

LANDMARKS: dict[str, str] = dict(_MIDDLE_LANDMARKS)
for _name, _what in _LEFT_LANDMARKS:
    LANDMARKS[_name] = _what
    LANDMARKS[mirrored_name(_name)] = _what.replace("left", "right")

CANONICAL_POINTS: tuple[str, ...] = (*JOINT_NAMES, *LANDMARKS)
