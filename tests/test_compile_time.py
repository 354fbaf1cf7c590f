"""What a fit's time is made of: compiling is told apart, and reading compiled code is not compiling."""

from __future__ import annotations

import numpy as np
import pytest

from learnable_smplify.cli.progress import Took
from learnable_smplify.kernels.usable import compile_timer


def test_compiling_is_told_apart_from_the_time_of_a_fit() -> None:
    assert Took(18.0, 16.0).told(200) == "10.00 ms a frame, 2.0 s in all; compiled in 16 s"


def test_a_fit_that_compiles_nothing_says_nothing_of_it() -> None:
    assert Took(2.0).told(200) == "10.00 ms a frame, 2.0 s in all"


def test_the_first_call_of_a_kernel_is_compiling_and_the_second_is_not() -> None:
    numba = pytest.importorskip("numba")

    @numba.njit
    def doubled(values):  # type: ignore[no-untyped-def]
        return values * 2

    with compile_timer() as first:
        doubled(np.ones(3))
    with compile_timer() as second:
        doubled(np.ones(3))
    assert first.seconds > 0
    assert second.seconds == 0
