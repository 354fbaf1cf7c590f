"""Frame rates and lost frames from time stamps and numbers, as files round them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.times import fps_from_times, places_of_times, start_of
from learnable_smplify.layouts.layout import load_layout
from test_keypoint_files import standing
from toy_files import trc_lines

BODY25 = load_layout("body25")


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


def clip(frames: list[int]) -> np.ndarray:
    """(T, 25, 3) somebody who moves on from frame to frame, in these frames."""
    points = standing(BODY25.keypoint_names, BODY25.points)[:1]
    return np.concatenate([points + np.array([0.02 * frame, 0, 0]) for frame in frames])


LOST = [frame for frame in range(40) if frame not in (7, *range(20, 30))]


def csv_of(path: Path, frames: list[int], *ahead: tuple[str, Callable[[int], object]]) -> Path:
    header = [name for name, _ in ahead] + [f"{name}_{axis}" for name in BODY25.keypoint_names for axis in "xyz"]
    rows = [[*(make(f) for _, make in ahead), *p.ravel()] for f, p in zip(frames, clip(frames), strict=True)]
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("kind", ["frames", "times", "both", "lines", "json", "trc"])
def test_frames_that_a_file_leaves_out_keep_their_time(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.trc" if kind == "trc" else "a.json" if kind == "json" else "a.csv")
    frame, time = ("frame", lambda f: f), ("time", lambda f: f"{f / 50:.3f}")
    if kind == "trc":
        lines = trc_lines(clip(LOST))
        rows = [line.split("\t") for line in lines[5:]]
        lines[5:] = ["\t".join([row[0], f"{f / 60:.6f}", *row[2:]]) for f, row in zip(LOST, rows, strict=True)]
        path.write_text("\n".join(lines))
    elif kind == "json":
        content = [{"time": f / 50, "keypoints": p.tolist()} for f, p in zip(LOST, clip(LOST), strict=True)]
        path.write_text(json.dumps(content))
    elif kind == "lines":
        rows = [["frame", "keypoint", "x", "y", "z"]]
        for f, points in zip(LOST, clip(LOST), strict=True):
            rows += [[f, name, *point] for name, point in zip(BODY25.keypoint_names, points, strict=True)]
        path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    else:
        csv_of(path, LOST, *[frame] * (kind != "times"), *[time] * (kind != "frames"))
    keypoints = read_keypoints(path, "body25", up="y")
    assert len(keypoints) == 40
    seen = (keypoints.confidence > 0).all(dim=1).numpy()
    assert np.flatnonzero(seen).tolist() == LOST
    np.testing.assert_allclose(keypoints.positions[seen], clip(LOST), atol=1e-4)
    assert keypoints.fps == {"frames": 30, "lines": 30, "trc": 60}.get(kind, 50)
    assert any("11 of 40 frames have no" in note for note in keypoints.notes)


def test_lines_are_put_in_the_order_of_their_frames_and_every_second_frame_is_no_gap(tmp_path: Path) -> None:
    path = csv_of(tmp_path / "a.csv", [4, 0, 6, 2], ("frame", lambda f: f))
    keypoints = read_keypoints(path, up="y")
    np.testing.assert_allclose(keypoints.positions, clip([0, 2, 4, 6]), atol=1e-4)
    assert any("go up by 2" in note for note in keypoints.notes)


def test_frames_that_are_there_twice_need_somebody_whose_they_are(tmp_path: Path) -> None:
    frames = [0, 0, 1, 1, 2, 2]
    path = csv_of(tmp_path / "a.csv", frames, ("frame", lambda f: f), ("colour", lambda f: "red"))
    with pytest.raises(InputError, match="every frame is there 2 times or more, and no column says whose"):
        read_keypoints(path)
    line = "\n".join(f"0,{name},0,1,2" for name in BODY25.keypoint_names)
    path.write_text(f"frame,keypoint,x,y,z\n{line}\n{line}\n")
    with pytest.raises(InputError, match="'Nose' of frame 0 is there twice, and no column says whose"):
        read_keypoints(path)


@pytest.mark.parametrize("times", [[0, 1, 2, 30000], [0, 2, 1, 3], [0, 0, 0, 1], [0, 1, np.nan, 3], [0.0], []])
def test_times_that_run_away_or_back_leave_frames_as_they_are(times: list[float]) -> None:
    assert places_of_times(np.array(times), "line").at == tuple(range(len(times)))
