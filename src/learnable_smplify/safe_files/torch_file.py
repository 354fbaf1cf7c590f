"""Read `torch.save` files without running anything they contain."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import Any

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import Budget
from learnable_smplify.safe_files.pickle_records import RefusedError
from learnable_smplify.safe_files.pickle_resolve import Resolver
from learnable_smplify.safe_files.torch_storage import read_legacy, read_zip
from learnable_smplify.safe_files.whole_file import read_bytes


def load_torch_file(
    path: str | PathLike[str], key: str = "model", example: str = "the released best_ckpt.pth.tar"
) -> dict[str, Any]:
    """The dictionary in a `torch.save` file, tensors on the CPU.

    `key`, what is wanted from it, and `example`, a file of this kind, only serve the messages.

    Tensors, numbers, text and containers are read, by our own reader (`torch_storage`), which runs nothing from the
    file whatever torch is installed. Everything else is refused before it is looked up.

    Raises:
        InputError: no such file, not a torch file, truncated, it holds code or objects, it asks for more memory than
            its size explains, or it is not a dictionary.
    """
    path = Path(path)
    data = read_bytes(path)
    budget = Budget(len(data))
    try:
        loaded = read_zip(io.BytesIO(data), budget) if data.startswith(b"PK") else read_legacy(data, budget)
        content = Resolver(budget, tensors=True).value(loaded)
    except RefusedError as error:
        raise InputError(
            f"the file refers to '{error}', which is code or an object that is not read; nothing was run",
            path=path,
            expected="tensors, numbers, text and containers only",
            hint=f"where you trust it: torch.save({{'{key}': torch.load(PATH, weights_only=False)['{key}']}}, NEW)",
        ) from error
    # A damaged file can raise nearly anything from the zip reader, the unpickler or the values it builds.
    except Exception as error:
        detail = reason(error) if isinstance(error, ValueError) else "its content is of another kind"
        raise InputError(
            f"not a readable torch file ({'it ends too early' if isinstance(error, EOFError) else detail})",
            path=path,
            expected=f"a complete file written by torch.save, such as {example}",
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"the file holds a {type(content).__name__}", path=path, expected="a dictionary")
    return content
