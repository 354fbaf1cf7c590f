"""Read files of `joblib.dump` without running anything they contain.

joblib writes a pickle in which each array is a short note, followed at once by the array's raw bytes; the whole may be
compressed. The names in it go through the same list as any other pickle's (`safe_files.pickle_records`).
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickle
import zlib
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.budget import Budget, check_depth, checked_shape, elements
from learnable_smplify.safe_files.pickle_machine import PickleMachine
from learnable_smplify.safe_files.pickle_records import Dtype, Record, plain_array, stand_in
from learnable_smplify.safe_files.pickle_resolve import Resolver
from learnable_smplify.safe_files.safe_pickle import load_pickle_bytes, readable
from learnable_smplify.safe_files.whole_file import read_bytes

_ARRAY_NOTE = ("joblib.numpy_pickle", "NumpyArrayWrapper")


def load_joblib(path: str | PathLike[str]) -> Any:
    """The content of a file of `joblib.dump` (0.10 or later, any of its compressions) or of a plain pickle.

    Allowed content: as in `safe_pickle.load_pickle`.

    Raises:
        InputError: not such a file, truncated, too large for its size (`budget.Budget`), or it names anything but data
            (the message says what); nothing is ever run.
    """
    path = Path(path)
    packed = read_bytes(path)
    budget = Budget(len(packed))
    data = _unpacked(packed, path, budget)
    if _ARRAY_NOTE[1].encode() not in data:
        return load_pickle_bytes(data, path, budget)
    with readable(path):
        return Resolver(budget).value(_JoblibMachine(io.BytesIO(data), budget).load())


def _unpacked(data: bytes, path: Path, budget: Budget) -> bytes:
    hint = "joblib.dump(joblib.load(PATH), NEW, compress=3) in the program that made it"
    if data.startswith(b"ZF"):
        raise InputError("written by joblib 0.9 or older", path=path, expected="a newer joblib's file", hint=hint)
    if data.startswith(b"\x04\x22\x4d\x18"):
        raise InputError("compressed with lz4, which is not read", path=path, expected="zlib, gzip or xz", hint=hint)
    unpacker: Any
    if data.startswith((b"\x78", b"\x1f\x8b")):
        unpacker = zlib.decompressobj(wbits=47)  # zlib or gzip, told by the header
    elif data.startswith(b"BZ"):
        unpacker = bz2.BZ2Decompressor()
    elif data.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        unpacker = lzma.LZMADecompressor()
    else:
        return data
    try:
        unpacked = unpacker.decompress(data, budget.left + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"its compression is damaged ({reason(error)})", path=path, expected="a complete file of joblib.dump"
        ) from error
    if len(unpacked) > budget.left:
        raise InputError(f"its {len(data)} bytes unpack to more than {budget.left}", path=path)
    budget.spend(len(unpacked))
    if not unpacker.eof:
        raise InputError("the file ends too early", path=path, expected="a complete file of joblib.dump")
    return unpacked


class _ArrayNote(Record):
    """What joblib writes before an array's bytes."""

    __slots__ = ()


class _JoblibMachine(PickleMachine):
    dispatch: ClassVar[Any] = dict(PickleMachine.dispatch)

    def __init__(self, stream: io.BytesIO, budget: Budget, depth: int = 0) -> None:
        super().__init__(stream, budget, lambda *name: _ArrayNote if name == _ARRAY_NOTE else stand_in(*name))
        check_depth(depth)
        self._depth = depth

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], _ArrayNote):
            self.stack[-1] = self._array(self.stack[-1].state)

    dispatch[pickle.BUILD[0]] = load_build

    def _array(self, note: Any) -> Any:
        if not isinstance(note, dict) or not isinstance(note.get("dtype"), Dtype):
            raise ValueError("an array without a dtype")
        dtype = note["dtype"].resolved()
        if dtype.kind == "O":
            return _JoblibMachine(self._stream, self._budget, self._depth + 1).load()
        shape = checked_shape(note.get("shape"))
        if note.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        count = elements(shape, dtype.itemsize, self._size)
        self._budget.spend(count * dtype.itemsize)
        order = note.get("order")
        return plain_array(
            dtype, shape, self._stream.read(count * dtype.itemsize), isinstance(order, str) and order == "F"
        )
