"""The content of an estimator's file or folder, as dictionaries and arrays, whatever kind of file it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.joblib_file import load_joblib
from learnable_smplify.safe_files.json_file import read_json_file
from learnable_smplify.safe_files.keyed import keys_of
from learnable_smplify.safe_files.npy_object import load_npy
from learnable_smplify.safe_files.npz import npz_names, read_npz
from learnable_smplify.safe_files.safe_pickle import load_pickle_bytes
from learnable_smplify.safe_files.torch_file import load_torch_file


def load_content(path: Path) -> Any:
    """The content of a file, told by its first bytes; of a folder, `{name without suffix: content}` of its files.

    A .json file comes back as the folder of that one file would.

    Raises:
        InputError: no such file, an empty folder, or a file that cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError("there is no such file", path=path, expected="an estimator's result", hint=f"ls {path.parent}")
    with path.open("rb") as file:
        head = file.read(16)
    if path.suffix.lower() == ".json":
        return {path.stem: _json(path)}
    if head.startswith(b"\x93NUMPY"):
        return load_npy(path)
    if head.startswith(b"PK"):
        is_torch = any(name.endswith("data.pkl") for name in npz_names(path))
        return _torch(path) if is_torch else read_npz(path, read_objects=load_pickle_bytes)
    if path.suffix.lower() in (".pt", ".pth", ".tar"):
        return _torch(path)
    return load_joblib(path)


def shown(content: Any) -> str:
    """What a content is, for a message."""
    if isinstance(content, np.ndarray):
        return f"an array of shape {content.shape}"
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    first = next(iter(content.values()), None)
    below = f"; under the first: {keys_of(first)}" if isinstance(first, Mapping) else ""
    return f"the keys {keys_of(content)}{below}"


def _folder(path: Path) -> dict[str, Any]:
    loaders: dict[str, Callable[[Path], Any]] = {".json": _json, ".npz": read_npz, ".npy": load_npy}
    for suffix, load in loaders.items():
        files = sorted(path.glob(f"*{suffix}"))
        tracks = [file for file in files if file.stem.startswith("hps_track_")]
        if files:
            return {file.stem: load(file) for file in tracks or files}
    if (path / "smpl").is_dir():
        raise InputError("its results are in a folder below", path=path, hint=f"use {path / 'smpl'}")
    raise InputError("the folder has no result", path=path, expected=f"{', '.join(loaders)} files")


def _json(path: Path) -> Any:
    return read_json_file(path, "a complete file")


def _torch(path: Path) -> Any:
    return load_torch_file(path, "smpl_params_global", "GVHMR's hmr4d_results.pt")
