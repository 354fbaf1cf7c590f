"""CSV as programs really write it: spreadsheets of half of Europe, capture programs, numbered columns, long tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.keypoints_csv import read_keypoints_csv
from learnable_smplify.layouts.layout import load_layout
from test_keypoint_files import standing

BODY25 = load_layout("body25")
POINTS = np.repeat(standing(BODY25.keypoint_names, BODY25.points), 2, axis=0)
TIMES = np.arange(4) / 50


def write(folder: Path, lines: list[list[object]], separator: str = ",", decimal: str = ".") -> Path:
    def text(value: object) -> str:
        return f"{value:.6f}".replace(".", decimal) if isinstance(value, float) else str(value)

    path = folder / "clip.csv"
    path.write_text("\n".join(separator.join(map(text, line)) for line in lines) + "\n")
    return path


def wide(pattern: str, scale: float = 1.0, names: tuple[str, ...] = BODY25.keypoint_names) -> list[list[object]]:
    header: list[object] = ["time"]
    for name in names:
        header += [pattern.format(name=name, axis=axis, AXIS=axis.upper()) for axis in "xyz"]
    rows = [[float(t), *map(float, (scale * frame).ravel())] for t, frame in zip(TIMES, POINTS, strict=True)]
    return [header, *rows]


def assert_read(path: Path, layout: str | None = None) -> None:
    keypoints = read_keypoints_csv(path, layout)
    np.testing.assert_allclose(keypoints.positions, POINTS, atol=1e-5)
    assert keypoints.layout.name == "body25"


@pytest.mark.parametrize(
    "pattern",
    [
        *("{name}_{axis}", "{name}.{axis}", "{name} {AXIS}", "{name}:{axis}", "{name}-{axis}", "{axis}_{name}"),
        *("{name}{AXIS}", "{name}_{axis} (m)", "{name}_{axis}[m]", "body_{name}_{axis}", "{name}_position_{axis}"),
        *("Ann:{name}_{axis}", "{name}_pos_{AXIS}"),
    ],
)
def test_columns_are_understood_however_they_are_called(tmp_path: Path, pattern: str) -> None:
    assert_read(write(tmp_path, wide(pattern)))
    assert read_keypoints_csv(tmp_path / "clip.csv").fps == 50


@pytest.mark.parametrize(("separator", "decimal"), [(";", ","), ("\t", ","), (";", "."), ("\t", "."), (",", ".")])
def test_spreadsheets_of_all_countries_are_read(tmp_path: Path, separator: str, decimal: str) -> None:
    path = write(tmp_path, wide("{name}_{axis}"), separator, decimal)
    assert_read(path)
    path.write_text("\ufeffsep=" + separator + "\n" + path.read_text().replace("\n", separator + "\n"))
    assert_read(path)


@pytest.mark.parametrize("unit", ["mm", "cm", "in"])
def test_the_unit_in_the_headings_is_obeyed(tmp_path: Path, unit: str) -> None:
    scale = {"mm": 1000.0, "cm": 100.0, "in": 1 / 0.0254}[unit]
    assert_read(write(tmp_path, wide(f"{{name}}_{{axis}} ({unit})", scale)))


@pytest.mark.parametrize("units", ["in", "ft"])
def test_inches_and_feet_can_be_said(tmp_path: Path, units: str) -> None:
    path = write(tmp_path, wide("{name}_{axis}", {"in": 1 / 0.0254, "ft": 1 / 0.3048}[units]))
    np.testing.assert_allclose(read_keypoints(path, units=units).positions, POINTS, atol=1e-4)


@pytest.mark.parametrize("pattern", ["{axis}{name}", "{name}_{axis}", "landmark_{name}_{axis}", "{axis}_{name}"])
@pytest.mark.parametrize("first", [0, 1])
def test_numbered_columns_are_in_the_order_of_the_layout(tmp_path: Path, pattern: str, first: int) -> None:
    names = tuple(str(number + first) for number in range(25))
    path = write(tmp_path, wide(pattern, names=names))
    assert_read(path, "body25")
    with pytest.raises(InputError, match="several layouts have 25"):
        read_keypoints_csv(path)


def test_numbered_columns_of_mediapipe_need_no_layout(tmp_path: Path) -> None:
    header = [f"{part}{number}" for number in range(33) for part in "xyzv"]
    rows = [[*np.random.default_rng(0).uniform(-1, 1, 132)] for _ in range(3)]
    keypoints = read_keypoints_csv(write(tmp_path, [header, *[list(map(float, np.abs(row))) for row in rows]]))
    assert keypoints.layout.name == "mediapipe33"
    np.testing.assert_allclose(keypoints.confidence[0, 5], abs(rows[0][23]), atol=1e-5)


def test_names_above_axes_are_read_with_the_rate_and_the_unit_of_vicon(tmp_path: Path) -> None:
    names: list[object] = ["", ""]
    for name in BODY25.keypoint_names:
        names += [f"Ann:{name}", "", ""]
    axes = ["Frame", "Sub Frame", *("XYZ" * 25)]
    units = ["", "", *(["mm"] * 75)]
    rows = [[i, 0, *map(float, 1000 * frame.ravel())] for i, frame in enumerate(POINTS, 1)]
    path = write(tmp_path, [["Trajectories"], ["100"], names, axes, units, *rows])
    assert_read(path)
    assert read_keypoints_csv(path).fps == 100


def test_deeplabcuts_three_lines_of_headings_are_read(tmp_path: Path) -> None:
    parts: list[object] = ["bodyparts", *(name for name in BODY25.keypoint_names for _ in range(4))]
    coords: list[object] = ["coords", *(["x", "y", "z", "likelihood"] * 25)]
    rows = [[i, *map(float, np.c_[frame, np.full(25, 0.9)].ravel())] for i, frame in enumerate(POINTS)]
    path = write(tmp_path, [["scorer", *["net"] * 100], parts, coords, *rows])
    assert_read(path)
    np.testing.assert_allclose(read_keypoints_csv(path).confidence, 0.9, atol=1e-6)


def test_anipose_columns_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    header, row = [], []
    for name, point in zip(BODY25.keypoint_names, POINTS[0], strict=True):
        header += [f"{name}_{part}" for part in ("x", "y", "z", "error", "ncams", "score")]
        row += [*map(float, 1000 * point), 0.7, 3.0, 0.8]
    header += ["M_00", "M_01", "center_0", "fnum"]
    keypoints = read_keypoints_csv(write(tmp_path, [header, [*row, 1.0, 0.0, 0.0, 0]]))
    np.testing.assert_allclose(keypoints.positions[0], POINTS[0], atol=1e-5)
    np.testing.assert_allclose(keypoints.confidence, 0.8, atol=1e-6)


@pytest.mark.parametrize(
    "headings", [("frame", "keypoint", "x", "y", "z"), ("frame_number", "joint_name", "X", "Y", "Z")]
)
def test_a_line_a_keypoint_is_read(tmp_path: Path, headings: tuple[str, ...]) -> None:
    rows: list[list[object]] = [[*headings, "timestamp_ms"]]
    for frame, points in enumerate(POINTS):
        for name, point in zip(BODY25.keypoint_names, points, strict=True):
            rows.append([frame, name, *map(float, point), frame * 20])
    path = write(tmp_path, rows)
    assert_read(path)
    assert read_keypoints_csv(path).fps == 50


def test_joints_under_the_names_of_bones_are_where_the_bones_begin(tmp_path: Path) -> None:
    layout = load_layout("mocap20")
    header = ["Timestamp"]
    for name in layout.keypoint_names:
        header += [f"{name}_position_{axis}" for axis in "xyz"] + [f"{name}_rotation_{axis}" for axis in "xyz"]
    points = standing(layout.keypoint_names, layout.points)
    both = np.concatenate((points, 90 + points), axis=2)
    rows = [[0.01 * frame, *map(float, values.ravel())] for frame, values in enumerate(both)]
    keypoints = read_keypoints_csv(write(tmp_path, [header, *rows]))
    assert (keypoints.layout.name, keypoints.fps) == ("mocap20", 100)
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-5)


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        (["12:00:00.00", "12:00:00.04", "12:00:00.08", "12:00:00.12"], 25),
        (["2024-03-01 12:00:00.00", "2024-03-01 12:00:00.04", "2024-03-01 12:00:00.08", "2024-03-01 12:00:00.12"], 25),
        ([1000.0, 1040.0, 1080.0, 1120.0], 25),
        (["?", "?", "?", "?"], 30),
    ],
)
def test_times_of_all_kinds_tell_the_rate(tmp_path: Path, times: list[object], fps: float) -> None:
    rows = wide("{name}_{axis}")
    keypoints = read_keypoints_csv(
        write(tmp_path, [rows[0], *([t, *row[1:]] for t, row in zip(times, rows[1:], strict=True))])
    )
    assert keypoints.fps == pytest.approx(fps, rel=1e-3)


def test_numbers_without_headings_are_in_the_order_of_the_layout_that_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, [row[1:] for row in wide("")[1:]])
    assert_read(path, "body25")
    with pytest.raises(InputError, match="--layout"):
        read_keypoints_csv(path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    separator=st.sampled_from([",", ";", "\t"]),
    pattern=st.sampled_from(["{name}_{axis}", "{name}.{AXIS}", "{name}_{axis} (mm)"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    quote=st.booleans(),
    comment=st.booleans(),
)
def test_dialects_mix(tmp_path: Path, separator: str, pattern: str, ending: str, quote: bool, comment: bool) -> None:
    path = write(tmp_path, wide(pattern, 1000.0), separator, "." if separator == "," else ",")
    lines = path.read_text().splitlines()
    if quote:
        lines[0] = separator.join(f'"{field}"' for field in lines[0].split(separator))
    path.write_bytes(ending.join(["# made by nobody"] * comment + lines).encode())
    assert_read(path)
