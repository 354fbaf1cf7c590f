"""How the solver uses the CPU: one thread an operation, several chunks of problems side by side.

The solver's operations are many and small. Split over torch's own threads, each would wait for the slowest core at
every step, which makes two threads slower than one as soon as anything else runs on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


@contextmanager
def one_thread_per_operation() -> Iterator[int]:
    """Inside, torch uses one thread an operation; yields how many it used before, and goes back to it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


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
