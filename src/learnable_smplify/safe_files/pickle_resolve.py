"""Turn the records of a loaded pickle into NumPy arrays."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np
import torch

from learnable_smplify.safe_files.pickle_records import (
    Array,
    Call,
    Chumpy,
    Dtype,
    Marker,
    RefusedError,
    Sparse,
    SparseColumns,
    TorchStorage,
    TorchTensor,
    plain_array,
    raw,
)

_MAX_SPARSE_ELEMENTS = 1 << 28
_NUMPY_CAN = {torch.bfloat16: torch.float32}  # dtypes NumPy does not have


class Resolver:
    """Turns the records in a loaded value into arrays, in place where containers allow it."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._kept_alive: list[Any] = []

    def value(self, value: Any) -> Any:
        if isinstance(value, str | bytes | int | float | complex | np.generic | None):
            return value
        if id(value) in self._done:
            return self._done[id(value)]
        self._kept_alive.append(value)  # an id is only good while its object lives
        if isinstance(value, list):
            self._done[id(value)] = value
            value[:] = [self.value(item) for item in value]
            return value
        if isinstance(value, dict):
            self._done[id(value)] = value
            for key in list(value):
                _check_key(key)
                value[key] = self.value(value[key])
            return value
        result = self._built(value)
        self._done[id(value)] = result
        return result

    def _built(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self.value(item) for item in value)
        if isinstance(value, Array):
            return self._array(value)
        if isinstance(value, Sparse):
            return self._dense(value)
        if isinstance(value, Chumpy):
            return self._chumpy(value)
        if isinstance(value, TorchTensor):
            return self._tensor(value)
        if isinstance(value, Dtype):
            return value.resolved()
        if isinstance(value, Call | Marker | type):
            raise RefusedError("a function or a class, where a value should be")
        if isinstance(value, set | frozenset):
            for item in value:
                _check_key(item)
            return value
        if isinstance(value, bytearray) or (isinstance(value, np.ndarray) and value.dtype != object):
            return value  # arrays come ready-made from `joblib_file`
        raise RefusedError(f"an object of type {type(value).__name__}")

    def _array(self, record: Array) -> np.ndarray:
        _, shape, dtype, fortran, data = record.state
        if not isinstance(dtype, Dtype):
            raise ValueError("an array without a dtype")
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"an array of shape {shape!r}")
        resolved = dtype.resolved()
        if resolved.kind != "O":
            return plain_array(resolved, shape, raw(data), bool(fortran))
        if not isinstance(data, list) or len(data) != math.prod(shape):
            raise ValueError(f"an object array of shape {shape} with other content")
        array = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            array[index] = self.value(item)
        return array.reshape(shape, order="F" if fortran else "C")

    def _tensor(self, record: TorchTensor) -> np.ndarray:
        storage, offset, shape, stride = record.arguments[:4]
        found = _storage(storage)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = torch.empty(0, dtype=found.dtype).set_(found)
        if not all(
            isinstance(part, tuple) and all(type(n) is int and n >= 0 for n in part) for part in (shape, stride)
        ):
            raise ValueError("a tensor whose shape is no list of numbers")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if offset < 0 or (math.prod(shape) and last >= len(whole)) or math.prod(shape) > max(len(whole), 1):
            raise ValueError(f"a tensor of shape {shape} in {len(whole)} numbers")
        return whole.as_strided(shape, stride, offset).clone().to(_NUMPY_CAN.get(whole.dtype, whole.dtype)).numpy()

    def _dense(self, record: Sparse) -> np.ndarray:
        state = self.value(record.state)
        values, indices, pointers = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        rows, columns = (int(side) for side in (state["_shape"] if "_shape" in state else state["shape"]))
        by_column = isinstance(record, SparseColumns)
        if not 0 < rows * columns <= _MAX_SPARSE_ELEMENTS:
            raise ValueError(f"a sparse matrix of shape {rows} x {columns}")
        if pointers.shape != ((columns if by_column else rows) + 1,) or values.shape != indices.shape:
            raise ValueError("a sparse matrix whose parts do not fit")
        major = np.repeat(np.arange(len(pointers) - 1), pointers[1:] - pointers[:-1])
        if len(major) != len(values) or np.any(indices < 0):
            raise ValueError("a sparse matrix whose parts do not fit")
        dense = np.zeros((rows, columns), dtype=values.dtype)
        np.add.at(dense, (indices, major) if by_column else (major, indices), values)
        return dense

    def _chumpy(self, record: Chumpy) -> np.ndarray:
        state = self.value(record.state)
        if not isinstance(state, dict):
            raise ValueError("a chumpy object without its state")
        if "x" in state:
            return np.asarray(state["x"])
        if "a" in state and "idxs" in state:  # chumpy's indexing of another array
            chosen = np.asarray(state["a"]).reshape(-1)[np.asarray(state["idxs"]).astype(np.int64)]
            return chosen.reshape(tuple(state["preferred_shape"])) if "preferred_shape" in state else chosen
        raise ValueError("a chumpy object that is neither an array nor a choice of elements")


def _storage(record: Any) -> torch.TypedStorage:
    if not isinstance(record, TorchStorage) or not isinstance(record.arguments[0], bytes):
        raise RefusedError("a tensor without its bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the class of the storages it still writes
        found = torch.load(io.BytesIO(record.arguments[0]), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.TypedStorage):
        raise ValueError(f"a tensor's storage of type {type(found).__name__}")
    return found


def _check_key(key: Any) -> None:
    if isinstance(key, tuple):
        for part in key:
            _check_key(part)
    elif not isinstance(key, str | bytes | int | float | complex | np.generic | None):
        raise RefusedError(f"a key of type {type(key).__name__}")
