"""`lsmplify refine`: an image-based estimator's result and keypoints in, a better motion out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from learnable_smplify.body import Body, load_body
from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.cli.rig import RigArgs, listed_errors, named_people, picture_notes, read_camera_tracks
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_camera
from learnable_smplify.formats.detections.detection_file import read_detections
from learnable_smplify.formats.estimates import Estimate, EstimateFormat, Frame, read_estimates
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.multiview.gather import SeenPerson
from learnable_smplify.options import (
    BodyOption,
    DeviceOption,
    Gender,
    KeypointRate,
    LayoutOption,
    UnitsOption,
    shown,
)
from learnable_smplify.refine import RefineOptions, RefineResult, match_people, refine_motion
from learnable_smplify.refine.align import AlignMode
from learnable_smplify.refine.options import ShapeSource
from learnable_smplify.refine.views import ViewRefinement, distance_to_views, refine_by_views
from learnable_smplify.repair import repair_keypoints
from learnable_smplify.solver.solver import Solver
from learnable_smplify.timeline import check_rate, rate_ratio
from learnable_smplify.views import View


@dataclass(frozen=True)
class RefineArgs:
    """Improve the output of an image-based estimator (WHAM, GVHMR, TRAM, 4D-Humans, ...) by keypoints, 3D or 2D.

    The estimate is laid on the keypoints in space and time, and then solved anew with both: each counts as much as its
    measured errors say. Where the keypoints are worse than the estimate, the estimate stays. The result is in the
    keypoints' world, at the estimate's frames.
    """

    estimate: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="ESTIMATE")]]
    """The estimator's file or folder: .pkl, .pt, .npy, .npz, .json."""
    keypoints: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="KEYPOINTS")]]
    """3D keypoints: .npz, .npy, .csv, .trc, .c3d, .json, or a folder of .json files; with --camera 2D keypoints of the
    estimator's video, with --cameras a folder of those of every camera, as 'lsmplify fit' takes them."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("motion.npz")
    """Where to write the motion."""
    camera: Annotated[Path | None, shown("FILE", "the keypoints are 3D")] = None
    """camera.json of the video: refine by 2D keypoints, frame by frame of the same video."""
    rig: Annotated[RigArgs, tyro.conf.arg(name="")] = field(default_factory=RigArgs)
    format: Annotated[EstimateFormat | None, shown(None, "by the keys in it")] = None
    """Whose file the estimate is."""
    frame: Annotated[Frame | None, shown(None, "the world where the estimator has one")] = None
    """Which of the estimator's frames of reference to read."""
    person: Annotated[str | None, shown("ID", "the one nearest to the keypoints")] = None
    """Which of the estimator's tracks."""
    keypoint_person: Annotated[str | None, shown("ID", "the one nearest to the estimate")] = None
    """Which of the people in the keypoint file."""
    fps: Annotated[float | None, shown("RATE", "the file's, else the keypoints'")] = None
    """Frames a second of the estimator's video."""
    keypoint_fps: KeypointRate = None
    """Frames a second of the keypoints."""
    offset_s: Annotated[float | None, shown("SECONDS", "searched within a second")] = None
    """What to add to times in the video to get times in the keypoint recording."""
    align: AlignMode = "auto"
    """clip: one rotation and place; frame: they change over time (a moving camera); none: both share a frame."""
    scale: Annotated[float | Literal["auto", "fit"], tyro.conf.arg(metavar="FACTOR|auto|fit")] = "auto"
    """Of the estimate's path: a factor; fit finds one; auto finds one where the path clearly does not fit."""
    shape: ShapeSource = "auto"
    """estimate keeps the estimator's betas; auto lets the keypoints change them as far as they can tell."""
    framewise: bool = False
    """Solve every frame by itself, without smoothing over time."""
    repair: bool = False
    """First remove spikes and repeated frames from the keypoints and undo exchanged sides."""
    layout: LayoutOption = None
    """Which keypoints: body25, coco17, halpe26, ... ('lsmplify doctor' lists them), or a layout TOML of yours."""
    units: UnitsOption = None
    """Unit of the keypoints."""
    body: BodyOption = None
    """The model the estimator uses: a path; or smpl, smplh, smplx to search where 'lsmplify doctor' does."""
    gender: Gender = "neutral"
    """Gender of the licensed body model to search for."""
    pose_layout: PoseLayout = "smplh"
    """Columns of `poses` in the output: smpl 72, smplh 156, smplx 165."""
    device: DeviceOption = "cpu"
    """Where to compute."""


