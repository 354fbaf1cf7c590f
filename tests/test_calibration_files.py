"""Calibration files: every format against OpenCV's projection, and what goes wrong between programs is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from calibrated import (
    SIZE,
    Calibrated,
    points,
    room,
    write_camera_json,
    write_easymocap,
    write_json,
    write_opencap,
    write_opencv,
    write_qualisys,
    write_toml,
)
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_camera, read_cameras

cv2 = pytest.importorskip("cv2")
VIDEO = Path(__file__).parents[2] / "shared/data/video"

WRITERS: dict[str, Callable[[Path, list[Calibrated]], Path]] = {
    "qualisys": lambda folder, cameras: write_qualisys(folder / "any.qca.txt", cameras),
    "toml": lambda folder, cameras: write_toml(folder / "Calib.toml", cameras, fisheye="false"),
    "toml in millimetres": lambda folder, cameras: write_toml(folder / "calibration.toml", cameras, 1000.0),
    "easymocap": write_easymocap,
    "opencv": write_opencv,
    "opencap": write_opencap,
    "json": lambda folder, cameras: write_json(folder / "cameras.json", cameras),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_calibration_projects_as_opencv_does(tmp_path: Path, kind: str) -> None:
    cameras = room(4)
    found = read_cameras(WRITERS[kind](tmp_path, cameras))
    assert list(found) == [camera.name for camera in cameras]
    for camera in cameras:
        expected, _ = cv2.projectPoints(points(), camera.rotation, camera.transl, camera.matrix, camera.distortion)
        seen = found[camera.name].project(torch.as_tensor(points()))
        np.testing.assert_allclose(seen.numpy(), expected[:, 0], atol=2e-2)
        if kind != "easymocap":
            assert (found[camera.name].width, found[camera.name].height) == SIZE


def test_what_we_write_we_read(tmp_path: Path) -> None:
    found = read_cameras(write_qualisys(tmp_path / "a.qca.txt", room()))
    write_camera_json(found, tmp_path / "cameras.json")
    for name, camera in read_cameras(tmp_path / "cameras.json").items():
        torch.testing.assert_close(
            camera.project(torch.as_tensor(points())), found[name].project(torch.as_tensor(points()))
        )
        assert camera.up_axis == "z"


def test_caliscopes_matrices_and_tables_below_cameras_are_read(tmp_path: Path) -> None:
    (camera,) = room(1)
    text = f"""[cameras.0]
