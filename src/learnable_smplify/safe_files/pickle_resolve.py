"""Turn the records of a loaded pickle into NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from learnable_smplify.safe_files.budget import (
    Budget,
    TooMuchError,
    check_depth,
    check_key,
    checked_shape,
    elements,
    shown,
    shown_shape,
)
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
from learnable_smplify.safe_files.torch_storage import StorageKind, read_legacy

# Values in a file with everything that is referred to several times counted as often; more in larger files.
_MOST_UNFOLDED = 1 << 22
_NUMPY_CAN = {torch.bfloat16: torch.float32}  # dtypes NumPy does not have


class Resolver:
    """Turns the records in a loaded value into arrays, in place where containers allow it.

    Args:
        budget: what the arrays may cost.
        tensors: leave torch's tensors as they are instead of making arrays of them.
    """

    def __init__(self, budget: Budget, tensors: bool = False) -> None:
        self._budget, self._tensors = budget, tensors
        self._most = _MOST_UNFOLDED + 4 * budget.size
        self._done: dict[int, Any] = {}
        self._unfolded: dict[int, int] = {}
        self._kept_alive: list[Any] = []

    def value(self, value: Any, depth: int = 0) -> Any:
        """A loaded value without records.

        Raises:
            RefusedError: code, or an object that is no data.
            TooMuchError: beyond the budget, or nested too deep.
            Exception: nearly any, where a record's state is damaged.
        """
        if isinstance(value, str | bytes | int | float | complex | np.generic | torch.dtype | None):
            return value
        if id(value) in self._done:
            found = self._done[id(value)]
            if id(found) not in self._unfolded:
                raise TooMuchError("a container that contains itself")
            return found
        check_depth(depth)
        self._budget.spend(100)
        self._kept_alive.append(value)  # an id is only good while its object lives
        if isinstance(value, list):
            self._done[id(value)] = value
            for place, item in enumerate(value):
                value[place] = self.value(item, depth + 1)
            return self._measured(value, value)
        if isinstance(value, dict):
            self._done[id(value)] = value
            for key in list(value):
                value[check_key(key)] = self.value(value[key], depth + 1)
            return self._measured(value, value.values())
        result = self._built(value, depth + 1)
        self._done[id(value)] = result
        return self._measured(result, result if isinstance(result, tuple | set | frozenset) else ())

    def _measured(self, result: Any, items: Iterable[Any]) -> Any:
        """A result, once it is known that nobody who walks through it walks for ever.

        A list that holds another twice, which holds another twice, and so on, is small; written out it is endless.
        """
        if isinstance(result, np.ndarray | torch.Tensor):
            items = result.reshape(-1) if isinstance(result, np.ndarray) and result.dtype == object else ()
            count = int(result.nbytes // 8)
        else:
            count = 0
        count += 1 + sum(self._unfolded.get(id(item), 1) for item in items)
        if count > self._most:
            raise TooMuchError("it refers to the same things so often that written out it would be endless")
        self._unfolded[id(result)] = count
        return result

    def _built(self, value: Any, depth: int) -> Any:
        if isinstance(value, tuple):
            return tuple([self.value(item, depth) for item in value])
        if isinstance(value, Array):
            return self._array(value, depth)
        if isinstance(value, Sparse):
            return self._dense(value, depth)
        if isinstance(value, Chumpy):
            return self._chumpy(value, depth)
        if isinstance(value, TorchTensor):
            return self._tensor(value)
        if isinstance(value, Dtype):
            return value.resolved()
        if isinstance(value, Call | Marker | StorageKind | type):
            raise RefusedError("a function or a class, where a value should be")
        if isinstance(value, set | frozenset | bytearray):
            return value
        if isinstance(value, np.ndarray) and value.dtype != object:
            return value  # arrays come ready-made from `joblib_file`
        raise RefusedError(f"an object of type {type(value).__name__}")

    def _array(self, record: Array, depth: int) -> np.ndarray:
        _, shape, dtype, fortran, data = record.state
        if not isinstance(dtype, Dtype):
            raise ValueError("an array without a dtype")
        shape = checked_shape((shape,) if isinstance(shape, int) else shape)
        resolved = dtype.resolved()
        if resolved.kind != "O":
            content = raw(data)
            self._budget.spend(len(content))
            return plain_array(resolved, shape, content, bool(fortran))
        if not isinstance(data, list) or len(data) != elements(shape, 1, len(data)):
            raise ValueError(f"an object array of shape {shown_shape(shape)} with other content")
        self._budget.spend(8 * len(data))
        array = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            array[index] = self.value(item, depth)
        return array.reshape(shape, order="F" if fortran else "C")

    def _tensor(self, record: TorchTensor) -> Any:
        storage, offset, shape, stride = record.arguments[:4]
        whole = self._storage(storage)
        shape, stride = checked_shape(shape), checked_shape(stride)
        if type(offset) is not int or not 0 <= offset < 1 << 63:
            raise ValueError(f"a tensor that begins at {shown(offset)}")
        count = elements(shape, 1, max(len(whole), 1))
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if count and last >= len(whole):
            raise ValueError(f"a tensor of shape {shown_shape(shape)} in {len(whole)} numbers")
        self._budget.spend(count * whole.element_size())
        tensor = whole.as_strided(shape, stride, offset).clone() if count else torch.zeros(shape, dtype=whole.dtype)
        return tensor if self._tensors else tensor.to(_NUMPY_CAN.get(tensor.dtype, tensor.dtype)).numpy()

    def _storage(self, record: Any) -> torch.Tensor:
        """The numbers of a storage in a row."""
        if isinstance(record, torch.Tensor):
            return record
        if not isinstance(record, TorchStorage) or not record.arguments or not isinstance(record.arguments[0], bytes):
            raise RefusedError("a tensor without its bytes")
        if id(record) not in self._done:
            found = read_legacy(record.arguments[0], self._budget)
            if not isinstance(found, torch.Tensor):
                raise ValueError(f"a tensor's storage of type {type(found).__name__}")
            self._done[id(record)] = found
            self._kept_alive.append(record)
        numbers: torch.Tensor = self._done[id(record)]
        return numbers

    def _dense(self, record: Sparse, depth: int) -> np.ndarray:
        state = self.value(record.state, depth)
        if not isinstance(state, dict):
            raise ValueError("a sparse matrix without its state")
        parts: list[Any] = [state.get(key) for key in ("data", "indices", "indptr")]
        rows, columns = checked_shape(state["_shape"] if "_shape" in state else state["shape"])
        for part, kinds in zip(parts, ("biufc", "iu", "iu"), strict=True):
            if not isinstance(part, np.ndarray) or part.dtype.kind not in kinds or part.ndim != 1:
                raise ValueError("a sparse matrix whose parts are no rows of numbers")
        values, indices, pointers = parts
        by_column = isinstance(record, SparseColumns)
        if not rows * columns > 0:
            raise ValueError(f"a sparse matrix of shape {rows} x {columns}")
        if pointers.shape != ((columns if by_column else rows) + 1,) or values.shape != indices.shape:
            raise ValueError("a sparse matrix whose parts do not fit")
        counts = np.diff(pointers.astype(np.int64))
        if pointers[0] != 0 or pointers[-1] != len(values) or (counts < 0).any() or (indices < 0).any():
            raise ValueError("a sparse matrix whose parts do not fit")
        self._budget.spend(rows * columns * values.dtype.itemsize)
        major = np.repeat(np.arange(len(counts)), counts)
        dense = np.zeros((rows, columns), dtype=values.dtype)
        np.add.at(dense, (indices, major) if by_column else (major, indices), values)
        return dense

    def _chumpy(self, record: Chumpy, depth: int) -> np.ndarray:
        state = self.value(record.state, depth)
        if not isinstance(state, dict):
            raise ValueError("a chumpy object without its state")
        if "x" in state:
            return _plain(state["x"])
        if "a" in state and "idxs" in state:  # chumpy's indexing of another array
            places = _plain(state["idxs"])
            self._budget.spend(16 * places.size)
            chosen = _plain(state["a"]).reshape(-1)[places.astype(np.int64)]
            return chosen.reshape(checked_shape(state["preferred_shape"])) if "preferred_shape" in state else chosen
        raise ValueError("a chumpy object that is neither an array nor a choice of elements")


def _plain(value: Any) -> np.ndarray:
    """What chumpy keeps its numbers in: an array, or one number."""
    if not isinstance(value, np.ndarray | np.generic | int | float):
        raise ValueError(f"{shown(value)} where chumpy has an array")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{array.dtype} where chumpy has numbers")
    return array
