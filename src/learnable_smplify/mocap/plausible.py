"""Does a captured motion stay within what a person can do? Capture glitches do not."""

from __future__ import annotations

import itertools
from dataclasses import replace

import roma
import torch
from jaxtyping import Bool
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.source import angle_deg
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES

MAX_ROOT_SPEED_M_S = 15.0
"""Sprinters reach 12 m/s; a capture that loses its root moves at 20 to 100."""

MAX_TURN_RAD_S = 100.0
MIN_JUMP_RAD = 0.7
"""A throw turns the upper arm at some 80 rad/s, about the fastest turn of any joint. Below `MIN_JUMP_RAD` in one
frame a turn is noise at a high frame rate rather than a jump."""

GLITCH_SECONDS = 0.25
"""Between two jumps, or between a jump and the clip's end, no further apart than this, the motion is a glitch too: a
limb without markers stands in its rest pose for the first frames of some CMU clips."""

_LIMITS_DEG = {
    "hip": 150,
    "knee": 165,
    "ankle": 90,
    "spine1": 110,
    "spine2": 90,
    "spine3": 90,
    "neck": 90,
    "head": 90,
    "shoulder": 165,
    "elbow": 175,
    "wrist": 130,
}
MAX_ANGLE_DEG: dict[str, int] = {
    name: _LIMITS_DEG[name.split("_")[-1]] for name in JOINT_NAMES[1:] if name.split("_")[-1] in _LIMITS_DEG
}
"""Rotations from SMPL's T pose that nobody reaches, bending and twisting taken together. Wide on purpose: gymnasts stay
well inside, a foot or head whose markers were swapped does not."""

ENDS = ("head", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
"""Joints whose bones captures mistake as a whole: markers swapped, or a front taken for a back."""

MAX_FLAGGED_SHARE = 0.5


def check_plausible(motion: Motion) -> Motion:
    """Refuse a motion that is mostly or at its root a glitch; flag the frames where a joint jumps or bends too far.

    To be asked at the capture's own frame rate: a glitch of one frame can vanish in resampling.

    Returns:
        The motion, with the frames flagged and notes that name the first.

    Raises:
        InputError: the root moves faster than 15 m/s, or half of the frames have joints bent beyond `MAX_ANGLE_DEG`;
            names the frame and joint.
    """
    _check_root(motion)
    notes = list(motion.notes)
    flagged = motion.flagged.clone()
    rotations = roma.rotvec_to_rotmat(motion.pose)

    for name, limit in MAX_ANGLE_DEG.items():
        # Of the rotation, not of the vector: some programs write turns of more than half a circle.
        turned_deg = angle_deg(rotations[:, JOINT_INDEX[name]])
        bent = turned_deg > limit
        if not bool(bent.any()):
            continue
        count, frame = int(bent.sum()), int(bent.nonzero()[0])
        what = f"{name} is turned {float(turned_deg[frame]):.0f} degrees from the T pose at frame {frame}"
        if count > MAX_FLAGGED_SHARE * len(motion):
            raise InputError(
                f"{what} and beyond {limit} in {count} of {len(motion)} frames",
                expected=f"at most {limit} degrees",
                hint="check the names and the rest pose of the skeleton, or leave the clip out",
            )
        flagged |= bent
        notes.append(f"{what} ({count} frames beyond {limit} flagged)")

    turn = roma.rotmat_geodesic_distance(rotations[1:], rotations[:-1])
    jumps = (turn * motion.fps > MAX_TURN_RAD_S) & (turn > MIN_JUMP_RAD)
    if bool(jumps.any()):
        per_step = jumps.any(dim=1)
        around = _around_jumps(per_step, int(GLITCH_SECONDS * motion.fps))
        flagged |= around
        step, joint = (int(i) for i in jumps.nonzero()[0])
        notes.append(
            f"{JOINT_NAMES[joint]} turns {float(torch.rad2deg(turn[step, joint])):.0f} degrees in one frame at frame "
            f"{step + 1} ({int(per_step.sum())} jumps, {int(around.sum())} frames around them flagged)"
        )
    return replace(motion, flagged=flagged, notes=tuple(notes))


def _check_root(motion: Motion) -> None:
    if len(motion) < 2:
        return
    speed = (motion.transl[1:] - motion.transl[:-1]).norm(dim=-1) * motion.fps
    if float(speed.max()) > MAX_ROOT_SPEED_M_S:
        frame = int(speed.argmax()) + 1
        raise InputError(
            f"the body jumps at {float(speed.max()):.0f} m/s",
            where=f"frame {frame}",
            expected=f"at most {MAX_ROOT_SPEED_M_S:g} m/s",
            hint="cut the clip before that frame, or set the right frame rate",
        )


def _around_jumps(jumps: Bool[Tensor, "steps"], reach: int) -> Bool[Tensor, "frames"]:
    """Frames on either side of each step that jumps, and all frames between jumps at most `reach` frames apart."""
    count = len(jumps) + 1
    flagged = torch.zeros(count, dtype=torch.bool)
    at = [-1, *jumps.nonzero()[:, 0].tolist(), count - 1]
    for left, right in itertools.pairwise(at):
        if right - left <= reach:
            flagged[left + 1 : right + 1] = True
    flagged[:-1] |= jumps
    flagged[1:] |= jumps
    return flagged
