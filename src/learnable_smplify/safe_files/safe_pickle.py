"""Read pickles of arrays without running anything they contain.

A pickle is a program. This reader first walks its instructions, then executes them with every importable name
replaced by an inert stand-in of our own: arrays, dtypes, sparse matrices and chumpy objects become records of their
raw state, turned into NumPy arrays afterwards. A name that is not on the list is refused before it is looked up.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.pickle_records import RefusedError, stand_in
from learnable_smplify.safe_files.pickle_resolve import Resolver

# Larger than any SMPL-family model or estimator output; a file is held in memory while it is read.
MAX_BYTES = 4 << 30
_MAX_PROTOCOL = 5

_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}


def load_pickle(path: str | PathLike[str]) -> Any:
    """The content of a pickle that holds only data, of any protocol, Python 2 files included (read as Latin-1).

    Allowed: numbers, text, bytes, containers, NumPy arrays and scalars of plain dtypes (object arrays of allowed
    values too), `scipy.sparse` CSC and CSR matrices, which come back as dense arrays, and chumpy arrays and torch
    tensors, which come back as the arrays they hold. `OrderedDict` and `defaultdict` come back as `dict`.

    Raises:
        InputError: not a pickle, truncated, too large, or it names anything else (the message says what).
    """
    path = Path(path)
    return load_pickle_bytes(read_bytes(path), path)


def load_pickle_bytes(data: bytes, path: str | PathLike[str]) -> Any:
    """As `load_pickle`, from memory; `path` only names the source in messages."""
    with readable(path):
        _scan(data)
        return Resolver().value(_DataUnpickler(io.BytesIO(data), encoding="latin1").load())


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of at most 4 GiB.

    Raises:
        InputError: a folder, too large, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise InputError("this is a folder", path=path, expected="a file")
        if os.path.getsize(path) > MAX_BYTES:
            raise InputError("the file is larger than 4 GiB", path=path)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", path=path) from error


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
        detail = str(error) or type(error).__name__
        raise InputError(
            f"not a readable pickle ({detail[:200]})", path=path, expected="a complete pickle file of arrays"
        ) from error


def _scan(data: bytes) -> None:
    """Walk the instructions once: refuses forbidden names early, and sizes that only serve to exhaust memory."""
    stream = io.BytesIO(data)
    while True:
        position = stream.tell()
        code = stream.read(1)
        if not code:
            raise ValueError("the file ends too early")
        opcode = _OPCODES.get(code)
        if opcode is None:
            raise ValueError(f"unknown instruction at byte {position}")
        argument: Any = None
        if opcode.name == "STRING":  # Python 2 text may hold any byte; pickletools takes only ASCII here
            stream.readline()
        elif opcode.arg is not None:
            argument = opcode.arg.reader(stream)
        if opcode.name == "STOP":
            return
        if opcode.name == "PROTO" and argument > _MAX_PROTOCOL:
            raise ValueError(f"protocol {argument} is not known")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(data):
            raise ValueError(f"a reference number of {argument} at byte {position}")
        if opcode.name in ("GLOBAL", "INST"):
            stand_in(*argument.split(" ", 1))
        if opcode.name in ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"):
            raise RefusedError(f"{opcode.name} at byte {position}")


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return stand_in(module, name)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise RefusedError("a persistent object")
