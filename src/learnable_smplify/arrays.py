"""Arrays as users give them: tensors, NumPy arrays and what NumPy can read as one, nested lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from learnable_smplify.errors import InputError, reason

# Booleans, integers, floats, and objects that may be numbers (a table with mixed columns).
_NUMBERS = "biufO"


def as_tensor(value: Any, name: str) -> Tensor:
    """Numbers as a tensor, which may share memory with what was given; of a list of tensors, the stack of them.

    Tensors stay as they are, so that gradients flow. Arrays, of any type, byte order and strides, and lists become
    float32; arrays of float64 stay so. What a masked array hides is NaN.

    Args:
        value: what was given.
        name: of it, for messages.

    Raises:
        InputError: no numbers, lists of different lengths, or a tensor that holds no numbers to read.
    """
    if value is None:
        raise InputError(f"{name}: nothing is given", expected="an array, a tensor or lists of numbers")
    if isinstance(value, list | tuple) and value and all(isinstance(part, Tensor) for part in value):
        if len({(part.shape, part.dtype, part.device) for part in value}) > 1:
            raise InputError(f"{name}: the tensors of the list differ", expected="one tensor, or all of one shape")
        value = torch.stack(tuple(value))
    if isinstance(value, Tensor):
        if value.is_complex() or value.layout != torch.strided:
            kind = f"{value.dtype}, {value.layout}".replace("torch.", "")
            raise InputError(f"{name}: a tensor ({kind}) that cannot be read", expected="a dense tensor of numbers")
        return value
    try:
        array = np.asarray(value)
        if array.dtype.kind not in _NUMBERS:
            raise TypeError(array.dtype.name)
        double = array.dtype.newbyteorder("=") == np.float64 and not isinstance(value, list | tuple)
        with np.errstate(over="ignore"):
            array = array.astype(np.float64 if double else np.float32, copy=False)
        if isinstance(value, np.ma.MaskedArray):
            array = np.where(np.ma.getmaskarray(value), np.nan, array)
    except (TypeError, ValueError, RuntimeError) as error:
        why = f" ({reason(error)})" if isinstance(error, ValueError) else ""
        raise InputError(
            f"{name}: {_kind(value)} cannot be read as numbers{why}", expected="an array, a tensor or lists of numbers"
        ) from error
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def as_number(value: Any, name: str) -> float:
    """One number.

    Args:
        value: a number, or an array or a tensor of one.
        name: of it, for messages.

    Raises:
        InputError: text, several numbers, or none.
    """
    try:
        if value is None or isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: {_kind(value)} is not one number", expected="a number") from error


def check_above_zero(**given: float | None) -> None:
    """Refuse numbers that are not above 0, by name; None says nothing.

    Raises:
        InputError: one of them is not, or no number.
    """
    for name, value in given.items():
        if value is not None and not as_number(value, name) > 0:  # not for NaN either
            raise InputError(f"{name} is {value}", expected="a number above 0")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.name}"
    return "None" if value is None else f"a value of type {type(value).__name__}"
