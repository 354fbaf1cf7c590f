"""`lsmplify report`: one HTML file that says how good a motion is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.options import LayoutOption, OwnBodyOption, shown
from learnable_smplify.safe_files.atomic import atomic_output

if TYPE_CHECKING:
    import numpy as np

    from learnable_smplify.body.body import Body
    from learnable_smplify.keypoints import Keypoints
    from learnable_smplify.motion import Motion
    from learnable_smplify.report.measures import FitMeasures
    from learnable_smplify.report.pictures import Picture

_WORST = 4
# Pictures of the worst moments are at least this far apart, so that they are not one moment four times.
_APART_S = 0.5


@dataclass(frozen=True)
class ReportArgs:
    """Write a report of a motion: one HTML file with pictures, charts and what they mean.

    With the keypoints that the motion was made from it shows how far the two are apart, where and when, and how good
    the keypoints are. The file loads nothing and can be sent to others; whatever the options, nothing is changed in
    the motion.
    """

    motion: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTION")]]
    """Motion file (AMASS-style .npz, as 'lsmplify fit' writes it), or the result of an estimator, as 'refine' takes."""
    keypoints: tyro.conf.Positional[Annotated[Path | None, shown("[KEYPOINTS]", "none")]] = None
    """The keypoints it was made from: as many frames as the motion, or another rate over the same time."""
    output: Annotated[Path | None, shown("FILE", "the motion's name with .html", "-o")] = None
    """Where to write the report."""
    layout: LayoutOption = None
    """Layout of the keypoint file, as in 'lsmplify fit'."""
    units: Annotated[str | None, shown("m|cm|mm|in|ft", "as in 'fit'")] = None
    """Unit of the keypoints, if it was given to 'lsmplify fit'."""
    up: Annotated[str | None, shown("AXIS", "as in 'fit'")] = None
    """Which way is up in the keypoints, if it was given to 'lsmplify fit': x, y, z, -x, -y or -z."""
    person: Annotated[str | None, shown("ID", "the only one")] = None
    """Which person of the keypoint file, if it has several."""
    track: Annotated[str | None, shown("ID", "the one seen most")] = None
    """Whose track to take from an estimator's result."""
    body: OwnBodyOption = None
    """The body the motion was made with, as in 'lsmplify fit'; or open."""
    pictures: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """Number of pictures over the whole motion; 0 leaves all pictures out."""


def report(args: ReportArgs) -> None:
    """Run `lsmplify report`.

    Raises:
        InputError: files that cannot be read or written, or options that do not fit.
    """
    output = args.output or args.motion.with_suffix(".html")
    check_output_file(output, (".html", ".htm"), args.motion, *(() if args.keypoints is None else (args.keypoints,)))
    if not 0 <= args.pictures <= 100:
        raise InputError(f"--pictures is {args.pictures}", expected="0 to 100", hint="--pictures 10")

    from learnable_smplify.body import body_of_motion, load_body
    from learnable_smplify.formats.estimates.any_motion import read_motion_and_body
    from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
    from learnable_smplify.formats.motion.amass import read_notes

    console = open_console(soft_wrap=True, highlight=False)
    motion, told, given = read_motion_and_body(args.motion, args.body, args.track)
    print_notes(console, told)
    if args.motion.suffix.lower() == ".npz":
        motion = replace(motion, notes=(*motion.notes, *read_notes(args.motion)))
    keypoints = None
    if args.keypoints is not None:
        keypoints = read_keypoints(args.keypoints, layout=args.layout, units=args.units, up=args.up, person=args.person)
    if args.body is None and motion.body not in OPEN_BODIES:
        raise InputError(
            f"the motion belongs to the body '{motion.body[:40]}', and can only be measured on it",
            path=args.motion,
            expected="that body",
            hint="--body smpl, --body FILE, or --body open to measure it on the body in the package all the same",
        )
    body = given or body_of_motion(motion.body, load_body())
    page = make_report(motion, keypoints, body, args.motion.name, args.pictures, console.print)
    write_report(page, output, console)


