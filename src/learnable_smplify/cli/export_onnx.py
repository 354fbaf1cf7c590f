"""`lsmplify export-onnx`: the network for programs without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.body import load_body
from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.network.weights import load_network
from learnable_smplify.options import shown
from learnable_smplify.solver.onnx_file import save_onnx


@dataclass(frozen=True)
class ExportOnnxArgs:
    """Write the network as an ONNX file: from a start pose and BODY_25 keypoints to a pose, for onnxruntime.

    It holds every pass of the network and the keypoints of a body between them, but no Gauss-Newton steps after them.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("network.onnx")
    """Where to write."""
    weights: Annotated[Path | None, shown("FILE", "in the package")] = None
    """Other weights, of `lsmplify train`."""
    body: Annotated[Path | None, shown("FILE", "open")] = None
    """Another body model, whose licence the file then has."""
    passes: Annotated[int | None, shown("N", "as trained")] = None
    """How often the network is run on a frame."""


def export_onnx(args: ExportOnnxArgs) -> None:
    """Run `lsmplify export-onnx`."""
    check_output_file(args.output, (".onnx",))
    body = load_body(args.body)
    save_onnx(args.output, load_network(args.weights), body, args.passes)
    console = open_console(soft_wrap=True)
    console.print(f"wrote {args.output}: network with the {body.name} body, any number of frames at once")
    console.print("run it with: onnxruntime, as in examples/network_in_numpy.py")
