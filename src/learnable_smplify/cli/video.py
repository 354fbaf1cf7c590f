"""`lsmplify video`: a video in, a motion, a report and the body over the video out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console
from torch import Tensor

from learnable_smplify.body import Body
from learnable_smplify.camera import Camera
from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.fit import summary_line
from learnable_smplify.cli.outputs import check_output_file, check_output_folder
from learnable_smplify.cli.progress import progress_bar
from learnable_smplify.cli.report import make_report, write_report
from learnable_smplify.cli.rig import (
    FittedPerson,
    RigArgs,
    Solve,
    SolvedPerson,
    check_settings,
    missing_notes,
    picture_notes,
    read_camera_tracks,
    solve_people,
    solve_views,
    write_people,
)
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_camera
from learnable_smplify.formats.detections.detection_arrays import write_detections
from learnable_smplify.formats.detections.detection_file import read_detections
from learnable_smplify.formats.detections.on_side import on_side_notes
from learnable_smplify.formats.motion.motion_file import WRITERS
from learnable_smplify.formats.other_kinds import other_kind
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.motion import Motion
from learnable_smplify.multiview.gather import Gathered, SeenPerson
from learnable_smplify.multiview.names import match_cameras
from learnable_smplify.multiview.points import triangulated
from learnable_smplify.options import shown
from learnable_smplify.render.clip import import_extra
from learnable_smplify.solver.guided import fit_guided
from learnable_smplify.solver.solver import Solver
from learnable_smplify.track import Track
from learnable_smplify.video.detect import check_detector, count_people, detect_people
from learnable_smplify.video.floor import find_floor
from learnable_smplify.video.overlay import Shown, write_overlay
from learnable_smplify.video.read import VideoInfo, video_info
from learnable_smplify.views import View

# Pictures of a calibration and a video of one shape may differ in scale; shapes are alike within this.
_SAME_SHAPE = 0.004
# Encoders cut a few columns off (1088 to 1080), which leaves pixels as they are, unless the size is another anyway.
_CROPPED, _OTHER_SIZE = 0.02, 0.1
_REPORT_PICTURES = 6
# Detections are of all pictures of a video but for so many and this share, as heads of files are not exact.
_FEW_FRAMES, _SAME_LENGTH = 3, 0.03


@dataclass(frozen=True)
class VideoArgs:
    """Find a person in a video, fit an SMPL motion, and draw the body over the video.

    Writes the motion, a report (.html beside it) and a film (.overlay.mp4). From one camera how far away people are
    follows from their size; the camera is taken to be level and the floor to be where feet are, unless --camera says
    where it stands. Several videos of one scene are solved together with --cameras. Finding people needs the extra
    `video`; --detections takes another program's instead.
    """

    videos: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="VIDEO")]]
    """Videos: one, or one of each camera, with the camera's name in the file's."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("motion.npz")
    """Where to write the motion: .npz, .bvh or .glb. Of several people, each gets a file with their name in it."""
    settings: Annotated[FitSettings, tyro.conf.arg(name="")] = field(default_factory=FitSettings)
    camera: Annotated[Path | None, shown("FILE", "guessed, held level")] = None
    """One camera: its calibration, with or without where it stands."""
    rig: Annotated[RigArgs, tyro.conf.arg(name="")] = field(default_factory=RigArgs)
    people: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """How many people to look for, at most; each takes the detector's time once more."""
    detections: Annotated[Path | None, shown("FILE", "MediaPipe's, found now")] = None
    """2D keypoints of another program (AlphaPose, RTMLib, OpenPose, Sports2D, ours), or of an earlier run; for several
    videos a folder with one for each camera, named like it."""
    save_detections: Annotated[Path | None, shown("FOLDER", "not kept")] = None
    """Keep what was found, for --detections."""
    no_overlay: bool = False
    """Do not write the film."""
    no_report: bool = False
    """Do not write the report."""
    json: bool = False
    """Print one line of JSON a motion instead of the table."""
    quiet: bool = False
    """Print nothing but errors."""


