"""`lsmplify train`: a network from a store of motion."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.training.config import TrainingConfig


@dataclass(frozen=True)
class TrainArgs:
    """Train a network on a store that 'lsmplify prepare' wrote, and write its weights.

    A run that was stopped goes on where it was when the same command is given again. Under 'torchrun' the batch is
    split over the processes. The checkpoint is chosen on the holdout clips, never on the eval split.
    """

    store: tyro.conf.Positional[Path]
    """Folder that 'lsmplify prepare' wrote."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("runs/default")
    """Folder of the run: configuration, metrics, checkpoints, weights.safetensors."""
    device: str = "cpu"
    """Where to compute: cpu or cuda."""
    threads: int | None = None
    """CPU threads of this process; default: torch's choice."""
    tensorboard: bool = False
    """Also write the metrics for TensorBoard (needs the package 'tensorboard')."""
    profile: bool = False
    """Only print where a training step's time goes, and stop."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = field(default_factory=TrainingConfig)
    """Everything that decides the run."""


def train(args: TrainArgs) -> None:
    """Run `lsmplify train`."""
    from learnable_smplify.network.pose_mlp import PoseMlp
    from learnable_smplify.network.weights import save_network
    from learnable_smplify.training.profile import profile_step
    from learnable_smplify.training.run_folder import RunFolder
    from learnable_smplify.training.store import open_store
    from learnable_smplify.training.train import Processes
    from learnable_smplify.training.train import train as train_network

    console = open_console()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    store, body = open_store(args.store), load_body()
    if args.profile:
        step_ms, kinematics_ms = profile_step(store, body, args.config, args.device)
        console.print(
            f"a step of {args.config.optimisation.batch} pairs: {step_ms:.0f} ms, forward kinematics and their "
            f"gradients {kinematics_ms:.0f} ms ({100 * kinematics_ms / step_ms:.0f} %)"
        )
        return
    processes = Processes.join()
    folder = RunFolder(args.output, args.config, tensorboard=args.tensorboard and processes.rank == 0)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} steps"))
    began = time.perf_counter()
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=processes.rank != 0
    ) as bar:
        task = bar.add_task("training", total=args.config.optimisation.steps)

        def advance(step: int, numbers: dict[str, float]) -> None:
            last = args.config.passes
            shown = f"loss {numbers['loss']:.3f}, surface {numbers[f'points_mm_{last}']:.1f} mm"
            bar.update(task, completed=step, description=shown)

        network = train_network(store, body, args.config, folder, args.device, advance)
    if processes.rank != 0:
        return
    weights = args.output / "weights.safetensors"
    trained = network if isinstance(network, PoseMlp) else network.network
    save_network(trained, weights, {"licence": store.licence, "body": body.name})
    console.print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB, {(time.perf_counter() - began) / 60:.1f} min")
    console.print(f"use it: lsmplify fit KEYPOINTS --weights {weights}", soft_wrap=True, highlight=False)
