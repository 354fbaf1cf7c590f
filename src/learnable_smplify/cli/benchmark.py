"""`lsmplify benchmark`: SMPLify, the authors' network, a peer and ours, measured side by side on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.outputs import check_output_folder
from learnable_smplify.cli.tables import as_rich
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.evaluation.clips import Pairs, make_pairs, read_clips
from learnable_smplify.safe_files.atomic import atomic_output

# Pairs of each stride: of a quick run, and of a full one without motions.
_PAIRS_QUICK, _SYNTHETIC_FULL = 48, 512
# Every so many frames a pair starts in a full run: SMPLify needs minutes for a few thousand pairs.
_EVERY_FULL = 18


@dataclass(frozen=True)
class BenchmarkArgs:
    """Measure speed and accuracy of SMPLify, Gauss-Newton, the authors' network, keypoints2body and ours.

    Each method runs in a process of its own and they take turns, on the same pairs of a start pose and a target. With
    motions the pairs are those of 'lsmplify evaluate' (eval split); without, they are drawn from the priors in the
    package, which is enough to compare speed.
    """

    motions: tyro.conf.Positional[Path | None] = None
    """Folder that 'lsmplify import-motion' wrote; leave it away for synthetic pairs."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("results")
    """Folder for benchmark.json, benchmark.md and benchmark.png."""
    quick: bool = False
    """About two minutes, few pairs (the default)."""
    full: bool = False
    """Up to twenty minutes, all pairs."""
    every: int | None = None
    """Pairs start at every so many frames of a clip; default: 18 with --full, else 48 pairs of each stride."""
    threads: int | None = None
    """Threads of every method; default: all cores."""
    authors_weights: Path | None = None
    """Weights of 'lsmplify train --architecture stgcn'; without, the authors' network is timed untrained."""


def benchmark(args: BenchmarkArgs) -> None:
    """Run `lsmplify benchmark`."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from learnable_smplify.benchmark.machine import available_cores, describe_machine
    from learnable_smplify.benchmark.methods import methods
    from learnable_smplify.benchmark.plot import plot
    from learnable_smplify.benchmark.result import Benchmark
    from learnable_smplify.benchmark.run import NOISY, TIMED_STRIDE, Plan, run_benchmark
    from learnable_smplify.benchmark.tables import busy, markdown, tables

    if args.quick and args.full:
        raise InputError("both --quick and --full are given", expected="one of them")
    if (args.threads is not None and args.threads < 1) or (args.every is not None and args.every < 1):
        raise InputError(f"threads is {args.threads} and every {args.every}", expected="1 or more")
    if args.authors_weights is not None and not args.authors_weights.is_file():
        raise InputError("there is no such file", path=args.authors_weights, hint="lsmplify train --architecture stgcn")
    check_output_folder(args.output)
    threads = available_cores() if args.threads is None else args.threads
    plan = Plan.full(threads) if args.full else Plan.quick(threads)
    pairs, data = _pairs(args)
    rows = methods(args.authors_weights, gpu=torch.cuda.is_available())
    console = open_console()
    machine = describe_machine()
    if busy(machine):
        console.print(f"Other programs are running (load {machine['load_before']}): times will be too long.")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        task = progress.add_task("starting", total=plan.steps(rows, len(pairs)))
        found = run_benchmark(rows, pairs, plan, lambda text: progress.update(task, description=text, advance=1))
    result = Benchmark(
        command=_command(args),
        data=data,
        strides=tuple(pairs),
        noise=(NOISY.name, TIMED_STRIDE),
        pairs=sum(len(group) for group in pairs.values()),
        machine=machine,
        plan=asdict(plan),
        rows=found,
    )
    text = markdown(result)
    with atomic_output(args.output / "benchmark.json") as path:
        path.write_text(result.to_json(), encoding="utf-8")
    with atomic_output(args.output / "benchmark.md") as path:
        path.write_text(text, encoding="utf-8")
    for block in tables(result):
        console.print(as_rich(block))
    for row in found:
        if row.failed is not None:
            console.print(f"ended early: {row.label}: {row.failed}", markup=False, soft_wrap=True)
    written = "benchmark.json and benchmark.md"
    try:
        plot(result, args.output / "benchmark.png")
        written = "benchmark.json, benchmark.md and benchmark.png"
    except MissingExtraError as error:
        console.print(str(error), markup=False, soft_wrap=True)
    console.print(f"wrote {written} into {args.output}", soft_wrap=True)


def _pairs(args: BenchmarkArgs) -> tuple[dict[int, Pairs], str]:
    """The pairs of every stride, and what they are in words."""
    from learnable_smplify.benchmark.pairs import select, synthetic_pairs
    from learnable_smplify.evaluation.pairs import STRIDES
    from learnable_smplify.timeline import evenly

    if args.motions is None:
        count = _SYNTHETIC_FULL if args.full else _PAIRS_QUICK
        words = (
            "Synthetic pairs drawn from the priors in the package, which Gauss-Newton knows and the networks do not: "
            "take the speed from them, and the errors from real motion (lsmplify benchmark MOTIONS)"
        )
        return {stride: synthetic_pairs(count, stride) for stride in STRIDES}, words
    clips = read_clips(args.motions, "eval")
    every = (_EVERY_FULL if args.full else 9) if args.every is None else args.every
    pairs = {stride: make_pairs(clips, stride, every) for stride in STRIDES}
    if args.full or args.every is not None:
        return pairs, f"Eval split, {len(clips)} clips, every {every}th frame"
    few = {stride: select(group, evenly(len(group), _PAIRS_QUICK)) for stride, group in pairs.items()}
    return few, f"Eval split, {_PAIRS_QUICK} pairs a stride spread over {len(clips)} clips: a quick look"


def _command(args: BenchmarkArgs) -> str:
    parts = ["lsmplify benchmark"]
    parts += ["MOTIONS"] if args.motions is not None else []
    parts += ["--full" if args.full else "--quick"]
    parts += [f"--every {args.every}"] if args.every is not None else []
    parts += [f"--threads {args.threads}"] if args.threads is not None else []
    parts += ["--authors-weights FILE"] if args.authors_weights is not None else []
    return " ".join(parts)
