"""Read `torch.save` files without running anything they contain."""

from __future__ import annotations

import pickle
import re
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from learnable_smplify.errors import InputError

_REFUSED_NAME = re.compile(r"(?:GLOBAL|[Cc]lass|type|function) [`'\"]?([A-Za-z_][\w.]*\.[\w.]+)")


def load_torch_file(
    path: str | PathLike[str], key: str = "model", example: str = "the released best_ckpt.pth.tar"
) -> dict[str, Any]:
    """The dictionary in a `torch.save` file, tensors on the CPU.

    `key`, what is wanted from it, and `example`, a file of this kind, only serve the messages.

    Tensors, numbers, text and containers are read. Everything else is refused before it is looked up: torch's
    `weights_only` unpickler runs nothing from the file. No name beyond torch's own list is allowed.

    Raises:
        InputError: no such file, not a torch file, truncated, it holds code or objects, or it is not a dictionary.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("this is a folder", path=path, expected="a file written by torch.save")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", path=path) from error
    try:
        # torch's warnings advise the authors of programs; what matters to a user is in the error that follows.
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = _REFUSED_NAME.search(str(error))
        if name is None:
            raise _unreadable(path, error, example) from error
        raise InputError(
            f"the file refers to '{name[1]}', which is code or an object that is not read; nothing was run",
            path=path,
            expected="tensors, numbers, text and containers only",
            hint=f"where you trust it: torch.save({{'{key}': torch.load(PATH, weights_only=False)['{key}']}}, NEW)",
        ) from error
    # A damaged file can raise nearly anything from the zip reader, the unpickler or the values it builds.
    except Exception as error:
        raise _unreadable(path, error, example) from error
    if not isinstance(content, dict):
        raise InputError(f"the file holds a {type(content).__name__}", path=path, expected="a dictionary")
    return content


def _unreadable(path: Path, error: Exception, example: str) -> InputError:
    # Only the first sentence: torch goes on with advice for programmers, and some of its errors say nothing.
    detail = re.split(r"\.\s|\n", str(error), maxsplit=1)[0].rstrip(".")
    if isinstance(error, EOFError):
        detail = "it ends too early"
    elif isinstance(error, pickle.UnpicklingError | KeyError):
        detail = "its content is of another kind"
    return InputError(
        f"not a readable torch file ({detail[:160]})",
        path=path,
        expected=f"a complete file written by torch.save, such as {example}",
    )
