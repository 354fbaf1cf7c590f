"""The error that chooses a checkpoint: pairs of the holdout clips, never of the eval split."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import nn

from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.conventions import Conventions
from learnable_smplify.training.corrupt import NO_CORRUPTION
from learnable_smplify.training.pairs import PLAIN_SAMPLING, PairSampler, Poses
from learnable_smplify.training.sharing import Sharing
from learnable_smplify.training.step import PairGeometry, Sample
from learnable_smplify.training.store import MotionStore

_PAIRS = 1024
_NOISE = 0.02


def holdout_samples(
    store: MotionStore, poses: Poses, geometry: PairGeometry, device: torch.device | str
) -> dict[str, Sample]:
    """Fixed pairs at the paper's strides: the store's, those in other conventions, and these with 20 mm noise."""
    foreign = replace(PLAIN_SAMPLING, conventions=Conventions(share=1.0), sharing=Sharing(share=0.5))
    noisy = replace(NO_CORRUPTION, noisy_share=1.0, max_noise=2 * _NOISE)
    samples = {}
    for name, sampling, corruption in (
        ("own", PLAIN_SAMPLING, NO_CORRUPTION),
        ("foreign", foreign, NO_CORRUPTION),
        ("noisy", foreign, noisy),
    ):
        generator = torch.Generator(device).manual_seed(0)
        sampler = PairSampler(store, "holdout", sampling, device, poses)
        samples[name] = geometry.sample(sampler.draw(_PAIRS, generator), corruption, generator)
    return samples


@torch.no_grad()
def holdout_error_mm(
    network: nn.Module, geometry: PairGeometry, samples: dict[str, Sample], config: TrainingConfig
) -> dict[str, float]:
    """Mean surface errors [mm] of every pass and of the hybrid; `holdout_mm` is the geometric mean of the last ones.

    Geometric, because a millimetre on clean pairs is much and on noisy pairs little.
    """
    errors, last = {}, []
    for name, sample in samples.items():
        loss = geometry.losses(network, sample, config.passes, config.loss, bfloat16=False, refine=slice(None))
        for index, (_, distance_mm) in enumerate(loss.passes, start=1):
            errors[f"holdout_{name}_mm_{index}"] = distance_mm
        final = loss.passes[-1][1]
        if loss.refined_mm is not None:
            final = errors[f"holdout_{name}_mm_refined"] = float(loss.refined_mm.mean())
        last.append(final)
    errors["holdout_mm"] = math.prod(last) ** (1 / len(last))
    return errors
