"""What machine code (numba) of all rooms shares: the decorator, where it can run, and rotations.

Kernels work one frame after the other, mostly in float32, without temporary arrays. Each lies beside the tensors' code
that it equals (`body.point_kernels`, `network.kernels`, `solver.frame.kernels`, `solver.hybrid_kernels`), or numpy's
(`render.kernels`). That code stays the reference, and runs where a kernel cannot: on a GPU, in most other precisions,
or without numba. The tests hold the two together.

What costs time to compile, all at first use: every kernel's module holds a copy of all kernels that it calls, which is
optimised anew. So the large ones are called from one place only; what only kernels call is a `part`, without the long
way in from Python; and loops of three around a vectorised loop have a bound that is no literal, or there are three.

Numba keeps the machine code on disk, file by file: after an edit of a kernel that others call, delete `__pycache__`.
"""

from learnable_smplify.kernels.usable import is_usable

__all__ = ["is_usable"]
