"""Read .npy files that hold Python objects, such as the dictionaries estimators save, without trusting them."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import TooMuchError, checked_shape, elements, shown_shape
from learnable_smplify.safe_files.safe_pickle import load_pickle_bytes
from learnable_smplify.safe_files.whole_file import read_bytes


def load_npy(path: str | PathLike[str]) -> Any:
    """The content of a .npy file: an array, or the one object in an array without dimensions.

    Tensors inside come back as arrays. Objects are read as in `safe_pickle.load_pickle`.

    Raises:
        InputError: not a .npy file, truncated, or its pickle names anything but data; nothing is ever run.
    """
    path = Path(path)
    stream = io.BytesIO(read_bytes(path))
    try:
        _, dtype = read_header(stream, stream.getbuffer().nbytes)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)
        if dtype != np.dtype(object):
            raise ValueError("a table of objects")
    # Damaged bytes raise nearly anything here.
    except Exception as error:
        raise InputError(
            f"not a readable .npy file ({reason(error)})", path=path, expected="a complete file, saved by numpy.save"
        ) from error
    value = load_pickle_bytes(stream.read(), path)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def read_header(stream: IO[bytes], held: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of the array whose .npy file begins here.

    NumPy allocates what the header says before it reads, so the header is held against the file first.

    Args:
        stream: the file, left behind the header.
        held: bytes there are, an upper bound.

    Raises:
        ValueError and others: not a header, or one that promises more than there is.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"array format {version} is not known")
    shape = checked_shape(shape)
    if not dtype.hasobject:
        if dtype.itemsize == 0:
            raise ValueError(f"an array of {dtype}, which has no size")
        try:
            elements(shape, dtype.itemsize, held)
        except TooMuchError as error:
            raise ValueError(f"its header promises {shown_shape(shape)} {dtype}, and there are {held} bytes") from error
    return shape, dtype
