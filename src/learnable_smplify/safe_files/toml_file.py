"""Read small TOML files of users: layouts and bone maps."""

from __future__ import annotations

import re
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.text import decoded
from learnable_smplify.safe_files.whole_file import read_bytes

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
    data = read_bytes(path, kind, _MAX_BYTES)
    try:
        return parse_toml(decoded(data, "strict"), path, kind)
    except UnicodeDecodeError as error:
        raise InputError(f"the {kind} is not UTF-8 text", path=path, expected="a TOML file") from error


def parse_toml(text: str, path: Path, kind: str) -> dict[str, Any]:
    """As `read_toml`, from memory; `path` only names the source in messages."""
    if any(part.count(".") > _MOST_DOTS for part in _BETWEEN.split(text)):
        raise InputError(f"a name has more than {_MOST_DOTS} parts", path=path, expected=f"a {kind}")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits are a plain ValueError
        raise InputError(f"not a valid TOML file ({reason(error)})", path=path) from error
