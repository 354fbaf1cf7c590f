"""Where training starts: Gauss-Newton steps that share a motion among the joints as people do."""

from __future__ import annotations

import torch

from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, PoseMlp
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.training.corrupt import NO_CORRUPTION
from learnable_smplify.training.pairs import PairSampler
from learnable_smplify.training.step import PairGeometry

_PAIRS = 8192
# Added to the variance of every turn in units of the way to go, so that no direction is held without end.
_FLOOR = 0.03**2


@torch.no_grad()
def set_initial_stiffness(network: PoseMlp, geometry: PairGeometry, sampler: PairSampler) -> None:
    """Set `network.stiffness` to how turns of clean training pairs hang together.

    An untrained network answers with the start pose; with this precision its Gauss-Newton steps are the numerical
    solver's, with a change prior that scales with the motion.
    """
    device = sampler.device
    generator = torch.Generator(device).manual_seed(0)
    sample = geometry.sample(sampler.draw(_PAIRS, generator), NO_CORRUPTION, generator)
    keypoints = geometry.keypoints.shaped(sample.betas).pose(sample.start_rotmat).positions()
    output = network(sample.given(sample.start_rotmat, keypoints, None))
    mean, target = output.rotmat[:, :SOLVED_JOINTS], sample.target_rotmat[:, :SOLVED_JOINTS]
    error = rotmat_to_rotvec(mean.transpose(-1, -2) @ target).flatten(1)
    whitened = (error / output.stiffness_sigma).double()
    covariance = whitened.T @ whitened / len(whitened)
    covariance = covariance + _FLOOR * torch.eye(len(covariance), dtype=torch.float64, device=device)
    network.stiffness.copy_(torch.linalg.cholesky(torch.linalg.inv(covariance)).float())
