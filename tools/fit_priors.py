"""Fit the solver's Gaussian priors on imported motion and write `solver/frame/priors.safetensors`.

    lsmplify import-motion ~/motion -o ~/motion30
    python tools/fit_priors.py ~/motion30/cmu/{01,02,03,05,06,07,08,09,10,14,16,29,32,35,38,39,43,55,127} \
        ~/motion30/cmu_salsa ~/motion30/cmu_bvh_06 ~/motion30/cmu_bvh_2s

Only clips of the train split may be given. Every pose is used together with its mirror image. (Poses in random
conventions as well, as the network is trained on, made the prior wider and the cold start no better on foreign motion.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import roma
import torch
import tyro
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor

from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import MIRROR
from learnable_smplify.solver.frame.priors import PELVIS_PRECISION

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/solver/frame/priors.safetensors"


@dataclass(frozen=True)
class FitPriorsArgs:
    """Fit the pose prior and the change prior."""

    folders: tyro.conf.Positional[list[Path]]
    """Folders of imported motion (30 fps), train split only."""
    strides: tuple[int, ...] = (1, 3, 5, 7, 9)
    """Frames between the two poses of a change."""
    pose_floor_deg: float = 3.0
    """Standard deviation added to every joint angle of the pose prior."""
    change_floor_deg: float = 1.0
    """Standard deviation added to every joint angle of the change prior."""


def mirrored(pose: Tensor) -> Tensor:
    """Poses (..., 24, 3) of the person in the mirror: sides swapped, rotations reflected in x."""
    return pose[..., list(MIRROR), :] * torch.tensor([1.0, -1.0, -1.0])


def precision_of(errors: Tensor, floor_deg: float) -> Tensor:
    """Precision (72, 72) of zero-mean errors (N, 72), with a floor, and with the pelvis left free."""
    covariance = errors.T @ errors / len(errors)
    covariance = covariance + torch.eye(72, dtype=errors.dtype) * torch.deg2rad(torch.tensor(floor_deg)) ** 2
    precision = torch.eye(72, dtype=errors.dtype) * PELVIS_PRECISION
    precision[3:, 3:] = torch.linalg.inv(covariance[3:, 3:])
    return precision


def main(args: FitPriorsArgs) -> None:
    paths = sorted(path for folder in args.folders for path in folder.rglob("*.npz"))
    poses = []
    for path in track(paths, description="reading"):
        pose = read_motion(path).pose.double()
        poses += [pose, mirrored(pose)]
    local = [rotvec_to_rotmat(pose) for pose in poses]
    everything = torch.cat(local)
    pose_mean = roma.special_procrustes(everything.mean(0))
    pose_mean[0] = torch.eye(3)
    pose_error = rotmat_to_rotvec(everything @ pose_mean.transpose(-1, -2)).flatten(1)

    changes = []
    for clip in track(local, description="pairs"):
        for stride in args.strides:
            if len(clip) > stride:
                error = rotmat_to_rotvec(clip[stride:] @ clip[:-stride].transpose(-1, -2)).flatten(1)
                changes.append(torch.cat((error, -error)))
    change_error = torch.cat(changes)
    tensors = {
        "pose_mean": pose_mean.float(),
        "pose_precision": precision_of(pose_error, args.pose_floor_deg).float(),
        "change_precision": precision_of(change_error, args.change_floor_deg).float(),
    }
    save_file(tensors, OUTPUT, metadata={"clips": str(len(paths)), "poses": str(len(everything))})
    print(f"{OUTPUT}: {len(paths)} clips, {len(everything)} poses, {len(change_error)} changes")


if __name__ == "__main__":
    main(tyro.cli(FitPriorsArgs))
