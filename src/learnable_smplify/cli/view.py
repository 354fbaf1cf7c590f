"""`lsmplify view`: a motion in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.cli.console import open_console
from learnable_smplify.options import BodyOption, LayoutOption, shown

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ViewArgs:
    """Show a motion in the browser, with its keypoints and a second motion. Ctrl-C ends it.

    The page is served from this machine and reached from this machine only. On a server, forward the port
    (ssh -L 8080:127.0.0.1:8080 SERVER) and open the address at home.
    """

    motion: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTION")]]
    """Motion file (.npz as 'lsmplify fit' writes it), or the result of an estimator (WHAM, GVHMR, TRAM, ...)."""
    keypoints: tyro.conf.Positional[Annotated[Path | None, shown("[KEYPOINTS]", "none")]] = None
    """Keypoint file to show with it: as many frames as the motion, or another rate over the same time."""
    second: Annotated[Path | None, shown("FILE", "none")] = None
    """Another motion or estimator's result to compare with; the page has a switch for where it stands."""
    layout: LayoutOption = None
    """Layout of the keypoint file, as in 'lsmplify fit'."""
    person: Annotated[str | None, shown("ID", "the one seen most")] = None
    """Whose track to take from an estimator's result."""
    fps: Annotated[float | None, shown("RATE", "the file's, or 30")] = None
    """Frames a second of an estimator's video, where its file does not say."""
    body: BodyOption = None
    """Body model to draw, as in 'lsmplify fit'. Use the one the motion was made with."""
    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen on. Another one than the default lets other machines look, without a password."""
    port: Annotated[int | None, shown("PORT", "8080 or the next free one")] = None
    """Port to listen on."""
    no_browser: bool = False
    """Do not open a browser, only print the address."""


def view(args: ViewArgs) -> None:
    """Run `lsmplify view` until Ctrl-C.

    Raises:
        InputError: files that cannot be read, or an address that cannot be listened on.
        MissingExtraError: the `view` extra is not installed.
    """

    from learnable_smplify.body import OPEN_BODIES, body_of_motion, load_body
    from learnable_smplify.fit_summary import as_fitted
    from learnable_smplify.formats.estimates.any_motion import read_any_motion
    from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
    from learnable_smplify.report.measures import match_frames
    from learnable_smplify.view.clock import matching_frames
    from learnable_smplify.view.dots import Dots
    from learnable_smplify.view.figure import Figure
    from learnable_smplify.view.stage import guess_up
    from learnable_smplify.view.viewer import Viewer

    console = open_console(stderr=True, highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        console.print(line, markup=False)

    body = load_body(args.body)

    def figure_of(path: Path) -> Figure:
        motion, notes = read_any_motion(path, body, args.person, args.fps)
        for note in notes:
            say(f"{path.name}: {note}")
        if args.body is None and motion.body not in OPEN_BODIES:
            say(f"{path.name}: made for the body '{motion.body}'; drawing it on '{body.name}' (see --body)")
        return Figure(body_of_motion(motion.body, body) if args.body is None else body, motion)

    figure = figure_of(args.motion)
    motion = figure.motion
    up, reason = guess_up(figure)
    title = f"{args.motion.name}: {len(motion)} frames at {motion.fps:g} fps, {body.name} body"
    dots = second = second_up = None
    if args.keypoints is not None:
        keypoints = as_fitted(figure.body, motion, read_keypoints(args.keypoints, layout=args.layout))
        for note in (*keypoints.notes, *match_frames(motion, keypoints)[2]):
            say(f"{args.keypoints.name}: {note}")
        if keypoints.up_axis not in (None, up):
            say(f"{args.keypoints.name}: {keypoints.up_axis} is up in it, {up} in the motion: the two may not meet")
        assert not isinstance(keypoints.layout, str)
        dots = Dots(keypoints, matching_frames(len(motion), motion.fps, len(keypoints), keypoints.fps))
        title += f"\n{args.keypoints.name}: {keypoints.layout.name}, dots red (unsure) to blue-green (sure)"
    if args.second is not None:
        second = figure_of(args.second)
        second_up, _ = guess_up(second)
        title += f"\n{args.second.name}: the second motion, sand-coloured"

    try:
        with Viewer(
            figure, up=up, title=title, dots=dots, second=second, second_up=second_up, host=args.host, port=args.port
        ) as viewer:
            say(f"{up} is up: {reason} (the page has a switch)")
            if args.host not in _LOOPBACK:
                say(f"anyone who can reach {args.host} can look: there is no password")
            console.print(f"{viewer.url}   Ctrl-C to end", style="bold")
            if not args.no_browser and _has_screen():
                webbrowser.open(viewer.url)
            viewer.run()
    except KeyboardInterrupt:  # the way to close it
        say("closed")


def _has_screen() -> bool:
    """Whether a browser window can open: on a bare terminal, some systems would start a text browser in it."""
    return not sys.platform.startswith("linux") or any(os.environ.get(key) for key in ("DISPLAY", "WAYLAND_DISPLAY"))
