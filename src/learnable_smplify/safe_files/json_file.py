"""Read JSON within the budget of its size."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import Budget, TooMuchError
from learnable_smplify.safe_files.text import decoded
from learnable_smplify.safe_files.whole_file import read_bytes

# What Python needs [bytes] for a list with what it holds, a dictionary with a few keys, and a number between commas.
_LIST, _DICTIONARY, _ITEM = 200, 232, 32


def read_json_file(path: str | PathLike[str], expected: str, floats: bool = False) -> Any:
    """The content of a JSON file, UTF-8 or UTF-16; bytes that are neither become question marks.

    Args:
        path: the file.
        expected: what it should be, for messages.
        floats: whole numbers come back as floats, however long.

    Raises:
        InputError: missing, not JSON (with the line), nested too deep, or lists of so little that they need far more
            memory than the file's size explains.
    """
    path = Path(path)
    return parse_json(read_bytes(path), path, expected, floats)


def parse_json(data: bytes, path: Path, expected: str, floats: bool = False) -> Any:
    """As `read_json_file`, from memory; `path` only names the source in messages."""
    if not data.strip():
        raise InputError("the file is empty", path=path, expected=expected)
    try:
        budget = Budget(len(data))
        budget.spend(_LIST * data.count(b"[") + _DICTIONARY * data.count(b"{") + _ITEM * data.count(b","))
        return json.loads(decoded(data), parse_int=float if floats else None)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON ({error.msg})",
            path=path,
            where=f"line {error.lineno}, column {error.colno}",
            expected=f"{expected} (is it truncated?)",
        ) from error
    except TooMuchError as error:
        raise InputError(str(error), path=path, expected=expected) from error
    except (RecursionError, ValueError) as error:
        detail = "it is nested too deep" if isinstance(error, RecursionError) else reason(error)
        raise InputError(f"not readable JSON ({detail})", path=path, expected=expected) from error
