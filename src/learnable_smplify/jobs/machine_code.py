"""Whether this process runs machine code that it compiled itself, or what is kept on disk.

numba keeps compiled kernels on disk. A process that had to compile them runs the same arithmetic in another order than
all processes after it (the optimiser has joined other pieces), so that its results differ in the last bits. What must
be the same to the byte has to come from a process that found everything on disk.
"""

from __future__ import annotations

import sys


def kernels_compiled_here() -> int:
    """How many kernels this process has compiled so far, because they were not on disk."""
    count = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("learnable_smplify."):
            for value in vars(module).values():
                # A dispatcher of numba, and of this module rather than imported into it.
                if hasattr(value, "py_func") and value.py_func.__module__ == name:
                    count += sum(value.stats.cache_misses.values())
    return count
