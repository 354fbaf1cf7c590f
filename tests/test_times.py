"""Frame rates from time stamps, as files round them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnable_smplify.formats.keypoints.times import fps_from_times, start_of


@given(
    rate=st.sampled_from([10.0, 12.5, 15.0, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 100.0, 120.0]),
    decimals=st.integers(3, 9),
    frames=st.integers(100, 400),
    start=st.floats(0, 1000),
)
def test_rounded_times_give_the_rate_they_were_made_with(rate: float, decimals: int, frames: int, start: float) -> None:
    times = np.round(start + np.arange(frames) / rate, decimals)
    assert fps_from_times(times) == pytest.approx(rate, rel=1.2 * 10.0**-decimals * rate / frames + 1e-9)


@pytest.mark.parametrize(("rate", "decimals"), [(30.0, 3), (60.0, 2), (60.0, 3), (29.97, 3), (25.0, 2), (23.976, 3)])
def test_the_usual_rates_are_found_to_the_digit(rate: float, decimals: int) -> None:
    times = np.round(np.arange(180) / rate, decimals)
    assert fps_from_times(times) == pytest.approx(rate, abs=2e-4)


def test_a_gap_does_not_slow_the_recording_down() -> None:
    times = np.delete(np.round(np.arange(200) / 30, 3), slice(50, 90))
    assert fps_from_times(times) == 30


@given(st.sets(st.integers(1, 58), max_size=20))
def test_times_that_are_missing_do_not_slow_the_recording_down(missing: set[int]) -> None:
    times = np.arange(60) / 30
    times[list(missing)] = np.nan
    assert fps_from_times(times) == 30


@pytest.mark.parametrize("start", [0.0, 1714550400.0])
@pytest.mark.parametrize("rate", [30.0, 60.0, 120.0, 240.0])
def test_a_few_frames_of_coarse_times_mean_a_common_rate(rate: float, start: float) -> None:
    assert fps_from_times(start + np.round(np.arange(20) / rate, 3)) == rate


@pytest.mark.parametrize("times", [[], [0.0], [1.0, 1.0, 1.0], [3.0, 2.0, 1.0], [np.nan, np.nan]])
def test_times_that_do_not_run_tell_nothing(times: list[float]) -> None:
    assert fps_from_times(np.array(times)) is None


def test_a_recording_begins_where_its_times_do() -> None:
    assert start_of(np.array([0.37, 0.38])) == 0.37
    assert start_of(np.array([np.nan, 0.38])) == start_of(np.array([])) == 0
