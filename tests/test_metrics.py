"""Metrics: units, alignment, and what each alignment must not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.rotation import rotvec_to_rotmat


def test_a_shift_of_one_centimetre_is_ten_millimetres() -> None:
    true = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0))
    pred = true + torch.tensor([0.0, 0.006, 0.008])
    assert float(ls.metrics.mpjpe(pred, true)) == pytest.approx(10.0, abs=1e-3)


def test_aligning_the_roots_removes_a_shift() -> None:
    true = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0))
    pred = true + 0.3
    assert float(ls.metrics.pve(pred, true, pred[:, 0], true[:, 0])) == pytest.approx(0.0, abs=1e-3)


def test_procrustes_removes_turn_shift_and_size_but_no_reflection() -> None:
    true = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turn = rotvec_to_rotmat(torch.tensor([0.3, -2.0, 0.5], dtype=torch.float64))
    pred = 1.7 * true @ turn.T + 0.4
    assert float(ls.metrics.pa_mpjpe(pred, true)) == pytest.approx(0.0, abs=1e-6)
    assert float(ls.metrics.pa_pve(true * torch.tensor([-1.0, 1.0, 1.0]), true)) > 100


def test_per_frame_errors_average_to_the_scalar_and_arrays_are_welcome() -> None:
    rng = np.random.default_rng(0)
    pred, true = rng.normal(size=(5, 20, 3)), rng.normal(size=(5, 20, 3))
    frames = ls.metrics.pve(pred, true, per_frame=True)
    assert frames.shape == (5,)
    assert float(frames.mean()) == pytest.approx(float(ls.metrics.pve(pred, true)))


def test_shapes_that_differ_and_a_single_root_are_refused() -> None:
    with pytest.raises(ls.InputError, match="cannot be compared"):
        ls.metrics.pve(torch.zeros(2, 5, 3), torch.zeros(2, 6, 3))
    with pytest.raises(ls.InputError, match="only one"):
        ls.metrics.pve(torch.zeros(2, 5, 3), torch.zeros(2, 5, 3), torch.zeros(2, 3))
