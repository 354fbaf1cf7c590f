"""Read .npz archives without trusting them: no pickled objects, no size taken on faith."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Collection
from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError

_MAX_BYTES = 4 << 30
# Recordings and body models shrink tenfold or so; zeros, which zip bombs are made of, a thousandfold.
_FREE_BYTES = 256 << 20
_MAX_RATIO = 100


def read_npz(
    path: str | PathLike[str],
    keys: Collection[str] | None = None,
    read_objects: Callable[[bytes, Path], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of a .npz file.

    Args:
        path: the file.
        keys: read only these (those that are there); None reads all.
        read_objects: reads the pickle inside an array of Python objects, such as `safe_pickle.load_pickle_bytes`;
            None leaves those arrays out.

    Raises:
        InputError: missing, not an archive, truncated, or an array that is larger than its part of the archive.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if sum(info.file_size for info in members) > _MAX_BYTES:
                raise ValueError("it unpacks to more than 4 GiB")
            wanted = [info for info in members if keys is None or info.filename.removesuffix(".npy") in keys]
            unpacked, packed = sum(info.file_size for info in wanted), path.stat().st_size
            if unpacked > _FREE_BYTES + _MAX_RATIO * packed:
                raise ValueError(f"{packed} bytes that unpack to {unpacked}")
            for info in wanted:
                name = info.filename.removesuffix(".npy")
                array = _read_member(archive, info, read_objects, path)
                if array is not None:
                    arrays[name] = array
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("there is no such file", path=path, hint=f"ls {path.parent}") from error
    # Damaged bytes raise nearly anything: zlib.error, BadZipFile, SyntaxError from the array's header, ...
    except Exception as error:
        raise InputError(
            f"not a readable .npz file ({str(error)[:160] or type(error).__name__})",
            path=path,
            where=f"array '{name}'" if name else None,
            expected="a complete file, saved by numpy.savez",
        ) from error
    return arrays


def _read_member(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    read_objects: Callable[[bytes, Path], np.ndarray] | None,
    path: Path,
) -> np.ndarray | None:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise ValueError(f"array format {version} is not known")
        if dtype.hasobject:
            return None if read_objects is None else read_objects(stream.read(), path)
    if dtype.itemsize == 0:
        raise ValueError(f"an array of {dtype}, which has no size")
    # NumPy allocates what the header says before it reads, so the header is held against the archive first.
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError(f"its header promises {shape} {dtype}, the archive holds {info.file_size} bytes")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
