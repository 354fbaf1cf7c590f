"""Read .npz archives without trusting them: no pickled objects, no size taken on faith."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import Budget
from learnable_smplify.safe_files.npy_object import read_header

# Numbers of one byte are read as float64 in the end.
_NUMBER_BYTES = 8


def read_npz(
    path: str | PathLike[str],
    keys: Collection[str] | None = None,
    read_objects: Callable[[bytes, Path, Budget], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of a .npz file.

    Args:
        path: the file.
        keys: read only these (those that are there); None reads all.
        read_objects: reads the pickle inside an array of Python objects, such as `safe_pickle.load_pickle_bytes`;
            None leaves those arrays out.

    Raises:
        InputError: missing, not an archive, truncated, an array larger than its part of the archive, or more than the
            archive's size explains (`budget.Budget`).
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            wanted = [info for info in members if keys is None or info.filename.removesuffix(".npy") in keys]
            budget = Budget(path.stat().st_size)
            budget.spend(sum(info.file_size for info in wanted))
            for info in wanted:
                name = info.filename.removesuffix(".npy")
                array = _read_member(archive, info, read_objects, path, budget)
                if array is not None:
                    arrays[name] = array
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("there is no such file", path=path, hint=f"ls {path.parent}") from error
    # Damaged bytes raise nearly anything: zlib.error, BadZipFile, SyntaxError from the array's header, ...
    except Exception as error:
        raise InputError(
            f"not a readable .npz file ({reason(error)})",
            path=path,
            where=f"array '{name}'" if name else None,
            expected="a complete file, saved by numpy.savez",
        ) from error
    return arrays


def npz_names(path: str | PathLike[str]) -> list[str]:
    """Names of the arrays in a .npz file, none of which is read; of a file that is no archive, none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):  # names that are no text, too
        return []


def _read_member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    read_objects: Callable[[bytes, Path, Budget], np.ndarray] | None,
    path: Path,
    budget: Budget,
) -> np.ndarray | None:
    with archive.open(info) as stream:
        shape, dtype = read_header(stream, info.file_size)
        if dtype.hasobject:
            return None if read_objects is None else read_objects(stream.read(), path, budget)
    budget.spend(math.prod(shape) * max(0, _NUMBER_BYTES - dtype.itemsize))
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
