"""Bodies with hands and face behind them, skeletons by name, lists in JSON, NTU's text and skin markers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints.markers import MARKER_SETS, marker_set
from learnable_smplify.layouts.layout import load_layout
from test_keypoint_files import standing

CASES = Path(__file__).parents[2] / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")


def body(name: str) -> np.ndarray:
    layout = load_layout(name)
    return standing(layout.keypoint_names, layout.points)


@pytest.mark.parametrize(
    ("count", "name"),
    [(133, "coco_feet23"), (136, "halpe26"), (68, "halpe26"), (135, "body25b"), (137, "body25"), (67, "body25")],
)
@pytest.mark.parametrize("ending", ["npy", "npz", "json"])
def test_hands_and_face_behind_the_body_leave_it_as_it_is(tmp_path: Path, count: int, name: str, ending: str) -> None:
    points = np.random.default_rng(0).uniform(0, 1, (2, count, 3))
    points[:, : len(load_layout(name))] = body(name)
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, points)
    elif ending == "npz":
        np.savez(path, keypoints=points)
    else:
        path.write_text(json.dumps(points.tolist()))
    for layout in (None, name):
        keypoints = read_keypoints(path, layout=layout, up="y")
        assert keypoints.layout.name == name
        np.testing.assert_allclose(keypoints.positions, body(name), atol=1e-5)
        assert any(f"{count} keypoints a frame" in note for note in keypoints.notes)


def test_a_layout_can_say_that_a_column_is_not_on_the_body(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'edges = [["A", "B"], ["B", "Finger"]]\n[keypoints]\nFinger = {}\nA = "left_knee"\nFace = "ignored"\n'
        'B = "left_ankle"\nC = "left_hip"\nD = "right_hip"\nE = "right_knee"\n'
    )
    layout = load_layout(tmp_path / "mine.toml")
    assert (layout.keypoint_names, layout.columns, layout.width) == (tuple("ABCDE"), (1, 3, 4, 5, 6), 7)
    assert layout.edges == ((0, 1),)
    points = np.random.default_rng(1).uniform(0.5, 1, (3, 7, 3))
    np.save(tmp_path / "a.npy", points)
    keypoints = read_keypoints(tmp_path / "a.npy", layout=str(tmp_path / "mine.toml"), units="m")
    np.testing.assert_allclose(keypoints.positions, points[:, [1, 3, 4, 5, 6]], atol=1e-6)


@pytest.mark.parametrize("name", ["h36m32", "kinect32"])
def test_skeletons_of_32_joints_are_told_apart_by_name(tmp_path: Path, name: str) -> None:
    layout = load_layout(name)
    points = np.full((2, 32, 3), 7.0)
    points[:, layout.columns] = body(name)
    np.save(tmp_path / "a.npy", points)
    np.testing.assert_allclose(read_keypoints(tmp_path / "a.npy", layout=name).positions, body(name), atol=1e-6)
    with pytest.raises(InputError, match="h36m32, kinect32"):
        read_keypoints(tmp_path / "a.npy")


@needs_cases
def test_the_recordings_with_more_than_a_body_are_read() -> None:
    assert read_keypoints(CASES / "bugs/12-wholebody-133/08.npy").layout.name == "coco_feet23"
    case = CASES / "bugs/14-layout-with-extra-points"
    assert len(read_keypoints(case / "26.npy", layout=str(case / "26.toml")).layout) == 8


@pytest.mark.parametrize(
    "wrap",
    [
        lambda points: points,
        lambda points: {"keypoints": points, "layout": "body25", "fps": 25},
        lambda points: {"fps": 25, "joints_3d": points},
        lambda points: [{"keypoints": frame} for frame in points],
        lambda points: [{"frame_id": i, "instances": [{"keypoints": frame}]} for i, frame in enumerate(points)],
        lambda points: {
            "meta_info": {},
            "instance_info": [{"instances": [{"keypoints": frame, "keypoint_scores": [0.9] * 25}]} for frame in points],
        },
    ],
)
def test_lists_of_numbers_in_json_are_read(tmp_path: Path, wrap) -> None:
    (tmp_path / "a.json").write_text(json.dumps(wrap(body("body25").tolist())))
    keypoints = read_keypoints(tmp_path / "a.json", layout="body25", up="y")
    np.testing.assert_allclose(keypoints.positions, body("body25"), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 75), (1, 2, 25, 3)])
def test_arrays_in_rows_or_in_a_batch_of_one_are_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", body("body25").reshape(shape))
    keypoints = read_keypoints(tmp_path / "a.npy", layout="body25", up="y")
    np.testing.assert_allclose(keypoints.positions, body("body25"), atol=1e-6)


def test_2d_keypoints_are_not_taken_for_3d(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(100, 900, (3, 25, 3))
    pixels[..., 2] = 0.8
    (tmp_path / "a.json").write_text(json.dumps({"layout": "body25", "fps": 30, "keypoints": pixels.tolist()}))
    with pytest.raises(InputError, match="--camera"):
        read_keypoints(tmp_path / "a.json")


def ntu_text(points: np.ndarray, bodies: int = 1) -> str:
    lines = [str(len(points))]
    for frame in points:
        lines.append(str(bodies))
        for number in range(bodies):
            lines += [f"7205759403792{number} 0 1 1 1 1 0 0.1 -0.2 2", "25"]
            lines += [
                " ".join(f"{value:.6f}" for value in (*shifted, *[0.5] * 8)) + f" {2 - (j == 3)}"
                for j, shifted in enumerate(frame + np.array([number, 0, 0]))
            ]
    return "\n".join(lines) + "\n"


def test_an_ntu_skeleton_is_read_with_its_people_and_what_was_inferred(tmp_path: Path) -> None:
    (tmp_path / "a.skeleton").write_text(ntu_text(body("ntu25"), bodies=2))
    first, second = read_people(tmp_path / "a.skeleton")
    np.testing.assert_allclose(first.positions, body("ntu25"), atol=1e-5)
    np.testing.assert_allclose(second.positions[..., 0], first.positions[..., 0] + 1, atol=1e-5)
    assert (first.fps, first.up_axis, first.person_id) == (30, "y", "72057594037920")
    assert first.confidence[0, 3] == 0.5


def test_an_ntu_skeleton_that_breaks_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = ntu_text(np.repeat(body("ntu25"), 3, axis=0))
    (tmp_path / "a.skeleton").write_text(text[: len(text) * 3 // 4])
    keypoints = read_keypoints(tmp_path / "a.skeleton")
    assert 1 <= len(keypoints) < 3 * len(body("ntu25"))
    assert any("header promises" in note for note in keypoints.notes)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:400],
        lambda t: t.replace("\n25\n", "\n99999999999\n"),
        lambda t: "x" + t,
        lambda t: t.replace("\n0.", "\nhalf", 3),
        lambda t: "",
    ],
)
def test_a_damaged_ntu_skeleton_is_refused(tmp_path: Path, change) -> None:
    (tmp_path / "a.skeleton").write_text(change(ntu_text(body("ntu25"))))
    with pytest.raises(InputError, match=r"a\.skeleton"):
        read_people(tmp_path / "a.skeleton")


# Markers that there is a layout for.
READ = {
    "OpenCap's laboratory markers": "opencap_lab",
    "Plug-in Gait": "plug_in_gait",
    "CMU's 41 markers": "cmu41",
}


@pytest.mark.parametrize(("title", "layout"), READ.items())
def test_known_skin_markers_are_read(tmp_path: Path, title: str, layout: str) -> None:
    names = MARKER_SETS[title]
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xyz")
    positions = np.random.default_rng(0).uniform(0, 1.5, 3 * len(names))
    (tmp_path / "a.csv").write_text(header + "\n" + ",".join(f"{value:.3f}" for value in positions) + "\n")
    found = load_layout(read_keypoints(tmp_path / "a.csv").layout)
    assert found.name == layout


@pytest.mark.parametrize("title", [title for title in MARKER_SETS if title not in READ])
@pytest.mark.parametrize("front", ["", "Ann:"])
def test_skin_markers_are_called_so_with_their_set_and_the_nearest_layout(
    tmp_path: Path, title: str, front: str
) -> None:
    names = MARKER_SETS[title][::2]
    header = ",".join(f"{front}{name}_{axis}" for name in names for axis in "xyz")
    (tmp_path / "a.csv").write_text(header + "\n" + ",".join(["1"] * 3 * len(names)) + "\n")
    with pytest.raises(InputError) as caught:
        read_keypoints(tmp_path / "a.csv")
    assert "skin markers" in str(caught.value)
    assert title in str(caught.value)
    assert "nearest layout" in str(caught.value)


def test_other_names_are_no_skin_markers() -> None:
    assert marker_set(load_layout("body25").keypoint_names) is None


@needs_cases
@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("nimblephysics_nick_freeform_001.c3d", "CMU"),
        ("nimblephysics_OpenCapUnfiltered_walking2.trc", "OpenCap"),
        ("nimblephysics_weird_markers.trc", "Plug-in Gait"),
    ],
)
def test_real_marker_files_are_told_by_their_set_or_read(file: str, title: str) -> None:
    if file.endswith("c3d"):
        pytest.importorskip("c3d")
    said = ""
    try:
        read_people(CASES / "files" / file)
    except InputError as error:
        said = str(error)
    assert not said or title in said


@pytest.mark.parametrize("name", ["h36m17", "h36m32"])
def test_the_spine_of_human36m_is_half_way_up_the_trunk(name: str) -> None:
    layout = load_layout(name)
    points = load_body().keypoints(torch.zeros(1, 24, 3), torch.zeros(1, 10), layout=name)[0]
    hip, spine, thorax = (points[layout.index(keypoint)] for keypoint in ("Hip", "Spine", "Thorax"))
    trunk = thorax - hip
    share = float((spine - hip) @ trunk / trunk.square().sum())
    assert 0.45 < share < 0.55
    assert float((spine - hip - share * trunk).norm()) < 0.03
