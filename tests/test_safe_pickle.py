from __future__ import annotations

import builtins
import collections
import contextlib
import copyreg
import functools
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.safe_pickle import load_pickle, load_pickle_bytes

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def load(value: object, protocol: int = 2) -> object:
    return load_pickle_bytes(pickle.dumps(value, protocol), "memory")


def same(left: object, right: object) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        assert type(left) is type(right) is np.ndarray
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        if left.dtype == object:
            return all(same(a, b) for a, b in zip(left.ravel(), right.ravel(), strict=True))
        return bool(np.array_equal(left, right, equal_nan=left.dtype.kind in "fc"))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return type(left) is type(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return type(left) is type(right) and left == right


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_data_comes_back_as_it_was(protocol: int):
    value = {
        "numbers": [1, -(2**70), 0.5, True, None, 1 + 2j],
        "text": ("héllo", b"\x00\xff", bytearray(b"ab")),
        "sets": [{1, 2}, frozenset({"a"})],
        "arrays": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.zeros((0, 3))],
        "dtypes": [np.array([0, 1, 1]).astype(kind) for kind in ("f4", ">f8", "u1", "i8", "c16", "?", "S3", "U4")],
        "scalars": [np.float32(0.5), np.int64(3), np.bool_(True)],
        "objects": np.array([{"a": np.ones(2)}, None, "x"], dtype=object),
    }
    read = load(value, protocol)
    value["dtypes"][1] = value["dtypes"][1].astype("f8")
    assert same(read, value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ordered_and_default_dicts_come_back_as_dicts(protocol: int):
    ordered = collections.OrderedDict([("b", 1), ("a", np.ones(2))])
    assert same(load(ordered, protocol), dict(ordered))
    if protocol >= 2:
        assert load(collections.defaultdict(list, a=[1]), protocol) == {"a": [1]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix])
def test_sparse_matrices_come_back_dense(protocol: int, kind: type):
    dense = np.random.default_rng(0).normal(size=(5, 7)) * (np.random.default_rng(1).random((5, 7)) < 0.3)
    assert same(load({"J_regressor": kind(dense)}, protocol), {"J_regressor": dense})


def test_shared_references_are_kept_and_circular_ones_refused():
    array = np.ones(2)
    loop: list = [array, array]
    read = load(loop)
    assert read[0] is read[1]
    loop.append(loop)
    with pytest.raises(InputError, match="contains itself"):
        load(loop)


