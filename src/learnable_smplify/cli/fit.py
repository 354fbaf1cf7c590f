"""`lsmplify fit`: a keypoint file in, a motion file out, and a summary of how well it went."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console

from learnable_smplify.body import Body, body_of_motion
from learnable_smplify.camera import Camera
from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.fit_folder import fit_folder_command
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.cli.progress import Took, solve_shown
from learnable_smplify.cli.rig import (
    RigArgs,
    check_settings,
    listed_errors,
    missing_notes,
    only_in_space,
    picture_notes,
    print_table,
    read_2d,
    read_camera_tracks,
    solve_people,
    write_people,
)
from learnable_smplify.errors import InputError
from learnable_smplify.fit_summary import FitSummary, FitSummary2D, FitSummaryViews, summarise_fit, summarise_fit_2d
from learnable_smplify.formats.cameras.camera_file import read_camera
from learnable_smplify.formats.motion.motion_file import WRITERS
from learnable_smplify.jobs.folder import ENGINES, Engine
from learnable_smplify.jobs.inputs import is_recording
from learnable_smplify.jobs.settings import FitSettings, named_output
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.options import shown
from learnable_smplify.solver.shape.offsets import write_offsets
from learnable_smplify.solver.solver import Solver


@dataclass(frozen=True)
class FitArgs:
    """Turn a recording of 3D keypoints, or of 2D keypoints and a camera, into an SMPL motion (AMASS-style npz).

    Needs nothing but the keypoints: the first pose, the body shape (one for the whole recording) and the translation
    are found. Without --body the open body is used, whose betas and mesh are not SMPL's.

    Given a folder of recordings, fits everything below it and writes FILE/<same path>.npz and FILE/fit_report.json.
    Stopped and started again, it goes on where it was. A recording that cannot be fitted does not stop the others; the
    exit code is 2 then.
    """

    input: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="KEYPOINTS")]]
    """Keypoints: .npz, .npy, .csv, .tsv, .trc, .c3d, .json, or a folder of OpenPose or EasyMocap .json files; with
    --camera: keypoints2d.json, OpenPose's folder, or another program's detections (AlphaPose, RTMLib, Sports2D,
    DeepLabCut, .csv, .npy).
    Or a folder that holds any number of them. With --cameras: a folder with a file or folder of detections for each
    camera, named like it."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("motion.npz")
    """Where to write the motion: .npz, .bvh or .glb. Of several people, each gets a file with their name in it. For a
    folder of recordings: the folder of the motions."""
    settings: Annotated[FitSettings, tyro.conf.arg(name="")] = field(default_factory=FitSettings)
    calibrate_offsets: Annotated[Path | None, shown("FILE", "not done")] = None
    """Find those offsets on this recording, use them, and write them to this .json file."""
    camera: Annotated[Path | None, shown("FILE", "the input is 3D")] = None
    """camera.json with fx, fy, cx, cy [px] and, if known, R and t: fit 2D keypoints."""
    image_size: Annotated[str | None, shown("WIDTHxHEIGHT", "the input is 3D")] = None
    """Of the pictures [px], where there is no camera.json: fit 2D keypoints, the field of view guessed."""
    rig: Annotated[RigArgs, tyro.conf.arg(name="")] = field(default_factory=RigArgs)
    jobs: Annotated[int | None, shown("N", "one for each core")] = None
    """Of a folder: recordings fitted side by side, each by a process of its own."""
    engine: Engine = ENGINES[0]
    """Of a folder: processes of this machine, or the Ray cluster at $RAY_ADDRESS (without it, a Ray on this machine);
    its machines must see the folders under the same paths."""
    only: Annotated[str, tyro.conf.arg(metavar="PATTERN")] = "*"
    """Of a folder: only recordings whose file name matches, such as '*.trc'."""
    json: bool = False
    """Print one line of JSON a motion instead of the table: what the table says, and the notes."""
    quiet: bool = False
    """Print nothing but errors."""
    check: bool = False
    """Of a folder fitted before: read every recording again, to notice those that changed without another size or time
    of change."""


