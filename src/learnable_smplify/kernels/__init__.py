"""What machine code (numba) of all rooms shares: the decorator, where it can run, and rotations.

Kernels work one frame after the other, in float32, without temporary arrays. Each lies beside the tensors' code that it
equals (`body.point_kernels`, `network.kernels`, `solver.frame.kernels`, `solver.hybrid_kernels`). That code stays the
reference, and runs where a kernel cannot: on a GPU, in other precisions, or without numba. The tests hold the two
together.

Numba keeps the machine code on disk, file by file: after an edit of a kernel that others call, delete `__pycache__`.
"""

from learnable_smplify.kernels.usable import is_usable

__all__ = ["is_usable"]
