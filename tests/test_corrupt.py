"""Corruption of training samples: every switch does its own damage and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learnable_smplify.training.corrupt import NO_CORRUPTION, Corruption, corrupt_keypoints, corrupt_start


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def clean_keypoints(batch: int = 4000) -> torch.Tensor:
    return torch.randn(batch, 25, 3, generator=generator())


def rest(batch: int = 4000) -> torch.Tensor:
    return torch.eye(3).expand(batch, 24, 3, 3)


def test_without_corruption_nothing_changes() -> None:
    keypoints = clean_keypoints()
    damaged, confidence = corrupt_keypoints(keypoints, NO_CORRUPTION, generator())
    assert torch.equal(damaged, keypoints)
    assert bool((confidence == 1).all())
    torch.testing.assert_close(corrupt_start(rest(), NO_CORRUPTION, generator()), rest())


def test_noise_hits_the_asked_share_of_samples_with_the_asked_size() -> None:
    keypoints = clean_keypoints()
    options = replace(NO_CORRUPTION, noisy_share=0.5, max_noise=0.04)
    damaged, _ = corrupt_keypoints(keypoints, options, generator())
    size = (damaged - keypoints).flatten(1).std(dim=1)
    assert float((size > 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(size[size > 0].mean()) == pytest.approx(0.02, abs=0.002)


def test_missing_keypoints_have_no_confidence_and_no_position() -> None:
    options = replace(NO_CORRUPTION, missing_share=1.0, max_missing=0.4)
    damaged, confidence = corrupt_keypoints(clean_keypoints(), options, generator())
    assert float((confidence == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert bool((damaged[confidence == 0] == 0).all())


def test_a_missing_limb_is_missing_as_a_whole() -> None:
    _, confidence = corrupt_keypoints(clean_keypoints(), replace(NO_CORRUPTION, limb_share=1.0), generator())
    gone = (confidence == 0).sum(1)
    assert int(gone.min()) >= 2
    assert int(gone.max()) <= 8


def test_outliers_are_few_and_far_off() -> None:
    keypoints = clean_keypoints()
    options = replace(NO_CORRUPTION, outlier_share=1.0, outlier_rate=0.05, outlier_size=0.3)
    damaged, _ = corrupt_keypoints(keypoints, options, generator())
    distance = (damaged - keypoints).norm(dim=-1)
    assert float((distance > 0).float().mean()) == pytest.approx(0.05, abs=0.005)
    assert float(distance[distance > 0].mean()) > 0.3


def test_bad_starts_stay_rotations_and_lost_headings_change_the_pelvis_alone() -> None:
    start = corrupt_start(rest(), Corruption(bad_start_share=1.0), generator())
    torch.testing.assert_close(start @ start.transpose(-1, -2), rest(), atol=1e-5, rtol=0)
    lost = corrupt_start(rest(), replace(NO_CORRUPTION, lost_heading_share=1.0), generator())
    torch.testing.assert_close(lost[:, 1:], rest()[:, 1:])
    assert float((lost[:, 0] - torch.eye(3)).abs().amax(dim=(1, 2)).mean()) > 0.5
