"""Motion that our own importer did not make, or that it made and a convention was laid on: what a network has not seen.

SMPL poses of different sources differ by constant rotations of joints that keypoints hardly show. A network that has
learned one source's habit does well on that source's eval split and badly on everything else.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.pairs import FPS
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.resample import resample_motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.safe_files.npz import npz_names, read_npz
from learnable_smplify.skeleton import JOINT_INDEX, NUM_JOINTS
from learnable_smplify.training.conventions import FREE_JOINTS

# In a collection of clips in one file: NAME|p rotvecs (T, 24, 3) [rad], NAME|t translations (T, 3) [m].
_POSE, _TRANSL = "|p", "|t"
_KEPT = [JOINT_INDEX[name] for name in FREE_JOINTS]


def offset_clips(clips: list[Clip], degrees: float, seed: int = 0) -> list[Clip]:
    """The clips in other conventions: every joint but pelvis and hands turned by `degrees` about an axis of its own.

    One random rotation for each joint and clip, the same in all its frames: R becomes R O.
    """
    generator = torch.Generator().manual_seed(seed)
    offset = []
    for clip in clips:
        axis = torch.nn.functional.normalize(torch.randn(NUM_JOINTS, 3, generator=generator), dim=-1)
        axis[_KEPT] = 0
        turned = rotvec_to_rotmat(clip.pose) @ rotvec_to_rotmat(math.radians(degrees) * axis)
        offset.append(replace(clip, pose=rotmat_to_rotvec(turned)))
    return offset


def read_foreign(path: Path) -> list[Clip]:
    """Clips of a file or of all files below a folder, at 30 frames a second, without their people's betas.

    Args:
        path: SMPL motion files (AMASS-style .npz), or one .npz of many clips with the keys NAME|p and NAME|t.

    Raises:
        InputError: nothing there, or a file that cannot be read.
    """
    paths = sorted(path.rglob("*.npz")) if path.is_dir() else [path]
    if not paths or not paths[0].is_file():
        raise InputError("no motion found", path=path, expected="SMPL motion (.npz), or a folder with such files")
    clips = [clip for file in paths for clip in _clips_of(file, path)]
    return [clip for clip in clips if len(clip.pose) > 1]


def _clips_of(file: Path, root: Path) -> list[Clip]:
    names = _collection(file)
    if not names:
        motion = resample_motion(read_motion(file), FPS)
        name = file.stem if file == root else str(file.relative_to(root).with_suffix(""))
        return [Clip(name, motion.pose, motion.transl, FPS)]
    arrays, clips = read_npz(file), []
    for name in names:
        pose, transl = (torch.as_tensor(np.asarray(arrays[name + part], np.float32)) for part in (_POSE, _TRANSL))
        if pose.ndim != 3 or pose.shape[1:] != (NUM_JOINTS, 3) or transl.shape != (len(pose), 3):
            raise InputError(
                f"clip '{name}' has shapes {tuple(pose.shape)} and {tuple(transl.shape)}",
                path=file,
                expected="(T, 24, 3) and (T, 3)",
            )
        clips.append(Clip(name, pose, transl, FPS))
    return clips


def _collection(file: Path) -> list[str]:
    """Names of the clips in a file of many; none for another file."""
    keys = set(npz_names(file))  # of a damaged file none: the reader of motions tells what is wrong with it
    poses = {key.removesuffix(_POSE) for key in keys if key.endswith(_POSE)}
    return sorted(name for name in poses if name + _TRANSL in keys)
