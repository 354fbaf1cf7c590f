"""What real keypoints and start poses suffer, as switches: noise, missing points and limbs, outliers, bad starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import random_rotmats, rotvec_to_rotmat
from learnable_smplify.training.conventions import bone_axis

# Limbs that disappear together when a person is partly hidden, as BODY_25 keypoints.
_LIMBS: tuple[tuple[str, ...], ...] = (
    ("RElbow", "RWrist"),
    ("LElbow", "LWrist"),
    ("RShoulder", "RElbow", "RWrist"),
    ("LShoulder", "LElbow", "LWrist"),
    ("RKnee", "RAnkle", "RBigToe", "RSmallToe", "RHeel"),
    ("LKnee", "LAnkle", "LBigToe", "LSmallToe", "LHeel"),
    ("RAnkle", "RBigToe", "RSmallToe", "RHeel", "LAnkle", "LBigToe", "LSmallToe", "LHeel"),
    ("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
    ("Nose", "REye", "LEye", "REar", "LEar"),
)


@dataclass(frozen=True)
class Corruption:
    """How training samples are damaged. Shares are of samples, unless said otherwise.

    Args:
        noisy_share: samples with Gaussian noise on every target keypoint.
        max_noise: its standard deviation is uniform in [0, this] [m].
        strong_share: noisy samples whose noise is anything up to ten times that instead, evenly in its logarithm.
        outlier_share: samples in which single keypoints jump; each keypoint with probability `outlier_rate`.
        outlier_rate: see above.
        outlier_size: standard deviation of a jump [m].
        missing_share: samples that lack keypoints; each keypoint with a probability uniform in [0, `max_missing`].
        max_missing: see above.
        limb_share: samples that lack a whole limb.
        bad_start_share: estimators' start poses that are off.
        joint_error_deg: standard deviation of its joint errors is uniform in [0, this] [deg].
        twist_error_deg: the same for one joint at a time, about its bone.
        lost_heading_share: estimators' start poses that point anywhere, as an estimator's in its own camera frame.
    """

    noisy_share: float = 0.5
    max_noise: float = 0.04
    strong_share: float = 0.1
    outlier_share: float = 0.1
    outlier_rate: float = 0.05
    outlier_size: float = 0.3
    missing_share: float = 0.2
    max_missing: float = 0.4
    limb_share: float = 0.08
    bad_start_share: float = 0.9
    joint_error_deg: float = 15.0
    twist_error_deg: float = 40.0
    lost_heading_share: float = 0.3


NO_CORRUPTION = Corruption(
    noisy_share=0,
    strong_share=0,
    outlier_share=0,
    missing_share=0,
    limb_share=0,
    bad_start_share=0,
    lost_heading_share=0,
)


def corrupt_keypoints(
    keypoints: Float[Tensor, "B 25 3"], options: Corruption, generator: torch.Generator
) -> tuple[Float[Tensor, "B 25 3"], Float[Tensor, "B 25"]]:
    """Damaged BODY_25 keypoints [m] and their confidence (1 seen, 0 missing: such positions are 0)."""
    batch, count = keypoints.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=keypoints.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=keypoints.device)

    strong = 10 ** uniform(batch, 1, 1)
    level = torch.where(uniform(batch, 1, 1) < options.strong_share, strong, uniform(batch, 1, 1))
    noise = options.max_noise * level * (uniform(batch, 1, 1) < options.noisy_share)
    damaged = keypoints + noise * normal(batch, count, 3)
    jumps = (uniform(batch, 1) < options.outlier_share) & (uniform(batch, count) < options.outlier_rate)
    damaged = damaged + options.outlier_size * jumps[..., None] * normal(batch, count, 3)

    rate = options.max_missing * uniform(batch, 1) * (uniform(batch, 1) < options.missing_share)
    missing = uniform(batch, count) < rate
    limbs = limb_masks(keypoints.device)
    which = torch.randint(len(limbs), (batch,), generator=generator, device=keypoints.device)
    missing |= limbs[which] & (uniform(batch, 1) < options.limb_share)
    return torch.where(missing[..., None], 0.0, damaged), (~missing).to(keypoints)


def corrupt_start(
    rotmat: Float[Tensor, "B 24 3 3"], options: Corruption, generator: torch.Generator
) -> Float[Tensor, "B 24 3 3"]:
    """Start poses with random joint errors, a joint twisted about its bone (x in arms, y elsewhere), lost headings."""
    batch, joints = rotmat.shape[:2]
    device = rotmat.device
    bad = torch.rand(batch, 1, 1, generator=generator, device=device) < options.bad_start_share
    spread = math.radians(options.joint_error_deg) * torch.rand(batch, 1, 1, generator=generator, device=device)
    error = spread * torch.randn(batch, joints, 3, generator=generator, device=device)
    twist = math.radians(options.twist_error_deg) * torch.rand(batch, generator=generator, device=device)
    twist = twist * torch.randn(batch, generator=generator, device=device)
    joint = torch.randint(1, joints, (batch,), generator=generator, device=device)
    error[torch.arange(batch, device=device), joint, bone_axis(device)[joint]] += twist
    damaged = rotmat @ rotvec_to_rotmat(torch.where(bad, error, 0.0))
    lost = torch.rand(batch, 1, 1, generator=generator, device=device) < options.lost_heading_share
    damaged[:, 0] = torch.where(lost, random_rotmats(batch, generator), damaged[:, 0])
    return damaged


def limb_masks(device: torch.device) -> Tensor:
    """(limbs, 25) True where a keypoint belongs to the limb."""
    names = load_layout("body25").keypoint_names
    return torch.tensor([[name in limb for name in names] for limb in _LIMBS], device=device)
