"""What `lsmplify fit` and `lsmplify video` share about several cameras: options, files by camera, and the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Annotated, TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from learnable_smplify.body import OPEN_BODIES, Body
from learnable_smplify.camera import Camera
from learnable_smplify.cli.console import print_notes
from learnable_smplify.cli.progress import Took, solve_shown
from learnable_smplify.errors import InputError, some
from learnable_smplify.fit_summary import FitSummaryViews, summarise_views
from learnable_smplify.formats.cameras.camera_file import read_cameras
from learnable_smplify.formats.cameras.placed import CameraUnits
from learnable_smplify.formats.detections.detection_arrays import camera_names_in
from learnable_smplify.formats.detections.detection_file import detection_files, read_detections
from learnable_smplify.formats.detections.on_side import on_side_notes
from learnable_smplify.jobs.settings import FitSettings, named_output
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.multiview.gather import Gathered, SeenPerson, gather_people
from learnable_smplify.multiview.names import match_cameras
from learnable_smplify.multiview.offsets import parse_offsets
from learnable_smplify.options import shown
from learnable_smplify.solver.solver import Solver
from learnable_smplify.track import Track

Person = TypeVar("Person")
# Detectors are not so sure of what they guess outside the picture; of the others so many are outside, where the person
# leaves it, and no more than that.
_LIKELY = 0.3
_SOME_OUTSIDE, _MOST_OUTSIDE = 0.1, 0.5


@dataclass(frozen=True)
class RigArgs:
    """Several calibrated cameras."""

    cameras: Annotated[Path | None, shown("CALIBRATION", "one camera, or 3D keypoints")] = None
    """Calibration of several cameras: Qualisys .qca.txt, Pose2Sim, Anipose or Caliscope .toml, OpenCV .yml, a folder of
    EasyMocap's intri.yml and extri.yml, OpenCap's .pickle, or our .json."""
    camera_units: Annotated[CameraUnits | None, shown(None, "what the file says, checked")] = None
    """Unit of the calibration's translations."""
    clocks: Annotated[tuple[str, ...], shown("CAMERA=FRAMES ...", "found")] = ()
    """By how many frames cameras are ahead: cam02=5, if frame 5 of cam02 shows what frame 0 of the first camera shows;
    0 for those that are not named."""
    trust_cameras: bool = False
    """Leave cameras as they are calibrated, also where turning them by fractions of a degree would make them agree."""

    def read(self) -> dict[str, Camera]:
        """The calibration.

        Raises:
            InputError: it cannot be read.
        """
        assert self.cameras is not None
        return read_cameras(self.cameras, self.camera_units)

    def gather(self, tracks: dict[str, list[Track]], cameras: dict[str, Camera], settings: FitSettings) -> Gathered:
        """The people whom the cameras saw.

        Raises:
            InputError: as `gather_people`.
        """
        assert self.cameras is not None
        offsets = parse_offsets(self.clocks, list(cameras)) if self.clocks else None
        return gather_people(
            tracks, cameras, self.cameras, offsets=offsets, nudge=not self.trust_cameras, up=settings.up
        )


def check_settings(settings: FitSettings) -> None:
    """Refuse options that say nothing to keypoints in several cameras' pictures.

    Raises:
        InputError: there are some.
    """
    settings.check()
    unusable = only_in_space(settings) + (["--method smplify"] if settings.method == "smplify" else [])
    if unusable:
        raise InputError(f"{', '.join(unusable)} is for 3D keypoints", hint="leave it out with --cameras")


def only_in_space(settings: FitSettings) -> list[str]:
    """The options given that say nothing to keypoints in pictures."""
    names = ("units", "mirrored", "scale_to_body", "smooth", "hold_feet", "ground", "no_repair", "gap", "offsets")
    return settings.given(*names)