def write_report(page: str, path: Path, console: Console) -> None:
    """Write a report, and say where it is."""
    # Names of files can hold bytes that are no text.
    with atomic_output(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", errors="replace"))
    size = path.stat().st_size / 1e6
    console.print(f"report: {path} ({size:.1f} MB)", style="bold", highlight=False, soft_wrap=True)


def make_report(
    motion: Motion, keypoints: Keypoints | None, body: Body, title: str, pictures: int, say: Callable[[str], object]
) -> str:
    """The report as HTML.

    Args:
        motion: what the report is about.
        keypoints: what it was made from, if known.
        body: the body it was made with.
        title: of the page.
        pictures: how many over the whole motion; 0 for none at all.
        say: called with a line for the user when pictures have to be left out.
    """
    from learnable_smplify.body.size import stature_m
    from learnable_smplify.fit_summary import as_fitted
    from learnable_smplify.report.measures import joint_acceleration, measure_fit
    from learnable_smplify.report.page import Report, write_page
    from learnable_smplify.report.verdicts import judge

    keypoints = None if keypoints is None else as_fitted(body, motion, keypoints)
    fit = None if keypoints is None else measure_fit(body, motion, keypoints)
    jitter, height = joint_acceleration(body, motion), stature_m(body, motion.betas)
    notes = motion.notes if keypoints is None or fit is None else (*motion.notes, *keypoints.notes, *fit.notes)
    if motion.body != body.name:
        notes += (f"The motion was made for the body '{motion.body}' and is measured on '{body.name}'.",)
    moments: list[Picture] = []
    worst: list[Picture] = []
    if pictures:
        try:
            moments, worst = _draw(motion, keypoints, body, fit, pictures)
        except MissingExtraError as error:
            notes += (f"There are no pictures: {error}",)
            say(f"note: no pictures in the report. {error}")
    facts = [
        ("length", f"{len(motion) / motion.fps:.1f} s"),
        ("frames", f"{len(motion)} at {motion.fps:g} a second"),
        ("body", f"{body.name} ({body.gender})" + ("; not SMPL" if body.name in OPEN_BODIES else "")),
    ]
    if fit is not None:
        facts.append(("keypoints", f"{int(fit.seen.any(axis=0).sum())} of {len(fit.layout)}, layout {fit.layout.name}"))
    if motion.up_axis is not None:
        facts.append(("up", motion.up_axis.upper()))
    return write_page(
        Report(
            title=title,
            facts=tuple(facts),
            motion=motion,
            fit=fit,
            joint_jitter=jitter,
            verdicts=judge(motion, fit, jitter, height),
            moments=moments,
            worst=worst,
            notes=tuple(dict.fromkeys(notes)),
        )
    )


def _draw(
    motion: Motion, keypoints: Keypoints | None, body: Body, fit: FitMeasures | None, count: int
) -> tuple[list[Picture], list[Picture]]:
    """Pictures over the whole motion, and of the moments with the largest errors."""
    import numpy as np

    from learnable_smplify.cli.render import motion_clip
    from learnable_smplify.report.measures import match_frames, mean_over
    from learnable_smplify.report.pictures import draw_moments

    even = np.unique(np.linspace(0, len(motion) - 1, count).round().astype(int)).tolist()
    error = np.full(len(motion), np.nan) if fit is None else mean_over(fit.error_mm)
    worst = _peaks(error, max(1, round(_APART_S * motion.fps)))
    # Only the moments that are shown are posed: the mesh of a long recording would not fit into memory.
    shown = [*even, *worst]
    chosen = motion.chosen(shown)
    dots = None
    if keypoints is not None:
        source, inside, _ = match_frames(motion, keypoints)
        confidence = keypoints.confidence.cpu()[source[shown]]
        confidence[~inside[shown]] = 0
        if bool((confidence > 0).any()):
            positions = keypoints.positions.cpu()[source[shown]]
            hands = None if keypoints.hands is None else keypoints.hands[source[shown]]
            dots = replace(keypoints, positions=positions, confidence=confidence, fps=motion.fps, hands=hands)
    captions = [f"{frame / motion.fps:.2f} s" for frame in even]
    captions += [f"{frame / motion.fps:.2f} s, mean {error[frame]:.0f} mm" for frame in worst]
    flagged = chosen.flagged.tolist()
    captions = [text + (", not trusted" if flag else "") for text, flag in zip(captions, flagged, strict=True)]
    pictures = draw_moments(motion_clip(chosen, body, dots), shown, captions)
    return pictures[: len(even)], pictures[len(even) :]


def _peaks(error: np.ndarray, apart: int) -> list[int]:
    """Frames with the largest errors, at least `apart` from one another, in order of time."""
    import numpy as np

    left = error.copy()
    peaks: list[int] = []
    while len(peaks) < _WORST and np.isfinite(left).any():
        frame = int(np.nanargmax(left))
        peaks.append(frame)
        left[max(0, frame - apart) : frame + apart + 1] = np.nan
    return sorted(peaks)