def test_a_value_that_is_endless_when_written_out_is_refused():
    bomb: list = [1.0]
    for _ in range(40):
        bomb = [bomb, bomb]
    with pytest.raises(InputError, match="endless"):
        load({"poses": bomb})
    with pytest.raises(InputError, match="endless"):
        load({"poses": [np.zeros(1_000_000)] * 100_000})


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes that pickle exactly as chumpy's do; chumpy itself is long unmaintained."""

    def make(module: str, name: str) -> type:
        made = type(name, (), {"__module__": module, "__setstate__": lambda self, s: self.__dict__.update(s)})
        package = types.ModuleType(module)
        setattr(package, name, made)
        monkeypatch.setitem(sys.modules, module, package)
        return made

    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return types.SimpleNamespace(Ch=make("chumpy.ch", "Ch"), Select=make("chumpy.reordering", "Select"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chumpy_arrays_come_back_as_the_arrays_they_hold(chumpy: types.SimpleNamespace, protocol: int):
    whole, chosen = chumpy.Ch(), chumpy.Select()
    whole.x = np.arange(12.0).reshape(3, 4)
    chosen.__dict__.update({"a": whole, "idxs": np.array([5, 1, 0, 11]), "preferred_shape": (2, 2)})
    read = load({"shapedirs": chosen, "v": whole}, protocol)
    assert same(read, {"shapedirs": np.array([[5.0, 1.0], [0.0, 11.0]]), "v": whole.x})


def test_bytes_of_python_2_are_read_as_latin_1():
    # What Python 2 wrote for {'gender': 'neutral', 'a': array([1.5, 2.5])}, in its protocols 0 and 2.
    data = np.array([1.5, 2.5]).tobytes()
    text = (
        b"(dp0\nS'gender'\np1\nS'neutral'\np2\nsS'a'\np3\ncnumpy.core.multiarray\n_reconstruct\np4\n"
        b"(cnumpy\nndarray\np5\n(I0\ntp6\nS'b'\np7\ntp8\nRp9\n(I1\n(I2\ntp10\ncnumpy\ndtype\np11\n(S'f8'\np12\nI0\n"
        b"I1\ntp13\nRp14\n(I3\nS'<'\np15\nNNNI-1\nI-1\nI0\ntp16\nbI00\nS'"
        + repr(data)[2:-1].encode()
        + b"'\np17\ntp18\nbs."
    )
    assert same(load_pickle_bytes(text, "memory"), {"gender": "neutral", "a": np.array([1.5, 2.5])})
    binary = (
        b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04U\x01b"
        b"q\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f8q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\r"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89U\x10" + data + b"q\x0ftq\x10bs."
    )
    assert same(load_pickle_bytes(binary, "memory"), {"a": np.array([1.5, 2.5])})


def test_arrays_named_as_in_another_numpy_version_are_read():
    data = pickle.dumps(np.arange(3.0), 2)
    assert b"numpy._core.multiarray" in data or b"numpy.core.multiarray" in data
    for old, new in ((b"numpy._core.", b"numpy.core."), (b"numpy.core.", b"numpy._core.")):
        assert same(load_pickle_bytes(data.replace(old, new), "memory"), np.arange(3.0))


FORBIDDEN = {
    "os.system": Calls(os.system, "touch ran.file"),
    "eval": Calls(builtins.eval, "open('ran.file', 'w')"),
    "exec": Calls(builtins.exec, "open('ran.file', 'w')"),
    "getattr": Calls(builtins.getattr, "a", "b"),
    "partial": Calls(functools.partial, print, "a"),
    "open": Calls(builtins.open, "ran.file", "w"),
    "numpy.load": Calls(np.load, "ran.file"),
    "copyreg": Calls(copyreg.add_extension, "a", "b", 1),
    "nested": {"a": [1, (np.ones(2), np.array([Calls(os.system, "touch ran.file")], dtype=object))]},
    "in a call": Calls(list, [Calls(os.system, "touch ran.file")]),
    "dict subclass": types.SimpleNamespace(a=1),
    "function as data": [np.sum],
    "type as data": [collections.OrderedDict],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_pickle_that_would_run_code_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(FORBIDDEN[name], protocol))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="refers to") as caught:
        load_pickle(path)
    assert "model.pkl" in str(caught.value)
    assert [left.name for left in tmp_path.iterdir()] == ["model.pkl"]


def test_the_refused_name_is_in_the_message():
    with pytest.raises(InputError, match=r"posix\.system|nt\.system"):
        load(Calls(os.system, "true"))
    with pytest.raises(InputError, match=r"functools\.partial"):
        load(functools.partial(print))


def test_attributes_of_the_readers_own_classes_cannot_be_set():
    # GLOBAL numpy dtype, then BUILD with a slot state: an attempt to change the stand-in for everyone.
    for name in (b"numpy\ndtype", b"scipy.sparse\ncsc_matrix", b"numpy.core.multiarray\n_reconstruct"):
        data = b"\x80\x02c" + name + b"\n(N}X\x08\x00\x00\x00resolvedK\x01st\x62."
        with pytest.raises(InputError):
            load_pickle_bytes(data, "memory")
    assert same(load(np.ones(3)), np.ones(3))


@pytest.mark.parametrize("dtype", [np.dtype([("a", "f8")]), np.dtype("M8[s]"), np.dtype("V8")])
def test_structured_and_odd_dtypes_are_refused(dtype: np.dtype):
    with pytest.raises(InputError):
        load(np.zeros(2, dtype=dtype))


def test_lengths_and_references_that_only_exhaust_memory_are_refused():
    with pytest.raises(InputError, match="not a readable pickle"):
        load_pickle_bytes(b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"abc.", "memory")
    with pytest.raises(InputError, match="reference number"):
        load_pickle_bytes(b"\x80\x02Nr\xff\xff\xff\xff.", "memory")
    big = scipy.sparse.csc_matrix((10, 10))
    big._shape = (10**6, 10**6)
    with pytest.raises(InputError, match="sparse matrix"):
        load(big)
    with pytest.raises(InputError):
        load(Calls(bytearray, 10**12))


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"\x80\x02", b"\x80\x09N.", pickle.dumps(np.ones(99))[:-40]])
def test_what_is_no_complete_pickle_is_refused(tmp_path: Path, data: bytes):
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.pkl: (not a readable pickle|the pickle refers to)"):
        load_pickle(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read the file"):
        load_pickle(tmp_path / "none.pkl")
    with pytest.raises(InputError, match="folder"):
        load_pickle(tmp_path)


SAMPLE = pickle.dumps({"a": np.arange(4.0), "s": scipy.sparse.csc_matrix(np.eye(2)), "t": [("x", 1.5)]}, 2)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(SAMPLE)),
    edits=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3)), max_size=3),
)
def test_any_damage_gives_a_clear_error_or_data(cut: int, edits: list[tuple[int, bytes]]):
    data = bytearray(SAMPLE)
    for start, replacement in edits:
        data[start : start + len(replacement)] = replacement
    with contextlib.suppress(InputError):
        load_pickle_bytes(bytes(data if edits else data[:cut]), "memory")
