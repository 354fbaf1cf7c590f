"""After training: how the network's errors hang together, and how far its keypoint sigmas should be believed.

Both are what the Gauss-Newton steps of the hybrid need, and both are measured on motion of the train subjects only: the
correlations on the train split, the trust chosen on the holdout split.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, PoseMlp, rotation_error
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.neural import NeuralPairs, network_pose
from learnable_smplify.solver.numeric import PairOptions
from learnable_smplify.solver.pair_input import PairInput
from learnable_smplify.solver.priors import load_priors
from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.holdout import holdout_sample
from learnable_smplify.training.pairs import PairSampler
from learnable_smplify.training.step import PairGeometry, Sample
from learnable_smplify.training.store import MotionStore

_BATCHES = 64
_BATCH = 512
# Whitened errors beyond this are cut: a few lost frames shall not decide the correlations.
_LARGEST = 4.0
# Added to the variance of every whitened error, so that no direction is believed without end.
_FLOOR = 0.05
_TRUSTS = ((0.5, 0.5), (0.5, 2.0), (1.0, 0.0), (1.0, 1.0), (1.0, 4.0), (1.0, 16.0), (2.0, 0.0), (2.0, 4.0))


@torch.no_grad()
def calibrate(network: PoseMlp, store: MotionStore, body: Body, config: TrainingConfig) -> dict[str, float]:
    """Set the network's `error_precision` and `keypoint_trust`; returns the holdout errors [mm] behind the choice."""
    device = next(network.parameters()).device
    geometry = PairGeometry(body, device)
    network.error_precision.copy_(_error_precision(network, store, geometry, config))
    samples = holdout_sample(store, geometry, config, device)
    found = {}
    for trust in _TRUSTS:
        network.keypoint_trust.copy_(torch.tensor(trust))
        errors = {name: hybrid_error_mm(network, body, geometry, sample) for name, sample in samples.items()}
        found[trust] = errors["clean"] + 0.5 * errors["noisy"]
    best = min(found, key=lambda trust: found[trust])
    network.keypoint_trust.copy_(torch.tensor(best))
    return {f"trust {plain:g}, {growing:g}": error for (plain, growing), error in found.items()}


def _error_precision(
    network: PoseMlp, store: MotionStore, geometry: PairGeometry, config: TrainingConfig
) -> Float[Tensor, "66 66"]:
    device = next(network.parameters()).device
    sampler = PairSampler(store, "train", config.sampling, device)
    generator = torch.Generator(device).manual_seed(config.optimisation.seed + 2)
    total = torch.zeros(3 * SOLVED_JOINTS, 3 * SOLVED_JOINTS, dtype=torch.float64, device=device)
    for _ in range(_BATCHES):
        sample = geometry.sample(sampler.draw(_BATCH, generator), config.corruption, generator)
        output = network_pose(
            network,
            geometry.keypoints,
            sample.start_rotmat,
            sample.keypoints,
            sample.confidence,
            sample.betas,
            config.passes,
        )
        error = rotation_error(output.rotmat[:, :SOLVED_JOINTS], sample.target_rotmat[:, :SOLVED_JOINTS])
        whitened = (error / output.sigma[..., None]).clamp(-_LARGEST, _LARGEST).flatten(1).double()
        total += whitened.T @ whitened
    covariance = total / (_BATCHES * _BATCH)
    covariance = covariance + _FLOOR * torch.eye(len(covariance), dtype=torch.float64, device=device)
    return torch.linalg.inv(covariance).float()


def hybrid_error_mm(network: PoseMlp, body: Body, geometry: PairGeometry, sample: Sample) -> float:
    """Mean surface error [mm] about the pelvis of network and two Gauss-Newton steps."""
    solver = NeuralPairs(network, 2, load_priors().to(sample.betas.device), PairOptions())
    pairs = PairInput(rotmat_to_rotvec(sample.start_rotmat), sample.keypoints, sample.betas, None, sample.confidence)
    found = solver.solve(body, load_layout("body25"), pairs)
    shaped = geometry.surface.shaped(sample.betas)
    ends = []
    for rotmat in (found.rotmat, sample.target_rotmat):
        posed = shaped.pose(rotmat)
        ends.append(posed.positions() - posed.joints[:, :1])
    return float(1000 * (ends[0] - ends[1]).norm(dim=-1).mean())