def refine(args: RefineArgs) -> None:
    """Run `lsmplify refine`."""
    console, notes = open_console(), open_console(stderr=True)
    check_output_file(args.output, (".npz",), args.estimate, args.keypoints)
    check_rate(args.fps)
    check_rate(args.keypoint_fps, "--keypoint-fps")
    if not isinstance(args.scale, str) and not args.scale > 0:
        raise InputError(f"--scale is {args.scale:g}", expected="a factor above 0, 'auto' or 'fit'")
    refined = _in_space if args.camera is None and args.rig.cameras is None else _in_pictures
    result, table, body = refined(args, console, notes)
    print_notes(notes, result.notes)
    print_notes(notes, write_motion(result.motion, args.output, pose_layout=args.pose_layout, body=body))
    console.print(table)
    console.print(f"motion: {args.output}", style="bold", highlight=False, soft_wrap=True)


def _in_space(args: RefineArgs, console: Console, notes: Console) -> tuple[RefineResult, Table, Body]:
    estimates = read_estimates(args.estimate, args.person, args.format, frame=args.frame)
    people = read_people(args.keypoints, args.layout, args.keypoint_fps, args.units)
    wanted = None if args.keypoint_person is None else args.keypoint_person.strip()
    people = named_people(people, wanted, args.keypoints, lambda one: one.person_id or "(no name)")
    body = load_body(args.body, args.gender)
    estimate, motion, start_s, keypoints = _matched(args, estimates, people, body, notes)
    if args.repair:
        keypoints = repair_keypoints(keypoints)[0]
    print_notes(notes, (*motion.notes, *keypoints.notes))
    options = RefineOptions(
        align=args.align, scale=args.scale, offset_s=args.offset_s, shape=args.shape, smooth=not args.framewise
    )
    with console.status("refining"):
        result = refine_motion(Solver(body, device=args.device), motion, keypoints, options, start_s=start_s)
    return result, refine_summary(result, estimate), body


def _in_pictures(args: RefineArgs, console: Console, notes: Console) -> tuple[ViewRefinement, Table, Body]:
    if args.units is not None or args.offset_s is not None or args.framewise or args.repair:
        raise InputError("--units, --offset-s, --framewise and --repair are for 3D keypoints", hint="leave them out")
    seen = _seen_people(args, notes)
    body = load_body(args.body, args.gender)
    estimates = read_estimates(args.estimate, args.person, args.format, frame=args.frame)
    estimate, motion, views, frame_notes = _matched_in_pictures(args, estimates, seen, body)
    options = RefineOptions(align="none" if args.align == "none" else "auto", shape=args.shape)
    print_notes(notes, (*motion.notes, *frame_notes))
    with console.status("refining"):
        result = refine_by_views(Solver(body, device=args.device), motion, views, options)
    return result, view_refine_summary(result, estimate), body


@dataclass(frozen=True, eq=False)
class _Seen:
    """The people whom cameras saw.

    Args:
        people: at the same moments.
        begin: the frame of the views' clock with which they begin.
        video_fps: frames a second of the first camera's video; None where nothing says.
    """

    people: Sequence[SeenPerson]
    begin: int
    video_fps: float | None


def _seen_people(args: RefineArgs, notes: Console) -> _Seen:
    if args.camera is not None:
        if args.rig.cameras is not None:
            raise InputError("--camera is one camera, --cameras several", hint="leave one out")
        camera = read_camera(args.camera)
        tracks = read_detections(args.keypoints, args.layout, args.keypoint_fps)
        tracks = named_people(tracks, args.keypoint_person, args.keypoints)
        most = max(tracks, key=lambda track: track.frames_seen).keypoints
        outside = picture_notes(most, camera, args.keypoints)
        print_notes(notes, (*camera.notes, *tracks[0].keypoints.notes, *outside))
        fps = None if most.fps_guessed else most.fps
        return _Seen([SeenPerson(track.name, (View(track.keypoints, camera),)) for track in tracks], 0, fps)
    settings = FitSettings(layout=args.layout, fps=args.keypoint_fps)
    cameras = args.rig.read()
    gathered = args.rig.gather(read_camera_tracks(args.keypoints, cameras, settings), cameras, settings)
    print_notes(notes, gathered.notes)
    wanted = named_people(gathered.people, args.keypoint_person)
    first = wanted[0].views[0].keypoints
    step = next(iter(gathered.steps.values()))
    return _Seen(wanted, gathered.first_frame, None if first.fps_guessed else step * first.fps)


