"""`lsmplify fit`: a keypoint file in, a motion file out, and a summary of how well it went."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from learnable_smplify.fit_summary import FitSummary, FitSummary2D, summarise_fit, summarise_fit_2d
from learnable_smplify.formats.camera_file import read_camera
from learnable_smplify.formats.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints2d_json import read_keypoints2d
from learnable_smplify.formats.motion_file import WRITERS, write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import GapPolicy, RepairOptions, cut_keypoints, repair_keypoints
from learnable_smplify.solver.offsets import read_offsets, write_offsets
from learnable_smplify.solver.recording import RecordingOptions
from learnable_smplify.solver.smplify import OPTIMISERS, Optimiser, SmplifyOptions
from learnable_smplify.solver.solver import METHODS, Method, Solver


@dataclass(frozen=True)
class FitArgs:
    """Turn a recording of 3D keypoints, or of 2D keypoints and a camera, into an SMPL motion (AMASS-style npz).

    Needs nothing but the keypoints: the first pose, the body shape (one for the whole recording) and the translation
    are found. Without --body the open body is used, whose betas and mesh are not SMPL's.
    """

    input: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="KEYPOINTS")]]
    """Keypoints: .npz, .npy, .csv, .trc, .c3d, MediaPipe .json, or a folder of OpenPose or EasyMocap .json files; with
    --camera: keypoints2d.json, or OpenPose's folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("motion.npz")
    """Where to write the motion: .npz, .bvh or .glb. Of several people, each gets a file with their name in it."""
    person: Annotated[str | None, tyro.conf.arg(metavar="ID", help_behavior_hint="(default: everybody)")] = None
    """Which person of the file."""
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
    up: Annotated[
        Literal["x", "y", "z", "-x", "-y", "-z"] | None,
        tyro.conf.arg(help_behavior_hint="(default: found from how the person stands)"),
    ] = None
    """Which axis of the positions points up; write downward ones as --up=-y."""
    mirrored: Annotated[
        Literal["yes", "no"] | None, tyro.conf.arg(help_behavior_hint="(default: found from the body)")
    ] = None
    """Whether the positions are left-handed."""
    scale_to_body: bool = False
    """Scale the positions to the size of the mean body first: for recordings whose scale is unknown."""
    smooth: bool = False
    """Solve the whole clip once more as one problem: steadier, and better with noisy keypoints."""
    hold_feet: bool = False
    """Hold feet still while they touch the ground; implies --smooth."""
    no_repair: bool = False
    """Take the keypoints as they are: leave spikes, exchanged sides and repeated frames in."""
    gap: GapPolicy = "interpolate"
    """A person out of view for half a second and more: bridge the time, or cut the motion into several files."""
    offsets: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: none)")] = None
    """Where this person's keypoints lie beside the body's, as --calibrate-offsets wrote it."""
    calibrate_offsets: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: not done)")
    ] = None
    """Find those offsets on this recording, use them, and write them to this .json file."""
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
    """How each frame is solved; gauss_newton is the numerical solver alone, smplify the classical, slow descent."""
    camera: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: the input is 3D)")] = (
        None
    )
    """camera.json with fx, fy, cx, cy [px] and, if known, R and t: fit 2D keypoints. Needs --method smplify."""
    smplify_optimiser: Optimiser = OPTIMISERS[0]
    """How SMPLify descends."""
    mixture: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: the one in the package)")
    ] = None
    """Pose prior of SMPLify: your gmm_08.pkl."""
    device: Annotated[str, tyro.conf.arg(metavar="cpu|cuda")] = "cpu"
    """Where to compute."""


def fit(args: FitArgs) -> None:
    """Run `lsmplify fit`."""
    console = Console()
    check_output_file(args.output, tuple(WRITERS), args.input)
    betas = _known_betas(args.betas)
    options = _smplify_options(args)
    if args.camera is not None:
        _fit_2d(args, args.camera, options, betas, console)
        return
    people = _read(args)
    if args.calibrate_offsets is not None:
        check_output_file(args.calibrate_offsets, (".json",), args.input)
        if len(people) > 1:
            raise InputError(
                f"{len(people)} people are in the file, and offsets are one person's",
                path=args.input,
                hint=f"--person {people[0].person_id}",
            )
    body = load_body(args.body, args.gender)
    for keypoints in people:
        output = args.output
        if len(people) > 1:
            console.print(f"person {keypoints.person_id}", style="bold", highlight=False, markup=False)
            output = _named(output, keypoints.person_id or "unnamed")
        _fit_person(args, keypoints, output, body, options, betas, console)


def _read(args: FitArgs) -> list[Keypoints]:
    mirrored = None if args.mirrored is None else args.mirrored == "yes"
    if args.person is None:
        return read_people(args.input, args.layout, args.fps, args.units, args.up, mirrored)
    return [read_keypoints(args.input, args.layout, args.fps, args.units, args.up, args.person, mirrored)]


