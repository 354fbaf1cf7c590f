"""Fit SMPLify's mixture-of-Gaussians pose prior on imported motion and write `solver/smplify/pose_mixture.safetensors`.

    pip install scikit-learn
    lsmplify import-motion ~/motion -o ~/motion30
    python tools/fit_mixture.py ~/motion30

Only clips of the train split are read (`learnable_smplify.splits`). Every pose is used together with its mirror image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from sklearn.mixture import GaussianMixture

from learnable_smplify.evaluation.clips import read_clips
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import MIRROR

OUTPUT = Path(__file__).parents[1] / "src/learnable_smplify/solver/smplify/pose_mixture.safetensors"


@dataclass(frozen=True)
class FitMixtureArgs:
    """Fit the mixture prior over the 69 numbers of body_pose (rotvec)."""

    motions: tyro.conf.Positional[Path]
    """Folder that 'lsmplify import-motion' wrote."""
    components: int = 8
    """Gaussians in the mixture (SMPLify has 8)."""
    frames: int = 120
    """At most so many frames of each clip, spread over it: a long walk should not outweigh many short acts."""
    floor_deg: float = 3.0
    """Standard deviation added to every joint angle."""
    seed: int = 0
    """Of the start of expectation maximisation."""


def spread(poses: torch.Tensor, count: int) -> torch.Tensor:
    """At most `count` poses of a clip at even distances."""
    return poses[torch.linspace(0, len(poses) - 1, min(count, len(poses))).round().long()]


def mirrored(pose: torch.Tensor) -> torch.Tensor:
    """Poses (..., 24, 3) of the person in the mirror: sides swapped, rotations reflected in x."""
    return pose[..., list(MIRROR), :] * torch.tensor([1.0, -1.0, -1.0])


def main(args: FitMixtureArgs) -> None:
    clips = read_clips(args.motions, "train")
    poses = torch.cat([spread(clip.pose, args.frames) for clip in clips])
    body_pose = torch.cat((poses, mirrored(poses)))[:, 1:].flatten(1).double().numpy()
    mixture = GaussianMixture(
        args.components,
        covariance_type="full",
        reg_covar=float(np.deg2rad(args.floor_deg)) ** 2,
        max_iter=200,
        tol=1e-2,
        random_state=args.seed,
        verbose=2,
        verbose_interval=10,
    ).fit(body_pose)
    order = np.argsort(-mixture.weights_)
    tensors = {
        "means": torch.tensor(mixture.means_[order], dtype=torch.float32),
        "covars": torch.tensor(mixture.covariances_[order], dtype=torch.float32),
        "weights": torch.tensor(mixture.weights_[order], dtype=torch.float32),
    }
    names = hashlib.sha256("\n".join(clip.name for clip in clips).encode()).hexdigest()
    metadata = {
        "format": "learnable-smplify mixture 1",
        "split": f"train, {len(clips)} clips, names sha256 {names}",
        "poses": str(len(body_pose)),
    }
    with atomic_output(OUTPUT) as path:
        save_file(tensors, path, metadata=metadata)
    print(f"{OUTPUT}: {len(clips)} clips, {len(body_pose)} poses with mirror images, weights {mixture.weights_[order]}")


if __name__ == "__main__":
    main(tyro.cli(FitMixtureArgs))
