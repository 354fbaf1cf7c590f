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
from learnable_smplify.formats.keypoints.source import Asked
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
    keypoints = read_keypoints_csv(path, Asked(layout))[0]
    np.testing.assert_allclose(keypoints.positions, POINTS, atol=1e-5)
    assert keypoints.layout.name == "body25"


@pytest.mark.parametrize(
    "pattern",
    [
        *("{name}_{axis}", "{name}.{axis}", "{name} {AXIS}", "{name}:{axis}", "{name}-{axis}", "{axis}_{name}"),
        *("{name}{AXIS}", "{name}_{axis} (m)", "{name}_{axis}[m]", "body_{name}_{axis}", "mixamorig_{name}_{axis}"),
        *(
            "Ann:{name}_{axis}",
            "{name}_position_{axis}",
            "{name}_pos_{AXIS}",
            "{name}_t{axis}",
            "{name}.T{axis}",
            "{name}.{AXIS}position",
        ),
        "\"('{name}', '{axis}')\"",
    ],
)
def test_columns_are_understood_however_they_are_called(tmp_path: Path, pattern: str) -> None:
    assert_read(write(tmp_path, wide(pattern)))
    assert read_keypoints_csv(tmp_path / "clip.csv", Asked())[0].fps == 50


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
        read_keypoints_csv(path, Asked())


def test_numbered_columns_of_mediapipe_need_no_layout(tmp_path: Path) -> None:
    header = [f"{part}{number}" for number in range(33) for part in "xyzv"]
    rows = [[*np.random.default_rng(0).uniform(-1, 1, 132)] for _ in range(3)]
    (keypoints,) = read_keypoints_csv(
        write(tmp_path, [header, *[list(map(float, np.abs(row))) for row in rows]]), Asked()
    )
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
    assert read_keypoints_csv(path, Asked())[0].fps == 100


def test_vicons_velocities_are_passed_over_and_its_two_subjects_are_two_people(tmp_path: Path) -> None:
    columns = [(who, name) for who in ("Ann", "Bob") for name in BODY25.keypoint_names]
    names: list[object] = ["", "", *(text for who, name in columns for text in (f"{who}:{name}", *[""] * 5))]
    axes = ["Frame", "Sub Frame", *["X", "Y", "Z", "X'", "Y'", "Z'"] * 50]
    units = ["", "", *["mm"] * 150, *["mm/s"] * 150]
    rows: list[list[object]] = []
    for number, points in enumerate(POINTS, 1):
        both = 1000 * np.concatenate((points, points + np.array([1, 0, 0])))
        rows.append([number, 0, *map(float, np.c_[both, np.ones((50, 3))].ravel())])
    ann, bob = read_keypoints_csv(write(tmp_path, [["Trajectories"], ["100"], names, axes, units, *rows]), Asked())
    assert (ann.person_id, bob.person_id, ann.fps) == ("Ann", "Bob", 100)
    np.testing.assert_allclose(ann.positions, POINTS, atol=1e-5)
    np.testing.assert_allclose(bob.positions - ann.positions, np.broadcast_to([1, 0, 0], POINTS.shape), atol=1e-5)


@pytest.mark.parametrize("headings", [True, False])
@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".csv"])
def test_qualisys_tables_are_read_with_and_without_headings(tmp_path: Path, suffix: str, headings: bool) -> None:
    names = BODY25.keypoint_names
    titles = [["NO_OF_FRAMES", 4], ["NO_OF_MARKERS", 25], ["FREQUENCY", 100], ["ANALOG_FREQUENCY", 1000]]
    titles += [["TIME_STAMP", "2024-03-01, 12:00:00", 1.5], ["DATA_INCLUDED", "3D"], ["MARKER_NAMES", *names]]
    heads = [["Frame", "Time", *(f"{name} {axis}" for name in names for axis in "XYZ")]] if headings else []
    ahead = [[n + 1, n / 100] if headings else [] for n in range(4)]
    rows = [[*start, *map(float, 1000 * points.ravel())] for start, points in zip(ahead, POINTS, strict=True)]
    path = write(tmp_path, [*titles, *heads, *rows], "\t").rename(tmp_path / f"clip{suffix}")
    assert_read(path)
    assert read_keypoints(path, up="y").fps == 100


def test_visual3ds_five_lines_of_headings_are_read(tmp_path: Path) -> None:
    names = [name for name in BODY25.keypoint_names for _ in range(3)]
    heads = [["", *[word] * 75] for word in ("a.c3d", "TARGET", "ORIGINAL")]
    heads = [heads[0], ["", *names], *heads[1:], ["ITEM", *"XYZ" * 25]]
    assert_read(write(tmp_path, [*heads, *([i, *map(float, p.ravel())] for i, p in enumerate(POINTS, 1))], "\t"))


