"""Read small TOML files of users: layouts and bone maps."""

from __future__ import annotations

import re
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.text import decoded

# The largest in the package has 5 kB. The parser takes time by the square of a key's parts and by that of all keys.
_MAX_BYTES, _MOST_DOTS = 200_000, 20
_BETWEEN = re.compile(r"[=,{}\[\]\n]")


def read_toml(path: str | PathLike[str], kind: str) -> dict[str, Any]:
    """The tables of a TOML file, with or without a byte order mark.

    Args:
        path: the file.
        kind: what it is, for messages ("layout").

    Raises:
        InputError: missing, too large, not UTF-8, or not TOML.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the {kind} ({error.strerror})", path=path) from error
    try:
        return parse_toml(decoded(data, "strict"), path, kind)
    except UnicodeDecodeError as error:
        raise InputError(f"the {kind} is not UTF-8 text", path=path, expected="a TOML file") from error


def parse_toml(text: str, path: Path, kind: str) -> dict[str, Any]:
    """As `read_toml`, from memory; `path` only names the source in messages."""
    if len(text) > _MAX_BYTES:
        raise InputError(f"the file is too large for a {kind}", path=path, expected=f"less than {_MAX_BYTES} bytes")
    if any(part.count(".") > _MOST_DOTS for part in _BETWEEN.split(text)):
        raise InputError(f"a name has more than {_MOST_DOTS} parts", path=path, expected=f"a {kind}")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a plain ValueError
        raise InputError(f"not a valid TOML file ({reason(error)})", path=path) from error
