"""`lsmplify convert`: a motion file for other programs: BVH, animated GLB, or another kind of npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.cli.console import open_console, print_notes
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.amass import PoseLayout
from learnable_smplify.formats.motion.style import BetasFor, BoneNames, BvhUnit, FileUp, MotionStyle
from learnable_smplify.options import OwnBodyOption, shown

_SUFFIXES = (".npz", ".bvh", ".glb", ".mot", ".csv")


@dataclass(frozen=True)
class ConvertArgs:
    """Write a motion for another program: BVH, animated GLB with skin, AMASS-style npz, or joint angles (OpenSim).

    BVH and GLB hold the person's own bones and are Y up: 24 joints under SMPL's names; BVH in degrees and
    centimetres, GLB in metres with the body's mesh. An npz is Z up, as AMASS is. The frame rate stays unless --fps is
    given.
    """

    motion: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTION")]]
    """Motion file (AMASS-style .npz, as 'lsmplify fit' writes it), or the result of an estimator, as 'refine' takes."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: .bvh, .glb, .npz, or OpenSim's joint angles as .mot or .csv."""
    fps: Annotated[float | None, shown("RATE", "the motion's own")] = None
    """Frames a second of the output; the speed stays true. Blender's SMPL-X add-on takes 30 and more."""
    person: Annotated[str | None, shown("ID", "the one seen most")] = None
    """Whose track to take from an estimator's result."""
    video_fps: Annotated[float | None, shown("RATE", "what the file says, else 30")] = None
    """Frames a second of an estimator's video."""
    pose_layout: PoseLayout = "smplh"
    """Columns of `poses` in an .npz: smpl 72, smplh 156, smplx 165. Blender's SMPL-X add-on wants 156 or 165."""
    up: Annotated[FileUp | None, shown(None, "z for .npz, y for .bvh and .glb")] = None
    """Which axis points up in the file. Without it, an npz says that it was turned, and is turned back when read."""
    betas_for: BetasFor = "motion"
    """Whose betas an .npz has: the motion's own body's; or smpl: where that is the open body, zeros and the person's
    height (actual_human_height), for programs that pose SMPL."""
    skeleton: BoneNames = "smpl"
    """Names of the bones in a .bvh or .glb: SMPL's, Mixamo's, Unreal's mannequin's or VRM's."""
    bvh_unit: BvhUnit = "cm"
    """Unit of the positions in a .bvh."""
    body: OwnBodyOption = None
    """Whose bones and mesh a .bvh or .glb gets: a model file; smpl, smplh, smplx to search; or open."""


def convert(args: ConvertArgs) -> None:
    """Run `lsmplify convert`.

    Raises:
        InputError: files that cannot be read or written, or a body that is missing.
        MissingExtraError: `.glb` without the extra `glb`.
    """
    check_output_file(args.output, _SUFFIXES, args.motion)
    _check_style(args)

    from learnable_smplify.body import OPEN_BODIES
    from learnable_smplify.formats.estimates.any_motion import read_motion_and_body
    from learnable_smplify.formats.motion.motion_file import write_motion
    from learnable_smplify.resample import resample_motion

    console = open_console(soft_wrap=True, highlight=False)
    motion, told, body = read_motion_and_body(args.motion, args.body, args.person, args.video_fps)
    notes = list(told)
    if args.fps is not None and args.fps != motion.fps:
        notes.append(f"resampled from {motion.fps:g} to {args.fps:g} frames a second")
        # How sure the network was of a frame says little about the frames between.
        motion = resample_motion(motion, args.fps)
    style = MotionStyle(args.up, args.betas_for, args.skeleton, args.bvh_unit)
    notes += write_motion(motion, args.output, args.pose_layout, body, style)
    if args.output.suffix.lower() == ".npz" and motion.body in OPEN_BODIES and args.betas_for == "motion":
        notes.append("the betas are the open body's (betas_open); for programs that pose SMPL: --betas-for smpl")
    print_notes(console, notes)
    size = args.output.stat().st_size / 1e6
    console.print(f"{args.output}: {len(motion)} frames at {motion.fps:g} a second, {size:.1f} MB", style="bold")


def _check_style(args: ConvertArgs) -> None:
    """Refuse what the kind of file has no place for.

    Raises:
        InputError: an option that would do nothing.
    """
    kind = args.output.suffix.lower()
    for name, given, kinds in (
        ("--skeleton", args.skeleton != "smpl", (".bvh", ".glb")),
        ("--bvh-unit", args.bvh_unit != "cm", (".bvh",)),
        ("--betas-for", args.betas_for != "motion", (".npz",)),
        ("--pose-layout", args.pose_layout != "smplh", (".npz",)),
        ("--up", args.up is not None, (".npz", ".bvh", ".glb")),
    ):
        if given and kind not in kinds:
            raise InputError(f"{name} is for {' and '.join(kinds)} files", path=args.output, hint=f"leave {name} out")
