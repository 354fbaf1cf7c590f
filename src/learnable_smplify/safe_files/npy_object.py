"""Read .npy files that hold Python objects, such as the dictionaries estimators save, without trusting them."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.safe_pickle import load_pickle_bytes, read_bytes


def load_npy(path: str | PathLike[str]) -> Any:
    """The content of a .npy file: an array, or the one object in an array without dimensions.

    Tensors inside come back as arrays. Objects are read as in `safe_pickle.load_pickle`.

    Raises:
        InputError: not a .npy file, truncated, or its pickle names anything but data; nothing is ever run.
    """
    path = Path(path)
    stream = io.BytesIO(read_bytes(path))
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        _, _, dtype = read_header(stream)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)
    # Damaged bytes raise nearly anything here.
    except Exception as error:
        detail = str(error)[:160] or type(error).__name__
        raise InputError(
            f"not a readable .npy file ({detail})", path=path, expected="a complete file, saved by numpy.save"
        ) from error
    value = load_pickle_bytes(stream.read(), path)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
