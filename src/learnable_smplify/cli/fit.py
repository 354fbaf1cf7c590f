"""`lsmplify fit`: a keypoint file in, a motion file out, and a summary of how well it went."""

from __future__ import annotations

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
from learnable_smplify.errors import InputError
from learnable_smplify.fit_summary import FitSummary, summarise_fit
from learnable_smplify.formats.keypoint_file import read_keypoints
from learnable_smplify.formats.motion_file import write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.solver import Solver


@dataclass(frozen=True)
class FitArgs:
    """Turn a recording of 3D keypoints into an SMPL motion (AMASS-style npz).

    Needs nothing but the keypoints: the first pose, the body shape (one for the whole recording) and the translation
    are found. Without --body the open body is used, whose betas and mesh are not SMPL's.
    """

    input: tyro.conf.Positional[Path]
    """Keypoints of one person: .npz, .npy, .csv or .trc."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("motion.npz")
    """Where to write the motion."""
    layout: str | None = None
    """Which keypoints these are: a known layout (body25, coco17, halpe26, ...; see 'lsmplify doctor') or the path of a
    layout TOML. Default: found from the names in the file, or their number."""
    fps: float | None = None
    """Frames a second; default: what the file says, else 30."""
    units: Literal["m", "cm", "mm"] | None = None
    """Unit of the positions; default: what the file says, else found from the size of the person."""
    betas: tuple[float, ...] = ()
    """The person's shape, if known: up to 10 numbers. Default: estimated."""
    body: str | None = None
    """Body model: path of an SMPL / SMPL-H / SMPL-X file, or 'smpl', 'smplh', 'smplx' to search the usual places.
    Default: the open body."""
    gender: Literal["neutral", "male", "female"] = "neutral"
    """Gender of the licensed body model to search for."""
    pose_layout: Literal["smpl", "smplh", "smplx"] = "smplh"
    """Columns of `poses`: 72, 156 or 165. Blender's SMPL-X add-on wants 156 or 165."""
    device: str = "cpu"
    """Where to compute: cpu or cuda."""


def fit(args: FitArgs) -> None:
    """Run `lsmplify fit`."""
    console = Console()
    _check_output(args.output)
    keypoints = read_keypoints(args.input, layout=args.layout, fps=args.fps, units=args.units)
    body = load_body(args.body, args.gender)
    for note in keypoints.notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    betas = torch.tensor(args.betas) if args.betas else None
    motion, seconds = fit_with_progress(Solver(body, device=args.device), keypoints, betas, console)
    write_motion(motion, args.output, pose_layout=args.pose_layout)
    print_summary(console, summarise_fit(body, motion, keypoints), motion, body, keypoints, seconds)
    console.print(f"motion: {args.output}", style="bold", highlight=False, soft_wrap=True)


def fit_with_progress(
    solver: Solver, keypoints: Keypoints, betas: torch.Tensor | None, console: Console
) -> tuple[Motion, float]:
    """Fit with a progress bar; returns the motion and the seconds it took."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} frames"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
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


def _check_output(path: Path) -> None:
    """Refuse an impossible output before the work, not after it."""
    if path.suffix != ".npz":
        raise InputError(f"cannot write motion as '{path.suffix or path.name}'", path=path, expected="a .npz file")
    if path.is_dir():
        raise InputError("this is a folder", path=path, expected="the name of a file to write", hint="-o motion.npz")