@pytest.mark.parametrize(
    "spelling",
    [
        {
            "Left": "L",
            "Right": "R",
            "ForeArm": "FArm",
            "UpLeg": "Thigh",
            "Leg": "Shin",
            "ToeBase": "Toe",
            "Spine": "Ab",
        },
        {"UpLeg": "UpperLeg", "ForeArm": "LowerArm", "ToeBase": "Toes"},
        {"Hips": "Pelvis", "Left": "Left ", "Right": "Right ", "ToeBase": "Toe", "UpLeg": "Upper Leg"},
    ],
)
def test_bones_of_motive_unity_and_xsens_are_known(tmp_path: Path, spelling: dict[str, str]) -> None:
    layout = load_layout("mocap20")
    names = list(layout.keypoint_names)
    for old, new in spelling.items():
        names = [name.replace(old, new) for name in names]
    points = standing(layout.keypoint_names, layout.points)
    rows = [[float(value) for value in frame.ravel()] for frame in points]
    path = write(tmp_path, [[f"Ann:{name}_{axis}" for name in names for axis in "xyz"], *rows])
    np.testing.assert_allclose(read_keypoints(path, up="y").positions, points, atol=1e-5)


def test_deeplabcuts_three_lines_of_headings_are_read(tmp_path: Path) -> None:
    parts: list[object] = ["bodyparts", *(name for name in BODY25.keypoint_names for _ in range(4))]
    coords: list[object] = ["coords", *(["x", "y", "z", "likelihood"] * 25)]
    rows = [[i, *map(float, np.c_[frame, np.full(25, 0.9)].ravel())] for i, frame in enumerate(POINTS)]
    path = write(tmp_path, [["scorer", *["net"] * 100], parts, coords, *rows])
    assert_read(path)
    np.testing.assert_allclose(read_keypoints_csv(path, Asked())[0].confidence, 0.9, atol=1e-6)


def test_anipose_columns_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    header, row = [], []
    for name, point in zip(BODY25.keypoint_names, POINTS[0], strict=True):
        header += [f"{name}_{part}" for part in ("x", "y", "z", "error", "ncams", "score")]
        row += [*map(float, 1000 * point), 0.7, 3.0, 0.8]
    header += ["M_00", "M_01", "center_0", "fnum"]
    (keypoints,) = read_keypoints_csv(write(tmp_path, [header, [*row, 1.0, 0.0, 0.0, 0]]), Asked())
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
    assert read_keypoints_csv(path, Asked())[0].fps == 50


def test_joints_under_the_names_of_bones_are_where_the_bones_begin(tmp_path: Path) -> None:
    layout = load_layout("mocap20")
    header = ["Timestamp"]
    for name in layout.keypoint_names:
        header += [f"{name}_position_{axis}" for axis in "xyz"] + [f"{name}_rotation_{axis}" for axis in "xyz"]
    points = standing(layout.keypoint_names, layout.points)
    both = np.concatenate((points, 90 + points), axis=2)
    rows = [[0.01 * frame, *map(float, values.ravel())] for frame, values in enumerate(both)]
    (keypoints,) = read_keypoints_csv(write(tmp_path, [header, *rows]), Asked())
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
    (keypoints,) = read_keypoints_csv(
        write(tmp_path, [rows[0], *([t, *row[1:]] for t, row in zip(times, rows[1:], strict=True))]), Asked()
    )
    assert keypoints.fps == pytest.approx(fps, rel=1e-3)


def test_numbers_without_headings_are_in_the_order_of_the_layout_that_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, [row[1:] for row in wide("")[1:]])
    assert_read(path, "body25")
    with pytest.raises(InputError, match="--layout"):
        read_keypoints_csv(path, Asked())


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


@pytest.mark.parametrize("pattern", ["{name}{axis}", "{name}({axis})", "{name}[{place}]", "{name}_{place}"])
def test_three_columns_that_end_in_axes_are_a_keypoint_whatever_is_between(tmp_path: Path, pattern: str) -> None:
    header = [
        "time",
        *(pattern.format(name=n, axis="xyz"[p], place=p) for n in BODY25.keypoint_names for p in range(3)),
    ]
    assert_read(write(tmp_path, [header, *wide("{name}_{axis}")[1:]]))


def test_excels_unicode_text_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, wide("{name}_{axis}"), "\t", ",")
    text = path.read_text()
    for data in (text.encode("utf-16"), text.encode("utf-16-le"), text.encode("utf-16-be")):
        path.write_bytes(data)
        assert_read(path)


def test_numpys_savetxt_is_read(tmp_path: Path) -> None:
    table = wide("{name}_{axis}")
    numbers = np.array(table[1:], dtype=float)
    for delimiter in (" ", ","):
        np.savetxt(tmp_path / "clip.csv", numbers, delimiter=delimiter, header=delimiter.join(map(str, table[0])))
        assert_read(tmp_path / "clip.csv")


@pytest.mark.parametrize(
    "titles", ["Recorded by me\nRate,50\n\n", "# fps: 50\n# by me, at home\n", "Frame rate: 50 Hz\n", "50\n"]
)
def test_titles_above_the_headings_are_passed_over_and_their_rate_taken(tmp_path: Path, titles: str) -> None:
    path = write(tmp_path, [line[1:] for line in wide("{name}_{axis}")])
    path.write_text(titles + path.read_text())
    assert_read(path)
    assert read_keypoints_csv(path, Asked())[0].fps == 50


