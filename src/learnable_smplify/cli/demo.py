"""`lsmplify demo`: the whole way from a keypoint file to a motion, a picture and a film, on a clip in the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Literal

import tyro

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.fit import fit_with_progress, print_summary
from learnable_smplify.cli.outputs import check_output_folder
from learnable_smplify.cli.render import motion_clip
from learnable_smplify.errors import MissingExtraError
from learnable_smplify.fit_summary import summarise_fit
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.solver import Solver


@dataclass(frozen=True)
class DemoArgs:
    """Fit a six-second keypoint clip that comes with the package, and draw the result. Start here.

    The clip is made by formulas (a person walks, squats and waves) with the faults of a markerless capture: drift,
    jitter, a wrist lost for half a second. It needs no licensed file, no network connection and no display.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("demo")
    """Where to write motion.npz, contact_sheet.png and the film."""
    film: Literal["gif", "mp4", "none"] = "gif"
    """Form of the film of the mesh over its keypoints."""


def demo_keypoints() -> Keypoints:
    """The clip in the package: 180 frames of BODY_25 at 30 fps."""
    with as_file(files("learnable_smplify.cli") / "demo_keypoints.npz") as path:
        return read_keypoints(path)


def demo(args: DemoArgs) -> None:
    """Run `lsmplify demo`."""
    check_output_folder(args.output)
    console = open_console()
    keypoints, body = demo_keypoints(), load_body()
    motion, took = fit_with_progress(Solver(body), keypoints, None, console)
    written = [args.output / "motion.npz"]
    print_notes(open_console(stderr=True), write_motion(motion, written[0]))
    print_summary(console, summarise_fit(body, motion, keypoints), motion, body, keypoints, took)
    try:
        from learnable_smplify.render.film import film
        from learnable_smplify.render.sheet import contact_sheet

        clip = motion_clip(motion, body, keypoints)
        written.append(args.output / "contact_sheet.png")
        caption = f"lsmplify demo: keypoints (dots) and the fitted open body, {len(motion) / motion.fps:.0f} s"
        contact_sheet(clip, written[-1], frames=10, caption=caption, progress=True)
        if args.film != "none":
            written.append(args.output / f"film.{args.film}")
            film(clip, written[-1], size=(320, 380), progress=True)
    except MissingExtraError as error:
        console.print(f"no pictures: {error}", style="yellow", highlight=False, markup=False, soft_wrap=True)
        written = [path for path in written if path.exists()]
    for path in written:
        console.print(f"wrote {path}", style="bold", highlight=False, soft_wrap=True)
    console.print(
        "next: lsmplify fit MY_KEYPOINTS -o motion.npz   (npz, npy, csv, trc)", highlight=False, soft_wrap=True
    )
