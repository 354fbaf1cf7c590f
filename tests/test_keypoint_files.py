from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.formats.keypoints.units import size_of_body, unit_in_metres
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import layout_names, load_layout

UP = "y is taken as up: the body is along it, feet to head (--up to say otherwise)"
COCO = load_layout("coco17")


def person(frames: int = 3) -> np.ndarray:
    """(T, 17, 3) a standing COCO figure in metres."""
    height = {"hip": 0.95, "knee": 0.55, "ankle": 0.12, "shoulder": 1.42, "elbow": 1.15, "wrist": 0.9}
    points = np.zeros((frames, 17, 3))
    for index, name in enumerate(COCO.keypoint_names):
        side = {"l": 0.15, "r": -0.15}.get(name[0], 0.0)
        points[:, index] = [side, height.get(name.split("_")[-1], 1.6), 0.05]
    return points + np.linspace(0, 0.1, frames)[:, None, None]


def csv_text(points: np.ndarray, fps: float | None = 50.0, delimiter: str = ",") -> str:
    header = [f"{name}_{axis}" for name in COCO.keypoint_names for axis in "xyz"]
    lines = [delimiter.join([*(["time"] if fps else []), *header])]
    for frame, row in enumerate(points):
        start = [f"{frame / fps:.4f}"] if fps else []
        lines.append(delimiter.join([*start, *(f"{value:.6f}" for value in row.ravel())]))
    return "\n".join(lines) + "\n"


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz_bytes(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.fixture
def write(tmp_path: Path):
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


# npy


def test_an_npy_is_read_in_the_order_of_the_layout(write):
    keypoints = read_keypoints(write("a.npy", npy_bytes(person())), layout="coco17", fps=25)
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert (keypoints.fps, keypoints.notes, keypoints.up_axis) == (25.0, (UP,), "y")


def test_the_fourth_column_of_an_npy_is_confidence(write):
    points = np.concatenate([person(), np.full((3, 17, 1), 0.5)], axis=-1)
    points[1, 5, 3] = 0.0
    keypoints = read_keypoints(write("a.npy", npy_bytes(points.astype(np.float32))), layout="coco17")
    assert keypoints.confidence[0, 0] == 0.5
    assert keypoints.confidence[1, 5] == 0
    assert any("30 frames a second assumed" in note for note in keypoints.notes)


def test_one_frame_without_a_time_axis_is_read(write):
    assert len(read_keypoints(write("a.npy", npy_bytes(person(1)[0])), layout="coco17")) == 1


def test_an_npy_with_an_ambiguous_number_of_keypoints_needs_a_layout(write):
    with pytest.raises(InputError, match=r"several layouts have 17 keypoints.*coco17, h36m17"):
        read_keypoints(write("a.npy", npy_bytes(person())))


def test_a_wrong_layout_is_refused(write):
    with pytest.raises(InputError, match=r"17 keypoints a frame.*25 for layout 'body25'"):
        read_keypoints(write("a.npy", npy_bytes(person())), layout="body25")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 17, 3)), "the clip is empty"),
        (np.full((3, 17, 3), np.nan), "no keypoint is usable"),
        (np.zeros((3, 17, 3)), "no keypoint is usable"),
        (np.zeros((3, 17, 2)), "the array has shape"),
        (np.zeros((3, 50)), "the array has shape"),
        (np.zeros(3), "the array has shape"),
        (np.full((3, 17, 3), "x"), "the array holds <U1"),
        (np.ones((3, 17, 3), dtype=complex), "the array holds complex128"),
    ],
)
def test_an_npy_of_another_kind_is_refused(write, array: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        read_keypoints(write("a.npy", npy_bytes(array)), layout="coco17")


def test_an_npy_with_objects_is_refused_without_unpickling(write):
    array = np.empty(2, dtype=object)
    array[:] = [Bomb(), Bomb()]
    path = write("a.npy", npy_bytes(array))
    with pytest.raises(InputError, match="the array holds Python objects"):
        read_keypoints(path, layout="coco17")
    assert not Bomb.exploded


class Bomb:
    exploded = False

    def __reduce__(self):
        return Bomb.explode, ()

    @staticmethod
    def explode():
        Bomb.exploded = True


def test_a_header_that_promises_a_billion_frames_is_refused_without_allocating(write):
    data = npy_bytes(person()).replace(b"(3, 17, 3), }         ", b"(1000000000, 17, 3), }")
    assert b"1000000000" in data
    with pytest.raises(InputError, match="not a readable"):
        read_keypoints(write("a.npy", data), layout="coco17")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("keypoints.npy", data)
    with pytest.raises(InputError, match="its header promises"):
        read_keypoints(write("a.npz", stream.getvalue()), layout="coco17")


# npz


def test_keypoints_written_as_npz_are_read_back(tmp_path: Path):
    positions = person(4)
    positions[2, 3] = np.nan
    confidence = np.linspace(0.1, 1.0, 4 * 17).reshape(4, 17)
    written = Keypoints(positions, layout="coco17", fps=50.0, confidence=confidence, up_axis="y", person_id="ann")
    write_keypoints_npz(written, tmp_path / "a.npz")
    read = read_keypoints(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.positions, written.positions)
    np.testing.assert_array_equal(read.confidence, written.confidence)
    assert (read.layout, read.fps, read.up_axis, read.person_id) == (written.layout, 50.0, "y", "ann")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with pytest.raises(InputError, match=r"written as \.npz"):
        write_keypoints_npz(written, tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"people": person()[:, :4]}, "there is no array 'keypoints'"),
        ({"keypoints": person(), "confidence": np.ones((3, 16))}, r"array 'confidence': the array has shape \(3, 16\)"),
        ({"keypoints": person(), "fps": np.ones(3)}, "fps has shape"),
        ({"keypoints": person(), "fps": np.array(0.0)}, "the frame rate is 0"),
        ({"keypoints": person(), "fps": np.array(np.nan)}, "the frame rate is nan"),
        ({"keypoints": person(), "layout": np.array("body99")}, "no layout is called 'body99'"),
        ({"keypoints": np.array(["a"])}, "the array holds <U1"),
        ({"keypoints": np.zeros(2)}, "the array has shape"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(write, arrays: dict[str, np.ndarray], message: str):
    arrays = {"layout": np.array("coco17")} | arrays
    with pytest.raises(InputError, match=message):
        read_keypoints(write("a.npz", npz_bytes(**arrays)))


# csv


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_is_read_with_its_frame_rate(write, delimiter: str):
    keypoints = read_keypoints(write("a.csv", csv_text(person(), delimiter=delimiter)))
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert (keypoints.layout.name, keypoints.notes) == ("coco17", (UP,))
    assert keypoints.fps == pytest.approx(50.0)


def test_a_csv_may_have_confidence_and_columns_of_other_kinds(write):
    text = csv_text(person(), fps=None)
    lines = text.splitlines()
    lines[0] = "picture," + lines[0] + ",nose_c,belt_x,belt_y,belt_z"
    lines[1:] = [f"a{i}.png,{line},0.{i},1,1,1" for i, line in enumerate(lines[1:])]
    keypoints = read_keypoints(write("a.csv", "\r\n".join(lines)))
    assert keypoints.confidence[:, 0].tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert any("belt" in note for note in keypoints.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\n", "\n1,2,3,4\n", 2), "line 2: the line has 4 fields"),
        (lambda t: t.replace("1.600000", "tall", 1), "line 2, column nose_y: 'tall' is not a number"),
        (lambda t: t.replace("nose_y", "nose_q"), "'nose' has no column for y"),
        (lambda t: t.replace("nose_y", "nose_x"), "'nose_x' is there twice"),
        (lambda t: t.split("\n", 1)[1], "the header names no keypoints"),
        (lambda t: t.split("\n", 1)[0], "the clip is empty"),
        (lambda t: "", "the file is empty"),
        (lambda t: t.replace("0.", "_0."), "is not a number"),
    ],
)
def test_a_damaged_csv_is_refused_with_the_line(write, change, message: str):
    with pytest.raises(InputError, match=message) as caught:
        read_keypoints(write("a.csv", change(csv_text(person()))))
    assert "a.csv" in str(caught.value)


