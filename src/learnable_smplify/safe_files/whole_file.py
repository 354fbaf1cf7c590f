"""The bytes of a file, of which there are not too many."""

from __future__ import annotations

import os
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.budget import MAX_BYTES

_SMALL = 16 << 20


def read_bytes(path: Path, kind: str = "file", most: int = MAX_BYTES) -> bytes:
    """The bytes of a file of at most 4 GiB, or of at most `most` bytes.

    Args:
        path: the file.
        kind: what it is, for messages ("layout").
        most: more bytes are refused, and not read.

    Raises:
        InputError: a folder, too large, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise InputError("this is a folder", path=path, expected="a file")
        if os.path.getsize(path) <= most:
            with path.open("rb") as file:
                # Pipes and devices state no size: small limits are held while reading, for large ones that costs room.
                data = file.read(most + 1 if most < _SMALL else -1)
            if len(data) <= most:
                return data
    except OSError as error:
        raise InputError(f"cannot read the {kind} ({error.strerror})", path=path) from error
    raise InputError(f"the {kind} is larger than {most / 1e6:.4g} MB", path=path)
