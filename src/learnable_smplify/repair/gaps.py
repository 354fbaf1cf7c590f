"""A person out of view: where, and what becomes of the recording there."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_between
from learnable_smplify.timeline import around, runs

GapPolicy = Literal["interpolate", "cut"]
Segment = tuple[int, int]
"""First frame, and the frame after the last."""


def find_gaps(valid: Bool[np.ndarray, "T K"], fps: float, longest_s: float, fewest: int) -> Bool[np.ndarray, " T"]:
    """Frames in runs of at least `longest_s` seconds with fewer than `fewest` valid keypoints."""
    absent = valid.sum(axis=1) < fewest
    mask = np.zeros_like(absent)
    for first, end in runs(absent):
        mask[first:end] = end - first >= longest_s * fps
    return mask


def segments(gap: Bool[np.ndarray, " T"], policy: GapPolicy) -> tuple[Segment, ...]:
    """The pieces a recording is solved in: between the gaps for "cut", the whole for "interpolate"."""
    return ((0, len(gap)),) if policy == "interpolate" else tuple(runs(~gap))


def cut_keypoints(keypoints: Keypoints, pieces: tuple[Segment, ...]) -> tuple[Keypoints, ...]:
    """The pieces of a recording, each with a note of where it was (frames count from 0)."""
    return tuple(
        replace(
            keypoints,
            positions=keypoints.positions[first:end],
            confidence=keypoints.confidence[first:end],
            hands=None if keypoints.hands is None else keypoints.hands[first:end],
            start_s=keypoints.start_s + first / keypoints.fps,
            notes=(*keypoints.notes, f"frames {first}-{end - 1} of the recording"),
        )
        for first, end in pieces
    )


def check_seen(keypoints: Keypoints, gap: Bool[Tensor, " T"], fewest: int) -> None:
    """Nothing, unless every frame of a recording is a gap.

    Raises:
        InputError: it is.
    """
    if bool(gap.all()):
        most = int((keypoints.confidence > 0).sum(dim=1).max())
        raise InputError(
            f"no frame shows enough of the person: at most {most} of {keypoints.confidence.shape[1]} keypoints are "
            "measured at a time",
            expected=f"at least {fewest}",
        )


def interpolate_gaps(motion: Motion, gap: Bool[Tensor, " T"]) -> Motion:
    """Put poses into the gaps: joints turn the short way from the frame before to the frame behind, `transl` on a line.

    A gap at an end of the motion takes the pose of its one neighbour. The frames are flagged.

    Raises:
        InputError: the mask has another length, or nothing is outside the gaps.
    """
    gap = gap.to(torch.bool)
    if gap.shape != (len(motion),):
        raise InputError(f"the gap mask has shape {tuple(gap.shape)}", expected=f"({len(motion)},)")
    kept = (~gap).nonzero()[:, 0]
    if len(kept) == 0:
        raise InputError("the person is out of view in every frame", expected="at least one frame outside the gaps")
    if len(kept) == len(motion):
        return motion
    rows = gap.nonzero()[:, 0]
    before, after, share = (part[rows] for part in around(kept, len(motion)))
    before, after, share = kept[before], kept[after], share.to(motion.pose)
    pose, transl, flagged = motion.pose.clone(), motion.transl.clone(), motion.flagged.clone()
    pose[rows] = rotvec_between(motion.pose[before], motion.pose[after], share[:, None, None])
    transl[rows] = torch.lerp(motion.transl[before], motion.transl[after], share[:, None])
    flagged[rows] = True
    fingers, guessed = motion.hand_pose, motion.hand_flagged
    if fingers is not None and guessed is not None:
        fingers, guessed = fingers.clone(), guessed.clone()
        fingers[rows] = rotvec_between(fingers[before], fingers[after], share[:, None, None])
        guessed[rows] = True
    return replace(motion, pose=pose, transl=transl, flagged=flagged, hand_pose=fingers, hand_flagged=guessed)
