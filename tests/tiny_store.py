"""A tiny motion store for tests: a few smooth random clips, written by the package's own `prepare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from scipy.ndimage import gaussian_filter1d

from learnable_smplify.cli.prepare import PrepareArgs, prepare
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.motion import Motion
from learnable_smplify.training.store import MotionStore


def smooth_motion(frames: int, seed: int) -> Motion:
    rng = np.random.default_rng(seed)
    pose = gaussian_filter1d(rng.normal(size=(frames, 24, 3)), 8, axis=0)
    pose *= 0.3 / pose.std()
    transl = gaussian_filter1d(rng.normal(size=(frames, 3)), 8, axis=0)
    return Motion(pose=torch.as_tensor(pose), transl=torch.as_tensor(transl), betas=torch.zeros(10), fps=30.0)


def write_motions(root: Path) -> Path:
    """Motions of train and eval subjects, as `import-motion` leaves them."""
    seed = 0
    for subject in ("cmu/01", "cmu/02", "cmu/49"):
        for clip in range(4):
            write_motion(smooth_motion(60, seed), root / subject / f"clip_{clip}.npz")
            seed += 1
    return root


def tiny_store(folder: Path) -> MotionStore:
    motions = write_motions(folder / "motions")
    return prepare(PrepareArgs(motions, output=folder / "store"), Console(quiet=True))