def _matched_in_pictures(
    args: RefineArgs, estimates: list[Estimate], seen: _Seen, body: Body
) -> tuple[Estimate, Motion, Sequence[View], tuple[str, ...]]:
    """The track and what the cameras saw of its person: those that are nearest to each other, where there are several.

    Raises:
        InputError: several of both and nobody named, or no two of the same frames.
    """
    found, failed = [], None
    alone = len(estimates) == len(seen.people) == 1
    for estimate in estimates:
        rate = args.fps or estimate.fps
        motion = estimate.to_motion(rate or seen.video_fps or seen.people[0].views[0].keypoints.fps, body)
        for person in seen.people:
            try:
                views, notes = _at_frames(person.views, seen, int(estimate.frames[0]), motion, rate is not None)
            except InputError as error:
                failed = error
                continue
            away = 0.0 if alone else distance_to_views(body, motion, views)
            found.append((away, person.name, estimate, motion, views, notes))
    if not found:
        raise failed or InputError("there is no track", path=args.estimate)
    found.sort(key=lambda one: one[0])
    _, _, estimate, motion, views, notes = found[0]
    if not alone:
        pairs = [(away, track.person_id, name) for away, name, track, *_ in found]
        notes = (_nearest(args, pairs, len(estimates), len(seen.people)), *notes)
    return estimate, motion, views, notes


def _nearest(args: RefineArgs, pairs: list[tuple[float, str, str]], tracks: int, people: int) -> str:
    """A note on which track is taken with which person.

    Args:
        pairs: distance [m], track and person, the nearest first.
        tracks, people: how many there are.

    Raises:
        InputError: several of both: the nearest pair would be a guess about whom the user wants.
    """
    listed = [f"track {track} with person {person} ({1000 * away:.0f} mm)" for away, track, person in pairs[:8]]
    if tracks > 1 and people > 1:
        raise InputError(
            f"there are {tracks} tracks and {people} people: {'; '.join(listed)}",
            path=args.estimate,
            expected="one of them",
            hint=f"--person {pairs[0][1]}, or --keypoint-person {pairs[0][2]}",
        )
    told = f"{listed[0]} is nearest" + (f"; next is {listed[1]}" if len(listed) > 1 else "")
    return f"{told} (--person, --keypoint-person)"


def _at_frames(
    views: Sequence[View], seen: _Seen, first: int, motion: Motion, timed: bool
) -> tuple[Sequence[View], tuple[str, ...]]:
    """The views at the frames of the estimator's track, and what is to be said of that.

    Args:
        first: the frame of the video with which the track begins.
        timed: whether the motion's frame rate is known.
    """
    keypoints, begin, count = views[0].keypoints, seen.begin, len(motion)
    # Cameras of several rates are seen at the fastest's: frames of it for one of the video; of the video for a track's.
    faster = 1.0 if seen.video_fps is None else rate_ratio(keypoints.fps, seen.video_fps)
    if begin == 0 and len(keypoints) == count and faster == 1:
        return views, ()
    step = faster * (rate_ratio(seen.video_fps, motion.fps) if timed and seen.video_fps is not None else 1.0)
    notes: tuple[str, ...] = ()
    if step != 1:
        notes = (
            f"the detections have {keypoints.fps / faster:g} frames a second, the estimate {motion.fps:g}: matched by "
            "time",
        )
    places = step * (first + torch.arange(count, dtype=torch.float64)) - begin
    outside = int(((places < -0.5) | (places > len(keypoints) - 0.5)).sum())
    if outside == count or (outside and len(views) == 1):
        raise InputError(
            f"the track is of the video's frames {first} to {first + count - 1}, the detections have {len(keypoints)}",
            expected="detections of the same video",
        )
    if outside:
        notes += (f"{outside} of {count} frames are of moments that no two cameras show: the estimate stays there",)
    if begin:
        notes += (f"the estimate's video is taken to be that of {views[0].camera.name}",)
    return [View(view.keypoints.at_frames(places, motion.fps), view.camera) for view in views], notes


