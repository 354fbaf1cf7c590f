"""Network weights on disk: safetensors with the configuration inside, and nothing of any body model."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.resources import as_file, files
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from learnable_smplify.errors import InputError
from learnable_smplify.network.lifter import Lifter, LifterConfig
from learnable_smplify.network.pose_mlp import PoseMlp, PoseMlpConfig
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig
from learnable_smplify.safe_files.atomic import atomic_output

_FORMAT = "learnable-smplify network 1"
_KINDS: dict[type[nn.Module], str] = {PoseMlp: "pose_mlp", Stgcn: "stgcn", Lifter: "lifter"}


def save_network(
    network: PoseMlp | Stgcn | Lifter, path: str | PathLike[str], metadata: dict[str, str] | None = None
) -> None:
    """Write a network as safetensors, floats as float16.

    Args:
        network: what to write.
        path: a .safetensors file; replaced atomically.
        metadata: more to tell in the file's header (training data, licence, errors).

    Raises:
        InputError: the file cannot be written.
    """
    assert is_dataclass(network.config)
    header = {
        "format": _FORMAT,
        "network": _KINDS[type(network)],
        "config": json.dumps(asdict(network.config)),
        **(metadata or {}),
    }
    half = not isinstance(network, Stgcn)  # an imported checkpoint keeps its exact numbers
    tensors = {
        name: (value.half() if half and value.is_floating_point() and value.numel() > 1 else value).contiguous()
        for name, value in network.state_dict().items()
    }
    with atomic_output(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load_network(path: str | PathLike[str] | None = None) -> PoseMlp | Stgcn:
    """Read a network, ready to predict (float32, eval mode, on the CPU); the caller's own, to be moved or trained.

    Args:
        path: a file that `lsmplify train` or `lsmplify import-checkpoint` wrote; None for the weights in the package.

    Raises:
        InputError: missing, not such a file, or weights that do not fit the configuration in it.
    """
    network = deepcopy(_shipped("default.safetensors")) if path is None else _read(Path(path))
    if isinstance(network, Lifter):
        raise InputError("these weights lift one camera's keypoints", path=path, expected="weights of `lsmplify train`")
    return network


def load_lifter(path: str | PathLike[str] | None = None) -> Lifter:
    """The network that guesses poses from one camera's keypoints, as `load_network`; None for that in the package.

    Raises:
        InputError: missing, or no such network.
    """
    network = deepcopy(_shipped("lifter.safetensors")) if path is None else _read(Path(path))
    if not isinstance(network, Lifter):
        raise InputError("these weights do not lift", path=path, expected="weights of tools/train_lifter.py")
    return network


def _read(path: Path) -> PoseMlp | Stgcn | Lifter:
    if not path.is_file():
        raise InputError("there is no such file", path=path, hint="lsmplify train STORE, or lsmplify import-checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except Exception as error:  # safetensors raises its own kinds for damaged files
        raise InputError(
            f"not a safetensors file ({error})", path=path, hint="lsmplify import-checkpoint FILE"
        ) from error
    if header.get("format") != _FORMAT:
        raise InputError(
            "these are not weights of this package", path=path, expected=_FORMAT, hint="lsmplify import-checkpoint FILE"
        )
    try:
        config: dict[str, Any] = json.loads(header["config"])
        network = _made(header["network"], config)
        _check_finite(tensors, path)
        network.load_state_dict(tensors)  # as float32, whatever they are here
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"the weights do not fit their configuration ({error})", path=path) from error
    return network.eval().requires_grad_(False)


def _made(kind: str, config: dict[str, Any]) -> PoseMlp | Stgcn | Lifter:
    if kind == "lifter":
        return Lifter(LifterConfig(**(config | {"seconds": tuple(config["seconds"])})))
    return PoseMlp(PoseMlpConfig(**config)) if kind == "pose_mlp" else Stgcn(StgcnConfig(**config))


@cache  # modules move in place: who takes one from here takes a copy
def _shipped(name: str) -> PoseMlp | Stgcn | Lifter:
    with as_file(files("learnable_smplify.network") / name) as path:
        return _read(path)


def _check_finite(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Of a network with one NaN every pose is NaN."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(
                "the weights hold NaN or infinity",
                path=path,
                where=f"'{name}'",
                expected="finite numbers",
                hint="the weights of another epoch, or the network of the package",
            )


def parameter_count(network: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(weight.numel() for weight in network.parameters())