def fit(args: FitArgs) -> None:
    """Run `lsmplify fit`."""
    console = open_console(quiet=args.quiet or args.json)
    settings = args.settings
    if args.rig.cameras is not None:
        _fit_cameras(args, console)
        return
    if args.camera is None and args.image_size is None and args.input.is_dir() and not is_recording(args.input):
        if args.calibrate_offsets is not None:
            raise InputError("--calibrate-offsets is for the recording of one person", path=args.input)
        if args.json:
            raise InputError("--json is for one recording", path=args.input, hint=f"read {args.output}/fit_report.json")
        fit_folder_command(args.input, args.output, settings, args.jobs, args.engine, args.only, args.check, console)
        return
    if args.jobs is not None or args.engine != ENGINES[0] or args.only != "*" or args.check:
        raise InputError(
            "this is one recording; --jobs, --engine, --only and --check are for a folder of them", path=args.input
        )
    check_output_file(args.output, tuple(WRITERS), args.input)
    settings.check()
    if args.camera is not None or args.image_size is not None:
        _fit_2d(args, _camera(args), console)
        return
    people = settings.read(args.input)
    if args.calibrate_offsets is not None:
        check_output_file(args.calibrate_offsets, (".json",), args.input, option="--calibrate-offsets")
        if settings.method == "smplify":
            raise InputError("--method smplify does not know --calibrate-offsets", hint="leave --method out")
        if len(people) > 1:
            raise InputError(
                f"{len(people)} people are in the file, and offsets are one person's",
                path=args.input,
                hint=f"--person {people[0].person_id}",
            )
    solver = settings.open_solver()
    for keypoints in people:
        output = args.output
        if len(people) > 1:
            console.print(f"person {keypoints.person_id}", style="bold", highlight=False, markup=False)
            output = named_output(output, keypoints.person_id or "unnamed")
        _fit_person(args, keypoints, output, solver, console)


def _fit_person(args: FitArgs, keypoints: Keypoints, output: Path, solver: Solver, console: Console) -> None:
    settings = args.settings
    notes = _notes_console(args)
    print_notes(notes, keypoints.notes)
    parts, cuts = settings.pieces(keypoints)
    print_notes(notes, cuts)
    for number, part in enumerate(parts, start=1):
        place = output if len(parts) == 1 else named_output(output, f"part{number}")
        own = settings.solver_for(solver, part)
        given, part = part, own.prepared(part)
        motion, took = fit_with_progress(own, part, settings.known_betas(), notes, args.calibrate_offsets)
        print_notes(notes, motion.notes[len(given.notes) :])
        body = body_of_motion(motion.body, solver.body)
        written = settings.write(motion, place, body)
        print_notes(notes, written)
        summary = summarise_fit(body, motion, part)
        print_summary(console, summary, motion, body, part, took)
        if args.json:
            print(summary_line(place, summary, motion, took.seconds, (*cuts, *written)))
        console.print(f"motion: {place}", style="bold", highlight=False, soft_wrap=True)


def summary_line(
    place: Path,
    summary: FitSummary | FitSummary2D | FitSummaryViews,
    motion: Motion,
    seconds: float,
    notes: tuple[str, ...],
) -> str:
    """A fit as one line of JSON: the fields of its summary, and motion, fps, seconds, body, notes."""
    told = {"motion": str(place), "fps": motion.fps, "seconds": round(seconds, 3), "body": motion.body}
    return json.dumps({**told, **asdict(summary), "notes": [*motion.notes, *notes]})


def _fit_cameras(args: FitArgs, console: Console) -> None:
    if args.camera is not None or args.calibrate_offsets is not None:
        raise InputError("--camera and --calibrate-offsets do not go with --cameras", hint="leave them out")
    check_output_file(args.output, tuple(WRITERS), args.input)
    check_settings(args.settings)
    cameras = args.rig.read()
    tracks = read_camera_tracks(args.input, cameras, args.settings)
    notes = _notes_console(args)
    print_notes(notes, missing_notes(tracks, cameras))
    found = args.rig.gather(tracks, cameras, args.settings)
    print_notes(notes, found.notes)
    solver = args.settings.open_solver()
    solved = solve_people(found.people, solver, args.settings, notes)
    for fitted in write_people(solved, solver.body, args.settings, args.output, console, notes):
        if args.json:
            one = fitted.solved
            print(summary_line(fitted.path, fitted.summary, one.motion, one.took.seconds, found.notes))


