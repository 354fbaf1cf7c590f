"""From tensors to kernels; rotation conversions of whole tensors, compiled where that is possible."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.rotation import closest_rotmat, rotmat_to_rotvec, rotvec_to_rotmat


def arrays(*tensors: Tensor) -> tuple[np.ndarray, ...]:
    """Tensors as kernels take them: arrays whose numbers lie together, the tensors' own where they do already."""
    return tuple(tensor.contiguous().numpy() for tensor in tensors)


def fast_rotvec_to_rotmat(rotvec: Float[Tensor, "B J 3"]) -> Float[Tensor, "B J 3 3"]:
    """`rotation.rotvec_to_rotmat`; for few frames many times faster."""
    if not is_usable(rotvec):
        return rotvec_to_rotmat(rotvec)
    from learnable_smplify.kernels.rotation import exp_frames

    rotmat = torch.empty(*rotvec.shape, 3)
    exp_frames(*arrays(rotvec, rotmat))
    return rotmat


def fast_rotmat_to_rotvec(rotmat: Float[Tensor, "B J 3 3"]) -> Float[Tensor, "B J 3"]:
    """`rotation.rotmat_to_rotvec`, in any precision; many times faster."""
    if not is_usable(rotmat, any_precision=True):
        return rotmat_to_rotvec(rotmat)
    from learnable_smplify.kernels.rotation import log_frames

    rotvec = rotmat.new_empty(rotmat.shape[:-1])
    log_frames(*arrays(rotmat, rotvec))
    return rotvec


def fast_closest_rotmat(matrix: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """`rotation.closest_rotmat`; many times faster."""
    if not is_usable(matrix):
        return closest_rotmat(matrix)
    from learnable_smplify.kernels.rotation import closest_frames

    rotmat = torch.empty(matrix.shape)
    closest_frames(*arrays(matrix.reshape(-1, 3, 3), rotmat.view(-1, 3, 3)))
    return rotmat
