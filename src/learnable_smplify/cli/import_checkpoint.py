"""`lsmplify import-checkpoint`: the authors' released checkpoint as weights this package loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.outputs import check_output_file
from learnable_smplify.network.authors_checkpoint import read_authors_checkpoint
from learnable_smplify.network.weights import parameter_count, save_network


@dataclass(frozen=True)
class ImportCheckpointArgs:
    """Turn a checkpoint of the authors of Learnable SMPLify (best_ckpt.pth.tar) into weights for this package.

    Nothing in the file is run: tensors, numbers and text are read, all else is refused. The licensed keypoint regressor
    and the state of the optimiser are left behind. The network computes what it computed there, on the skeleton graph
    and in the mirrored frame it was trained with.
    """

    path: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]]
    """The .pth.tar file."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("authors.safetensors")
    """Where to write; a .safetensors file."""


def import_checkpoint(args: ImportCheckpointArgs) -> None:
    """Run `lsmplify import-checkpoint`.

    Raises:
        InputError: the checkpoint cannot be read (see `read_authors_checkpoint`), or the output cannot be written.
    """
    check_output_file(args.output, (".safetensors",), args.path)
    network = read_authors_checkpoint(args.path)
    save_network(network, args.output, {"source": f"imported from {args.path.name}, arXiv 2508.13562"})
    console = open_console(soft_wrap=True, highlight=False)
    console.print(
        f"wrote {args.output}: ST-GCN, {parameter_count(network) / 1e6:.2f} M parameters, NTU graph, mirrored frame",
        markup=False,
    )
    console.print(f'use it with: Solver(weights="{args.output}") or load_network("{args.output}")', markup=False)
