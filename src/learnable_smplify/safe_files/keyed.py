"""A dictionary read from a foreign file, and messages that name the file, the key and what is there instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.budget import check_depth, shown

_LISTED = 12
# Numbers in lists, of which there are a hundred for each frame of a long recording: arrays may hold more.
_MOST_LISTED = 1 << 23


@dataclass(frozen=True, eq=False)
class Keyed:
    """The content of a file under its keys.

    Args:
        path: the file, for messages.
        values: its content.
        where: the part of the file this is, for messages ("person 3").
        about: what kind of file was expected, for messages ("a WHAM result").
    """

    path: Path
    values: Mapping[Any, Any]
    where: str | None = None
    about: str | None = None

    def fail(self, problem: str, expected: str | None = None, hint: str | None = None) -> InputError:
        """An error about this part of the file."""
        return InputError(problem, path=self.path, where=self.where, expected=expected, hint=hint)

    def value(self, *names: str) -> Any:
        """What is stored under the first of these names that is there.

        Raises:
            InputError: none of them is; names the keys the file has.
        """
        name = next((name for name in names if name in self.values), None)
        if name is None:
            of = f" of {self.about}" if self.about else ""
            wanted = " or ".join(f"'{name}'" for name in names)
            raise self.fail(f"the key {wanted}{of} is missing", f"{wanted}; the keys there are {keys_of(self.values)}")
        return self.values[name]

    def inside(self, name: str) -> Keyed:
        """The dictionary stored under a key.

        Raises:
            InputError: no such key, or it is not a dictionary.
        """
        value = self.value(name)
        if not isinstance(value, Mapping):
            raise self.fail(f"'{name}' is a {type(value).__name__}", "a dictionary")
        where = f"'{name}'" if self.where is None else f"{self.where}, '{name}'"
        return Keyed(self.path, value, where, self.about)

    def has(self, *names: str) -> bool:
        """Whether any of these keys is there."""
        return any(name in self.values for name in names)

    def numbers(self, *names: str, shape: tuple[int | None, ...] | None = None, finite: bool = True) -> np.ndarray:
        """The numbers under the first of these names that is there, as float64.

        Args:
            names: the key, then other names of it.
            shape: the shape it must have, None for any length.
            finite: refuse NaN, infinity, and what is infinity as float32, which motions are held in.

        Raises:
            InputError: no such key, no numbers, another shape, or not finite.
        """
        value, name = self.value(*names), next(name for name in names if name in self.values)
        try:
            array = as_numbers(value)
        except (ValueError, TypeError, OverflowError):
            raise self.fail(f"'{name}' holds no table of numbers", "numbers") from None
        if shape is not None and not fits(array.shape, shape):
            wanted = ", ".join("T" if side is None else str(side) for side in shape)
            raise self.fail(f"'{name}' has shape {array.shape}", f"({wanted}{',' if len(shape) == 1 else ''})")
        if finite:
            with np.errstate(over="ignore"):
                unknown = np.argwhere(~np.isfinite(array.astype(np.float32)))
            if len(unknown):
                row = unknown[0][0] if array.ndim else 0
                raise self.fail(f"'{name}' holds NaN or infinity in row {row}", "finite numbers")
        return array

    def listed(self, *names: str) -> list[float]:
        """The numbers under the first of these names that is there, one after another; none where none is."""
        return self.numbers(*names).reshape(-1).tolist() if self.has(*names) else []

    def word(self, name: str, default: str | None = None) -> str:
        """The text under a key, also where it is stored as bytes or in an array of one; `default` where it is not."""
        if default is not None and name not in self.values:
            return default
        value = _single(self.value(name))
        if not isinstance(value, str):
            raise self.fail(f"'{name}' is a {type(value).__name__}", "text")
        return str(value)

    def gender(self, default: str | None = None) -> str:
        """The `word` under "gender": "neutral", "male" or "female", whether written out or by its first letter."""
        return as_gender(self.word("gender", default), self)


def as_gender(word: Any, place: Keyed) -> str:
    """ "neutral", "male" or "female" from a word or its first letter, as text or bytes."""
    text = as_name(word)
    said = text.strip().lower()
    for gender in ("neutral", "male", "female"):
        if said in (gender, gender[0]):
            return gender
    raise place.fail(f"the gender is '{text[:40]}'", "neutral, male or female, or n, m, f")


def as_name(value: Any) -> str:
    """What a file calls somebody: text, bytes or a number, also in an array of one."""
    value = _single(value)
    return str(value) if isinstance(value, str | float | bool | np.generic | None) else shown(value)


def _single(value: Any) -> Any:
    """The value in an array of one; bytes as text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def as_numbers(value: Any) -> np.ndarray:
    """An array of float64 from an array, a tensor, a number, or nested lists of them.

    Raises:
        ValueError, TypeError: text, objects, lists of unequal lengths, or more numbers than any file lists.
    """
    return _numbers(value, {}, 0)


def _numbers(value: Any, done: dict[int, np.ndarray], depth: int) -> np.ndarray:
    """As `as_numbers`; lists may hold the same list again and again, which is converted once (`done`)."""
    check_depth(depth)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim:
        return _stacked(list(value.reshape(-1)), done, depth).reshape(*value.shape, -1)
    if isinstance(value, list | tuple):
        if id(value) not in done:
            done[id(value)] = _stacked(value, done, depth)
        return done[id(value)]
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(str(array.dtype))
    return array.astype(np.float64)


def _stacked(values: Sequence[Any], done: dict[int, np.ndarray], depth: int) -> np.ndarray:
    if all(type(item) in (int, float) for item in values):
        return np.array(values, dtype=np.float64)
    parts = [_numbers(item, done, depth + 1) for item in values]
    if sum(part.size for part in parts) > _MOST_LISTED:
        raise ValueError(f"more than {_MOST_LISTED} numbers in lists")
    return np.stack(parts)


def fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    """Whether a shape is the wanted one; None is any length."""
    return len(shape) == len(wanted) and all(want in (None, side) for side, want in zip(shape, wanted, strict=True))


def keys_of(values: Mapping[Any, Any]) -> str:
    """The first keys of a dictionary, for a message."""
    names = [str(name)[:60] for name in islice(values, _LISTED)]
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return (", ".join(names) + more) or "none"
