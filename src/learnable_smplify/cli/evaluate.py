"""`lsmplify evaluate`: the tables of errors, as text, JSON and Markdown."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from learnable_smplify.body import load_body
from learnable_smplify.evaluation.clips import read_clips
from learnable_smplify.evaluation.markdown import cold_table, pair_table, sequence_table
from learnable_smplify.evaluation.pairs import Method, evaluate_pairs
from learnable_smplify.evaluation.sequence import evaluate_cold_start, evaluate_sequences
from learnable_smplify.formats.atomic import atomic_output
from learnable_smplify.solver import Solver

Part = Literal["pairs", "sequences", "cold-start"]


@dataclass(frozen=True)
class EvaluateArgs:
    """Measure errors on motion, on the open body: pairs by stride, whole clips, and frames from nothing.

    The rows: copying the start pose, the numerical solver, the network alone in one and in two passes, and the hybrid:
    two passes and two Gauss-Newton steps (the default). All get the same poses, betas and keypoints. PVE and MPJPE are
    pelvis-aligned.
    """

    motions: tyro.conf.Positional[Path]
    """Folder that 'lsmplify import-motion' wrote."""
    split: Literal["eval", "train"] = "eval"
    """Which subjects; eval is never trained on."""
    parts: tuple[Part, ...] = ("pairs", "sequences", "cold-start")
    """What to measure."""
    every: int = 9
    """Pairs start at every so many frames of a clip."""
    clip_step: int = 1
    """Take only every so many clips: for a quick look."""
    weights: Path | None = None
    """Weights of another network; default: those in the package."""
    compare: tuple[Path, ...] = ()
    """Weights of further networks, each a row of its own."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for evaluation.json and evaluation.md."""


def evaluate(args: EvaluateArgs) -> None:
    """Run `lsmplify evaluate`."""
    console = Console()
    clips = read_clips(args.motions, args.split)[:: max(args.clip_step, 1)]
    body = load_body()
    numerical = Solver(body, "gauss_newton")
    hybrid = Solver(body, weights=args.weights)
    result: dict[str, object] = {"split": args.split, "every": args.every, "clips": len(clips), "machine": machine()}
    texts = []
    with console.status("evaluating") as status:
        if "pairs" in args.parts:
            methods = [
                Method("copy the start", None),
                Method("Gauss-Newton", numerical),
                Method("single pass", Solver(body, weights=args.weights, refine_steps=0, passes=1)),
                Method("two passes", Solver(body, weights=args.weights, refine_steps=0, passes=2)),
                Method("hybrid", hybrid),
                *(Method(path.stem, Solver(body, weights=path, refine_steps=0)) for path in args.compare),
            ]
            pairs = evaluate_pairs(clips, body, methods, args.every, progress=status.update)
            result["pairs"] = [asdict(row) for row in pairs]
            texts.append(pair_table(pairs))
            console.print(as_rich(pair_table(pairs, "PA-PVE")), as_rich(pair_table(pairs, "MPJPE")))
        if "sequences" in args.parts:
            sequences = evaluate_sequences(
                clips, body, [("Gauss-Newton", numerical), ("hybrid", hybrid)], progress=status.update
            )
            result["sequences"] = [asdict(row) for row in sequences]
            texts.append(sequence_table(sequences))
        if "cold-start" in args.parts:
            cold = evaluate_cold_start(clips, body, numerical, 20)
            result["cold_start"] = [asdict(row) for row in cold]
            texts.append(cold_table(cold))
    for text in texts:
        console.print(as_rich(text))
    if args.output is not None:
        with atomic_output(args.output / "evaluation.json") as path:
            path.write_text(json.dumps(result, indent=2) + "\n")
        with atomic_output(args.output / "evaluation.md") as path:
            path.write_text("\n\n".join(texts) + f"\n\n{_origin(result)}\n")
        console.print(f"wrote {args.output}/evaluation.json and evaluation.md", soft_wrap=True)


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    except OSError:
        pass
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _origin(result: dict[str, object]) -> str:
    found = machine()
    return (
        f"Open body (not SMPL), {result['split']} split, {result['clips']} clips. {found['cpu']}, "
        f"{found['threads']} threads, torch {found['torch']}. Printed by `lsmplify evaluate`."
    )


def as_rich(markdown: str) -> Table:
    """A Markdown table as a table of the terminal."""
    title, header, _, *rows = [line for line in markdown.splitlines() if line]
    table = Table(title=title.strip("*"), title_justify="left")
    for name in _cells(header):
        table.add_column(name)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
