"""Body shapes as they may be given, in one place: at most ten finite numbers for a person, padded with zeros."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.errors import InputError

NUM_BETAS = 10
# Betas are standard normal over people: nobody is this far out, but a damaged file can be.
LARGEST_BETA = 100.0


def person_betas(betas: Any, device: torch.device | str = "cpu") -> Float[Tensor, "10"]:
    """One person's betas.

    Args:
        betas: (n,) or (1, n) numbers, n at most 10; padded with zeros.
        device: of the result.

    Raises:
        InputError: more than ten, several people's, or values that no body has.
    """
    values = _checked(betas, device)
    if len(values) != 1:
        raise InputError(f"betas of {len(values)} people, where one is meant", expected="(10,)", hint="betas[0]")
    return values[0].clone()  # not in the user's memory


def people_betas(betas: Any, people: int, device: torch.device | str = "cpu") -> Float[Tensor, "B 10"]:
    """Betas of several people: one row for each, or a single row for all.

    Args:
        betas: (n,), (1, n) or (people, n) numbers, n at most 10; padded with zeros.
        people: how many.
        device: of the result.

    Raises:
        InputError: more than ten, another number of people, or values that no body has.
    """
    values = _checked(betas, device)
    if len(values) not in (1, people):
        raise InputError(f"betas have {len(values)} rows", expected=f"({people}, 10), or (10,) for one person")
    return values


def _checked(betas: Any, device: torch.device | str) -> Float[Tensor, "B 10"]:
    values = as_tensor(betas, "betas").detach().to(device, torch.float32)
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] > NUM_BETAS:
        raise InputError(f"betas have shape {tuple(values.shape)}", expected="at most 10 a person", hint="betas[:10]")
    if not all_within(values, LARGEST_BETA):
        raise InputError("betas hold NaN, infinity or values that no body has", expected="finite numbers")
    missing = NUM_BETAS - values.shape[1]
    return torch.nn.functional.pad(values, (0, missing)) if missing else values


def all_within(values: Tensor, limit: float) -> bool:
    """Whether no number is larger than `limit` in size; False for NaN."""
    return values.numel() == 0 or float(values.abs().max()) <= limit
