"""`lsmplify export-body`: the open body as an SMPL model file for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.body.export import export_body as write_body
from learnable_smplify.body.open_body import read_open_body, read_open_hands
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.outputs import check_output_file


@dataclass(frozen=True)
class ExportBodyArgs:
    """Write the open body as an SMPL-format model file for other tools.

    It has SMPL's joints, axes and array names, but its own mesh and shape space (CC0, made from MakeHuman data): betas
    and vertex indices mean other things than in SMPL, and results made with it are not SMPL results.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("SMPL_OPEN.pkl")
    """Where to write; the suffix, .pkl or .npz, chooses the form."""
    hands: bool = False
    """With fingers that bend: SMPL-H's 52 joints on a mesh with finer hands."""


def export_body(args: ExportBodyArgs) -> None:
    """Run `lsmplify export-body`."""
    check_output_file(args.output, (".pkl", ".npz"))
    write_body(read_open_body(), args.output, read_open_hands() if args.hands else None)
    console = open_console(soft_wrap=True)
    kind, joints = ("SMPL-H", 52) if args.hands else ("SMPL", 24)
    console.print(
        f"wrote {args.output}: open body, {kind} format, {joints} joints, 10 betas (not SMPL's mesh or shape space)"
    )
    opened = "smplx.SMPLH(..., use_pca=False, flat_hand_mean=True)" if args.hands else "smplx.SMPL(model_path=...)"
    console.print(f"open it with: {opened} or lsmplify fit ... --body {args.output}")
