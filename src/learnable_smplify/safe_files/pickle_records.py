"""Inert stand-ins for the names a pickle of data may contain: records of raw state, never the objects themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from learnable_smplify.safe_files.budget import check_key, check_keys, elements, shown, shown_shape

_PLAIN_DTYPE = re.compile(r"[<>=|]?(?:[biufc]\d{1,2}|\?|[SU]\d{1,9}|O\d?)")


class RefusedError(Exception):
    """A name that a data file has no reason to contain."""


class _Sealed(type):
    """Classes that a pickle's BUILD instruction cannot change."""

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise TypeError("a pickle must not set attributes of a class")


class Record(metaclass=_Sealed):
    """An object's raw state, kept as data."""

    __slots__ = ("arguments", "state")

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> Record:
        self = object.__new__(cls)
        self.arguments = arguments
        self.state = None
        return self


class Array(Record):
    __slots__ = ()


class Sparse(Record):
    __slots__ = ()


class SparseColumns(Sparse):
    __slots__ = ()


class SparseRows(Sparse):
    __slots__ = ()


class Chumpy(Record):
    __slots__ = ()


class TorchStorage(Record):
    """The bytes of a tensor's storage: a small torch file of its own."""

    __slots__ = ()


class TorchTensor(Record):
    """A tensor pickled without `torch.save`, as estimators leave them in .npy files."""

    __slots__ = ()


class Dtype(Record):
    __slots__ = ()

    def resolved(self) -> np.dtype[Any]:
        """The NumPy dtype; only plain ones, because the state of a structured dtype addresses memory."""
        text = self.arguments[0] if self.arguments else None
        if not isinstance(text, str) or not _PLAIN_DTYPE.fullmatch(text):
            raise RefusedError(f"the dtype {shown(text)}")
        if "O" in text:
            return np.dtype(object)
        if isinstance(self.state, tuple):
            if any(part is not None for part in self.state[2:5]):
                raise RefusedError(f"a structured dtype {shown(text)}")
            order = self.state[1]
            if not isinstance(order, str) or order not in ("<", ">", "|", "="):
                raise ValueError(f"byte order {shown(order)}")
            return np.dtype(text).newbyteorder(">" if order == ">" else "<") if order in "<>" else np.dtype(text)
        return np.dtype(text)


class Call:
    """A function a pickle may call, but not change."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError("a pickle must not set attributes of a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class Marker:
    """A class that is only mentioned, as an argument of one of the functions below."""

    __slots__ = ()


def _array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Array:
    record = Array()
    record.state = (1, shape, dtype, order == "F", buffer)
    return record


def _scalar(dtype: Dtype, data: Any) -> Any:
    return plain_array(dtype.resolved(), (), raw(data), False)[()]


def _new_object(kind: Any, *_: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, Record)):
        raise RefusedError(f"a new object of {shown(kind)}")
    return kind()


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    if not isinstance(text, str) or not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedError(f"encoding {shown(encoding)}")
    return text.encode("latin-1")


def _items(values: Any = ()) -> Any:
    if not isinstance(values, list | tuple | set | frozenset | bytes | bytearray):
        raise ValueError(f"a container made from {type(values).__name__}")
    return values


def _dict(*arguments: Any) -> dict[Any, Any]:
    pairs = arguments[-1] if arguments else ()
    if isinstance(pairs, dict):
        return dict(pairs)
    made: dict[Any, Any] = {}
    for pair in pairs if isinstance(pairs, list | tuple) else ():
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"a dictionary made from {shown(pair)}")
        made[check_key(pair[0])] = pair[1]
    return made


def _members(*arguments: Any) -> Any:
    values = _items(*arguments)
    check_keys(values)
    return values


def _bytes(*arguments: Any) -> bytes:
    if len(arguments) == 2:
        return _encoded(*arguments)
    return bytes(_items(*arguments))


_CALLS: dict[str, Any] = {
    "_codecs.encode": Call(_encoded),
    "builtins.set": Call(lambda *values: set(_members(*values))),
    "builtins.frozenset": Call(lambda *values: frozenset(_members(*values))),
    "builtins.list": Call(lambda *values: list(_items(*values))),
    "builtins.tuple": Call(lambda *values: tuple(_items(*values))),
    "builtins.dict": Call(_dict),
    "builtins.bytes": Call(_bytes),
    "builtins.bytearray": Call(lambda *values: bytearray(_bytes(*values))),
    "builtins.complex": Call(lambda real, imaginary: complex(float(real), float(imaginary))),
    "builtins.object": Marker(),
    "collections.OrderedDict": Call(_dict),
    "collections.defaultdict": Call(_dict),
    "copyreg._reconstructor": Call(_new_object),
    "copyreg.__newobj__": Call(_new_object),
    "numpy.ndarray": Marker(),
    "numpy.dtype": Dtype,
    # NumPy always asks for an empty array here and fills it by its state; the shape given is not trusted.
    "numpy.core.multiarray._reconstruct": Call(lambda *_: Array()),
    "numpy.core.multiarray.scalar": Call(_scalar),
    "numpy.core.numeric._frombuffer": Call(_array_from_buffer),
    "scipy.sparse.csc_matrix": SparseColumns,
    "scipy.sparse.csc_array": SparseColumns,
    "scipy.sparse.csr_matrix": SparseRows,
    "scipy.sparse.csr_array": SparseRows,
    "chumpy.ch.Ch": Chumpy,
    "chumpy.reordering.Select": Chumpy,
    "torch._utils._rebuild_parameter": Call(lambda tensor, *_: tensor),
    "torch._utils._rebuild_tensor_v2": TorchTensor,
    "torch.storage._load_from_bytes": TorchStorage,
}

# The same things under the module names of Python 2 and of other NumPy and SciPy versions.
_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "scipy.sparse.csc": "scipy.sparse",
    "scipy.sparse._csc": "scipy.sparse",
    "scipy.sparse.csr": "scipy.sparse",
    "scipy.sparse._csr": "scipy.sparse",
    "chumpy": "chumpy.ch",
}


def stand_in(module: str, name: str) -> Any:
    full_name = f"{_MODULES.get(module, module)}.{name}"
    if full_name not in _CALLS:
        raise RefusedError(f"{module}.{name}")
    return _CALLS[full_name]


def raw(data: Any) -> bytes | bytearray:
    if isinstance(data, str):  # bytes of a Python 2 pickle
        return data.encode("latin-1")
    if isinstance(data, bytes | bytearray):
        return data
    raise ValueError(f"array content of type {type(data).__name__}")


def plain_array(dtype: np.dtype[Any], shape: tuple[int, ...], data: bytes | bytearray, fortran: bool) -> np.ndarray:
    if dtype.itemsize == 0:
        raise ValueError(f"an array of dtype {dtype}, which has no size")
    if dtype.kind == "O" or len(data) != elements(shape, dtype.itemsize, len(data)) * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for an array of shape {shown_shape(shape)} and dtype {dtype}")
    if not data:
        return np.zeros(shape, dtype=dtype)
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=True)