# units and missing values


@pytest.mark.parametrize(("factor", "word"), [(1000, "millimetres"), (100, "centimetres")])
def test_other_units_passed_as_metres_are_detected_and_said(write, factor: float, word: str):
    keypoints = read_keypoints(write("a.npy", npy_bytes(person() * factor)), layout="coco17", fps=30)
    np.testing.assert_allclose(keypoints.positions, person(), atol=1e-6)
    assert keypoints.notes == (f"looked like {word}: divided by {factor}", UP)


@pytest.mark.parametrize("scale", [0.45, 0.6, 1.0, 1.3, 2.0])
def test_small_and_large_people_in_metres_are_left_alone(write, scale: float):
    keypoints = read_keypoints(write("a.npy", npy_bytes(person() * scale)), layout="coco17", fps=30)
    assert keypoints.notes == (UP,)
    np.testing.assert_allclose(keypoints.positions, person() * scale, atol=1e-6)


def test_a_size_between_the_units_is_left_alone_and_said(write):
    keypoints = read_keypoints(write("a.npy", npy_bytes(person() * 12)), layout="coco17", fps=30)
    np.testing.assert_allclose(keypoints.positions, person() * 12, atol=1e-4)
    assert "times as long as an adult's" in keypoints.notes[0]


def test_points_that_all_coincide_keep_their_units(write):
    keypoints = read_keypoints(write("a.npy", npy_bytes(np.full((3, 17, 3), 700.0))), layout="coco17", fps=30)
    assert keypoints.positions[0, 0, 0] == 700
    assert size_of_body(np.full((3, 17, 3), 700.0), COCO) is None


