"""`lsmplify render`: a contact sheet or a film of a motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.errors import InputError
from learnable_smplify.options import BodyOption, LayoutOption, shown

if TYPE_CHECKING:
    from learnable_smplify.body.body import Body
    from learnable_smplify.keypoints import Keypoints
    from learnable_smplify.motion import Motion
    from learnable_smplify.render.clip import Clip

_SUFFIXES = (".png", ".gif", ".mp4")


@dataclass(frozen=True)
class RenderArgs:
    """Draw a motion: a contact sheet (.png) or a film (.gif, .mp4). Needs no display."""

    motion: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTION")]]
    """Motion file (AMASS-style .npz, as `lsmplify fit` writes it), or the result of an estimator, as 'refine' takes."""
    keypoints: tyro.conf.Positional[Annotated[Path | None, shown("[KEYPOINTS]", "none")]] = None
    """Keypoint file to draw over the body: as many frames as the motion, or another rate over the same time."""
    output: Annotated[Path | None, shown("FILE", "the motion's name with .png", "-o")] = None
    """Picture to write: .png for a contact sheet, .gif or .mp4 for a film."""
    layout: LayoutOption = None
    """Layout of the keypoint file, as in 'lsmplify fit'."""
    person: Annotated[str | None, shown("ID", "the one seen most")] = None
    """Whose track to take from an estimator's result."""
    body: BodyOption = None
    """Body model to draw, as in 'lsmplify fit'. Use the one the motion was made with."""
    view: Literal["front", "three-quarter", "side", "both"] = "three-quarter"
    """Where the camera stands; both (contact sheets only) adds a row from the side."""
    panels: Literal["overlay", "beside"] = "overlay"
    """Films with keypoints: draw them over the body, or beside it."""
    frames: Annotated[int | None, shown("N", "10 pictures, the whole film")] = None
    """Contact sheet: number of pictures. Film: stop after this many frames of film."""
    size: Annotated[int | None, shown("PIXELS", "320 for .png, 420 .gif, 576 .mp4")] = None
    """Height of one picture."""
    fps: Annotated[float | None, shown("RATE", "16.7 for .gif, the motion's, at most 30, for .mp4")] = None
    """Frames a second of the film; the speed stays true."""


def render(args: RenderArgs) -> None:
    """Run `lsmplify render`.

    Raises:
        InputError: files that cannot be read or written, or options that do not fit.
        MissingExtraError: the `render` extra is not installed.
    """
    output = args.output or args.motion.with_suffix(".png")
    suffix = output.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(
            f"cannot tell what to draw from '{output.suffix}'",
            path=output,
            expected="a name ending in .png (contact sheet), .gif or .mp4 (film)",
            hint=f"-o {output.with_suffix('.png')}",
        )
    if suffix != ".png" and args.view == "both":
        raise InputError("a film has one view", expected="--view front, three-quarter or side")
    if args.panels == "beside" and (args.keypoints is None or suffix == ".png"):
        raise InputError("there is nothing to draw beside the body", expected="a keypoint file and a film")
    if args.size is not None and not 64 <= args.size <= 4096:
        raise InputError(f"the picture height is {args.size}", expected="64 to 4096 pixels", hint="--size 480")

    from learnable_smplify.body import body_of_motion, load_body
    from learnable_smplify.fit_summary import as_fitted
    from learnable_smplify.formats.estimates.any_motion import read_any_motion
    from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
    from learnable_smplify.render.film import film
    from learnable_smplify.render.sheet import contact_sheet
    from learnable_smplify.report.measures import match_frames

    console = open_console(stderr=True)
    body = load_body(args.body)
    motion, notes = read_any_motion(args.motion, body, args.person, level=True)
    print_notes(console, notes)
    body = body_of_motion(motion.body, body) if args.body is None else body
    keypoints = None if args.keypoints is None else read_keypoints(args.keypoints, layout=args.layout)
    if args.body is None and motion.body != body.name:
        console.print(f"The motion was made for the body '{motion.body}'; drawing it on '{body.name}' (see --body).")
    if keypoints is not None:
        given, keypoints = keypoints, as_fitted(body, motion, keypoints)
        print_notes(console, (*keypoints.notes[len(given.notes) :], *match_frames(motion, keypoints)[2]))
    clip = motion_clip(motion, body, keypoints)

    if suffix == ".png":
        height = args.size or 320
        contact_sheet(
            clip,
            output,
            frames=10 if args.frames is None else args.frames,
            views=("three-quarter", "side") if args.view == "both" else (args.view,),
            size=(round(height * 0.75), height),
            caption=f"{args.motion.stem}, {len(motion) / motion.fps:.1f} s at {motion.fps:g} fps, {body.name} body",
            progress=True,
        )
        written = "contact sheet"
    else:
        count = film(
            clip,
            output,
            fps=args.fps,
            frames=args.frames,
            view="three-quarter" if args.view == "both" else args.view,
            panels=("keypoints", "body") if args.panels == "beside" else ("overlay",),
            size=(round(args.size * 0.84), args.size) if args.size else None,
            progress=True,
        )
        written = f"film of {count} frames"
    console.print(f"{output}: {written}, {output.stat().st_size / 1e6:.1f} MB")


def motion_clip(motion: Motion, body: Body, keypoints: Keypoints | None = None) -> Clip:
    """Pose `body` by `motion`, put the keypoints on the same frames, and point the camera at the person's front.

    Keypoints with as many frames as the motion are taken frame by frame, others by time, as far as they go.
    """
    import numpy as np
    import roma
    import torch

    from learnable_smplify.body.clothes import clothed_colors
    from learnable_smplify.body.motion_mesh import MotionMesh
    from learnable_smplify.layouts.layout import Layout
    from learnable_smplify.render.clip import Clip
    from learnable_smplify.render.overlay import keypoint_colors, with_hand_points
    from learnable_smplify.report.measures import match_frames

    mesh = MotionMesh(body, motion)
    facing = roma.rotvec_to_rotmat(motion.pose[:, 0])[:, :, 2].mean(dim=0).numpy()
    dots = colors = radii = None
    edges: Sequence[tuple[int, int]] = ()
    up_axis: str | None = motion.up_axis
    if keypoints is not None:
        assert isinstance(keypoints.layout, Layout)
        seen = torch.where(keypoints.confidence[..., None] > 0, keypoints.positions, torch.nan).numpy()
        frame, inside, _ = match_frames(motion, keypoints)
        dots = seen[frame]
        dots[~inside] = np.nan
        colors, edges = keypoint_colors(keypoints.layout), keypoints.layout.edges
        if keypoints.hands is not None:
            hands = keypoints.hands
            of_hands = torch.where(hands.confidence[..., None] > 0, hands.positions, torch.nan).numpy()[frame]
            of_hands[~inside] = np.nan
            dots, edges, colors, radii = with_hand_points(dots, edges, colors, of_hands)
        up_axis = up_axis or keypoints.up_axis
    return Clip(
        vertices=mesh.vertices().numpy(),
        faces=mesh.faces,
        fps=motion.fps,
        up_axis=up_axis,
        forward=facing,
        keypoints=dots,
        edges=edges,
        keypoint_colors=colors,
        keypoint_radii=radii,
        flagged=motion.flagged.numpy(),
        color=clothed_colors(mesh.body_weights),
    )
