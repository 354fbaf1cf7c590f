"""`DatasetSequence`: one person's motion in one sequence of a data set, as its authors annotated it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.motion import Motion, UpAxis


@dataclass(frozen=True, eq=False)
class DatasetSequence:
    """SMPL parameters of one person.

    Args:
        name: of the sequence, unique in its data set.
        subject: who it is, as far as the data set tells.
        pose: (T, 24, 3) rotvec [rad]; joints the body does not have (SMPL's hands) are zero.
        transl: (T, 3) metres.
        betas: all of them, as many as the file has.
        gender: "neutral", "male" or "female".
        fps: frames a second.
        body: "smpl", "smplh" or "smplx": whose joints and betas these are.
        valid: (T,) bool, the frames to be used.
        path: the file, or the folder where a sequence is many files.
        up_axis: which axis points up, None where the data set does not say.
    """

    name: str
    subject: str
    pose: Float[Tensor, "T 24 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "N"]
    gender: str
    fps: float
    body: str
    valid: Bool[Tensor, "T"]
    path: Path
    up_axis: UpAxis | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pose)

    def to_motion(self) -> Motion:
        """The sequence as a motion with its first 10 betas; frames that are not valid are flagged."""
        return Motion(
            pose=self.pose,
            transl=self.transl,
            betas=self.betas[:10],
            fps=self.fps,
            body=self.body,
            gender=self.gender,
            up_axis=self.up_axis,
            flagged=~self.valid,
            notes=(f"of {len(self.betas)} betas the first 10 are used",) if self.betas[10:].any() else (),
        )


def sequence_of(
    *,
    name: str,
    subject: str,
    pose: np.ndarray,
    transl: np.ndarray,
    betas: np.ndarray,
    gender: str,
    fps: float,
    body: str,
    valid: np.ndarray | None,
    path: Path,
) -> DatasetSequence:
    """A `DatasetSequence` from arrays as they were read.

    Args:
        pose: (T, 66) or (T, 72) rotvec.
        transl: (T, 3) metres.
        betas: (N,).
        valid: (T,), None for all. Frames with NaN or infinity are not valid, whatever it says.
        name, subject, gender, fps, body, path: as in `DatasetSequence`.

    Raises:
        InputError: no frame, or lengths that differ.
    """
    frames = len(pose)
    valid = np.ones(frames, dtype=bool) if valid is None else np.asarray(valid).reshape(-1) != 0
    if frames == 0 or len(transl) != frames or len(valid) != frames:
        raise InputError(
            f"{frames} poses, {len(transl)} translations and {len(valid)} marks of valid frames",
            path=path,
            where=name,
            expected="as many of each, at least one",
        )
    if not np.isfinite(betas).all():
        raise InputError("the betas hold NaN or infinity", path=path, where=name, expected="finite numbers")
    pose = np.pad(pose, ((0, 0), (0, 72 - pose.shape[1])))
    with np.errstate(over="ignore"):
        values = np.concatenate((pose, transl), axis=1).astype(np.float32)
    finite = np.isfinite(values).all(axis=1)
    values[~finite] = 0
    return DatasetSequence(
        name=name,
        subject=subject,
        pose=torch.from_numpy(values[:, :72].copy()).unflatten(1, (24, 3)),
        transl=torch.from_numpy(values[:, 72:].copy()),
        betas=torch.from_numpy(np.asarray(betas, dtype=np.float32)),
        gender=gender,
        fps=fps,
        body=body,
        valid=torch.from_numpy(valid & finite),
        path=path,
    )


def chosen_split(split: str | None, splits: tuple[str, ...], default: str, root: Path) -> str:
    """The split to read.

    Raises:
        InputError: the data set has no such split.
    """
    if split is not None and split not in splits:
        raise InputError(f"there is no split '{split}'", path=root, expected=f"one of {', '.join(splits)}")
    return default if split is None else split


def folder_below(root: Path, split: str | None) -> Path:
    """The folder a split names where splits are folders; `root` for None.

    Raises:
        InputError: there is no such folder below `root`.
    """
    folder = root / split if split else root
    if not folder.is_relative_to(root) or ".." in Path(split or "").parts or not folder.is_dir():
        raise InputError(f"there is no folder '{split}' below it", path=root, hint=f"ls {root}")
    return folder
