"""Read pickles of arrays without running anything they contain.

A pickle is a program. This reader first walks its instructions, then executes them with every importable name
replaced by an inert stand-in of our own: arrays, dtypes, sparse matrices and chumpy objects become records of their
raw state, turned into NumPy arrays afterwards. A name that is not on the list is refused before it is looked up.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from learnable_smplify.errors import InputError

# Larger than any SMPL-family model or estimator output; a file is held in memory while it is read.
_MAX_BYTES = 4 << 30
_MAX_SPARSE_ELEMENTS = 1 << 28
_MAX_PROTOCOL = 5

_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_PLAIN_DTYPE = re.compile(r"[<>=|]?(?:[biufc]\d{1,2}|\?|[SU]\d{1,9}|O\d?)")


class _RefusedError(Exception):
    """A name that a data file has no reason to contain."""


def load_pickle(path: str | PathLike[str]) -> Any:
    """The content of a pickle that holds only data, of any protocol, Python 2 files included (read as Latin-1).

    Allowed: numbers, text, bytes, containers, NumPy arrays and scalars of plain dtypes (object arrays of allowed
    values too), `scipy.sparse` CSC and CSR matrices, which come back as dense arrays, and chumpy arrays, which come
    back as the arrays they hold. `OrderedDict` and `defaultdict` come back as `dict`.

    Raises:
        InputError: not a pickle, truncated, too large, or it names anything else (the message says what).
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise InputError("this is a folder", path=path, expected="a .pkl file")
        if os.path.getsize(path) > _MAX_BYTES:
            raise InputError("the pickle is larger than 4 GiB", path=path)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", path=path) from error
    return load_pickle_bytes(data, path)


def load_pickle_bytes(data: bytes, path: str | PathLike[str]) -> Any:
    """As `load_pickle`, from memory; `path` only names the source in messages."""
    try:
        _scan(data)
        return _Resolver().value(_DataUnpickler(io.BytesIO(data), encoding="latin1").load())
    except _RefusedError as error:
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
            _stand_in(*argument.split(" ", 1))
        if opcode.name in ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"):
            raise _RefusedError(f"{opcode.name} at byte {position}")


class _Sealed(type):
    """Classes that a pickle's BUILD instruction cannot change."""

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise TypeError("a pickle must not set attributes of a class")


class _Record(metaclass=_Sealed):
    """An object's raw state, kept as data."""

    __slots__ = ("arguments", "state")

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> _Record:
        self = object.__new__(cls)
        self.arguments = arguments
        self.state = None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Record):
    __slots__ = ()


class _Sparse(_Record):
    __slots__ = ()


class _SparseColumns(_Sparse):
    __slots__ = ()


class _SparseRows(_Sparse):
    __slots__ = ()


class _Chumpy(_Record):
    __slots__ = ()


class _Dtype(_Record):
    __slots__ = ()

    def resolved(self) -> np.dtype[Any]:
        """The NumPy dtype; only plain ones, because the state of a structured dtype addresses memory."""
        text = self.arguments[0] if self.arguments else None
        if not isinstance(text, str) or not _PLAIN_DTYPE.fullmatch(text):
            raise _RefusedError(f"the dtype {text!r}")
        if "O" in text:
            return np.dtype(object)
        if isinstance(self.state, tuple):
            if any(part is not None for part in self.state[2:5]):
                raise _RefusedError(f"a structured dtype {text!r}")
            order = self.state[1]
            if order not in ("<", ">", "|", "="):
                raise ValueError(f"byte order {order!r}")
            return np.dtype(text).newbyteorder(order) if order in "<>" else np.dtype(text)
        return np.dtype(text)


