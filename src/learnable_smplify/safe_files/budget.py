"""What a stranger's file may cost: bytes after unpacking, depth, keys, sides of arrays, and what of it may be shown.

A file of three hundred bytes can describe a value of any size: objects refer to one another, archives unpack, a header
promises. Every reader here spends from one `Budget`, which grows with the file: sound files need a few times their own
size, and only files made to exhaust memory or time need more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

# A hundred thousand frames of 25 keypoints fit into the free part, whatever the file's size.
FREE_BYTES = 64 << 20
# Measured: 26 bytes for each of a pickle of small tuples, dictionaries or arrays; the rest for what compression saves.
RATIO = 40
# Larger than any SMPL-family model or estimator output.
MAX_BYTES = 4 << 30
MOST_SIDES = 32
_MOST_DEEP = 100
_SHOWN = 60


class TooMuchError(ValueError):
    """A file that asks for more memory or time than its size can explain."""


class Budget:
    """Bytes that a file of `size` bytes may still take in memory.

    Args:
        size: of the file as it lies on the disk, packed.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = min(FREE_BYTES + RATIO * size, MAX_BYTES)

    def spend(self, count: int) -> None:
        """Take `count` bytes.

        Raises:
            TooMuchError: there are not as many left.
        """
        self.left -= count
        if self.left < 0:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise the error of a budget that is used up."""
        raise TooMuchError(f"{self.size} bytes that unpack to too much: no sound file of this size needs as much")


def check_key(key: Any) -> Any:
    """The key of a dictionary, or the member of a set: a scalar.

    Anything else would be hashed by its content: a tuple of tuples takes exponential time, or ends the process. Of
    longer integers and of complex numbers as many as one likes can be made that share one hash.

    Raises:
        TooMuchError: not text, bytes, None, a number of 64 bits, or one such number of NumPy's.
    """
    kind = type(key)
    if kind in (str, bytes, float, bool, type(None), np.str_, np.bytes_):
        return key
    if (kind is int and -(1 << 64) < key < 1 << 64) or (isinstance(key, np.generic) and key.dtype.kind in "biu"):
        return key
    if isinstance(key, np.floating) and key.dtype.itemsize <= 8:
        return key
    raise TooMuchError(f"a key of type {kind.__name__}: only text and numbers of 64 bits are keys")


def check_keys(keys: Iterable[Any]) -> None:
    """As `check_key`, for many."""
    for key in keys:
        check_key(key)


def check_depth(depth: int) -> None:
    """Containers in containers, so many levels down.

    Raises:
        TooMuchError: deeper than any data.
    """
    if depth > _MOST_DEEP:
        raise TooMuchError(f"it is nested more than {_MOST_DEEP} deep")


def checked_shape(shape: Any) -> tuple[int, ...]:
    """The shape of an array as a file gives it.

    Raises:
        TooMuchError: not a tuple of at most 32 sides that an index can count.
    """
    if type(shape) is not tuple or len(shape) > MOST_SIDES:
        raise TooMuchError(f"the shape of an array is {shown(shape)}")
    for side in shape:
        if type(side) is not int or not 0 <= side < 1 << 63:
            raise TooMuchError(f"the side of an array is {shown(side)}")
    return shape


def elements(shape: tuple[int, ...], itemsize: int, most: int) -> int:
    """The number of elements of an array, which take no more than `most` bytes.

    Raises:
        TooMuchError: they would take more.
    """
    if 0 in shape:
        return 0
    count = 1
    for side in shape:  # step by step: the product of a long shape is a number of any length
        count *= side
        if count * itemsize > most:
            raise TooMuchError(f"an array of shape {shown_shape(shape)}, of which there are {most} bytes")
    return count


def shown(value: Any) -> str:
    """A value from a file in a message: short scalars as they are, of anything else only the kind."""
    if isinstance(value, str | bytes):
        return repr(value[:_SHOWN]) + ("..." if len(value) > _SHOWN else "")
    if isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < 1 << 64):
        return repr(value)
    return f"a {type(value).__name__}"


def shown_shape(shape: tuple[int, ...]) -> str:
    """A shape in a message."""
    return f"({', '.join(map(shown, shape[:8]))}{', ...' if len(shape) > 8 else ''})"
