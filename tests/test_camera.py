"""`Camera` and camera.json: projection by hand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_camera, read_cameras

PLAIN = {"fx": 1000, "fy": 900, "cx": 640, "cy": 360}


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_point_is_projected_as_the_pinhole_equation_says() -> None:
    rotation = Rotation.from_rotvec([0.2, -0.5, 1.1]).as_matrix()
    transl = np.array([0.3, -0.2, 4.0])
    camera = Camera(1000, 900, 640, 360, torch.tensor(rotation), torch.tensor(transl))
    points = np.random.default_rng(0).normal(size=(7, 5, 3)) * 0.5
    matrix = np.array([[1000, 0, 640], [0, 900, 360], [0, 0, 1.0]]) @ np.c_[rotation, transl]
    homogeneous = np.concatenate((points, np.ones((7, 5, 1))), axis=-1) @ matrix.T
    expected = homogeneous[..., :2] / homogeneous[..., 2:]
    np.testing.assert_allclose(camera.project(torch.tensor(points)), expected, rtol=1e-5, atol=1e-3)


def test_to_world_undoes_to_camera() -> None:
    rotation = torch.tensor(Rotation.random(random_state=1).as_matrix())
    camera = Camera(1000, 1000, 0, 0, rotation, torch.tensor([1.0, 2.0, 3.0]))
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(camera.to_world(camera.to_camera(points)), points, atol=1e-5, rtol=0)


def test_a_point_behind_the_camera_is_nowhere_in_the_picture() -> None:
    pixels = Camera(1000, 1000, 0, 0).project(torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 2.0]]))
    assert bool(torch.isnan(pixels[0]).all())
    assert pixels[1].tolist() == [0.0, 0.0]


LENSES = [
    (),
    (-0.28, 0.09, 1.2e-3, -8e-4),
    (0.12, -0.2, -5e-4, 1e-3, 0.05),
    (0.4, 0.1, 5e-4, 2e-4, 0.02, 0.45, 0.12, 0.01),
]


@pytest.mark.parametrize("lens", LENSES)
def test_a_lens_bends_rays_as_opencv_says(lens: tuple[float, ...]) -> None:
    cv2 = pytest.importorskip("cv2")
    turn, transl = np.array([0.1, -0.2, 0.05]), np.array([0.2, -0.1, 3.0])
    camera = Camera(
        1000, 900, 640, 360, torch.tensor(cv2.Rodrigues(turn)[0]), torch.tensor(transl), distortion=lens, name="left"
    )
    points = np.random.default_rng(0).uniform(-0.8, 0.8, size=(50, 3))
    matrix = np.array([[1000, 0, 640], [0, 900, 360], [0, 0, 1.0]])
    expected = cv2.projectPoints(points, turn, transl, matrix, np.array(lens or (0.0,) * 4))[0][:, 0]
    shown = camera.project(torch.tensor(points))
    np.testing.assert_allclose(shown, expected, atol=2e-3)
    straight = camera.pinhole.project(torch.tensor(points))
    np.testing.assert_allclose(camera.undistorted(shown), straight, atol=1e-3)


def test_a_pixel_that_no_ray_reaches_is_missing() -> None:
    camera = Camera(1000, 1000, 640, 360, distortion=(-0.3, 0.0, 0.0, 0.0))
    pixels = camera.undistorted(torch.tensor([[640.0, 360.0], [9000.0, 360.0], [torch.nan, 3.0]]))
    assert pixels[0].tolist() == [640, 360]
    assert bool(torch.isnan(pixels[1:]).all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distortion": (0.1, 0.2)}, "distortion"),
        ({"distortion": (0.1, 0.2, float("nan"), 0.0)}, "distortion"),
        ({"fx": 0.0}, "fx is 0"),
        ({"cx": float("nan")}, "cx is nan"),
        ({"R_camera_world": 2 * torch.eye(3)}, "not a rotation"),
        ({"R_camera_world": torch.diag(torch.tensor([1.0, 1.0, -1.0]))}, "not a rotation"),
        ({"R_camera_world": torch.eye(4)}, "shape"),
        ({"t_camera_world": torch.tensor([0.0, float("inf"), 0.0])}, "NaN or infinity"),
        ({"width": 0}, "width"),
        ({"up_axis": "w"}, "up axis"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Camera(**({"fx": 1000.0, "fy": 1000.0, "cx": 0.0, "cy": 0.0} | arguments))


def test_a_file_with_intrinsics_alone_stands_at_the_origin_with_y_up(tmp_path: Path) -> None:
    camera = read_camera(written(tmp_path / "camera.json", PLAIN))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (1000, 900, 640, 360)
    assert camera.up_axis == "y"
    assert camera.notes
    above_and_ahead = camera.project(torch.tensor([0.0, 1.0, -2.0]))
    assert above_and_ahead.tolist() == [640, 360 - 450]


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    rotation = Rotation.random(random_state=3).as_matrix()
    content = PLAIN | {"width": 1280, "height": 720, "R": rotation.tolist(), "t": [0, 1, 4], "up_axis": "z", "k1": 0}
    camera = read_camera(written(tmp_path / "camera.json", content | {"dist": [0, 0, 0, 0, 0]}))
    assert (camera.width, camera.height, camera.up_axis, camera.notes) == (1280, 720, "z", ())
    assert camera.R_camera_world is not None
    np.testing.assert_allclose(camera.R_camera_world, rotation, atol=1e-6)
    assert camera.t_camera_world is not None
    assert camera.t_camera_world.tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dist": [0.1, 0.2]}, "key 'dist'.*2 distortion coefficients"),
        ({"k1": "wide"}, "key 'k1'.*not a number"),
        ({"fx": None}, "key 'fx'.*not a number"),
        ({"fx": "1000"}, "key 'fx'.*not a number"),
        ({"fx": -5}, "camera.json: fx is -5"),
        ({"fx": [1000]}, "key 'fx'.*not a number"),
        ({"R": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "'R' is there and 't' is not"),
        ({"R": [[1, 0], [0, 1]], "t": [0, 0, 1]}, "R has shape"),
        ({"R": [1, 0, 0], "t": [0, 0, 1]}, "R has shape"),
        ({"R": [[1, 0, 0], [0]], "t": [0, 0, 1]}, "key 'R'.*not numbers"),
        ({"R": [], "t": []}, "key 'R'.*not numbers"),
        ({"R": {}, "t": [0, 0, 1]}, "key 'R'.*not numbers"),
        ({"R": np.eye(3).tolist(), "t": [0, 0]}, "t has shape"),
        ({"width": "wide"}, "key 'width'"),
        ({"up_axis": "y"}, "up_axis"),
        ({"focal": 3}, "unknown key 'focal'"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_camera(written(tmp_path / "camera.json", PLAIN | change))


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"fy": 1, "cx": 1, "cy": 1}', '{"fx": 1e999}'])
def test_a_file_that_is_no_camera_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "camera.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"camera\.json"):
        read_camera(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["fx", "fy", "cx", "cy", "R", "t", "width", "k1", "up_axis"]), VALUES))
def test_no_file_ends_in_anything_but_a_camera_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, values: dict
) -> None:
    path = written(tmp_path_factory.getbasetemp() / "any_camera.json", PLAIN | values)
    try:
        camera = read_camera(path)
    except InputError as error:
        message = str(error)
    else:
        message = "any_camera.json" if camera.fx > 0 else ""
    assert "any_camera.json" in message


@pytest.mark.parametrize(
    "words",
    [
        {"K": [[900.0, 0, 320], [0, 910, 240], [0, 0, 1]], "image_size": [640, 480]},
        {"camera_matrix": [900.0, 0, 320, 0, 910, 240, 0, 0, 1], "width": 640, "height": 480, "rms": 0.3},
        {"intrinsics": {"fx": 900, "fy": 910, "cx": 320, "cy": 240}, "resolution": [640, 480], "name": "left"},
        {"fx": 900, "fy": 910, "ppx": 320, "ppy": 240, "width": 640, "height": 480, "coeffs": [0, 0, 0, 0, 0]},
    ],
)
def test_other_programs_words_for_a_lens_are_understood(tmp_path: Path, words: dict[str, object]) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(words))
    camera = read_camera(path)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (900, 910, 320, 240)
    assert (camera.width, camera.height) == (640, 480)
    placed = {"R": np.diag([1.0, -1, -1]).tolist(), "t": [[0.0], [1.0], [4.0]]}
    path.write_text(json.dumps({"cameras": [{**words, **placed, "name": name} for name in ("a", "b")]}))
    assert list(read_cameras(path)) == ["a", "b"]


def test_a_matrix_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "camera.json").write_text('{"K": [[1, 2], [3, 4]]}')
    with pytest.raises(InputError, match="K holds 4 numbers"):
        read_camera(tmp_path / "camera.json")
