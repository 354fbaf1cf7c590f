"""AMASS: `SUBSET/SUBJECT/NAME_poses.npz` (SMPL-H) or `NAME_stageii.npz` (SMPL-X)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from learnable_smplify.datasets.sequence import DatasetSequence, folder_below
from learnable_smplify.formats.motion.amass import read_amass
from learnable_smplify.safe_files.npz import read_npz

LAYOUT = "[SUBSET/]SUBJECT/NAME_poses.npz or NAME_stageii.npz"


def read_amass_dataset(root: Path, split: str | None = None) -> Iterator[DatasetSequence]:
    """Every sequence below `root`; `shape.npz` and `*_stagei.npz` hold a body only and are passed over.

    Args:
        root: a folder of AMASS, of one of its subsets, or of one subject.
        split: a folder below it, such as "CMU"; None reads all.

    Raises:
        InputError: a file without `poses`, `trans` or a frame rate, or with shapes that do not fit; names file and key.
    """
    folder = folder_below(root, split)
    for path in sorted((*folder.rglob("*_poses.npz"), *folder.rglob("*_stageii.npz"))):
        motion = read_amass(path)
        betas = read_npz(path, ("betas",)).get("betas", np.zeros(10))
        yield DatasetSequence(
            name=path.relative_to(root).with_suffix("").as_posix(),
            subject=path.parent.relative_to(root).as_posix(),
            pose=motion.pose,
            transl=motion.transl,
            betas=torch.from_numpy((betas[0] if betas.ndim == 2 else betas).astype(np.float32)),
            gender=motion.gender,
            fps=motion.fps,
            body=motion.body,
            valid=torch.ones(len(motion), dtype=torch.bool),
            path=path,
            up_axis=motion.up_axis,
        )
