"""The authors' network behind the interface of our own, so that the same loop trains it and the same solver runs it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learnable_smplify.network.canonical import canonicalise
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, PassInput, PassOutput, trunk_centres, trunk_indices
from learnable_smplify.network.rot6d import rot6d_to_rotmat
from learnable_smplify.network.stgcn import Stgcn
from learnable_smplify.rotation import rotmat_to_rotvec

# The network says nothing of its errors; these stand in for what it does not say.
_SIGMA_RAD = 0.1
_KEYPOINT_SIGMA_M = 0.003


class StgcnPass(nn.Module):
    """One pass of a `Stgcn`: start and target in its canonical frame, residual rotations out.

    Keypoints that were not measured are given where the start pose has them, and the start is moved as a whole onto
    the measured keypoints, because a start pose need not come with a position.
    """

    _trunk: Tensor

    def __init__(self, network: Stgcn) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("_trunk", trunk_indices(), persistent=False)

    def forward(self, given: PassInput) -> PassOutput:
        """One pass."""
        seen = (given.confidence > 0).to(given.target)
        start_centre, target_centre = trunk_centres(given.keypoints, given.target, seen, self._trunk)
        start = given.keypoints + (target_centre - start_centre)
        target = torch.where(seen[..., None] > 0, given.target, start)
        config = self.network.config
        if config.normalise:
            start, target, _ = canonicalise(start, target, mirrored=config.mirrored_frame)
        body_pose = rotmat_to_rotvec(given.rotmat[:, 1:]).flatten(1)
        turned = rot6d_to_rotmat(self.network(start, target, body_pose, given.betas).float())
        solved = given.rotmat[:, :SOLVED_JOINTS] @ turned if config.residual else turned
        return PassOutput(
            rotmat=torch.cat((solved, given.rotmat[:, SOLVED_JOINTS:]), dim=1),
            sigma=torch.full_like(seen[:, :SOLVED_JOINTS], _SIGMA_RAD),
            keypoint_sigma=torch.full_like(seen, _KEYPOINT_SIGMA_M),
            stiffness_sigma=torch.full_like(seen[:, :1], _SIGMA_RAD).expand(-1, 3 * SOLVED_JOINTS),
            weight_sigma=torch.full_like(seen, _KEYPOINT_SIGMA_M),
            memory=None,
        )
