"""The numbers behind torch's tensors, from the two kinds of files that `torch.save` writes, without torch's reader.

torch's own reader of untrusted files, `weights_only`, ran code up to 2.5 (CVE-2025-32434) and wrote outside its memory
up to 2.9 (CVE-2026-24747). The files are simple: a pickle, and the bytes of the storages beside or behind it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from learnable_smplify.safe_files.budget import Budget, shown
from learnable_smplify.safe_files.pickle_machine import PickleMachine
from learnable_smplify.safe_files.pickle_records import Call, RefusedError, stand_in

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_KINDS = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
_DTYPES = {str(dtype): dtype for dtype in _KINDS.values()}
_VALUES = {"torch.Size": Call(lambda sides=(): tuple(sides)), "torch.device": Call(lambda *words: str(words[0]))}


@dataclass(frozen=True)
class StorageKind:
    """A class of torch's storages: what its bytes are."""

    dtype: torch.dtype


class NotTorchError(ValueError):
    """Bytes that `torch.save` did not write."""


def find_torch(module: str, name: str) -> Any:
    """The stand-in for a name in a file of `torch.save`."""
    if module in ("torch", "torch.storage") and name in _KINDS:
        return StorageKind(_KINDS[name])
    full = f"{module}.{name}"
    return _DTYPES[full] if full in _DTYPES else _VALUES[full] if full in _VALUES else stand_in(module, name)


def read_zip(stream: io.BytesIO, budget: Budget) -> Any:
    """The value in a file of torch 1.6 or later, with records (`pickle_resolve`) and storages as rows of numbers.

    Raises:
        NotTorchError: no archive, or none of torch's.
        RefusedError, TooMuchError: as `PickleMachine.load`.
        Exception: nearly any, where bytes are damaged.
    """
    try:
        archive = zipfile.ZipFile(stream)
    except Exception as error:
        raise NotTorchError(str(error) or "damaged") from error
    with archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise NotTorchError("an archive without 'data.pkl'")
        folder = pickles[0].removesuffix("data.pkl")
        if members.get(f"{folder}byteorder") and archive.read(f"{folder}byteorder")[:8] != b"little":
            raise NotTorchError("numbers of another byte order")

        def content(name: str) -> bytes:
            info = members.get(folder + name)
            if info is None:
                raise ValueError(f"the archive has no {shown(name)}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("a compressed archive, which torch.save does not write")
            budget.spend(info.file_size)
            return archive.read(info)

        storages: dict[str, torch.Tensor] = {}

        def storage(kind: StorageKind, key: str, count: int) -> torch.Tensor:
            if key not in storages:
                storages[key] = _numbers(content(f"data/{key}"), kind, count)
            return storages[key]

        return _TorchMachine(io.BytesIO(content("data.pkl")), budget, storage).load()


def read_legacy(data: bytes, budget: Budget) -> Any:
    """As `read_zip`, of a file of torch before 1.6, or of a storage as such a file inside a pickle."""
    stream = io.BytesIO(data)
    head = PickleMachine(stream, budget, find_torch)
    try:
        magic, protocol = head.load(), head.load()
    except Exception as error:
        raise NotTorchError("it ends too early" if isinstance(error, EOFError) else "another kind of file") from error
    if (type(magic), magic, type(protocol), protocol) != (int, _MAGIC, int, _PROTOCOL):
        raise NotTorchError("its content is of another kind")
    head.load()  # about the machine that wrote it
    # The numbers are behind the pickle, in the order of their keys: a first pass learns what they are.
    start = stream.tell()
    asked: dict[str, tuple[StorageKind, int]] = {}

    def ask(kind: StorageKind, key: str, count: int) -> torch.Tensor:
        asked.setdefault(key, (kind, count))
        return torch.empty(0, dtype=kind.dtype)

    _TorchMachine(stream, budget, ask).load()
    keys = PickleMachine(stream, budget, find_torch).load()
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in asked for key in keys):
        raise ValueError("a list of storages that does not fit")
    storages: dict[str, torch.Tensor] = {}
    for key in keys:
        kind, count = asked[key]
        if int.from_bytes(stream.read(8), "little") != count:
            raise ValueError("a storage of another length than promised")
        if count * kind.dtype.itemsize > len(data):
            raise ValueError("the file ends too early")
        storages[key] = _numbers(stream.read(count * kind.dtype.itemsize), kind, count)
    stream.seek(start)
    return _TorchMachine(stream, budget, lambda kind, key, count: storages[key]).load()


class _TorchMachine(PickleMachine):
    """Executes the pickle of a torch file; `storage` gives the numbers of a kind, a key and a count."""

    def __init__(
        self, stream: io.BytesIO, budget: Budget, storage: Callable[[StorageKind, str, int], torch.Tensor]
    ) -> None:
        super().__init__(stream, budget, find_torch)
        self._storage = storage

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers that ("storage", kind, key, device, count) stands for."""
        if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage" or (len(pid) == 6 and pid[5]):
            raise RefusedError("a persistent object")
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, StorageKind) or not isinstance(key, str) or type(count) is not int or count < 0:
            raise ValueError("a storage that is not described")
        return self._storage(kind, key, count)


def _numbers(data: bytes, kind: StorageKind, count: int) -> torch.Tensor:
    if len(data) != count * kind.dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for {shown(count)} numbers")
    return torch.frombuffer(bytearray(data), dtype=kind.dtype) if data else torch.empty(0, dtype=kind.dtype)
