"""SMPL's 24-joint tree: names, parents, mirror pairs. Pure constants, no body data."""

from __future__ import annotations

JOINT_NAMES: tuple[str, ...] = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)

PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

NUM_JOINTS = len(JOINT_NAMES)


def _way_up(joint: int) -> tuple[int, ...]:
    return (joint,) if PARENTS[joint] < 0 else (joint, *_way_up(PARENTS[joint]))


WAYS_UP: tuple[tuple[int, ...], ...] = tuple(_way_up(joint) for joint in range(NUM_JOINTS))
"""From each joint by its parents to the pelvis."""

JOINT_INDEX: dict[str, int] = {name: index for index, name in enumerate(JOINT_NAMES)}


SIDES: tuple[str, str] = ("left", "right")


def sided(*names: str) -> tuple[str, ...]:
    """The names of both sides: all of the left's, then the right's."""
    return tuple(f"{side}_{name}" for side in SIDES for name in names)


WRISTS: tuple[int, int] = (JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"])


def mirrored_name(name: str) -> str:
    """The name of the same place on the other side of the body (`left_*` <-> `right_*`, others unchanged)."""
    if name.startswith("left_"):
        return "right_" + name[len("left_") :]
    if name.startswith("right_"):
        return "left_" + name[len("right_") :]
    return name


MIRROR: tuple[int, ...] = tuple(JOINT_INDEX[mirrored_name(name)] for name in JOINT_NAMES)
