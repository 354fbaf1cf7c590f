"""Whether the compiled path can take a computation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@cache
def has_numba() -> bool:
    """Whether numba is installed and not turned off by `LSMPLIFY_COMPILED=0` in the environment."""
    if os.environ.get("LSMPLIFY_COMPILED", "1") == "0":
        return False
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def is_usable(*tensors: Tensor, any_precision: bool = False) -> bool:
    """True for float32 tensors on the CPU that no gradient is asked of, where numba is installed.

    `LSMPLIFY_COMPILED=0` in the environment turns the compiled path off. Few kernels take numbers of `any_precision`.
    """
    plain = all(tensor.device.type == "cpu" and not tensor.requires_grad for tensor in tensors)
    return plain and (any_precision or all(tensor.dtype == torch.float32 for tensor in tensors)) and has_numba()


@dataclass
class CompileTime:
    """What compiling kernels took, 0 until it is known."""

    seconds: float = 0.0


@contextmanager
def compile_timer() -> Iterator[CompileTime]:
    """Measure what this process compiles meanwhile; known at the end. Code that is read from disk is not compiled."""
    time = CompileTime()
    if not has_numba():
        yield time
        return
    from numba.core.event import install_timer

    def keep(seconds: float) -> None:
        time.seconds = seconds

    with install_timer("numba:compile", keep):
        yield time
