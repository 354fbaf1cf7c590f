"""Read files of `joblib.dump` without running anything they contain.

joblib writes a pickle in which each array is a short note, followed at once by the array's raw bytes; the whole may be
compressed. The names in it go through the same list as any other pickle's (`safe_files.pickle_records`).
"""

from __future__ import annotations

import bz2
import io
import lzma
import math
import pickle
import zlib
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.pickle_records import Dtype, Record, RefusedError, plain_array, stand_in
from learnable_smplify.safe_files.pickle_resolve import Resolver
from learnable_smplify.safe_files.safe_pickle import MAX_BYTES, load_pickle_bytes, read_bytes, readable

_ARRAY_NOTE = ("joblib.numpy_pickle", "NumpyArrayWrapper")


def load_joblib(path: str | PathLike[str]) -> Any:
    """The content of a file of `joblib.dump` (0.10 or later, any of its compressions) or of a plain pickle.

    Allowed content: as in `safe_pickle.load_pickle`.

    Raises:
        InputError: not such a file, truncated, larger than 4 GiB, or it names anything but data (the message says
            what); nothing is ever run.
    """
    path = Path(path)
    data = _unpacked(read_bytes(path), path)
    if _ARRAY_NOTE[1].encode() not in data:
        return load_pickle_bytes(data, path)
    with readable(path):
        return Resolver().value(_JoblibUnpickler(io.BytesIO(data)).load())


def _unpacked(data: bytes, path: Path) -> bytes:
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
        unpacked = unpacker.decompress(data, MAX_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(
            f"its compression is damaged ({str(error)[:120]})", path=path, expected="a complete file of joblib.dump"
        ) from error
    if len(unpacked) > MAX_BYTES:
        raise InputError("it unpacks to more than 4 GiB", path=path)
    if not unpacker.eof:
        raise InputError("the file ends too early", path=path, expected="a complete file of joblib.dump")
    return unpacked


class _ArrayNote(Record):
    """What joblib writes before an array's bytes."""

    __slots__ = ()


# The C unpickler reads ahead, past where an array's bytes begin; the one in Python does not. joblib uses it as well.
class _JoblibUnpickler(pickle._Unpickler):
    dispatch: ClassVar[Any] = dict(pickle._Unpickler.dispatch)

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="latin1")
        self._stream = stream

    def find_class(self, module: str, name: str) -> Any:
        return _ArrayNote if (module, name) == _ARRAY_NOTE else stand_in(module, name)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise RefusedError("a persistent object")

    def load_build(self) -> None:
        super().load_build()  # type: ignore[misc]
        if isinstance(self.stack[-1], _ArrayNote):  # type: ignore[attr-defined]
            self.stack[-1] = self._array(self.stack[-1].state)  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build

    def refuse(self) -> NoReturn:
        raise RefusedError("an instruction that data has no use for")

    # Extension codes name classes that `find_class` may never see.
    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER):
        dispatch[_code[0]] = refuse

    def load_bytearray(self) -> None:
        # As the original, which reserves any size it is told before it looks whether there is as much.
        size = int.from_bytes(self.read(8), "little")  # type: ignore[attr-defined]
        self.append(bytearray(self.read(size)))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray

    def _array(self, note: Any) -> Any:
        if not isinstance(note, dict) or not isinstance(note.get("dtype"), Dtype):
            raise ValueError("an array without a dtype")
        dtype = note["dtype"].resolved()
        if dtype.kind == "O":
            return _JoblibUnpickler(self._stream).load()
        shape = note.get("shape")
        if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"an array of shape {shape!r}")
        if note.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        return plain_array(dtype, shape, self._stream.read(math.prod(shape) * dtype.itemsize), note["order"] == "F")
