"""From tensors to kernels; rotation conversions of whole tensors, compiled where that is possible."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat


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
    """`rotation.rotmat_to_rotvec`; for few frames many times faster."""
    if not is_usable(rotmat):
        return rotmat_to_rotvec(rotmat)
    from learnable_smplify.kernels.rotation import log_frames

    rotvec = torch.empty(rotmat.shape[:-1])
    log_frames(*arrays(rotmat, rotvec))
    return rotvec
