"""BVH files of SMPL motions: 24 joints, or 52; degrees; SMPL's names, centimetres and Y up unless asked otherwise."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import roma
import torch

from learnable_smplify.body.body import Body
from learnable_smplify.formats.motion.bone_names import bone_names
from learnable_smplify.formats.motion.rig import Rig, rig_motion
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import Motion
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import NUM_JOINTS

_UNITS_PER_METRE = {"cm": 100.0, "m": 1.0}
# Intrinsic: R = Rz Rx Ry, written in this order in every joint's channels.
_EULER_ORDER = "ZXY"
# Where the bones without a child end, as points of the body.
_TIPS: dict[str, tuple[tuple[str, float], ...]] = {
    "head": (("head_top", 1.0),),
    "left_foot": (("left_big_toe", 0.5), ("left_small_toe", 0.5)),
    "right_foot": (("right_big_toe", 0.5), ("right_small_toe", 0.5)),
    "left_hand": (("left_hand_tip", 1.0),),
    "right_hand": (("right_hand_tip", 1.0),),
}
_CHUNK = 4096


def write_bvh(
    motion: Motion, path: str | PathLike[str], body: Body | None = None, style: MotionStyle | None = None
) -> tuple[str, ...]:
    """Write a motion as BVH.

    The rest pose is SMPL's T-pose at the motion's betas, so all channels at zero are a person with the arms out. A
    motion with fingers gets SMPL-H's 52 joints, whose rest is the flat hand. The pelvis has three positions and three
    rotations, every other joint three rotations (Z, X, Y, in degrees). The root's OFFSET is zero: programs disagree on
    whether its position channels come on top of it.

    Args:
        motion: T frames; a motion that is Z or X up is turned to Y up.
        path: the file to write, whole or not at all.
        body: whose bones; None takes the open body where the motion belongs to it.
        style: which way is up (Y unless it says otherwise), names of the bones, unit.

    Returns:
        Notes for the user: what was turned or assumed.

    Raises:
        InputError: no body for a motion of a licensed one, or the folder cannot be written to.
    """
    style = style or MotionStyle()
    rig = rig_motion(motion, Path(path), body, style.up or "y")
    scale = _UNITS_PER_METRE[style.bvh_unit]
    hierarchy, order = _hierarchy(rig, motion, scale, bone_names(style.skeleton, rig.mesh.joint_names))
    channels = _channels(rig, order, scale)
    with atomic_output(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.write(f"{hierarchy}MOTION\nFrames: {len(motion)}\nFrame Time: {1 / motion.fps:.10g}\n")
        line = " ".join(["%.5f"] * channels.shape[1]) + "\n"
        for first in range(0, len(channels), _CHUNK):
            rows = channels[first : first + _CHUNK]
            file.write((line * len(rows)) % tuple(rows.ravel().tolist()))
    return rig.notes


def _channels(rig: Rig, order: list[int], scale: float) -> np.ndarray:
    """(T, 3 + 3 J): position of the pelvis, then three angles [deg] a joint."""
    # Straight down or up, an Euler angle is free; the matrices stay exact, and unwrapping keeps curves whole.
    angles = roma.rotmat_to_euler(_EULER_ORDER, rig.local_rotmat, degrees=True).numpy()
    angles = np.unwrap(angles, period=360.0, axis=0)[:, order]
    return np.concatenate((rig.root_positions.numpy() * scale, angles.reshape(len(angles), -1)), axis=1)


def _hierarchy(rig: Rig, motion: Motion, scale: float, names: tuple[str, ...]) -> tuple[str, list[int]]:
    """The skeleton's text, and the joints in the order in which it names them, which is that of the channels."""
    offsets = rig.offsets().numpy() * scale
    tips = _tips(rig, motion, scale)
    lines = ["HIERARCHY"]
    order: list[int] = []

    def add(joint: int, depth: int) -> None:
        order.append(joint)
        pad, name = "\t" * depth, rig.mesh.joint_names[joint]
        offset = np.zeros(3) if joint == 0 else offsets[joint]
        rotations = " ".join(f"{axis}rotation" for axis in _EULER_ORDER)
        channels = f"6 Xposition Yposition Zposition {rotations}" if joint == 0 else f"3 {rotations}"
        lines.extend((f"{pad}{'ROOT' if joint == 0 else 'JOINT'} {names[joint]}", f"{pad}{{"))
        lines.extend((f"{pad}\tOFFSET {_numbers(offset)}", f"{pad}\tCHANNELS {channels}"))
        for child, parent in enumerate(rig.parents):
            if parent == joint:
                add(child, depth + 1)
        if name in tips:
            lines.extend((f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {_numbers(tips[name])}", f"{pad}\t}}"))
        lines.append(f"{pad}}}")

    add(0, 0)
    return "\n".join(lines) + "\n", order


def _tips(rig: Rig, motion: Motion, scale: float) -> dict[str, np.ndarray]:
    """Offset of every end site from its joint, in the rest pose."""
    layout = Layout(
        name="bone_tips", title="Bone tips", keypoint_names=tuple(_TIPS), points=tuple(_TIPS.values()), edges=()
    )
    rest_pose = torch.zeros(1, NUM_JOINTS, 3, dtype=torch.float64)
    tips = dict(zip(_TIPS, rig.body.keypoints(rest_pose, motion.betas.cpu(), layout=layout)[0], strict=True))
    tips |= rig.mesh.fingertips()
    names = rig.mesh.joint_names
    return {
        name: (tip - rig.rest_joints[names.index(name)]).numpy() * scale for name, tip in tips.items() if name in names
    }


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)
