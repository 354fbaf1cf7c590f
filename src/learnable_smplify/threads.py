"""How the solver uses the CPU: one thread an operation, several chunks of problems side by side.

The solver's operations are many and small. Split over torch's own threads, each would wait for the slowest core at
every step, which makes two threads slower than one as soon as anything else runs on the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ContextDecorator, ExitStack
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


class _Threads(ContextDecorator):
    """How many threads torch had before the first of those who set it to one, and how many of them are still at it.

    The setting belongs to the process as much as to the thread: whoever came second would take the first one's single
    thread for what was there before, and leave it behind for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1
        self._depth = threading.local()  # how often the thread that asks is inside itself

    def __enter__(self) -> int:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_num_threads()
            self._inside += 1
            self._depth.count = getattr(self._depth, "count", 0) + 1
            torch.set_num_threads(1)
            return self._before

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            self._depth.count -= 1
            if self._depth.count == 0:  # an outer block of this thread still wants its one
                torch.set_num_threads(self._before)


_THREADS = _Threads()


def one_thread_per_operation() -> _Threads:
    """Inside, torch uses one thread an operation; yields how many it used before, and goes back to it afterwards."""
    return _THREADS


@cache
def _blas() -> ThreadpoolController:
    """The BLAS of numpy and of scipy, which is loaded for it; looked for once, for it takes milliseconds."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController().select(user_api="blas")


class _BlasThreads(ContextDecorator):
    """Holds numpy's and scipy's BLAS to one thread while anybody is inside; the last one lets it go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit.enter_context(_blas().limit(limits=1))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.close()


_BLAS_THREADS = _BlasThreads()


def one_blas_thread() -> _BlasThreads:
    """Inside, the BLAS of numpy and scipy uses one thread: its others would keep a core busy waiting for more work."""
    return _BLAS_THREADS


def map_chunks(function: Callable[[Chunk], Result], chunks: Sequence[Chunk], device: torch.device) -> list[Result]:
    """`function` of every chunk, in order; on the CPU as many chunks at once as torch had threads."""
    if device.type != "cpu":
        return [function(chunk) for chunk in chunks]
    with one_thread_per_operation() as threads:
        if len(chunks) == 1 or threads == 1:
            return [function(chunk) for chunk in chunks]
        # The number of threads is a setting of each thread, so the workers need it too.
        with ThreadPoolExecutor(min(threads, len(chunks)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, chunks))
