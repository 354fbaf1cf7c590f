"""Train a toy network from motion files to weights, and solve with it: the whole way in seconds, for show only.

python examples/train_tiny.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
import tyro

import learnable_smplify as ls
from learnable_smplify.cli.prepare import PrepareArgs, prepare
from learnable_smplify.network.pose_mlp import PoseMlpConfig
from learnable_smplify.network.weights import save_network
from learnable_smplify.training.config import Optimisation, TrainingConfig
from learnable_smplify.training.run_folder import RunFolder
from learnable_smplify.training.train import train


def main(steps: int = 100, out: Path | None = None) -> None:
    """Make motion, pack it into a store, train, save, and load the weights into a solver.

    Args:
        steps: optimiser steps; the weights in the package took many thousand larger ones.
        out: folder for motions, store and run; a temporary one if left away.
    """
    folder = Path(tempfile.mkdtemp()) if out is None else out
    for subject in range(3):
        for take in range(4):
            ls.write_motion(swaying(10 * subject + take), folder / f"motions/lab/{subject}/take_{take}.npz")
    # lsmplify prepare motions -o store --eval-subjects lab/2
    store = prepare(PrepareArgs(folder / "motions", output=folder / "store", eval_subjects=("lab/2",), holdout=2))

    # lsmplify train store -o run --optimisation.steps 100 ...
    config = TrainingConfig(
        network=PoseMlpConfig(width=64, blocks=1, passes=1),
        optimisation=Optimisation(steps=steps, batch=64, warmup=10),
        evaluate_every=max(steps // 2, 1),
    )
    body = ls.load_body()
    network = train(store, body, config, RunFolder(folder / "run", config), "cpu")
    weights = folder / "run" / "weights.safetensors"
    save_network(network, weights, {"body": body.name})

    held_out = swaying(20)
    start, target = held_out.pose[:-5], held_out.pose[5:]
    found, _ = ls.Solver(body, weights=weights).solve_pairs(
        start, body.keypoints(target, held_out.betas), torch.zeros(10)
    )
    for name, pose in (("copy of the start", start), ("toy network and Gauss-Newton", found)):
        print(f"{name}: joints are {torch.rad2deg((pose - target)[:, 1:22].norm(dim=-1).mean()):.1f} degrees off")
    print(weights)


def swaying(seed: int, frames: int = 60) -> ls.Motion:
    """A person who sways in every joint."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(frames)[:, None] / 30
    speed, phase = 1 + 4 * torch.rand(72, generator=generator), 6 * torch.rand(72, generator=generator)
    return ls.Motion(0.2 * torch.sin(time * speed + phase), torch.zeros(frames, 3), torch.zeros(10), up_axis="y")


if __name__ == "__main__":
    tyro.cli(main)