cam_id = 0
size = [1088, 1920]
matrix = {camera.matrix.tolist()}
distortions = {camera.distortion.tolist()}
rotation = {camera.rotation.tolist()}
translation = {camera.transl.tolist()}
"""
    (tmp_path / "camera_array.toml").write_text(text)
    found = read_camera(tmp_path / "camera_array.toml")
    assert found.name == "0"
    np.testing.assert_allclose(found.R_camera_world, camera.rotation, atol=1e-6)


def test_millimetres_are_taken_for_what_they_are_with_a_note(tmp_path: Path) -> None:
    found = read_cameras(write_toml(tmp_path / "c.toml", room(), 1000.0))
    assert any("millimetres" in note for camera in found.values() for note in camera.notes)
    with pytest.raises(InputError, match=r"m apart.*Expected translations in m\..*--camera-units mm"):
        read_cameras(tmp_path / "c.toml", units="m")


def test_one_camera_in_another_unit_is_named(tmp_path: Path) -> None:
    cameras = room(4)
    cameras[2] = replace(cameras[2], transl=1000 * cameras[2].transl)
    with pytest.raises(InputError, match=r"camera .cam03. stands \d+ from the others"):
        read_cameras(write_json(tmp_path / "c.json", cameras))


def test_focal_lengths_in_millimetres_are_named(tmp_path: Path) -> None:
    cameras = [replace(camera, matrix=np.diag([9.3, 9.3, 1.0])) for camera in room()]
    with pytest.raises(InputError, match=r"focal length of camera 'cam01' is 9\.3, which would be millimetres"):
        read_cameras(write_toml(tmp_path / "c.toml", cameras))


def test_matrices_from_camera_to_world_are_named(tmp_path: Path) -> None:
    back = [replace(camera, rotation=camera.rotation.T, transl=camera.centre) for camera in room(4)]
    with pytest.raises(InputError, match=r"do not look at one place.*went from camera to world"):
        read_cameras(write_toml(tmp_path / "c.toml", back))


def test_the_axes_of_opengl_are_named(tmp_path: Path) -> None:
    flip = np.diag([1.0, -1, -1])
    turned = [replace(camera, rotation=flip @ camera.rotation, transl=flip @ camera.transl) for camera in room(4)]
    with pytest.raises(InputError, match="OpenGL"):
        read_cameras(write_json(tmp_path / "c.json", turned))


def test_places_given_for_translations_are_named(tmp_path: Path) -> None:
    placed = [replace(camera, transl=camera.centre) for camera in room(4)]
    with pytest.raises(InputError, match="translations were where the cameras stand"):
        read_cameras(write_json(tmp_path / "c.json", placed))


def test_a_mirrored_axis_and_two_exchanged_ones_are_named(tmp_path: Path) -> None:
    for wrong in (np.diag([1.0, -1, 1]), np.eye(3)[[0, 2, 1]]):
        cameras = [replace(camera, rotation=wrong @ camera.rotation) for camera in room()]
        with pytest.raises(InputError, match="camera 'cam01' is left-handed"):
            read_cameras(write_json(tmp_path / "c.json", cameras))


def test_cameras_side_by_side_are_not_judged_by_where_they_look(tmp_path: Path) -> None:
    (camera,) = room(1)
    beside = replace(camera, name="cam02", transl=camera.transl + np.array([0.2, 0, 0]))
    assert len(read_cameras(write_json(tmp_path / "c.json", [camera, beside]))) == 2


def test_a_fish_eye_lens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[cam01\]: the camera has a fish-eye lens.*undistort"):
        read_cameras(write_toml(tmp_path / "c.toml", room(), fisheye="true"))


def test_a_camera_that_only_one_of_two_files_has_is_named(tmp_path: Path) -> None:
    write_easymocap(tmp_path, room())
    text = (tmp_path / "extri.yml").read_text().replace("cam02", "other")
    (tmp_path / "extri.yml").write_text(text)
    with pytest.raises(InputError, match=r"extri.yml: camera cam02 is missing"):
        read_cameras(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no camera|not readable|no table"),
        ("[a]\nmatrix = 3\nrotation=[0,0,0]\ntranslation=[0,0,0]\n", r"\[a\]: 'matrix' has shape"),
        ("[a]\nmatrix = [[1000.0,0,1],[0,1000.0,1],[0,0,1]]\nrotation = [0,0,0]\n", "only its lens is calibrated"),
        ("[metadata]\nerror = 1\n", "no table has the 'matrix'"),
    ],
)
def test_a_toml_that_is_no_calibration_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.toml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_cameras(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("%YAML:1.0\n---\nnames: [\n", "line 3"),
        ("a\nb\n", "line 1"),
        ("&a b: *a\n", "line 1|no map|missing"),
        ("camera_matrix: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n  data: [1, 2]\n", "matrix is damaged"),
        ("camera_matrix: 5\n", "'camera_matrix' has shape"),
        ("x: 1\n", "camera_matrix"),
    ],
)
def test_a_yaml_that_is_no_calibration_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.yml").write_text(content)
    with pytest.raises(InputError, match=message):
        read_cameras(tmp_path / "c.yml")


def test_xml_with_entities_of_its_own_is_refused(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><calibration>&c;</calibration>'
    (tmp_path / "c.qca.txt").write_text(bomb)
    with pytest.raises(InputError, match="definitions of its own"):
        read_cameras(tmp_path / "c.qca.txt")
    (tmp_path / "c.qca.txt").write_text("<calibration><cameras/></calibration>")
    with pytest.raises(InputError, match="there is no camera"):
        read_cameras(tmp_path / "c.qca.txt")


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="nothing was run"):
        read_cameras(tmp_path / "c.pickle")


def test_cameras_without_a_name_of_their_own_and_without_a_place_are_refused(tmp_path: Path) -> None:
    lens = {"fx": 1000, "fy": 1000, "cx": 500, "cy": 500}
    (tmp_path / "c.json").write_text(json.dumps({"cameras": {"a": lens}}))
    with pytest.raises(InputError, match="camera 'a': the camera has no R and t"):
        read_cameras(tmp_path / "c.json")
    twice = [room()[0], room()[0]]
    with pytest.raises(InputError, match="two cameras are called 'cam01'"):
        read_cameras(write_qualisys(tmp_path / "c.qca.txt", twice))


def test_several_cameras_are_not_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are 3 cameras: cam01, cam02, cam03"):
        read_camera(write_json(tmp_path / "c.json", room()))


def test_a_folder_without_a_calibration_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no calibration in this folder"):
        read_cameras(tmp_path)


@pytest.mark.skipif(not VIDEO.is_dir(), reason="no real recordings here")
def test_detections_of_four_real_cameras_meet_in_space() -> None:
    cameras = read_cameras(VIDEO / "balance_Calib.qca.txt")
    with np.load(VIDEO / "balance_mediapipe_2d_world.npz") as arrays:
        seen = {f"cam0{number}": arrays[f"p0{number}"][::20, :, :2].reshape(-1, 2) for number in range(1, 5)}
    rows = []
    for name, pixels in seen.items():
        camera = cameras[name]
        straight = camera.undistorted(torch.as_tensor(pixels)).double().numpy()
        rays = (straight - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
        place = np.c_[camera.R_camera_world.double().numpy(), camera.t_camera_world.double().numpy()]
        rows += [rays[:, :1] * place[2] - place[0], rays[:, 1:] * place[2] - place[1]]
    found = np.linalg.svd(np.stack(rows, axis=1))[2][:, -1]
    there = torch.as_tensor(found[:, :3] / found[:, 3:])
    missed = [np.linalg.norm(cameras[name].project(there).numpy() - pixels, axis=1) for name, pixels in seen.items()]
    assert np.nanmedian(missed) < 20
    assert Rotation.from_matrix(cameras["cam01"].R_camera_world.numpy()).magnitude() > 0.1


@pytest.mark.parametrize(
    ("key", "value"), [("fisheye_model", 1), ("fisheye", 1), ("model", "fisheye"), ("xi", 1.2), ("is_fisheye", "true")]
)
def test_a_fish_eye_lens_is_refused_however_a_file_says_so(tmp_path: Path, key: str, value: object) -> None:
    (camera,) = room(1)
    storage = cv2.FileStorage(str(tmp_path / "left.yml"), cv2.FILE_STORAGE_WRITE)
    storage.write("camera_matrix", camera.matrix)
    storage.write("distortion_coefficients", camera.distortion[:4])
    storage.write(key, value)
    storage.release()
    lens = {"fx": 900, "fy": 900, "cx": 540, "cy": 950, "k1": 0.1, key: value}
    (tmp_path / "left.json").write_text(json.dumps(lens))
    said = json.dumps(value)
    write_toml(tmp_path / "left.toml", [camera], **{key: said})
    for suffix in ("yml", "json", "toml"):
        with pytest.raises(InputError, match="has a fish-eye lens, which is not modelled") as error:
            read_cameras(tmp_path / f"left.{suffix}")
        assert str(error.value).count(str(tmp_path / f"left.{suffix}")) == 1


@pytest.mark.parametrize("suffix", ["yml", "json", "toml"])
def test_a_camera_of_which_only_the_lens_is_known_is_held_level(tmp_path: Path, suffix: str) -> None:
    (camera,) = room(1)
    path = tmp_path / f"lens.{suffix}"
    if suffix == "toml":
        path.write_text(f"[lens]\nsize = {list(SIZE)}\nmatrix = {camera.matrix.tolist()}\n")
    else:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
        storage.write("image_width", SIZE[0])
        storage.write("image_height", SIZE[1])
        storage.write("camera_matrix", camera.matrix)
        storage.release()
    found = read_camera(path)
    assert found.R_camera_world.tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    assert found.up_axis == "y"
    assert "no R and t" in found.notes[0]


def test_a_camera_without_a_place_among_others_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = write_toml(tmp_path / "Calib.toml", room(3))
    path.write_text(path.read_text().replace("[metadata]", f"[cam09]\nmatrix = {np.eye(3).tolist()}\n[metadata]"))
    with pytest.raises(InputError, match=r"\[cam09\]: the camera has no place.*ignore = true"):
        read_cameras(path)


def test_rotation_vectors_in_degrees_are_named(tmp_path: Path) -> None:
    path = write_toml(tmp_path / "Calib.toml", room(3))
    text = path.read_text()
    for camera in room(3):
        text = text.replace(str(camera.rotvec.tolist()), str(np.degrees(camera.rotvec).tolist()))
    path.write_text(text)
    with pytest.raises(InputError, match=r"camera 'cam01' is .* long, which would be degrees"):
        read_cameras(path)


def test_easymocaps_names_may_be_numbers(tmp_path: Path) -> None:
    cameras = room(3)
    write_easymocap(tmp_path, cameras)
    for name in ("intri.yml", "extri.yml"):
        path = tmp_path / name
        path.write_text(path.read_text().replace("cam0", "0"))
    found = read_cameras(tmp_path)
    assert list(found) == ["01", "02", "03"]


def test_the_folder_that_opencap_unpacks_to_is_read(tmp_path: Path) -> None:
    write_opencap(tmp_path, room(3))
    assert list(read_cameras(tmp_path)) == ["cam01", "cam02", "cam03"]


def test_opencvs_json_and_its_words_are_read(tmp_path: Path) -> None:
    (camera,) = room(1)
    storage = cv2.FileStorage(str(tmp_path / "cam.json"), cv2.FILE_STORAGE_WRITE)
    for key, value in (
        ("image_width", SIZE[0]),
        ("image_height", SIZE[1]),
        ("camera_matrix", camera.matrix),
        ("distortion_coefficients", camera.distortion),
        ("rvec", camera.rotvec),
        ("tvec", camera.transl),
    ):
        storage.write(key, value)
    storage.release()
    expected, _ = cv2.projectPoints(points(), camera.rotation, camera.transl, camera.matrix, camera.distortion)
    seen = read_camera(tmp_path / "cam.json").project(torch.as_tensor(points()))
    np.testing.assert_allclose(seen.numpy(), expected[:, 0], atol=2e-2)
    # Cameras without a word around them, and rotation vectors.
    listed = [
        {"name": one.name, "K": one.matrix.tolist(), "rvec": one.rotvec.tolist(), "tvec": one.transl.tolist()}
        for one in room(3)
    ]
    (tmp_path / "cameras.json").write_text(json.dumps({"cameras": listed}))
    found = read_cameras(tmp_path / "cameras.json")
    np.testing.assert_allclose(found["cam02"].R_camera_world, room(3)[1].rotation, atol=1e-6)