@pytest.mark.parametrize("spelling", ["mm", "MM", "Millimeters", "millimetre"])
def test_units_are_known_in_any_spelling(spelling: str):
    assert unit_in_metres(spelling) == ("mm", 0.001)


def test_zeros_are_missing_but_a_root_at_the_origin_is_not(write):
    h36m = load_layout("h36m17")
    points = np.random.default_rng(0).normal(size=(5, len(h36m), 3))
    points -= points[:, :1]
    points[2, 6] = 0.0
    keypoints = read_keypoints(write("a.npy", npy_bytes(points)), layout="h36m17", fps=30)
    assert (keypoints.confidence[:, 0] == 1).all()
    assert keypoints.confidence[:, 6].tolist() == [1, 1, 0, 1, 1]
    assert any("(0, 0, 0)" in note for note in keypoints.notes)


def test_a_block_of_nan_gets_no_confidence_and_the_note_counts_it(write):
    points = person(10)
    points[3:5] = np.nan
    keypoints = read_keypoints(write("a.npy", npy_bytes(points)), layout="coco17", fps=30)
    assert (keypoints.confidence[3:5] == 0).all()
    assert (keypoints.confidence[[2, 5]] == 1).all()
    assert keypoints.notes == ("34 keypoints in 2 of 10 frames have no position (NaN or empty)", UP)


# any file


def test_missing_files_folders_and_unknown_suffixes_are_refused(tmp_path: Path):
    for suffix in (".npz", ".npy", ".csv", ".trc"):
        with pytest.raises(InputError, match="no such file"):
            read_keypoints(tmp_path / f"none{suffix}")
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(InputError, match="this is a folder"):
            read_keypoints(tmp_path / f"folder{suffix}")
    with pytest.raises(InputError, match=r"one of \.npz, \.npy, \.csv, \.tsv, .*, \.json, or a folder"):
        read_keypoints(tmp_path / "clip.mp4")


def test_a_person_is_asked_for_by_the_name_in_the_file(write):
    path = write("a.npz", npz_bytes(keypoints=person(), layout="coco17", fps=30.0, person_id="ann"))
    assert read_keypoints(path, person="ann").person_id == read_keypoints(path).person_id == "ann"
    with pytest.raises(InputError, match=r"no person 'bob'.*ann \(3 of 3 frames\)"):
        read_keypoints(path, person="bob")
    with pytest.raises(InputError, match="without a name"):
        read_keypoints(write("a.npy", npy_bytes(person())), layout="coco17", person="bob")


