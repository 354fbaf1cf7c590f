"""`lsmplify convert`: a motion file for other programs: BVH, animated GLB, or another kind of npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.options import OwnBodyOption, shown

if TYPE_CHECKING:
    from learnable_smplify.body.body import Body
    from learnable_smplify.motion import Motion

_SUFFIXES = (".npz", ".bvh", ".glb")


@dataclass(frozen=True)
class ConvertArgs:
    """Write a motion for another program: BVH, animated GLB with skin, or AMASS-style npz.

    BVH and GLB hold the person's own bones and are Y up: 24 joints under SMPL's names; BVH in degrees and
    centimetres, GLB in metres with the body's mesh. The frame rate stays unless --fps is given.
    """

    motion: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTION")]]
    """Motion file (AMASS-style .npz, as 'lsmplify fit' writes it)."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: .bvh, .glb or .npz."""
    fps: Annotated[float | None, shown("RATE", "the motion's own")] = None
    """Frames a second of the output; the speed stays true. Blender's SMPL-X add-on takes 30 and more."""
    pose_layout: PoseLayout = "smplh"
    """Columns of `poses` in an .npz: smpl 72, smplh 156, smplx 165. Blender's SMPL-X add-on wants 156 or 165."""
    body: OwnBodyOption = None
    """Whose bones and mesh a .bvh or .glb gets: a model file; smpl, smplh, smplx to search; or open."""


def convert(args: ConvertArgs) -> None:
    """Run `lsmplify convert`.

    Raises:
        InputError: files that cannot be read or written, or a body that is missing.
        MissingExtraError: `.glb` without the extra `glb`.
    """
    check_output_file(args.output, _SUFFIXES, args.motion)

    from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
    from learnable_smplify.resample import resample_motion

    console = open_console(soft_wrap=True, highlight=False)
    motion = read_motion(args.motion)
    notes = list(motion.notes)
    if args.fps is not None and args.fps != motion.fps:
        notes.append(f"resampled from {motion.fps:g} to {args.fps:g} frames a second")
        # How sure the network was of a frame says little about the frames between.
        motion = resample_motion(motion, args.fps)
    body = None if args.body is None or args.output.suffix.lower() == ".npz" else _load(args.body, motion)
    notes += write_motion(motion, args.output, args.pose_layout, body)
    for note in notes:
        console.print(f"note: {note}", style="yellow")
    size = args.output.stat().st_size / 1e6
    console.print(f"{args.output}: {len(motion)} frames at {motion.fps:g} a second, {size:.1f} MB", style="bold")


def _load(name: str, motion: Motion) -> Body:
    from learnable_smplify.body import load_body

    # The motion knows the gender its betas belong to; the open body has only one.
    return load_body(name, "neutral" if name == "open" else motion.gender)