def video(args: VideoArgs) -> None:
    """Run `lsmplify video`.

    Raises:
        InputError: files that cannot be read or written, or options that do not fit.
        LsmplifyError: a package is not installed; said before any work.
    """
    _check(args)
    quiet = args.quiet or args.json
    console, notes = open_console(quiet=quiet), open_console(stderr=True, quiet=quiet)
    infos = [video_info(path) for path in args.videos]
    cameras, of_camera, camera_notes = _cameras(args, infos)
    print_notes(notes, camera_notes)
    began = time.perf_counter()
    tracks = _tracks(args, of_camera, cameras, notes)
    looked_s = time.perf_counter() - began
    print_notes(notes, missing_notes(tracks, cameras))
    solver = args.settings.open_solver()
    if len(cameras) > 1:
        gathered = args.rig.gather(tracks, cameras, args.settings)
        print_notes(notes, gathered.notes)
        solved = solve_people(gathered.people, solver, args.settings, notes)
    else:
        ((name, found),) = tracks.items()
        gathered = _alone(found, cameras[name])
        solved = solve_people(gathered.people, solver, args.settings, notes, _guided(found))
        if cameras[name].up_axis is not None and args.rig.cameras is None and _level(cameras[name]):
            solved = _on_floor(solved, solver.body, notes)
    fitted = write_people(solved, solver.body, args.settings, args.output, console, notes)
    if args.detections is None:
        pictures = sum(len(found[0]) for found in tracks.values())
        line = f"detector: {1000 * looked_s / pictures:.0f} ms a picture, {looked_s:.1f} s in all"
        console.print(line, highlight=False)
    for one in fitted:
        if args.json:
            print(summary_line(one.path, one.summary, one.solved.motion, one.solved.took.seconds, gathered.notes))
        if not args.no_report:
            _report(one, solver.body, console)
    if not args.no_overlay:
        _overlay(args, fitted, of_camera, gathered, solver.body, console, notes)


def _check(args: VideoArgs) -> None:
    """Refuse what cannot work, before any work."""
    if not args.videos:
        raise InputError("no video is given", expected="lsmplify video CLIP.mp4 -o motion.npz")
    for path in args.videos:
        told = other_kind(path)
        if not path.is_file():
            raise InputError("there is no such video", path=path, hint=f"ls {path.parent}")
        if told is not None and told[0] != "a video":
            raise InputError(f"this is {told[0]}", path=path, expected="a video", hint=told[1])
    check_output_file(args.output, tuple(WRITERS), *args.videos)
    check_settings(args.settings)
    if len(args.videos) > 1 and args.rig.cameras is None:
        raise InputError(
            f"there are {len(args.videos)} videos and no calibration",
            expected="--cameras CALIBRATION of the cameras that took one scene; videos of different scenes one by one",
        )
    if args.camera is not None and args.rig.cameras is not None:
        raise InputError("--camera and --cameras do not go together", expected="one of them")
    if not 1 <= args.people <= 8:
        raise InputError(f"--people is {args.people}", expected="1 to 8")
    if args.save_detections is not None:
        check_output_folder(args.save_detections)
    import_extra("imageio_ffmpeg", "imageio-ffmpeg", "Reading a video")
    if args.detections is None:
        check_detector()


def _cameras(
    args: VideoArgs, infos: Sequence[VideoInfo]
) -> tuple[dict[str, Camera], dict[str, VideoInfo], tuple[str, ...]]:
    """Cameras and their videos by name, and notes on how the two go together."""
    if args.rig.cameras is None:
        (info,) = infos
        camera = Camera.guessed(info.width, info.height) if args.camera is None else read_camera(args.camera)
        fitted, notes = fitted_camera(camera, info)
        name = fitted.name or info.path.stem
        return {name: replace(fitted, name=name)}, {name: info}, notes
    calibrated = args.rig.read()
    matched = match_cameras([info.path.stem for info in infos], list(calibrated), args.videos[0].parent)
    by_stem = {info.path.stem: info for info in infos}
    cameras: dict[str, Camera] = {}
    videos: dict[str, VideoInfo] = {}
    said: list[str] = []
    for name, stem in matched.items():
        cameras[name], notes = fitted_camera(calibrated[name], by_stem[stem])
        videos[name] = by_stem[stem]
        said += notes
    return cameras, videos, tuple(said)


def fitted_camera(camera: Camera, info: VideoInfo) -> tuple[Camera, tuple[str, ...]]:
    """A camera for pictures of the video's size, and a note where it was calibrated for another.

    Raises:
        InputError: it was calibrated for pictures that lie on their side.
    """
    if camera.width is None or camera.height is None or (camera.width, camera.height) == (info.width, info.height):
        return camera, ()
    name = camera.name or "the camera"
    sizes = f"{name} is calibrated for {camera.width} x {camera.height}, the video has {info.width} x {info.height}"
    across, down = info.width / camera.width, info.height / camera.height
    off = abs(across / down - 1)
    if off < _SAME_SHAPE or (off < _CROPPED and abs(down - 1) > _OTHER_SIZE):
        scale = max(across, down)
        scaled = replace(
            camera,
            fx=camera.fx * scale,
            fy=camera.fy * scale,
            cx=camera.cx * scale,
            cy=camera.cy * scale,
            width=info.width,
            height=info.height,
        )
        return scaled, (f"{sizes}: scaled",)
    if (camera.width > camera.height) != (info.width > info.height):
        raise InputError(sizes, path=info.path, expected="pictures that stand as those of the calibration do")
    return camera, (f"{sizes}: taken pixel for pixel",)