def test_up_and_mirroring_are_told_or_asked_for(write):
    path = write("a.npz", npz_bytes(keypoints=person(), layout="coco17", fps=30.0, up_axis="z"))
    assert read_keypoints(path).up_axis == "z"
    turned = read_keypoints(path, up="-y")
    assert turned.up_axis == "y"
    np.testing.assert_allclose(turned.positions, person() * [1, -1, -1], atol=1e-6)
    np.testing.assert_allclose(read_keypoints(path, mirrored=True).positions, person() * [-1, 1, 1], atol=1e-6)
    for said in ("Z", "+z", "z-up", "Z up"):
        assert (
            read_keypoints(write("b.npz", npz_bytes(keypoints=person(), layout="coco17", up_axis=said))).up_axis == "z"
        )
    unknown = read_keypoints(write("c.npz", npz_bytes(keypoints=person(), layout="coco17", up_axis="-north")))
    assert any("'up_axis' is '-north' in the file" in note and "--up" in note for note in unknown.notes)


# layouts


def standing(names: tuple[str, ...], points: tuple) -> np.ndarray:
    """(2, K, 3): every keypoint at a height by its name, sides apart."""
    height = {"hip": 0.95, "knee": 0.55, "ankle": 0.12, "foot": 0.05, "toe": 0.03, "shoulder": 1.42, "head": 1.6}
    rows = []
    for row in points:
        name = row[0][0]
        side = 0.15 if name.startswith("left") else -0.15 if name.startswith("right") else 0.01
        rows.append([side, next((h for word, h in height.items() if word in name), 1.2), 0.02])
    assert len(rows) == len(names)
    return np.stack([rows, rows])


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_is_told_from_its_names_in_any_order(write, name: str):
    layout = load_layout(name)
    points = standing(layout.keypoint_names, layout.points)
    order = np.random.default_rng(4).permutation(len(layout))
    header = ",".join(f"{layout.keypoint_names[i]}_{axis}" for i in order for axis in "xyz")
    lines = [",".join(f"{value:.4f}" for value in frame[order].ravel()) for frame in points]
    keypoints = read_keypoints(write("a.csv", "\n".join([header, *lines])), fps=30)
    assert keypoints.layout.name == name
    np.testing.assert_allclose(keypoints.positions, points, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in layout_names() if name != "mocap20"])  # that goes by names alone
def test_every_layout_is_told_from_its_number_of_keypoints_or_the_candidates_are_listed(write, name: str):
    layout = load_layout(name)
    points = np.zeros((2, layout.width, 3))
    points[:, layout.columns] = standing(layout.keypoint_names, layout.points)
    path = write("a.npy", npy_bytes(points))
    same = [other for other in layout_names() if load_layout(other).width == layout.width]
    if len(same) == 1:
        assert read_keypoints(path).layout.name == name
    else:
        with pytest.raises(InputError, match="one of " + ", ".join(same)):
            read_keypoints(path)


def test_a_number_of_keypoints_that_no_layout_has_lists_them_all(write):
    with pytest.raises(InputError) as caught:
        read_keypoints(write("a.npy", npy_bytes(np.ones((2, 19, 3)))))
    assert all(name in str(caught.value) for name in layout_names() if name != "mocap20")


SAMPLES = {
    "a.csv": csv_text(person(2)).encode(),
    "a.npy": npy_bytes(person(2).astype(np.float32)),
    "a.npz": npz_bytes(keypoints=person(2).astype(np.float32), layout="coco17", fps=30.0, confidence=np.ones((2, 17))),
}


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_a_clear_error_or_finite_keypoints(write, name: str, data: st.DataObject):
    content = bytearray(SAMPLES[name])
    # Headers are where damage is interesting; the rest is numbers.
    position = st.one_of(st.integers(0, min(300, len(content) - 1)), st.integers(0, len(content) - 1))
    edits = data.draw(st.lists(st.tuples(position, st.binary(max_size=4)), max_size=4))
    for start, replacement in edits:
        content[start : start + len(replacement)] = replacement
    if not edits:
        content = content[: data.draw(st.integers(0, len(content)))]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keypoints = read_keypoints(write(name, bytes(content)), layout=data.draw(st.sampled_from([None, "coco17"])))
    except InputError:
        return
    assert torch.isfinite(keypoints.positions).all()
    assert torch.isfinite(keypoints.confidence).all()
    assert (keypoints.confidence > 0).any()
