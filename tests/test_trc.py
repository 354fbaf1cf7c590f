from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.formats.keypoints.trc import read_trc
from learnable_smplify.layouts.layout import load_layout

SHARED = Path(__file__).parents[2] / "shared" / "data" / "keypoints"
NAMES = load_layout("body25").keypoint_names


def person(frames: int = 3) -> np.ndarray:
    """(T, 25, 3) a standing BODY_25 figure in metres with plausible bones."""
    height = {"Hip": 0.95, "Knee": 0.55, "Ankle": 0.12, "Shoulder": 1.42, "Elbow": 1.15, "Wrist": 0.9}
    points = np.zeros((frames, 25, 3))
    for index, name in enumerate(NAMES):
        part = name.lstrip("LR")
        side = {"L": 0.15, "R": -0.15}.get(name[0], 0.0)
        points[:, index] = [side, height.get(part, 1.5), 0.05]
    return points + np.linspace(0, 0.1, frames)[:, None, None] + 0.01


def trc_text(
    points: np.ndarray,
    names: tuple[str, ...] = NAMES,
    units: str = "m",
    fps: float = 60.0,
    frames: int | None = None,
    separator: str = "\t",
) -> str:
    count = len(points) if frames is None else frames
    gap = separator * 3 if separator == "\t" else separator
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tclip.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{fps}\t{fps}\t{count}\t{len(names)}\t{units}\t{fps}\t1\t{count}",
        f"Frame#{separator}Time{separator}" + gap.join(names),
        separator * 2 + separator.join(f"{axis}{i + 1}" for i in range(len(names)) for axis in "XYZ"),
    ]
    for frame, row in enumerate(points):
        values = separator.join("" if np.isnan(value) else f"{value:.6f}" for value in row.ravel())
        lines.append(f"{frame + 1}{separator}{frame / fps:.6f}{separator}{values}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "clip.trc"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("separator", ["\t", " "])
def test_what_is_written_is_read(write, separator: str):
    points = person()
    (keypoints,) = read_trc(write(trc_text(points, separator=separator)), Asked())
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-6)
    assert (keypoints.layout.name, keypoints.fps, keypoints.up_axis, keypoints.notes) == ("body25", 60.0, "y", ())