class _Call:
    """A function a pickle may call, but not change."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError("a pickle must not set attributes of a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


class _Marker:
    """A class that is only mentioned, as an argument of one of the functions below."""

    __slots__ = ()


def _empty_array(*_: Any) -> _Array:
    # NumPy always asks for an empty array here and fills it by its state; the shape given is not trusted.
    return _Array()


def _array_from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    record = _Array()
    record.state = (1, shape, dtype, order == "F", buffer)
    return record


def _scalar(dtype: _Dtype, data: Any) -> Any:
    return _plain_array(dtype.resolved(), (), _raw(data), False)[()]


def _new_object(kind: Any, *_: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise _RefusedError(f"a new object of {kind!r}")
    return kind()


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"encoding {encoding!r}")
    return text.encode("latin-1")


def _items(values: Any = ()) -> Any:
    if not isinstance(values, list | tuple | set | frozenset | bytes | bytearray):
        raise ValueError(f"a container made from {type(values).__name__}")
    return values


def _dict(*arguments: Any) -> dict[Any, Any]:
    pairs = arguments[-1] if arguments else ()
    return dict(pairs) if isinstance(pairs, list | tuple | dict) else {}


def _bytes(*arguments: Any) -> bytes:
    if len(arguments) == 2:
        return _encoded(*arguments)
    return bytes(_items(*arguments))


_CALLS: dict[str, Any] = {
    "_codecs.encode": _Call(_encoded),
    "builtins.set": _Call(lambda *values: set(_items(*values))),
    "builtins.frozenset": _Call(lambda *values: frozenset(_items(*values))),
    "builtins.list": _Call(lambda *values: list(_items(*values))),
    "builtins.tuple": _Call(lambda *values: tuple(_items(*values))),
    "builtins.dict": _Call(_dict),
    "builtins.bytes": _Call(_bytes),
    "builtins.bytearray": _Call(lambda *values: bytearray(_bytes(*values))),
    "builtins.complex": _Call(lambda real, imaginary: complex(float(real), float(imaginary))),
    "builtins.object": _Marker(),
    "collections.OrderedDict": _Call(_dict),
    "collections.defaultdict": _Call(_dict),
    "copyreg._reconstructor": _Call(_new_object),
    "copyreg.__newobj__": _Call(_new_object),
    "numpy.ndarray": _Marker(),
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _Call(_empty_array),
    "numpy.core.multiarray.scalar": _Call(_scalar),
    "numpy.core.numeric._frombuffer": _Call(_array_from_buffer),
    "scipy.sparse.csc_matrix": _SparseColumns,
    "scipy.sparse.csc_array": _SparseColumns,
    "scipy.sparse.csr_matrix": _SparseRows,
    "scipy.sparse.csr_array": _SparseRows,
    "chumpy.ch.Ch": _Chumpy,
    "chumpy.reordering.Select": _Chumpy,
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


def _stand_in(module: str, name: str) -> Any:
    full_name = f"{_MODULES.get(module, module)}.{name}"
    if full_name not in _CALLS:
        raise _RefusedError(f"{module}.{name}")
    return _CALLS[full_name]


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _RefusedError("a persistent object")


class _Resolver:
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
        if isinstance(value, _Array):
            return self._array(value)
        if isinstance(value, _Sparse):
            return self._dense(value)
        if isinstance(value, _Chumpy):
            return self._chumpy(value)
        if isinstance(value, _Dtype):
            return value.resolved()
        if isinstance(value, _Call | _Marker | type):
            raise _RefusedError("a function or a class, where a value should be")
        if isinstance(value, set | frozenset):
            for item in value:
                _check_key(item)
            return value
        if isinstance(value, bytearray):
            return value
        raise _RefusedError(f"an object of type {type(value).__name__}")

    def _array(self, record: _Array) -> np.ndarray:
        _, shape, dtype, fortran, data = record.state
        if not isinstance(dtype, _Dtype):
            raise ValueError("an array without a dtype")
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"an array of shape {shape!r}")
        resolved = dtype.resolved()
        if resolved.kind != "O":
            return _plain_array(resolved, shape, _raw(data), bool(fortran))
        if not isinstance(data, list) or len(data) != math.prod(shape):
            raise ValueError(f"an object array of shape {shape} with other content")
        array = np.empty(len(data), dtype=object)
        for index, item in enumerate(data):
            array[index] = self.value(item)
        return array.reshape(shape, order="F" if fortran else "C")

    def _dense(self, record: _Sparse) -> np.ndarray:
        state = self.value(record.state)
        values, indices, pointers = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        rows, columns = (int(side) for side in (state["_shape"] if "_shape" in state else state["shape"]))
        by_column = isinstance(record, _SparseColumns)
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

    def _chumpy(self, record: _Chumpy) -> np.ndarray:
        state = self.value(record.state)
        if not isinstance(state, dict):
            raise ValueError("a chumpy object without its state")
        if "x" in state:
            return np.asarray(state["x"])
        if "a" in state and "idxs" in state:  # chumpy's indexing of another array
            chosen = np.asarray(state["a"]).reshape(-1)[np.asarray(state["idxs"]).astype(np.int64)]
            return chosen.reshape(tuple(state["preferred_shape"])) if "preferred_shape" in state else chosen
        raise ValueError("a chumpy object that is neither an array nor a choice of elements")


def _check_key(key: Any) -> None:
    if isinstance(key, tuple):
        for part in key:
            _check_key(part)
    elif not isinstance(key, str | bytes | int | float | complex | np.generic | None):
        raise _RefusedError(f"a key of type {type(key).__name__}")


def _raw(data: Any) -> bytes | bytearray:
    if isinstance(data, str):  # bytes of a Python 2 pickle
        return data.encode("latin-1")
    if isinstance(data, bytes | bytearray):
        return data
    raise ValueError(f"array content of type {type(data).__name__}")


def _plain_array(dtype: np.dtype[Any], shape: tuple[int, ...], data: bytes | bytearray, fortran: bool) -> np.ndarray:
    if dtype.kind == "O" or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for an array of shape {shape} and dtype {dtype}")
    if dtype.itemsize == 0:
        raise ValueError(f"an array of dtype {dtype}, which has no size")
    if not data:
        return np.zeros(shape, dtype=dtype)
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C", copy=True)