def _tracks(
    args: VideoArgs, videos: dict[str, VideoInfo], cameras: dict[str, Camera], notes: Console
) -> dict[str, list[Track]]:
    rates = {name: info.fps if args.settings.fps is None else args.settings.fps for name, info in videos.items()}
    if args.detections is not None:
        if len(videos) > 1:
            tracks = read_camera_tracks(args.detections, cameras, args.settings, rates)
        else:
            tracks = {name: read_detections(args.detections, args.settings.layout, rates[name]) for name in videos}
            ((name, people),) = tracks.items()
            most = max(people, key=lambda person: person.frames_seen)
            print_notes(notes, picture_notes(most.keypoints, cameras[name], args.detections))
        print_notes(notes, _length_notes(tracks, videos))
        return tracks
    tracks = {}
    for name, info in videos.items():
        with progress_bar(notes, f"looking for people in {info.path.name}", info.frames) as advance:
            tracks[name] = detect_people(info, args.people, progress=advance, fps=rates[name])
        if args.save_detections is not None:
            write_detections(tracks[name], args.save_detections / f"{name}.npz")
    if len(videos) == 1:
        ((name, found),) = tracks.items()
        most = max(found, key=lambda person: person.frames_seen)
        print_notes(notes, on_side_notes(most.keypoints, cameras[name]))
    first = next(iter(videos.values()))
    if args.people == 1 and count_people(first) > 1:
        print_notes(notes, (f"a second person is in {first.path.name}: --people 2 fits both",))
    return tracks


def _length_notes(tracks: dict[str, list[Track]], videos: dict[str, VideoInfo]) -> list[str]:
    """What is said of detections that have another number of frames than their video."""
    return [
        f"the detections of {videos[name].path.name} have {len(found[0])} frames, the video about "
        f"{videos[name].frames}: are they of this video, and of every picture?"
        for name, found in tracks.items()
        if abs(len(found[0]) - videos[name].frames) > _FEW_FRAMES + _SAME_LENGTH * videos[name].frames
    ]


def _alone(tracks: Sequence[Track], camera: Camera) -> Gathered:
    """People of one camera: everybody it followed for long enough."""
    most = max(track.frames_seen for track in tracks)
    kept = [track for track in tracks if track.frames_seen >= max(0.1 * most, 5)] or list(tracks)
    people = tuple(SeenPerson(track.name, (View(track.keypoints, camera),)) for track in kept)
    return Gathered(people, {str(camera.name): 0}, 0, {str(camera.name): 1.0}, ())


def _guided(tracks: Sequence[Track]) -> Solve:
    by_name = {track.name: track for track in tracks}

    def solve(solver: Solver, person: SeenPerson, betas: Tensor | None, progress: Callable[[int, int], None]) -> Motion:
        track = by_name[person.name]
        if track.world is None:
            return solve_views(solver, person, betas, progress)
        return fit_guided(solver, track, person.views[0], betas, progress)

    return solve


def _level(camera: Camera) -> bool:
    """Whether the world is the camera's own: at the origin, looking along -Z with Y up, as nothing is known of it."""
    own = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return bool(torch.equal(camera.R_camera_world, own)) and float(camera.t_camera_world.abs().max()) == 0


def _on_floor(solved: Sequence[SolvedPerson], body: Body, notes: Console) -> list[SolvedPerson]:
    """People who stand on a floor at height 0, and the cameras with them."""
    floor = find_floor([one.motion for one in solved], body)
    print_notes(notes, (floor.note,))
    return [
        replace(one, motion=floor.motion(one.motion, body), person=one.person.with_cameras(floor.camera))
        for one in solved
    ]


def _report(one: FittedPerson, body: Body, console: Console) -> None:
    keypoints = triangulated(one.solved.person.views) if len(one.solved.person.views) > 1 else None
    page = make_report(one.solved.motion, keypoints, body, one.path.name, _REPORT_PICTURES, console.print)
    write_report(page, one.path.with_suffix(".html"), console)


def _overlay(
    args: VideoArgs,
    fitted: Sequence[FittedPerson],
    videos: dict[str, VideoInfo],
    gathered: Gathered,
    body: Body,
    console: Console,
    notes: Console,
) -> None:
    place = args.output.with_suffix(".overlay.mp4")
    placed = {str(view.camera.name): view.camera for one in fitted for view in one.solved.person.views}
    shown_videos = []
    for name in [name for name in videos if name in placed]:
        step = gathered.steps[name]
        first = step * (gathered.first_frame + gathered.offsets[name])
        shown_videos.append(Shown(videos[name], placed[name], first, step))
    motions = [one.solved.motion for one in fitted]
    with progress_bar(notes, "drawing", len(motions[0])) as advance:
        write_overlay(shown_videos, motions, body, place, advance)
    console.print(f"film: {place}", style="bold", highlight=False, soft_wrap=True)
