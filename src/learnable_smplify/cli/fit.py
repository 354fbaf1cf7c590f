"""`lsmplify fit`: a keypoint file in, a motion file out, and a summary of how well it went."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from learnable_smplify.body import Body, load_body
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.errors import InputError
from learnable_smplify.fit_summary import FitSummary, summarise_fit
from learnable_smplify.formats.keypoint_file import read_keypoints
from learnable_smplify.formats.motion_file import write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.solver.solver import METHODS, Method, Solver


@dataclass(frozen=True)
class FitArgs:
    """Turn a recording of 3D keypoints into an SMPL motion (AMASS-style npz).

    Needs nothing but the keypoints: the first pose, the body shape (one for the whole recording) and the translation
    are found. Without --body the open body is used, whose betas and mesh are not SMPL's.
    """

    input: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="KEYPOINTS")]]
    """Keypoints of one person: .npz, .npy, .csv or .trc."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("motion.npz")
    """Where to write the motion."""
    layout: Annotated[
        str | None, tyro.conf.arg(metavar="LAYOUT", help_behavior_hint="(default: by the names or number of keypoints)")
    ] = None
    """Which keypoints: body25, coco17, halpe26, ... ('lsmplify doctor' lists them), or a layout TOML of yours."""
    fps: Annotated[
        float | None, tyro.conf.arg(metavar="RATE", help_behavior_hint="(default: what the file says, else 30)")
    ] = None
    """Frames a second of the recording."""
    units: Annotated[
        Literal["m", "cm", "mm"] | None,
        tyro.conf.arg(help_behavior_hint="(default: what the file says, checked against the size of the person)"),
    ] = None
    """Unit of the positions."""
    betas: Annotated[
        tuple[float, ...], tyro.conf.arg(metavar="B1 B2 ...", help_behavior_hint="(default: estimated)")
    ] = ()
    """The person's shape on this body, if known: up to 10 numbers."""
    body: Annotated[str | None, tyro.conf.arg(metavar="BODY", help_behavior_hint="(default: the open body)")] = None
    """Path of an SMPL, SMPL-H or SMPL-X model; or smpl, smplh, smplx to search where 'lsmplify doctor' does."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Gender of the licensed body model to search for."""
    pose_layout: Literal["smpl", "smplh", "smplx"] = "smplh"
    """Columns of `poses` in the output: smpl 72, smplh 156, smplx 165. Blender's SMPL-X add-on wants 156 or 165."""
    method: Method = METHODS[0]
    """How each frame is solved; gauss_newton is the numerical solver alone."""
    device: Annotated[str, tyro.conf.arg(metavar="cpu|cuda")] = "cpu"
    """Where to compute."""


def fit(args: FitArgs) -> None:
    """Run `lsmplify fit`."""
    console = Console()
    check_output_file(args.output, (".npz",), args.input)
    betas = _known_betas(args.betas)
    keypoints = read_keypoints(args.input, layout=args.layout, fps=args.fps, units=args.units)
    body = load_body(args.body, args.gender)
    print_notes(console, keypoints.notes)
    motion, seconds = fit_with_progress(Solver(body, args.method, args.device), keypoints, betas, console)
    write_motion(motion, args.output, pose_layout=args.pose_layout)
    print_summary(console, summarise_fit(body, motion, keypoints), motion, body, keypoints, seconds)
    console.print(f"motion: {args.output}", style="bold", highlight=False, soft_wrap=True)


def print_notes(console: Console, notes: tuple[str, ...]) -> None:
    """What a reader assumed or converted, one line each."""
    for note in notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def fit_with_progress(
    solver: Solver, keypoints: Keypoints, betas: torch.Tensor | None, console: Console
) -> tuple[Motion, float]:
    """Fit with a progress bar; returns the motion and the seconds it took."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} frames"))
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("estimating body shape" if betas is None else "fitting", total=len(keypoints))

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="fitting")

        began = time.perf_counter()
        motion = solver.fit(keypoints, betas, progress=advance)
        return motion, time.perf_counter() - began


def print_summary(
    console: Console, summary: FitSummary, motion: Motion, body: Body, keypoints: Keypoints, seconds: float
) -> None:
    """The closing table of a fit."""
    table = Table(title="fit", show_header=False, title_justify="left", title_style="bold")
    rate = f"{motion.fps:g} fps"
    table.add_row("frames", f"{summary.frames} ({summary.frames / motion.fps:.1f} s at {rate})")
    table.add_row("mean keypoint error", f"{summary.mean_error_mm:.1f} mm")
    groups = ", ".join(f"{group} {error:.1f}" for group, error in summary.group_error_mm.items())
    table.add_row(r"by group \[mm]", groups)
    name, error = summary.worst_keypoint
    table.add_row("worst keypoint", f"{name}, {error:.1f} mm")
    if summary.unobserved:
        table.add_row("never measured", ", ".join(summary.unobserved))
    table.add_row("frames flagged", str(summary.flagged))
    table.add_row("time", f"{1000 * seconds / summary.frames:.2f} ms a frame, {seconds:.1f} s in all")
    table.add_row("layout", keypoints.layout if isinstance(keypoints.layout, str) else keypoints.layout.name)
    table.add_row("body", f"{body.name} ({body.gender})" + ("; not SMPL" if body.name == "open" else ""))
    console.print(table)


def _known_betas(betas: tuple[float, ...]) -> torch.Tensor | None:
    if len(betas) > 10 or not all(math.isfinite(value) for value in betas):
        raise InputError(
            f"--betas is {' '.join(f'{value:g}' for value in betas)}",
            expected="up to 10 finite numbers",
            hint="--betas 0.5 -1",
        )
    return torch.tensor(betas) if betas else None
