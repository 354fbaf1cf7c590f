"""Whether the compiled path can take a computation."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch
from torch import Tensor


@cache
def _has_numba() -> bool:
    if os.environ.get("LSMPLIFY_COMPILED", "1") == "0":
        return False
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def compiles_first() -> bool:
    """Whether the first solve will have to compile: numba is there, and nothing of ours in its cache."""
    if not _has_numba():
        return False
    from learnable_smplify.compiled.hybrid import refine_frames

    cached = Path(refine_frames._cache.cache_path)  # type: ignore[attr-defined]
    return not any(cached.glob("hybrid.refine_frames-*.nbi"))


def is_usable(*tensors: Tensor) -> bool:
    """True for float32 tensors on the CPU that no gradient is asked of, where numba is installed.

    `LSMPLIFY_COMPILED=0` in the environment turns the compiled path off.
    """
    plain = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
    return plain and not any(tensor.requires_grad for tensor in tensors) and _has_numba()
