"""Read pickles of arrays without running anything they contain.

A pickle is a program. `pickle_machine` executes its instructions within a budget, with every importable name replaced
by an inert stand-in of our own: arrays, dtypes, sparse matrices and chumpy objects become records of their raw state,
turned into NumPy arrays afterwards. A name that is not on the list is refused before it is looked up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import Budget
from learnable_smplify.safe_files.pickle_machine import PickleMachine
from learnable_smplify.safe_files.pickle_records import RefusedError
from learnable_smplify.safe_files.pickle_resolve import Resolver
from learnable_smplify.safe_files.whole_file import read_bytes


def load_pickle(path: str | PathLike[str]) -> Any:
    """The content of a pickle that holds only data, of any protocol, Python 2 files included (read as Latin-1).

    Allowed: numbers, text, bytes, containers with scalar keys, NumPy arrays and scalars of plain dtypes (object arrays
    of allowed values too), `scipy.sparse` CSC and CSR matrices, which come back as dense arrays, and chumpy arrays and
    torch tensors, which come back as the arrays they hold. `OrderedDict` and `defaultdict` come back as `dict`.

    Raises:
        InputError: not a pickle, truncated, too large for what it is (`budget.Budget`), or it names anything else (the
            message says what).
    """
    path = Path(path)
    return load_pickle_bytes(read_bytes(path), path)


def load_pickle_bytes(data: bytes, path: str | PathLike[str], budget: Budget | None = None) -> Any:
    """As `load_pickle`, from memory; `path` only names the source in messages.

    `budget` is what is left of a larger file's; None gives these bytes their own.
    """
    budget = Budget(len(data)) if budget is None else budget
    with readable(path):
        return Resolver(budget).value(PickleMachine(io.BytesIO(data), budget).load())


@contextmanager
def readable(path: str | PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong while a pickle is read into an `InputError` that names the file."""
    try:
        yield
    except RefusedError as error:
        raise InputError(
            f"the pickle refers to '{error}', which is code or an object this program does not read; nothing was run",
            path=path,
            expected="a pickle of plain arrays, numbers, text and containers",
            hint="if you trust the file, save its arrays with numpy.savez in the program that made it",
        ) from None
    # A damaged or hostile byte can raise nearly anything from the unpickler or from the values it builds.
    except Exception as error:
        raise InputError(
            f"not a readable pickle ({reason(error)})", path=path, expected="a complete pickle file of arrays"
        ) from error