def test_millimetres_in_the_header_become_metres(write):
    (keypoints,) = read_trc(write(trc_text(person() * 1000, units="mm")), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert keypoints.notes == ("the file is in mm: converted to metres",)


def test_millimetres_that_claim_to_be_metres_are_detected_and_said(write):
    (keypoints,) = read_trc(write(trc_text(person() * 1000, units="m")), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert keypoints.notes == ("looked like millimetres: divided by 1000",)


def test_metres_that_claim_to_be_millimetres_are_detected_and_said(write):
    (keypoints,) = read_trc(write(trc_text(person(), units="mm")), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert "the file says mm but is in metres: not converted" in keypoints.notes


def test_what_the_user_says_about_units_is_obeyed(write):
    (keypoints,) = read_trc(write(trc_text(person(), units="m")), Asked(units="cm"))
    np.testing.assert_allclose(keypoints.positions, person() / 100, atol=1e-6)
    with pytest.raises(InputError, match="unknown unit 'parsec'"):
        read_trc(write(trc_text(person())), Asked(units="parsec"))


def test_missing_values_get_no_confidence_and_a_note(write):
    points = person(4)
    points[1, 4] = np.nan
    points[2, 7, 1] = np.nan
    points[3, 0] = 0.0
    (keypoints,) = read_trc(write(trc_text(points)), Asked())
    assert set(map(tuple, np.argwhere(keypoints.confidence.numpy() == 0).tolist())) == {(1, 4), (2, 7), (3, 0)}
    assert torch.isfinite(keypoints.positions).all()
    assert any("2 keypoints in 2 of 4 frames have no position" in note for note in keypoints.notes)
    assert any("1 keypoints in 1 of 4 frames are exactly (0, 0, 0)" in note for note in keypoints.notes)


def test_strange_and_repeated_markers_are_ignored_with_a_note(write):
    names = (*NAMES, "C7_study", "Nose")
    points = np.concatenate([person(), np.full((3, 2, 3), 9.0)], axis=1)
    (keypoints,) = read_trc(write(trc_text(points, names=names)), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert any("1 columns are not keypoints of body25" in note and "C7_study" in note for note in keypoints.notes)
    assert any("there twice" in note and "Nose" in note for note in keypoints.notes)


def test_a_missing_marker_leaves_its_keypoint_without_confidence(write):
    (keypoints,) = read_trc(write(trc_text(person()[:, 1:], names=NAMES[1:])), Asked())
    assert keypoints.layout.name == "body25"
    assert (keypoints.confidence[:, 0] == 0).all()
    assert (keypoints.confidence[:, 1:] == 1).all()


def test_a_frame_rate_that_the_times_deny_is_said(write):
    text = trc_text(person(5), fps=30.0).replace("30.0\t30.0\t5", "120\t120\t5")
    (keypoints,) = read_trc(write(text), Asked())
    assert keypoints.fps == 120
    assert any("the times say 30" in note for note in keypoints.notes)
    assert read_trc(write(text), Asked(fps=30))[0].fps == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "\n".join(t.split("\n")[:3]), "truncated in its header"),
        (lambda t: "\n".join(t.split("\n")[:5]) + "\n", "truncated"),
        (lambda t: t.replace("\t0.060000", "\tsix", 1), "line 6: 'six' is not a number"),
        (lambda t: t.replace("\n2\t", "\n2\t9\t"), "line 7: the line has 78 fields"),
        (lambda t: "x" + t, "line 1: not a TRC file"),
        (lambda t: "", "not a TRC file"),
    ],
)
def test_a_damaged_file_is_refused_with_file_and_line(write, change, message: str):
    with pytest.raises(InputError, match=message) as caught:
        read_trc(write(change(trc_text(person()))), Asked())
    assert "clip.trc" in str(caught.value)


def test_a_file_of_fewer_frames_than_its_header_promises_is_read_with_a_note(write):
    for text in (trc_text(person(), frames=10**9), trc_text(person(9), frames=12)):
        (keypoints,) = read_trc(write(text), Asked())
        np.testing.assert_allclose(keypoints.positions, person(len(keypoints)), atol=1e-6)
        assert any("the header promises" in note for note in keypoints.notes), keypoints.notes


@given(st.integers(0, 400))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_copy_that_breaks_off_in_its_last_line_keeps_the_frames_before(write, lost: int):
    text = trc_text(person(4))
    (keypoints,) = read_trc(write(text[: len(text) - 1 - lost]), Asked())
    np.testing.assert_allclose(keypoints.positions[:3], person(4)[:3], atol=1e-6)
    assert len(keypoints) == 4 or "the last, breaks off" in keypoints.notes[0]


@pytest.mark.parametrize("unit", ["furlong", "???"])
def test_a_unit_that_nobody_knows_is_told_by_the_limbs(write, unit: str):
    (keypoints,) = read_trc(write(trc_text(100 * person(), units=unit)), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-5)
    assert any(f"'{unit}' is not known" in note for note in keypoints.notes)


@pytest.mark.parametrize(("said", "meant"), [("mm", 1.0), ("mm", 0.01), ("cm", 1.0), ("cm", 0.001), ("m", 0.001)])
def test_a_unit_that_the_limbs_deny_is_not_believed(write, said: str, meant: float):
    (keypoints,) = read_trc(write(trc_text(person() / meant, units=f"({said})")), Asked())
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-5)


def test_two_people_in_one_file_are_two_people(write):
    both = np.concatenate((person(), person() + 1, person()[:, :3]), axis=1)
    names = [*(f"Ann:{n}" for n in NAMES), *(f"Bob:{n}" for n in NAMES), "Ball:1", "Ball:2", "Ball:3"]
    people = read_trc(write(trc_text(both, names=names)), Asked())
    assert [one.person_id for one in people] == ["Ann", "Bob"]
    np.testing.assert_allclose(people[1].positions, person() + 1, atol=1e-5)


@pytest.mark.parametrize("value", [-9999.0, 9999999.0, -1.0, 42.5])
def test_numbers_that_stand_for_missing_markers_are_missing(write, value: float):
    points = person(6)
    points[1:4, 5] = value
    (keypoints,) = read_trc(write(trc_text(points)), Asked())
    assert (keypoints.confidence[:, 5] > 0).tolist() == [True, False, False, False, True, True]
    assert torch.allclose(keypoints.positions[0], torch.tensor(person(6)[0], dtype=torch.float32), atol=1e-5)
    assert any("taken as missing" in note for note in keypoints.notes)


def test_a_file_with_nothing_measured_is_refused(write):
    with pytest.raises(InputError, match="no keypoint is usable"):
        read_trc(write(trc_text(np.full((3, 25, 3), np.nan))), Asked())


