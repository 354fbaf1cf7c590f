"""Imported motion as evaluation clips, split by subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.splits import EVAL_SUBJECTS, TRAIN_SUBJECTS

EvaluatedSplit = Literal["train", "eval"]
_SUBJECTS: dict[str, tuple[str, ...]] = {"eval": EVAL_SUBJECTS, "train": TRAIN_SUBJECTS}


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip of motion.

    Args:
        name: path below the root, without suffix.
        pose: (T, 24, 3) rotvec [rad].
        transl: (T, 3) metres.
        fps: frames a second.
        betas: (10,) the person's own, None where the motion came without a person.
    """

    name: str
    pose: Float[Tensor, "T 24 3"]
    transl: Float[Tensor, "T 3"]
    fps: float
    betas: Float[Tensor, "10"] | None = None


def read_clips(root: Path, split: EvaluatedSplit) -> list[Clip]:
    """All clips of a split below a folder that `lsmplify import-motion` wrote, in a fixed order.

    Raises:
        InputError: the folder has no clip of that split.
    """
    paths = sorted(path for subject in _SUBJECTS[split] for path in (root / subject).rglob("*.npz"))
    if not paths:
        raise InputError(
            f"no motion of the {split} split found",
            path=root,
            expected=f"folders {', '.join(_SUBJECTS[split])} with .npz files",
            hint="lsmplify import-motion ~/motion -o ~/motion30",
        )
    clips = []
    for path in paths:
        motion = read_motion(path)
        clips.append(Clip(str(path.relative_to(root).with_suffix("")), motion.pose, motion.transl, motion.fps))
    return clips


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs of a start pose and a later target pose, each of its own person.

    Args:
        start_pose, target_pose: (N, 24, 3) rotvec [rad].
        start_transl, target_transl: (N, 3) metres.
        betas: (N, 10), the clips' own, or drawn from N(0, 1).
    """

    start_pose: Float[Tensor, "N 24 3"]
    target_pose: Float[Tensor, "N 24 3"]
    start_transl: Float[Tensor, "N 3"]
    target_transl: Float[Tensor, "N 3"]
    betas: Float[Tensor, "N 10"]

    def __len__(self) -> int:
        return len(self.betas)


def make_pairs(clips: list[Clip], stride: int, every: int = 9) -> Pairs:
    """Pairs (t, t + stride) for every `every`-th frame t of each clip.

    Betas are the clip's own where it has any, and random ones of a fixed seed otherwise.

    Raises:
        InputError: no clip is longer than `stride` frames.
    """
    starts, targets, people = [], [], []
    for clip in clips:
        first = torch.arange(0, max(len(clip.pose) - stride, 0), every)
        starts.append((clip.pose[first], clip.transl[first]))
        targets.append((clip.pose[first + stride], clip.transl[first + stride]))
        people.append(torch.full((10,), torch.nan) if clip.betas is None else clip.betas)
    number = sum(len(pose) for pose, _ in starts)
    if number == 0:
        raise InputError(f"none of the {len(clips)} clips is longer than {stride} frames", expected="longer clips")
    start_pose, start_transl = (torch.cat(part) for part in zip(*starts, strict=True))
    target_pose, target_transl = (torch.cat(part) for part in zip(*targets, strict=True))
    betas = torch.randn(number, 10, generator=torch.Generator().manual_seed(0))
    own = torch.stack(people).repeat_interleave(torch.tensor([len(pose) for pose, _ in starts]), dim=0)
    return Pairs(start_pose, target_pose, start_transl, target_transl, torch.where(own.isnan(), betas, own))