def _fit_person(
    args: FitArgs,
    keypoints: Keypoints,
    output: Path,
    body: Body,
    smplify: SmplifyOptions | None,
    betas: torch.Tensor | None,
    console: Console,
) -> None:
    print_notes(console, keypoints.notes)
    recording = _recording_options(args, keypoints)
    parts: tuple[Keypoints, ...] = (keypoints,)
    if args.gap == "cut" and recording.repair is not None:
        repaired, repairs = repair_keypoints(keypoints, recording.repair)
        print_notes(console, repairs.summary())
        parts = cut_keypoints(repaired, repairs.segments)
        recording = replace(recording, repair=None)
    for number, part in enumerate(parts, start=1):
        place = output if len(parts) == 1 else _named(output, f"part{number}")
        solver = Solver(body, args.method, args.device, recording_options=recording, smplify_options=smplify)
        motion, seconds = fit_with_progress(solver, part, betas, console, args.calibrate_offsets)
        print_notes(console, motion.notes[len(part.notes) :])
        print_notes(console, write_motion(motion, place, pose_layout=args.pose_layout, body=body))
        print_summary(console, summarise_fit(body, motion, part), motion, body, part, seconds)
        console.print(f"motion: {place}", style="bold", highlight=False, soft_wrap=True)


def _recording_options(args: FitArgs, keypoints: Keypoints) -> RecordingOptions:
    given = {"--smooth": args.smooth, "--hold-feet": args.hold_feet, "--scale-to-body": args.scale_to_body}
    given |= {"--offsets": args.offsets is not None, "--calibrate-offsets": args.calibrate_offsets is not None}
    unusable = [name for name, used in given.items() if used]
    if args.method == "smplify" and unusable:
        raise InputError(f"--method smplify does not know {', '.join(unusable)}", hint="leave --method out")
    layout = keypoints.layout if isinstance(keypoints.layout, Layout) else load_layout(keypoints.layout)
    return RecordingOptions(
        repair=None if args.no_repair or args.method == "smplify" else RepairOptions(gap=args.gap),
        smooth=args.smooth,
        hold_feet=args.hold_feet,
        offsets=None if args.offsets is None else read_offsets(args.offsets, layout),
        scale_to_body=args.scale_to_body,
    )


def _named(path: Path, name: str) -> Path:
    safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    return path.with_name(f"{path.stem}_{safe}{path.suffix}")


def print_notes(console: Console, notes: tuple[str, ...]) -> None:
    """What a reader assumed or converted, one line each."""
    for note in notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True)


def fit_with_progress(
    solver: Solver,
    keypoints: Keypoints,
    betas: torch.Tensor | None,
    console: Console,
    offsets: Path | None = None,
) -> tuple[Motion, float]:
    """Fit with a progress bar; returns the motion and the seconds it took.

    With `offsets`, keypoint offsets are calibrated on the recording and written there.
    """
    with _progress(console, len(keypoints), betas is None) as advance:
        began = time.perf_counter()
        if offsets is None:
            motion = solver.fit(keypoints, betas, progress=advance)
        else:
            motion, found = solver.calibrate(keypoints, betas, progress=advance)
            write_offsets(found, offsets)
        return motion, time.perf_counter() - began


@contextmanager
def _progress(console: Console, frames: int, shape_first: bool) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} frames"))
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("estimating body shape" if shape_first else "fitting", total=frames)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="fitting")

        yield advance


def _fit_2d(
    args: FitArgs, camera_path: Path, options: SmplifyOptions | None, betas: torch.Tensor | None, console: Console
) -> None:
    if args.method != "smplify":
        raise InputError(
            f"--camera goes with 2D keypoints, which --method {args.method} cannot fit",
            expected="--method smplify with --camera",
            hint=f"lsmplify fit --method smplify --camera {camera_path} {args.input}",
        )
    if args.units is not None:
        raise InputError("--units is for 3D keypoints; 2D keypoints are in pixels", hint="leave --units out")
    camera = read_camera(camera_path)
    keypoints = read_keypoints2d(args.input, layout=args.layout, fps=args.fps)
    body = load_body(args.body, args.gender)
    solver = Solver(body, args.method, args.device, smplify_options=options)
    print_notes(console, (*keypoints.notes, *camera.notes))
    with _progress(console, len(keypoints), betas is None) as advance:
        began = time.perf_counter()
        motion = solver.fit_2d(keypoints, camera, betas, progress=advance)
        seconds = time.perf_counter() - began
    write_motion(motion, args.output, pose_layout=args.pose_layout)
    print_summary(console, summarise_fit_2d(body, motion, keypoints, camera), motion, body, keypoints, seconds)
    console.print(f"motion: {args.output}", style="bold", highlight=False, soft_wrap=True)


def _smplify_options(args: FitArgs) -> SmplifyOptions | None:
    if args.method == "smplify":
        return SmplifyOptions(optimiser=args.smplify_optimiser, mixture=args.mixture)
    if args.mixture is not None:
        raise InputError("--mixture is the pose prior of SMPLify", expected="--method smplify with --mixture")
    return None


def print_summary(
    console: Console,
    summary: FitSummary | FitSummary2D,
    motion: Motion,
    body: Body,
    keypoints: Keypoints | Keypoints2D,
    seconds: float,
) -> None:
    """The closing table of a fit."""
    table = Table(title="fit", show_header=False, title_justify="left", title_style="bold")
    rate = f"{motion.fps:g} fps"
    table.add_row("frames", f"{summary.frames} ({summary.frames / motion.fps:.1f} s at {rate})")
    if isinstance(summary, FitSummary2D):
        unit, mean, by_group = "px", summary.mean_error_px, summary.group_error_px
    else:
        unit, mean, by_group = "mm", summary.mean_error_mm, summary.group_error_mm
    table.add_row("mean keypoint error", f"{mean:.1f} {unit}")
    groups = ", ".join(f"{group} {error:.1f}" for group, error in by_group.items())
    table.add_row(rf"by group \[{unit}]", groups)
    name, error = summary.worst_keypoint
    table.add_row("worst keypoint", f"{name}, {error:.1f} {unit}")
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