def read_2d(path: Path, settings: FitSettings) -> Keypoints2D:
    """2D keypoints of one person whom one camera saw: of several, the one whom the user names, else the one seen most.

    Raises:
        InputError: no detections, or nobody of that name.
    """
    tracks = read_detections(path, settings.layout, settings.fps)
    chosen = max(named_people(tracks, settings.person, path), key=lambda track: track.frames_seen)
    if len(tracks) == 1 or settings.person is not None:
        return chosen.keypoints
    named = some([track.name for track in tracks], 12)
    note = f"person {chosen.name} of {len(tracks)} (--person for another: {named})"
    return replace(chosen.keypoints, notes=(*chosen.keypoints.notes, note))


def named_people(
    people: Sequence[Person],
    wanted: str | None,
    path: Path | None = None,
    name_of: Callable[[Person], str] = attrgetter("name"),
) -> list[Person]:
    """The person asked for, or everybody.

    Raises:
        InputError: nobody of that name.
    """
    found = [person for person in people if wanted in (None, name_of(person))]
    if not found:
        names = some([name_of(person) for person in people], 12)
        raise InputError(f"there is no person '{wanted}'", path=path, expected=f"one of {names}")
    return found


def picture_notes(keypoints: Keypoints2D, camera: Camera, path: Path) -> tuple[str, ...]:
    """What is said of keypoints outside the camera's picture, and of people who lie in it throughout.

    Raises:
        InputError: most of them are.
    """
    seen = keypoints.pixels[keypoints.confidence > _LIKELY]
    outside = camera.share_outside(seen)
    lying = on_side_notes(keypoints, camera)
    if outside is None or outside < _SOME_OUTSIDE:
        return lying
    right, low = (float(value) for value in seen[torch.isfinite(seen).all(dim=-1)].amax(dim=0))
    what = (
        f"{100 * outside:.0f} % of the keypoints are outside the camera's picture of {camera.width} x {camera.height}: "
        f"they go to {right:.0f} x {low:.0f}"
    )
    expected = "detections in pictures of the camera's size, not turned"
    if outside > _MOST_OUTSIDE:
        raise InputError(what, path=path, expected=expected)
    return (f"{what} (expected: {expected})", *lying)


def read_camera_tracks(
    folder: Path, cameras: dict[str, Camera], settings: FitSettings, rates: Mapping[str, float] | None = None
) -> dict[str, list[Track]]:
    """What each camera saw: of a folder the entry with its name, or an .npz with arrays of all.

    Args:
        rates: frames a second of each camera; None takes what the settings or the files say.

    Raises:
        InputError: names that do not go together (with both lists), or detections that cannot be read.
    """

    def rate(name: str) -> float | None:
        return settings.fps if rates is None else rates[name]

    inside = camera_names_in(folder)
    if inside:
        matched = match_cameras(inside, list(cameras), folder)
        return {name: read_detections(folder, settings.layout, rate(name), entry) for name, entry in matched.items()}
    if not folder.is_dir():
        raise InputError(
            "this is not a folder",
            path=folder,
            expected="with --cameras a folder that has a file or a folder of detections for each camera",
        )
    folders = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    entries = {entry.name: entry for entry in folders}
    entries |= {entry.stem: entry for entry in detection_files(folder.iterdir())}
    if not entries:
        raise InputError(
            f"there is nothing of a camera in the folder; the calibration has {', '.join(cameras)}",
            path=folder,
            expected="a file or folder of detections for each camera, named like it",
        )
    matched = match_cameras(list(entries), list(cameras), folder)
    return {name: read_detections(entries[entry], settings.layout, rate(name)) for name, entry in matched.items()}


def missing_notes(tracks: dict[str, list[Track]], cameras: dict[str, Camera]) -> list[str]:
    """What readers said, and which cameras saw nothing."""
    notes = [note for camera in cameras.values() for note in camera.notes]
    notes += dict.fromkeys(note for found in tracks.values() for track in found for note in track.keypoints.notes)
    missing = [name for name in cameras if name not in tracks]
    if missing:
        notes.append(f"there are no detections of {', '.join(missing)}: solved without")
    return notes


@dataclass(frozen=True, eq=False)
class SolvedPerson:
    """A person and their motion.

    Args:
        person: what the cameras saw.
        motion: fitted to it.
        took: the time.
    """

    person: SeenPerson
    motion: Motion
    took: Took


