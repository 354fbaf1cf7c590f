"""Refuse an impossible output before the work, not after it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from learnable_smplify.errors import InputError, MissingExtraError

# Kinds of files whose writers need a package that may not be installed: its module, its extra, and what for.
_NEEDS = {
    ".glb": ("pygltflib", "glb", "writing animated GLB"),
    ".onnx": ("onnxscript", "onnx", "writing ONNX"),
}


def check_output_file(path: Path, suffixes: tuple[str, ...], *sources: Path, option: str = "-o") -> None:
    """Raise unless `path` can become a file of one of these kinds without destroying a source.

    `option` is the one that named it.

    Raises:
        InputError: another suffix, a folder, one of `sources`, or a place that cannot be written to.
        MissingExtraError: the package that writes this kind is not installed.
    """
    known = " or ".join(suffixes)
    if path.is_dir():
        raise InputError(
            "this is a folder",
            path=path,
            expected=f"the name of a {known} file",
            hint=f"{option} {path / ('out' + suffixes[0])}",
        )
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"cannot write '{path.suffix or path.name}' files",
            path=path,
            expected=f"a name ending in {known}",
            hint=f"{option} {path.with_suffix(suffixes[0])}",
        )
    needed = _NEEDS.get(path.suffix.lower())
    if needed is not None and importlib.util.find_spec(needed[0]) is None:
        raise MissingExtraError(*needed)
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(
                "this is the input, it would be overwritten", path=path, hint=f"another name after {option}"
            )
    check_output_folder(path.parent)


def check_output_folder(folder: Path) -> None:
    """Raise unless files can be written into `folder`, which need not exist yet.

    Raises:
        InputError: it, or a folder above it, is a file or cannot be written to.
    """
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise InputError("this is a file, not a folder", path=existing, expected="a folder to write into")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError("no permission to write here", path=existing, expected="a writable folder")
