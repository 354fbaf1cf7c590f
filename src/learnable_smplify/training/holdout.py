"""The error that chooses a checkpoint: pairs of the holdout clips, never of the eval split."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from learnable_smplify.training.config import TrainingConfig
from learnable_smplify.training.corrupt import NO_CORRUPTION
from learnable_smplify.training.pairs import PairSampler
from learnable_smplify.training.step import PairGeometry, Sample
from learnable_smplify.training.store import MotionStore

_PAIRS = 1024
_STRIDES = (1, 3, 5, 7, 9)
_NOISE = 0.02


def holdout_sample(
    store: MotionStore, geometry: PairGeometry, config: TrainingConfig, device: torch.device | str
) -> dict[str, Sample]:
    """Fixed pairs at the paper's strides: clean, and with 20 mm of noise."""
    sampling = replace(config.sampling, strides=_STRIDES, betas_sigma=1.0)
    sampler = PairSampler(store, "holdout", sampling, device)
    noisy = replace(NO_CORRUPTION, noisy_share=1.0, max_noise=2 * _NOISE)
    samples = {}
    for name, corruption in (("clean", NO_CORRUPTION), ("noisy", noisy)):
        generator = torch.Generator(device).manual_seed(0)
        samples[name] = geometry.sample(sampler.draw(_PAIRS, generator), corruption, generator)
    return samples


@torch.no_grad()
def holdout_error_mm(
    network: nn.Module, geometry: PairGeometry, samples: dict[str, Sample], config: TrainingConfig
) -> dict[str, float]:
    """Mean surface error [mm] after the last pass, clean and noisy; `holdout_mm` is their weighted mean."""
    errors = {}
    for name, sample in samples.items():
        losses = geometry.losses(network, sample, config.passes, config.loss, bfloat16=False)
        for index, part in enumerate(losses, start=1):
            errors[f"holdout_{name}_mm_{index}"] = float(part.points_mm)
        errors[f"holdout_{name}_mm"] = float(losses[-1].points_mm)
    # Clean pairs count more: their error is the smaller number.
    errors["holdout_mm"] = errors["holdout_clean_mm"] + 0.5 * errors["holdout_noisy_mm"]
    return errors
