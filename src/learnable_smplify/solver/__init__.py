"""Solvers: from keypoints and a start, or from keypoints alone, to SMPL poses."""

from learnable_smplify.solver.clip import ClipOptions
from learnable_smplify.solver.cold_start import ColdStart
from learnable_smplify.solver.levenberg_marquardt import LevenbergMarquardt
from learnable_smplify.solver.numeric import PairOptions
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.smplify import SmplifyOptions
from learnable_smplify.solver.solver import Solver

__all__ = [
    "ClipOptions",
    "ColdStart",
    "LevenbergMarquardt",
    "PairOptions",
    "RecordingOptions",
    "SmplifyOptions",
    "Solver",
]
