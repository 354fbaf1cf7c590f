"""Repairs of keypoint recordings before they are solved: spikes, exchanged sides, repeated frames, gaps."""

from learnable_smplify.repair.gaps import GapPolicy, check_seen, cut_keypoints, interpolate_gaps
from learnable_smplify.repair.held import without_held
from learnable_smplify.repair.repair import RepairOptions, Repairs, repair_keypoints
from learnable_smplify.repair.stream import RepairedFrame, RepairStream

__all__ = [
    "GapPolicy",
    "RepairOptions",
    "RepairStream",
    "RepairedFrame",
    "Repairs",
    "check_seen",
    "cut_keypoints",
    "interpolate_gaps",
    "repair_keypoints",
    "without_held",
]
