"""Solvers: from keypoints and a start, or from keypoints alone, to SMPL poses."""

from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.frame.numeric import PairOptions
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.smplify.smplify import SmplifyOptions
from learnable_smplify.solver.solver import Solver

__all__ = [
    "ClipOptions",
    "LevenbergMarquardt",
    "PairOptions",
    "RecordingOptions",
    "SmplifyOptions",
    "Solver",
]
