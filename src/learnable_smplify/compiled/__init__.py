"""The solver's hot path as machine code (numba): one frame after the other, float32, no temporary arrays.

The same mathematics as `body.fold`, `solver.levenberg_marquardt`, `network.pose_mlp` and `solver.neural`, which stay
the reference and run where this cannot: on a GPU, in other precisions, or without numba. The tests hold the two
together.

Numba keeps the machine code on disk, file by file: after an edit here, delete `__pycache__` of this folder.
"""

from learnable_smplify.compiled.usable import compiles_first, is_usable

__all__ = ["compiles_first", "is_usable"]
