"""Frames between frames, and averages over them."""

from __future__ import annotations

import torch

from learnable_smplify.timeline import averaged


def test_a_steady_walk_stays_where_it_is() -> None:
    values = torch.stack((torch.arange(40.0), torch.full((40,), 3.0)), dim=1)
    inside = averaged(values, torch.ones(40, dtype=torch.bool), 3)[3:-3]
    torch.testing.assert_close(inside, values[3:-3])


def test_frames_that_are_not_usable_have_no_say_and_lie_between_those_around() -> None:
    values = torch.arange(40.0)[:, None].clone()
    usable = torch.ones(40, dtype=torch.bool)
    usable[10:25] = False
    values[~usable] = 1e6
    found = averaged(values, usable, 2)[:, 0]
    torch.testing.assert_close(found[27:37], torch.arange(27.0, 37.0))
    assert bool((found.diff() > 0).all())


def test_frames_too_far_apart_are_left_as_they_are() -> None:
    values = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(averaged(values, torch.ones(12, dtype=torch.bool), 0), values)


def test_noise_goes_down() -> None:
    values = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    # Weights 1, 3, 4, 3, 1 of 12 leave a quarter of white noise's variance.
    left = averaged(values, torch.ones(1000, dtype=torch.bool), 2).var()
    assert 0.2 < float(left) < 0.3
