"""Files of joblib and arrays of objects, read without running what is in them, against joblib itself."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.joblib_file import load_joblib
from learnable_smplify.safe_files.npy_object import load_npy


@pytest.mark.parametrize("compress", [0, 3, ("zlib", 1), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_joblib_files_of_every_kind_come_back_as_they_were(tmp_path: Path, compress: Any, protocol: int) -> None:
    value = {
        "a": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">f4"),
        "empty": np.zeros((0, 3)),
        "scalar": np.float32(2),
        "list": [np.ones(2), "text", b"bytes", None, {"deep": np.bool_(True)}],
        "objects": np.array([{"x": np.ones(3)}, None], dtype=object),
    }
    joblib.dump(value, tmp_path / "x.pkl", compress=compress, protocol=protocol)
    found, true = load_joblib(tmp_path / "x.pkl"), joblib.load(tmp_path / "x.pkl")
    for name in ("a", "fortran", "big endian", "empty", "scalar"):
        np.testing.assert_array_equal(found[name], true[name])
        assert found[name].shape == true[name].shape
    np.testing.assert_array_equal(found["list"][0], np.ones(2))
    assert found["list"][1:4] == ["text", b"bytes", None]
    np.testing.assert_array_equal(found["objects"][0]["x"], np.ones(3))


def test_old_and_lz4_joblib_files_are_explained(tmp_path: Path) -> None:
    for head, words in ((b"ZF0x", "joblib 0.9"), (b"\x04\x22\x4d\x18", "lz4")):
        (tmp_path / "x.pkl").write_bytes(head + bytes(20))
        with pytest.raises(InputError, match=words):
            load_joblib(tmp_path / "x.pkl")
    (tmp_path / "x.pkl").write_bytes(gzip.compress(pickle.dumps([1]))[:-9])
    with pytest.raises(InputError, match="too early"):
        load_joblib(tmp_path / "x.pkl")


def test_tensors_in_a_pickle_come_back_as_arrays(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    value = {"slice": whole[1:, ::2], "int": torch.arange(3), "half": whole.bfloat16(), "empty": torch.zeros(0, 3)}
    np.save(tmp_path / "x.npy", value)  # type: ignore[arg-type]
    found = load_npy(tmp_path / "x.npy")
    for name, tensor in value.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())
        assert found[name].shape == tuple(tensor.shape)


def test_a_tensor_that_reaches_outside_its_storage_is_refused(tmp_path: Path) -> None:
    data = pickle.dumps({"t": torch.arange(6.0)}, 2)
    far = data.replace(b"K\x06\x85", b"K\xf0\x85")
    assert far != data
    (tmp_path / "x.pkl").write_bytes(far)
    with pytest.raises(InputError, match="not a readable pickle"):
        load_joblib(tmp_path / "x.pkl")