@pytest.mark.parametrize("unit", ["Millimeters", "Meters"])
@pytest.mark.parametrize("quantities", [("Position",), ("Rotation", "Position")])
def test_motives_headings_are_read(tmp_path: Path, unit: str, quantities: tuple[str, ...]) -> None:
    scale = 1000.0 if unit == "Millimeters" else 1.0
    columns = [
        (name, quantity, axis)
        for name in BODY25.keypoint_names
        for quantity in quantities
        for axis in ("XYZW" if quantity == "Rotation" else "XYZ")
    ]
    heads = [[f"Ann:{name}", f"{hash(name):X}", quantity, axis] for name, quantity, axis in columns]
    names, identifiers, kinds, axes = ([head[row] for head in heads] for row in range(4))
    lines: list[list[object]] = [
        ["Format Version", "1.23", "Take Name", "t", "Export Frame Rate", "50.000", "Length Units", unit],
        ["", "Type", *(["Bone"] * len(columns))],
        ["", "Name", *names],
        ["", "ID", *identifiers],
        ["", "", *kinds],
        ["Frame", "Time (Seconds)", *axes],
    ]
    for frame, points in enumerate(POINTS):
        row: list[object] = [frame, frame / 50]
        for point in points:
            row += [*([0.5] * 4 * (len(quantities) - 1)), *map(float, scale * point)]
        lines.append(row)
    path = write(tmp_path, lines)
    assert_read(path)
    assert read_keypoints_csv(path, Asked())[0].fps == 50


def test_another_table_below_is_left_out_and_so_is_a_last_line_that_breaks_off(tmp_path: Path) -> None:
    path = write(tmp_path, wide("{name}_{axis}"))
    text = path.read_text()
    path.write_text(text + "\nModel Outputs\n100\n1,2,3\n")
    assert_read(path)
    path.write_text(text + "0.08,1.0,2.0")
    assert_read(path)
    assert "breaks off" in read_keypoints_csv(path, Asked())[0].notes[0]


@pytest.mark.parametrize(("scale", "word"), [(1e3, "milli"), (1e6, "micro"), (1e9, "nano")])
@pytest.mark.parametrize("start", [0, 1714550400])
def test_clocks_that_count_in_small_units_are_understood(tmp_path: Path, scale: float, word: str, start: int) -> None:
    lines = [["timestamp", *wide("{name}_{axis}")[0][1:]]]
    lines += [[round((start + t) * scale), *row[1:]] for t, row in zip(TIMES, wide("")[1:], strict=True)]
    (keypoints,) = read_keypoints_csv(write(tmp_path, lines), Asked())
    assert keypoints.fps == 50
    assert any(f"taken as {word}seconds" in note for note in keypoints.notes)


@pytest.mark.parametrize("long", [True, False])
def test_several_people_in_one_table_are_told_apart(tmp_path: Path, long: bool) -> None:
    seen = [(frame, who) for frame in range(4) for who in ("7", "3") if (frame, who) != (1, "3")]
    lines: list[list[object]]
    if long:
        lines = [["frame_num", "track_id", "joint_name", "x_m", "y_m", "z_m"]]
        lines += [
            [frame, who, name, *map(float, point + int(who))]
            for frame, who in seen
            for name, point in zip(BODY25.keypoint_names, POINTS[frame], strict=True)
        ]
    else:
        lines = [["frame", "person_id", *wide("{name}_{axis}")[0][1:]]]
        lines += [[frame, who, *map(float, (POINTS[frame] + int(who)).ravel())] for frame, who in seen]
    path = write(tmp_path, lines)
    people = read_keypoints_csv(path, Asked())
    assert [one.person_id for one in people] == ["7", "3"]
    for one in people:
        at = [frame for frame, who in seen if who == one.person_id]
        np.testing.assert_allclose(one.positions[at], POINTS[at] + int(one.person_id or 0), atol=1e-5)
        assert (one.confidence > 0).all(dim=1).nonzero()[:, 0].tolist() == at
    assert read_keypoints(path, person="3").person_id == "3"


def test_people_in_front_of_the_names_are_told_apart(tmp_path: Path) -> None:
    first, second = wide("person0_{name}_{axis}"), wide("person1_{name}_{axis}")
    people = read_keypoints_csv(write(tmp_path, [[*a, *b[1:]] for a, b in zip(first, second, strict=True)]), Asked())
    assert [one.person_id for one in people] == ["person0", "person1"]


def test_people_without_frames_are_refused(tmp_path: Path) -> None:
    lines = [["person", *wide("{name}_{axis}")[0][1:]], *([n % 2, *row[1:]] for n, row in enumerate(wide("")[1:]))]
    with pytest.raises(InputError, match="2 people, and no column says which frame"):
        read_keypoints_csv(write(tmp_path, lines), Asked())