def test_an_unfit_layout_is_refused(write):
    with pytest.raises(InputError, match="0 of the 21 keypoints of layout 'kit21'"):
        read_trc(write(trc_text(person())), Asked("kit21"))
    with pytest.raises(InputError, match="cannot be told from these names"):
        read_trc(write(trc_text(person()[:, :3], names=("a", "b", "c"))), Asked())


SMALL = trc_text(person(2)[:, :9], names=NAMES[:9]).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, len(SMALL)),
    edits=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.binary(max_size=4)), max_size=4),
)
def test_any_damage_gives_a_clear_error_or_finite_keypoints(write, cut: int, edits: list[tuple[int, bytes]]):
    data = bytearray(SMALL)
    for position, replacement in edits:
        data[position : position + len(replacement)] = replacement
    data = data[: cut if not edits else len(data)]
    try:
        (keypoints,) = read_trc(write(bytes(data)), Asked())
    except InputError:
        return
    assert torch.isfinite(keypoints.positions).all()
    assert torch.isfinite(keypoints.confidence).all()


def test_a_trc_in_millimetres_with_predicted_markers_and_z_up_is_read_as_it_is(write):
    z_up = person() @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).T
    names = (*NAMES, "r.ASIS_study", "L_HJC_reg")
    text = trc_text(np.concatenate([z_up, np.ones((3, 2, 3))], axis=1) * 1000, names=names, units="mm", fps=240)
    keypoints = read_keypoints(write(text))
    np.testing.assert_allclose(keypoints.positions, z_up, atol=1e-6)
    assert (keypoints.up_axis, keypoints.fps) == ("z", 240)
    assert [note.split(":")[0] for note in keypoints.notes] == [
        "2 columns are not keypoints of body25 and are ignored",
        "the file is in mm",
        "z is taken as up",
    ]
    assert read_keypoints(write(text), up="y").up_axis == "y"


REAL = ("zoldello_subject0_Squats_0.trc", "S00_P00_T01_BalancingTrial_0-100.trc")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("change", ["mm", "mm, not said", "z up", "left-handed", "y down"])
def test_a_real_recording_is_the_same_in_other_units_and_axes(tmp_path: Path, name: str, change: str):
    head, rows = (SHARED / name).read_text(errors="replace").splitlines()[:5], []
    matrix = {
        "z up": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
        "left-handed": np.diag([-1.0, 1.0, 1.0]),
        "y down": np.diag([1.0, -1.0, -1.0]),
    }.get(change, np.eye(3)) * (1000 if change.startswith("mm") else 1)
    for line in (SHARED / name).read_text(errors="replace").splitlines()[5:]:
        fields = line.rstrip("\t").split("\t")
        points = np.array([float(field) for field in fields[2:]]).reshape(-1, 3) @ matrix.T
        rows.append("\t".join([*fields[:2], *(f"{value:.6f}" for value in points.ravel())]))
    if change == "mm":
        head[2] = head[2].replace("\tm\t", "\tmm\t")
    (tmp_path / "a.trc").write_text("\n".join([*head, *rows]))
    truth = read_keypoints(SHARED / name)
    found = read_keypoints(tmp_path / "a.trc")
    turn = matrix if change == "z up" else np.eye(3)
    np.testing.assert_allclose(found.positions, truth.positions.numpy() @ turn.T, atol=2e-5)
    assert (truth.up_axis, found.up_axis) == ("y", "z" if change == "z up" else "y")
    said = {"mm": "mm", "mm, not said": "millimetres", "left-handed": "left-handed", "y down": "points down"}
    assert said.get(change, "z is taken as up") in " ".join(found.notes)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
def test_the_opencap_recording_is_body25_without_its_face():
    keypoints = read_keypoints(SHARED / "zoldello_subject0_Squats_0.trc")
    assert keypoints.layout.name == "body25"
    assert keypoints.positions.shape == (832, 25, 3)
    missing = [name for name, c in zip(NAMES, keypoints.confidence.sum(0), strict=True) if c == 0]
    assert missing == ["Nose", "REye", "LEye", "REar", "LEar"]
    assert any(note.startswith("43 columns") for note in keypoints.notes)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
def test_the_pose2sim_recording_has_all_its_21_markers():
    keypoints = read_keypoints(SHARED / "S00_P00_T01_BalancingTrial_0-100.trc")
    assert keypoints.layout.name == "body25b"
    assert keypoints.positions.shape == (100, 25, 3)
    assert int((keypoints.confidence > 0).all(0).sum()) == 21
    assert keypoints.notes == ()