def view_refine_summary(result: ViewRefinement, estimate: Estimate) -> Table:
    """The closing table of a refinement by pictures."""
    errors = [("keypoint error across the view [mm]", 1000 * result.error_before_m, 1000 * result.error_after_m)]
    found = {
        "pixels jitter by": ", ".join(f"{value:.1f}" for value in result.noise_px) + " px",
        "the estimate is off by": f"{result.estimate_deg:.1f} degrees a joint",
        "betas changed": f"by {float((result.motion.betas - result.aligned.betas).norm()):.2f}",
    }
    return _summary(result, estimate, errors, found)


def refine_summary(result: RefineResult, estimate: Estimate) -> Table:
    """The closing table: keypoint error before and after by group, what was found, what moved."""
    errors, aligned, levels = result.errors, result.alignment, result.levels
    rows: list[tuple[str, float, float]] = []
    if errors is not None:
        rows = [("keypoint error [mm]", errors.mean_before_mm, errors.mean_after_mm)]
        groups = sorted(errors.group_before_mm.items())
        rows += [(f"  {group}", before, errors.group_after_mm[group]) for group, before in groups]
    found = {} if result.kept_whole is None else {"kept as it is": result.kept_whole}
    if aligned is not None:
        turned = "changes over time" if aligned.moving else f"{aligned.turn_deg:.1f} degrees"
        found["turned into the keypoints' world"] = turned
        found["path"] = f"{'follows the keypoints' if aligned.drifting else 'fits'}, scale {aligned.scale:.3g}"
    found["time offset"] = f"{result.offset.seconds:+.3f} s"
    if levels is not None:
        found["keypoints are off by"] = f"{1000 * levels.noise:.1f} mm, slowly {1000 * levels.slow:.1f} mm"
        found["the estimate is off by"] = f"{levels.estimate_deg:.1f} degrees a joint"
    if errors is not None:
        found["joints turned [degrees]"] = listed_errors(errors.turned_deg)
        found["pelvis moved, betas changed"] = f"{errors.moved_mm:.0f} mm, by {errors.betas_change:.2f}"
    return _summary(result, estimate, rows, found)


def _summary(
    result: RefineResult | ViewRefinement,
    estimate: Estimate,
    errors: list[tuple[str, float, float]],
    found: dict[str, str],
) -> Table:
    """The closing table of any refinement: errors before and after, what was found, and what all refinements have."""
    table = Table(title="refine", title_justify="left", title_style="bold")
    for name in ("", "before", "after"):
        table.add_column(name, justify="left" if name == "" else "right")
    for name, before, after in errors:
        table.add_row(name, f"{before:.1f}", f"{after:.1f}")
    table.add_section()
    frames, kept = len(result.motion), int(result.kept.sum())
    table.add_row("frames", str(frames), f"{frames - kept} refined, {kept} kept")
    for name, value in found.items():
        table.add_row(name, "", value)
    table.add_row("estimator, body", "", f"{estimate.source}, {result.motion.body} ({result.motion.gender})")
    return table


def _matched(
    args: RefineArgs, estimates: list[Estimate], people: list[Keypoints], body: Body, notes: Console
) -> tuple[Estimate, Motion, float, Keypoints]:
    """The track and the person to work on, the track as a motion, and the keypoints' time at its first frame."""
    rate = args.fps
    if rate is None and any(estimate.fps is None for estimate in estimates):
        rate = people[0].fps
        print_notes(notes, (f"the video is taken to have the keypoints' {rate:g} frames a second (--fps)",))
    motions = [estimate.to_motion(rate, body) for estimate in estimates]
    starts = [float(estimate.frames[0]) / motion.fps for estimate, motion in zip(estimates, motions, strict=True)]
    if len(estimates) == len(people) == 1:
        return estimates[0], motions[0], starts[0], people[0]
    offset = args.offset_s or 0.0
    matches = match_people(body, motions, [start + offset for start in starts], people)
    best = matches[0]
    if best.distance == float("inf"):
        raise InputError(
            f"none of {len(estimates)} tracks has three frames in common with any of {len(people)} people",
            path=args.keypoints,
            hint="--offset-s SECONDS, --person ID and --keypoint-person ID",
        )
    pairs = [
        (match.distance, estimates[match.estimate].person_id, people[match.person].person_id or "(no name)")
        for match in matches
        if match.distance < float("inf")
    ]
    print_notes(notes, (_nearest(args, pairs, len(estimates), len(people)),))
    return estimates[best.estimate], motions[best.estimate], starts[best.estimate], people[best.person]
