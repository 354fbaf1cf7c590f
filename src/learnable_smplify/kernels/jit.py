"""How every kernel is compiled, and where the machine code is kept."""

from __future__ import annotations

import getpass
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

# NaN and infinity keep their meaning (the solver tests for them); the order of sums may change.
_FASTMATH = {"reassoc", "contract", "nsz", "arcp"}


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use, keep the result on disk, and let other threads run meanwhile.

    numba keeps it beside the package or in the user's folder for caches. Where neither can be written to (a container
    without a home), it is kept in a private folder for temporary files, and where there is none, for this process only.
    """
    compiled: Callable[..., Any] = _kept(function, {})
    return compiled


def part(function: Function) -> Function:
    """`kernel` for what only kernels call: without a way in from Python, which is long where there are many arrays."""
    return cast(Function, _kept(function, {"no_cpython_wrapper": True}))


def kept_in(compiled: Any) -> Path | None:
    """The folder that a kernel's machine code is kept in; None where every process has to compile it."""
    path = getattr(compiled._cache, "cache_path", None)
    return None if path is None else Path(path)


def _kept(function: Function, options: dict[str, Any]) -> Any:
    try:
        return _compiled(function, options, keep=True)
    except RuntimeError:  # "no locator available for file ..."
        folder = _temporary_folder()
    if folder is None:
        return _compiled(function, options, keep=False)
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)  # the only way to say where; other packages' kernels stay where they are
    try:
        return _compiled(function, options, keep=True)
    except RuntimeError:
        return _compiled(function, options, keep=False)
    finally:
        settings.CACHE_DIR = before


def _compiled(function: Function, options: dict[str, Any], keep: bool) -> Any:
    jit: Any = numba.njit
    # Nobody asks for C's way into a kernel.
    options = {**options, "nogil": True, "error_model": "numpy", "fastmath": _FASTMATH, "no_cfunc_wrapper": True}
    return jit(cache=keep, **options)(function)


def _temporary_folder() -> Path | None:
    """A folder that nobody else can put files into: what is in it is run."""
    try:
        user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
        folder = Path(tempfile.gettempdir()) / f"learnable-smplify-kernels-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except (OSError, KeyError, ImportError):
        return None
    own = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return folder if own and stat.S_ISDIR(found.st_mode) and os.access(folder, os.W_OK) else None
