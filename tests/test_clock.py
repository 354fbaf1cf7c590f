"""The viewer's clock, and the runs of flagged frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learnable_smplify.timeline import runs
from learnable_smplify.view.clock import Clock, matching_frames, next_run


def test_the_clock_plays_at_its_speed_and_starts_again_after_the_end():
    clock = Clock(frames=10, fps=10.0, playing=True, speed=2.0)
    assert [clock.tick(now) for now in (100.0, 100.125, 100.25, 100.5)] == [0, 2, 5, 0]
    clock.playing = False
    assert clock.tick(200.0) == 0
    clock.playing = True
    assert clock.tick(200.0625) == 1  # the time it stood still does not count
    clock.seek(99)
    assert clock.frame == 9
    clock.step(2)
    assert (clock.frame, clock.playing) == (1, False)


def test_recordings_of_one_length_go_frame_by_frame_and_others_by_time():
    np.testing.assert_array_equal(matching_frames(4, 30.0, 4, 60.0), [0, 1, 2, 3])
    np.testing.assert_array_equal(matching_frames(4, 30.0, 6, 60.0), [0, 2, 4, -1])
    np.testing.assert_array_equal(matching_frames(5, 60.0, 3, 30.0), [0, 1, 1, 2, 2])


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_runs_are_the_flagged_frames_and_the_next_one_is_found(flags):
    spans = runs(np.array(flags))
    covered = [frame for first, end in spans for frame in range(first, end)]
    assert covered == [frame for frame, flag in enumerate(flags) if flag]
    assert all(after > end for (_, end), (after, _) in pairwise(spans))
    found = next_run(np.array(flags), 3)
    assert (found is None) == (not spans)
    if found is not None:
        assert found in dict(spans)
