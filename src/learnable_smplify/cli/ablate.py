"""`lsmplify ablate`: the ablation table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.tables import Measured, as_rich, machine, where_measured
from learnable_smplify.evaluation.markdown import ablation_table
from learnable_smplify.training.config import Optimisation, TrainingConfig


@dataclass(frozen=True)
class AblateArgs:
    """Train short equal runs that differ in one ingredient, and compare them on the eval split.

    A stopped ablation goes on where it was when the same command is given again.
    """

    store: tyro.conf.Positional[Path]
    """Folder that 'lsmplify prepare' wrote."""
    motions: tyro.conf.Positional[Path]
    """Folder that 'lsmplify import-motion' wrote, with the eval subjects."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("runs/ablation")
    """Folder of the runs, ablation.json and ablation.md."""
    samples: int = 150_000
    """Training pairs of every run."""
    batch: int = 256
    """Pairs a step."""
    every: int = 27
    """Evaluated pairs start at every so many frames."""
    config: tyro.conf.Suppress[TrainingConfig] = field(default_factory=TrainingConfig)


def ablate(args: AblateArgs) -> None:
    """Run `lsmplify ablate`."""
    from learnable_smplify.evaluation.ablation import run_ablation
    from learnable_smplify.evaluation.clips import read_clips
    from learnable_smplify.training.store import open_store

    console = open_console()
    steps = max(args.samples // args.batch, 1)
    short = Optimisation(steps=steps, batch=args.batch, warmup=min(100, steps // 4), ema=0.99)
    base = replace(args.config, optimisation=short, evaluate_every=steps, checkpoint_every=max(steps // 10, 1))
    clips = read_clips(args.motions, "eval")
    with console.status("starting") as status:
        rows = run_ablation(open_store(args.store), clips, load_body(), base, args.every, args.output, status.update)
    done = Measured({"machine": machine(), "samples": args.samples})
    done.add("rows", rows, ablation_table(rows, args.samples))
    console.print(as_rich(done.texts[0]))
    done.texts.append(f"Open body (not SMPL), eval split. {where_measured('ablate')}")
    done.write(args.output, "ablation", console)
