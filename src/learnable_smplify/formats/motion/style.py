"""What other programs want of a motion file: which way is up, whose betas, whose bone names, which unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FileUp = Literal["y", "z"]
BetasFor = Literal["motion", "smpl"]
BoneNames = Literal["smpl", "mixamo", "unreal", "vrm"]
BvhUnit = Literal["cm", "m"]


@dataclass(frozen=True)
class MotionStyle:
    """How a motion is written.

    Args:
        up: which axis points up in the file. None is the format's own habit: Z for .npz, as in AMASS, where the turn is
            recorded in the file and undone on reading; Y for .bvh and .glb.
        betas_for: whose betas an .npz has in the key `betas`: the motion's own body's ("motion"), or SMPL's. The open
            body's say nothing about SMPL's shape space: for SMPL they are zeros, with the person's height beside them.
        skeleton: names of the bones in .bvh and .glb.
        bvh_unit: unit of the positions in a .bvh.
    """

    up: FileUp | None = None
    betas_for: BetasFor = "motion"
    skeleton: BoneNames = "smpl"
    bvh_unit: BvhUnit = "cm"
