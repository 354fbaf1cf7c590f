"""Read a checkpoint of the authors' implementation (arXiv 2508.13562) into our `Stgcn`.

Their tensors have other names and axis orders: convolutions are (out, in, taps, 1), one for each partition of the
graph, and the per-joint weights are (joint, out, in).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.network.graph import PARTITIONS
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig
from learnable_smplify.safe_files.torch_file import load_torch_file

# Part of a licensed body model: never kept.
_LICENSED = ("openpose_regressor",)
# Our batch norms run on fixed momentum and need no count of batches.
_COUNTER = ".num_batches_tracked"

# Our module -> theirs.
_GRAPHS = {"stem_graph": "backbone.gcn0"} | {f"units.{i}.graph": f"backbone.backbone.{i}.gcn1" for i in range(9)}
_TIMES = (
    {"stem_time": "backbone.tcn0"}
    | {f"units.{i}.time": f"backbone.backbone.{i}.tcn1" for i in range(9)}
    | {f"units.{i}.skip": f"backbone.backbone.{i}.down1" for i in (3, 6)}
)
_LINEARS = {"pose_hidden": "linear.0", "joint_features": "linear.2"}
_JOINTWISE = {"joint_hidden": "regressor.layers.0.0", "joint_output": "regressor.layers.1"}


@dataclass(frozen=True)
class _Form:
    """How a tensor of ours is made of one or several of theirs, and the way back."""

    from_theirs: Callable[[list[Tensor]], Tensor]
    to_theirs: Callable[[Tensor], list[Tensor]]


def _merged(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.squeeze(-1).permute(2, 1, 0) for tensor in tensors])


_SAME = _Form(lambda theirs: theirs[0], lambda ours: [ours])
_JOINTWISE_WEIGHT = _Form(lambda theirs: theirs[0].mT, lambda ours: [ours.mT])
_CONVOLUTION = _Form(_merged, lambda ours: [ours.permute(2, 1, 0).unsqueeze(-1)])
_GRAPH_WEIGHT = _Form(_merged, lambda ours: [part.mT[..., None, None] for part in ours])
_GRAPH_BIAS = _Form(torch.stack, list)


@dataclass(frozen=True)
class _Entry:
    """One tensor of ours and the one or several of theirs that it is made of."""

    ours: str
    theirs: tuple[str, ...]
    form: _Form = _SAME


def read_authors_checkpoint(path: str | PathLike[str]) -> Stgcn:
    """The network in the authors' `best_ckpt.pth.tar`, on the CPU, in eval mode.

    It runs on the NTU graph and in the mirrored frame, as it was trained. The state of the optimiser and the licensed
    keypoint regressor are left behind.

    Raises:
        InputError: not a file `load_torch_file` reads, no 'model' in it, or entries that are missing, unexpected, of
            another shape, or no finite numbers; the message names them.
    """
    path = Path(path)
    content = load_torch_file(path)
    model = content.get("model")
    if not isinstance(model, Mapping):
        raise InputError(
            f"there are no weights in the file (its keys: {_listed(content)})",
            path=path,
            where="key 'model'",
            expected="a checkpoint with the keys model, epochs, optimizer, scheduler",
        )
    network = Stgcn(StgcnConfig(graph="ntu", mirrored_frame=True))
    expected = to_authors_state(network)
    _check(model, expected, path)
    ours = {
        entry.ours: entry.form.from_theirs([model[name].to(torch.float32) for name in entry.theirs])
        for entry in _entries()
    }
    # Not strict: our counters of batches keep their zeros. Every other name was compared above.
    network.load_state_dict(ours, strict=False)
    return network.eval()


def to_authors_state(network: Stgcn) -> dict[str, Tensor]:
    """The weights of `network` under the authors' names and in their axis orders."""
    state = network.state_dict()
    return {
        name: tensor
        for entry in _entries()
        for name, tensor in zip(entry.theirs, entry.form.to_theirs(state[entry.ours]), strict=True)
    }


def _entries() -> Iterator[_Entry]:
    yield from _norm("input_norm", "backbone.data_bn")
    for ours, theirs in _GRAPHS.items():
        convolutions = [f"{theirs}.conv_list.{k}" for k in range(len(PARTITIONS))]
        yield _Entry(f"{ours}.mask", (f"{theirs}.mask",))
        yield _Entry(f"{ours}.weight", tuple(f"{name}.weight" for name in convolutions), _GRAPH_WEIGHT)
        yield _Entry(f"{ours}.bias", tuple(f"{name}.bias" for name in convolutions), _GRAPH_BIAS)
        yield from _norm(f"{ours}.norm", f"{theirs}.bn")
    for ours, theirs in _TIMES.items():
        yield _Entry(f"{ours}.weight", (f"{theirs}.conv.weight",), _CONVOLUTION)
        yield _Entry(f"{ours}.bias", (f"{theirs}.conv.bias",))
        yield from _norm(f"{ours}.norm", f"{theirs}.bn")
    for ours, theirs in (_LINEARS | _JOINTWISE).items():
        yield _Entry(f"{ours}.weight", (f"{theirs}.weight",), _JOINTWISE_WEIGHT if ours in _JOINTWISE else _SAME)
        yield _Entry(f"{ours}.bias", (f"{theirs}.bias",))


def _norm(ours: str, theirs: str) -> Iterator[_Entry]:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield _Entry(f"{ours}.{name}", (f"{theirs}.{name}",))


def _check(model: Mapping[object, object], expected: Mapping[str, Tensor], path: Path) -> None:
    kept = [name for name in model if name not in _LICENSED and not str(name).endswith(_COUNTER)]
    missing = [name for name in expected if name not in model]
    unexpected = [name for name in kept if name not in expected]
    if missing or unexpected:
        parts = [
            f"{len(names)} {what} ({_listed(names)})"
            for names, what in ((missing, "missing"), (unexpected, "unexpected"))
            if names
        ]
        raise InputError(
            "the weights are not those of the published network: " + ", ".join(parts),
            path=path,
            where="key 'model'",
            expected="the entries of the authors' default configuration (ST-GCN, 22 joints)",
        )
    for name, like in expected.items():
        tensor, where = model[name], f"key 'model', entry '{name}'"
        shape = tuple(like.shape)
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or not tensor.is_floating_point():
            raise InputError("not a tensor of decimal numbers", path=path, where=where, expected=f"shape {shape}")
        if tensor.shape != like.shape:
            raise InputError(f"the shape is {tuple(tensor.shape)}", path=path, where=where, expected=f"{shape}")
        if not bool(torch.isfinite(tensor).all()):
            raise InputError("there are numbers that are not finite", path=path, where=where)
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise InputError("there are negative variances", path=path, where=where)


def _listed(names: Iterable[object]) -> str:
    texts = [str(name) for name in names]
    return ", ".join(texts[:4]) + (", ..." if len(texts) > 4 else "") or "none"