def _notes_console(args: FitArgs) -> Console:
    """Notes and progress go to stderr: what is on stdout can be piped."""
    return open_console(stderr=True, quiet=args.quiet or args.json)


def fit_with_progress(
    solver: Solver,
    keypoints: Keypoints,
    betas: torch.Tensor | None,
    console: Console,
    offsets: Path | None = None,
) -> tuple[Motion, Took]:
    """Fit with a progress bar; returns the motion and the time it took.

    With `offsets`, keypoint offsets are calibrated on the recording and written there.
    """

    def solve(advance: Callable[[int, int], None]) -> Motion:
        if offsets is None:
            return solver.fit(keypoints, betas, progress=advance)
        motion, found = solver.calibrate(keypoints, betas, progress=advance)
        write_offsets(found, offsets)
        return motion

    return solve_shown(console, len(keypoints), betas is None, solve)


def _camera(args: FitArgs) -> Camera:
    if args.camera is not None:
        if args.image_size is not None:
            raise InputError("--image-size is for pictures without a camera.json", hint="leave --image-size out")
        return read_camera(args.camera)
    sides = str(args.image_size).lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError(
            f"--image-size is '{args.image_size}'", expected="width x height", hint="--image-size 1920x1080"
        )
    return Camera.guessed(int(sides[0]), int(sides[1]))


def _fit_2d(args: FitArgs, camera: Camera, console: Console) -> None:
    settings = args.settings
    betas = settings.known_betas()
    unusable = only_in_space(settings) + (["--calibrate-offsets"] if args.calibrate_offsets is not None else [])
    if unusable:
        raise InputError(
            f"{', '.join(unusable)} is for 3D keypoints; 2D keypoints are in pixels", hint=f"leave {unusable[0]} out"
        )
    keypoints = read_2d(args.input, settings)
    outside = picture_notes(keypoints, camera, args.input)
    opened = settings.open_solver()
    solver = opened if settings.method == "smplify" else settings.solver_for(opened, keypoints)
    body = solver.body
    notes = _notes_console(args)
    print_notes(notes, (*keypoints.notes, *camera.notes, *outside))

    def solve(advance: Callable[[int, int], None]) -> Motion:
        return solver.fit_2d(keypoints, camera, betas, progress=advance)

    motion, took = solve_shown(notes, len(keypoints), betas is None, solve)
    print_notes(notes, motion.notes[len(keypoints.notes) + len(camera.notes) :])
    written = settings.write(motion, args.output, body)
    print_notes(notes, written)
    summary = summarise_fit_2d(body, motion, keypoints, camera)
    print_summary(console, summary, motion, body, keypoints, took)
    if args.json:
        print(summary_line(args.output, summary, motion, took.seconds, written))
    console.print(f"motion: {args.output}", style="bold", highlight=False, soft_wrap=True)


def print_summary(
    console: Console,
    summary: FitSummary | FitSummary2D,
    motion: Motion,
    body: Body,
    keypoints: Keypoints | Keypoints2D,
    took: Took,
) -> None:
    """The closing table of a fit."""
    if isinstance(summary, FitSummary2D):
        unit, mean, by_group = "px", summary.mean_error_px, summary.group_error_px
    else:
        unit, mean, by_group = "mm", summary.mean_error_mm, summary.group_error_mm
    name, error = summary.worst_keypoint
    unseen = summary.prior_joints if isinstance(summary, FitSummary) else ()
    rows = {
        "mean keypoint error": f"{mean:.1f} {unit}",
        f"by group [{unit}]": listed_errors(by_group),
        "worst keypoint": f"{name}, {error:.1f} {unit}",
        "never measured": ", ".join(summary.unobserved),
        "joints no keypoint shows": f"{', '.join(unseen)}: left to the prior" if unseen else "",
        "frames flagged": str(summary.flagged),
    }
    print_table(console, rows, motion, body, load_layout(keypoints.layout).name, took)
