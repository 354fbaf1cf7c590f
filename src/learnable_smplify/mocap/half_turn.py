"""Hands, feet and heads that a capture has turned round by half a circle, and back."""

from __future__ import annotations

from dataclasses import replace

import roma
import torch

from learnable_smplify.mocap.plausible import ENDS, MAX_ANGLE_DEG
from learnable_smplify.mocap.source import angle_deg
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX, PARENTS

# Below this share of the clip, frames that bend too far are a matter for `check_plausible`, which flags them.
_MIN_SHARE = 0.25
# After the half turn, this share of those frames are within what people can.
_MENDED_SHARE = 0.9


def undo_half_turns(motion: Motion) -> Motion:
    """Turn an end of the body back where the capture shows it half a circle round for a good part of a clip.

    A solver that mistakes the front of a head or the sole of a foot for its back is off by half a turn about one of
    the bone's axes, from then on or for the whole clip. Only frames that nobody can reach are touched, and only where
    one half turn explains nearly all of them.

    Returns:
        The motion, with a note for every joint turned back.
    """
    rotmats = roma.rotvec_to_rotmat(motion.pose.to(torch.float64))
    notes = []
    for name in ENDS:
        joint, limit = JOINT_INDEX[name], MAX_ANGLE_DEG[name]
        far = angle_deg(rotmats[:, joint]) > limit
        if float(far.double().mean()) < _MIN_SHARE:
            continue
        turns = [roma.rotvec_to_rotmat(torch.pi * axis) for axis in torch.eye(3, dtype=torch.float64)]
        bends = [angle_deg(rotmats[far, joint] @ turn) for turn in turns]
        best = min(range(3), key=lambda axis: float(bends[axis].median()))
        if float((bends[best] < limit).double().mean()) < _MENDED_SHARE:
            continue
        rotmats[far, joint] = rotmats[far, joint] @ turns[best]
        for child, parent in enumerate(PARENTS):
            if parent == joint:
                # What hangs on it was turned round with it.
                rotmats[far, child] = turns[best].mT @ rotmats[far, child] @ turns[best]
        notes.append(f"{name} is half a turn off in {int(far.sum())} of {len(motion)} frames: turned back")
    if not notes:
        return motion
    return replace(motion, pose=roma.rotmat_to_rotvec(rotmats), notes=(*motion.notes, *notes))
