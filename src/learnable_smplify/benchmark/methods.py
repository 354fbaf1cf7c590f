"""What is compared, and how each method is made, with the settings it runs with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from learnable_smplify.benchmark.pairs import PairBatch

Key = Literal[
    "copy",
    "smplify_adam",
    "smplify_lbfgs",
    "gauss_newton",
    "authors_published",
    "authors_rewritten",
    "keypoints2body",
    "keypoints2body_follow_up",
    "single_pass",
    "hybrid",
]
Solve: TypeAlias = Callable[[PairBatch], Tensor]

_ALL = "start pose, betas, 25 keypoints"
_JOINTS = "start pose, betas, 24 joint centres"
# Pairs at once in our rewriting of the authors' network: the features of more do not fit a CPU's cache.
_CHUNK = 64


@dataclass(frozen=True)
class Method:
    """One row of the tables.

    Args:
        key: how it is made, see `build`.
        label: its name in the tables.
        given: what it is told of the person and the target.
        device: "cpu" or "cuda".
        weights: of the authors' network; None makes untrained ones, whose errors mean nothing and are not shown.
        timed, exact: whether its time, and whether its errors are shown.
        one_by_one: it has no batches: it is timed at batch 1 only, and its errors are those of a subset of the pairs.
    """

    key: Key
    label: str
    given: str = _ALL
    device: str = "cpu"
    weights: str | None = None
    timed: bool = True
    exact: bool = True
    one_by_one: bool = False


def methods(authors_weights: Path | None = None, *, gpu: bool = False) -> tuple[Method, ...]:
    """The rows of the benchmark, classical ones first.

    Args:
        authors_weights: file of `lsmplify train --architecture stgcn`.
        gpu: add ours on the GPU.
    """
    weights = None if authors_weights is None else str(authors_weights.absolute())
    trained = weights is not None
    rows = [
        Method("copy", "copy the start", given="start pose", timed=False),
        Method("smplify_adam", "SMPLify (Adam)"),
        Method("smplify_lbfgs", "SMPLify (L-BFGS)"),
        Method("keypoints2body", "keypoints2body (24 joints)", given=_JOINTS, one_by_one=True),
        Method("keypoints2body_follow_up", "keypoints2body, follow-up (24 joints)", given=_JOINTS, one_by_one=True),
        Method("gauss_newton", "Gauss-Newton"),
        Method("authors_published", "authors' network, as published", weights=weights, exact=trained),
        Method("authors_rewritten", "authors' network, our rewriting", weights=weights, exact=trained),
        Method("single_pass", "ours, single pass"),
        Method("hybrid", "ours, hybrid"),
    ]
    if gpu:
        rows += [
            Method("single_pass", "ours, single pass, GPU", device="cuda"),
            Method("hybrid", "ours, hybrid, GPU", device="cuda"),
        ]
    return tuple(rows)


def build(method: Method, folder: Path) -> tuple[Solve, dict[str, Any]]:
    """A function from pairs to poses (B, 24, 3) on the CPU, and the settings it was made with.

    Args:
        method: what to make.
        folder: an empty folder for files the method needs.

    Raises:
        InputError: weights that cannot be read, no such device.
        MissingExtraError: the package of a peer is not installed.
    """
    # Imports are inside: each process pays, in time and memory, for its own method only.
    match method.key:
        case "copy":
            return (lambda batch: batch.start_pose), {}
        case "keypoints2body" | "keypoints2body_follow_up":
            from learnable_smplify.benchmark import peer

            which = peer.FIRST if method.key == "keypoints2body" else peer.FOLLOW_UP
            return peer.keypoints2body_solver(folder, which)
        case "authors_published" | "authors_rewritten":
            return _authors(method)
        case _:
            return _solver(method)


def _solver(method: Method) -> tuple[Solve, dict[str, Any]]:
    from learnable_smplify.solver import Solver

    settings: dict[str, Any]
    match method.key:
        case "smplify_adam" | "smplify_lbfgs":
            from learnable_smplify.solver.smplify.smplify import SmplifyOptions

            options = SmplifyOptions(optimiser="adam" if method.key == "smplify_adam" else "lbfgs")
            solver = Solver(method="smplify", device=method.device, smplify_options=options)
            others = ("adam_iterations", "learning_rate") if options.optimiser == "lbfgs" else ("lbfgs_iterations",)
            settings = {name: value for name, value in asdict(options).items() if name not in others}
            settings["mixture"] = options.mixture or "the one in the package"
        case "gauss_newton":
            solver = Solver(method="gauss_newton", device=method.device)
            settings = asdict(solver.pair_options)
        case _:
            steps, passes = (0, 1) if method.key == "single_pass" else (2, None)
            solver = Solver(device=method.device, refine_steps=steps, passes=passes)
            settings = {"refine_steps": steps, "passes": _network_passes() if passes is None else passes}

    def solve(batch: PairBatch) -> Tensor:
        return solver.solve_pairs(batch.start_pose, batch.keypoints, batch.betas)[0].cpu()

    return solve, settings


def _network_passes() -> int:
    from learnable_smplify.network.pose_mlp import PoseMlp
    from learnable_smplify.network.weights import load_network

    network = load_network()
    return network.config.passes if isinstance(network, PoseMlp) else 1


def _authors(method: Method) -> tuple[Solve, dict[str, Any]]:
    """The pipeline of the paper: start keypoints from the body, canonical frame, one forward pass, residual applied."""
    from learnable_smplify.benchmark.published_stgcn import PublishedStgcn
    from learnable_smplify.body import load_body
    from learnable_smplify.errors import InputError
    from learnable_smplify.network.pose_mlp import PassInput
    from learnable_smplify.network.stgcn import Stgcn
    from learnable_smplify.network.stgcn_pass import StgcnPass
    from learnable_smplify.network.weights import load_network
    from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
    from learnable_smplify.threads import map_chunks

    torch.manual_seed(0)
    network = Stgcn().eval() if method.weights is None else load_network(method.weights)
    if not isinstance(network, Stgcn):
        raise InputError(
            "these are not weights of the authors' network",
            path=method.weights,
            hint="lsmplify train STORE --architecture stgcn",
        )
    published = method.key == "authors_published"
    one_pass = StgcnPass(network)
    if published:
        one_pass.network = PublishedStgcn(network)  # type: ignore[assignment]
    folded = load_body().folded("body25")

    @torch.no_grad()
    def whole(batch: PairBatch) -> Tensor:
        rotmat = rotvec_to_rotmat(batch.start_pose)
        keypoints = folded.shaped(batch.betas).pose(rotmat).positions()
        seen = torch.ones_like(batch.keypoints[..., 0])
        nothing = torch.zeros(len(seen))
        given = PassInput(rotmat, keypoints, batch.keypoints, seen, batch.betas, nothing.long(), nothing, before=None)
        return rotmat_to_rotvec(one_pass(given).rotmat)

    def chunked(batch: PairBatch) -> Tensor:
        if len(batch) <= _CHUNK:
            return whole(batch)
        chunks = [batch.part(slice(first, first + _CHUNK)) for first in range(0, len(batch), _CHUNK)]
        return torch.cat(map_chunks(whole, chunks, torch.device("cpu")))

    settings = {
        **{name: value for name, value in asdict(network.config).items() if name != "dropout"},
        "weights": "untrained" if method.weights is None else Path(method.weights).name,
        "computed": "literal operations, whole batch" if published else f"two frames only, {_CHUNK} pairs a chunk",
    }
    return (whole if published else chunked), settings