@dataclass(frozen=True, eq=False)
class FittedPerson:
    """A person whose motion is in a file.

    Args:
        solved: the person and their motion.
        path: of the motion.
        summary: how well it fits.
    """

    solved: SolvedPerson
    path: Path
    summary: FitSummaryViews


Solve = Callable[[Solver, SeenPerson, Tensor | None, Callable[[int, int], None]], Motion]
"""Solves a person, whose betas are given if they are known; reports frames done and frames in all."""


def solve_views(
    solver: Solver, person: SeenPerson, betas: Tensor | None, progress: Callable[[int, int], None]
) -> Motion:
    """From pixels alone."""
    return solver.fit_views(person.views, betas, progress=progress)


def solve_people(
    people: Sequence[SeenPerson], solver: Solver, settings: FitSettings, notes: Console, solve: Solve = solve_views
) -> list[SolvedPerson]:
    """Fit every person, or the one asked for; prints notes.

    Raises:
        InputError: nobody of the name asked for, or what `solve` raises.
    """
    wanted = named_people(people, settings.person)
    solved = []
    for person in wanted:
        betas = settings.known_betas()
        own = settings.solver_for(solver, person.views[0].keypoints)
        motion, took = solve_shown(
            notes, len(person.views[0].keypoints), betas is None, partial(solve, own, person, betas)
        )
        told = {note for view in person.views for note in (*view.camera.notes, *view.keypoints.notes)}
        said = [note for note in motion.notes if note not in told]
        print_notes(notes, said if len(wanted) == 1 else [f"person {person.name}: {note}" for note in said])
        solved.append(SolvedPerson(person, motion, took))
    return solved


def write_people(
    solved: Sequence[SolvedPerson], body: Body, settings: FitSettings, output: Path, console: Console, notes: Console
) -> list[FittedPerson]:
    """Write every motion, and print a table of each.

    Raises:
        InputError: a motion that cannot be written.
    """
    fitted = []
    for one in solved:
        place = output if len(solved) == 1 else named_output(output, one.person.name)
        if len(solved) > 1:
            console.print(f"person {one.person.name}", style="bold", highlight=False, markup=False)
        print_notes(notes, settings.write(one.motion, place, body))
        summary = summarise_views(body, one.motion, one.person.views)
        layout = load_layout(one.person.views[0].keypoints.layout).name
        print_views_summary(console, summary, one.motion, body, layout, one.took)
        console.print(f"motion: {place}", style="bold", highlight=False, soft_wrap=True)
        fitted.append(FittedPerson(one, place, summary))
    return fitted


def print_views_summary(
    console: Console, summary: FitSummaryViews, motion: Motion, body: Body, layout: str, took: Took
) -> None:
    """The closing table of a fit to cameras."""
    way = float((motion.transl - motion.transl[:1]).norm(dim=-1).max())
    name, error = summary.worst_keypoint
    rows = {
        "median keypoint error": f"{summary.median_error_px:.1f} px",
        "by camera [px]": listed_errors(summary.camera_error_px),
        "by group [px]": listed_errors(summary.group_error_px),
        "worst keypoint": f"{name}, {error:.1f} px",
        "never seen": ", ".join(summary.unobserved),
        "frames flagged": str(summary.flagged),
        "way": f"up to {way:.2f} m from the start",
    }
    print_table(console, rows, motion, body, layout, took)


def listed_errors(errors: dict[str, float]) -> str:
    """Names and their errors in a row."""
    return ", ".join(f"{name} {error:.1f}" for name, error in errors.items())


def print_table(console: Console, rows: dict[str, str], motion: Motion, body: Body, layout: str, took: Took) -> None:
    """The closing table of any fit: these rows, but for empty ones, between what all fits have."""
    table, frames = Table(title="fit", show_header=False, title_justify="left", title_style="bold"), len(motion)
    table.add_row("frames", f"{frames} ({frames / motion.fps:.1f} s at {motion.fps:g} fps)")
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    table.add_row("time", took.told(frames))
    table.add_row("layout", layout)
    table.add_row("body", f"{body.name} ({body.gender})" + ("; not SMPL" if body.name in OPEN_BODIES else ""))
    console.print(table)
