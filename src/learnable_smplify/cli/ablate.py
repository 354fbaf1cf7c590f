"""`lsmplify ablate`: the ablation table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.tables import as_rich, machine, write_tables
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
    text = ablation_table(rows, args.samples)
    found = machine()
    result = {"machine": found, "samples": args.samples, "rows": [asdict(row) for row in rows]}
    where = f"{found['cpu']}, {found['threads']} threads. Printed by `lsmplify ablate`."
    write_tables(args.output, "ablation", result, [text, f"Open body (not SMPL), eval split. {where}"])
    console.print(as_rich(text))
    console.print(f"wrote {args.output}/ablation.json and ablation.md", soft_wrap=True)
