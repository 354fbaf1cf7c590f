"""How wrong the keypoints are and how wrong the estimate is: what each of them is worth.

Keypoints: what changes from frame to frame and is not motion (`solver.frame.noise.keypoint_noise`), and what changes
slowly, which bones give away that do not keep their length. The estimate: what its distance from the keypoints leaves
over when their part is taken off, as an angle that every joint is off by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.solver.frame.noise import keypoint_noise
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.shape.limb_lengths import LimbLengths, limb_lengths, pair_distances
from learnable_smplify.timeline import evenly

# Median length of a normal vector in space with unit variance in each coordinate, and half of a normal lies within ...
MEDIAN_LENGTH, _MEDIAN_SIZE = 1.5382, 0.6745
_LEAST_SIGMA = 0.003
# Bones of the layout: pairs whose distance on the body changes less than this over poses [m].
_RIGID = 0.004
# Slow errors are taken to stay for so long [s]: that many frames say the same.
_SLOW_S = 0.3
_LEAST_DEG, _MOST_DEG = 1.0, 30.0
_LONGEST_S = 1.0
_REFERENCE_FPS = 30.0
_FRAMES = 256


@dataclass(frozen=True)
class Levels:
    """What is assumed of both sources.

    Args:
        keypoint_sigma: of a keypoint coordinate in one frame [m]: noise, and slow errors by what they weigh in the
            end (as noise that does as much harm).
        noise: of a keypoint coordinate, from frame to frame alone [m].
        slow: of a keypoint coordinate, changing slowly [m].
        estimate_deg: root mean square angle that a joint of the estimate is off by [deg].
        estimate_s: how long such an error stays [s].
    """

    keypoint_sigma: float
    noise: float
    slow: float
    estimate_deg: float
    estimate_s: float


def joint_precision(degrees: float, stays_s: float = 0.0) -> float:
    """Precision of a rotation coordinate of a joint for every 1/30 s [1/rad^2].

    Args:
        degrees: root mean square angle that the joint is off by.
        stays_s: how long such an error stays; it counts once.
    """
    per_axis = math.radians(degrees) / 3**0.5
    return 1 / per_axis**2 / max(stays_s * _REFERENCE_FPS, 1.0)


def keypoint_levels(
    folded: FoldedPoints,
    priors: Priors,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    off: Float[Tensor, "T K 3"],
    fps: float,
) -> tuple[float, float, float]:
    """`keypoint_sigma`, `noise` and `slow` of a recording, in metres.

    Args:
        off: what lies between the keypoints and the aligned estimate's [m].
    """
    # Fast motion is in the keypoints alone, quick errors of the estimate in the difference alone: noise is in both.
    noise = min(keypoint_noise(targets, confidence), keypoint_noise(off, confidence))
    spread = _bone_spread(limb_lengths(folded, priors), targets, confidence)
    slow = max(spread**2 - noise**2, 0.0) ** 0.5
    return max(noise**2 + slow**2 * max(_SLOW_S * fps, 1.0), _LEAST_SIGMA**2) ** 0.5, noise, slow


def estimate_levels(
    points: ShapedPoints,
    rotmat: Float[Tensor, "T 24 3 3"],
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    keypoint_variance: float,
    fps: float,
) -> tuple[float, float]:
    """`estimate_deg` and `estimate_s` of an aligned estimate.

    Args:
        points: the person's keypoints (a batch of 1).
        rotmat: the aligned estimate.
        keypoint_variance: of a keypoint coordinate, slow errors included [m^2].
    """
    rows = evenly(len(rotmat), _FRAMES).to(rotmat.device)
    seen = confidence[rows] > 0
    share = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)
    levers = points.pose(rotmat[rows]).levers()
    levers = levers - (share[:, :, None, None] * levers).sum(dim=1, keepdim=True)
    # Turning a joint by w moves a keypoint by w x c; with unit variance about each axis, by 2/3 |c|^2 a coordinate.
    by_unit = 2 / 3 * levers.square().sum(-1).sum(-1)
    by_unit = (by_unit * seen).sum(dim=0) / seen.sum(dim=0).clamp(min=1)
    off = torch.where((confidence > 0)[..., None], targets - points.pose(rotmat).positions(), torch.nan)
    off = off - off.nanmedian(dim=1, keepdim=True).values
    # Medians over time keypoint by keypoint: each hangs on other joints.
    variance = (off.norm(dim=-1).nanmedian(dim=0).values / MEDIAN_LENGTH).square()
    known = torch.isfinite(variance) & (by_unit > 0)
    total = float(variance[known].mean())
    left = max(total - keypoint_variance, 0.0)
    degrees = math.degrees((3 * left / max(float(by_unit[known].mean()), 1e-6)) ** 0.5)
    return min(max(degrees, _LEAST_DEG), _MOST_DEG), _stays(off, total, left, fps) / fps


def _stays(off: Float[Tensor, "T K 3"], total: float, left: float, fps: float) -> float:
    """How many frames an error of the estimate stays: the sum of its autocorrelation, up to the first that is low."""
    limit = (3 * total) ** 0.5 * 3
    off = (off - off.nanmedian(dim=0).values).clamp(-limit, limit)
    variance = float(off.square().nanmean())
    variance *= left / total if total > 0 else 0.0
    frames = 1.0
    for lag in range(1, min(len(off) // 2, round(_LONGEST_S * fps))):
        correlation = float((off[lag:] * off[:-lag]).nanmean()) / max(variance, 1e-12)
        if not correlation > 0.05:
            break
        frames += 2 * min(correlation, 1.0)
    return frames


def _bone_spread(limbs: LimbLengths, targets: Tensor, confidence: Tensor) -> float:
    """Standard deviation of a keypoint coordinate that the changing lengths of bones tell [m]; 0 where none is seen."""
    rigid = limbs.sigma.square() - limbs.sigma.square().min() < _RIGID**2
    length = pair_distances(limbs.pairs[rigid], targets, confidence)
    off = (length - length.nanmedian(dim=0).values).abs()
    enough = torch.isfinite(length).sum(dim=0) >= 10
    if not bool(enough.any()):
        return 0.0
    spread = off.nanmedian(dim=0).values[enough] / _MEDIAN_SIZE / 2**0.5
    return float(spread.median())
