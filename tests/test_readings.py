"""Several cameras whose calibration, pictures or clocks are not what they were taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrated import Calibrated, room, write_json, write_toml
from crowd import seen, track, walk
from learnable_smplify.camera import Camera
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_cameras
from learnable_smplify.formats.detections.detection_arrays import write_detections
from learnable_smplify.formats.detections.on_side import on_side_notes
from learnable_smplify.multiview.gather import Gathered, gather_people
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.track import Track

pytest.importorskip("cv2")
FRAMES = 90


def gathered(tmp_path: Path, tracks: dict[str, list[Track]], cameras: list[Calibrated]) -> Gathered:
    path = write_json(tmp_path / "cameras.json", cameras)
    return gather_people(tracks, read_cameras(path), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pixels: pixels / 2, "pictures were half as large as the calibration's"),
        (lambda pixels: pixels * 2, "pictures were twice as large as the calibration's"),
        (
            lambda pixels: np.stack((1920 - pixels[..., 1], pixels[..., 0]), axis=-1),
            "pictures were turned clockwise",
        ),
        (
            lambda pixels: np.stack((pixels[..., 1], 1088 - pixels[..., 0]), axis=-1),
            "pictures were turned counterclockwise",
        ),
    ],
)
def test_pictures_that_are_not_those_of_the_calibration_are_named(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    cameras, person = room(4), walk(FRAMES)
    pixels = {camera.name: seen(camera, person) for camera in cameras}
    with pytest.raises(InputError, match=f"the calibration would fit if its {said}"):
        gathered(tmp_path, {name: [track(change(points))] for name, points in pixels.items()}, cameras)
    pixels["cam03"] = change(pixels["cam03"])
    found = gathered(tmp_path, {name: [track(points)] for name, points in pixels.items()}, cameras)
    (note,) = [note for note in found.notes if note.startswith("cam03 sees")]
    assert f"it would see the same people as they do if its {said}" in note


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([1, 0, 2, 3], "cam02 and cam01 were exchanged"),
        ([1, 2, 3, 0], "cam02 were cam03, cam03 were cam04, cam04 were cam01, cam01 were cam02"),
        ([3, 2, 1, 0], "cam04 were cam01, cam03 were cam02, cam02 were cam03, cam01 were cam04"),
    ],
)
def test_cameras_under_each_others_names_are_named(tmp_path: Path, order: list[int], said: str) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    renamed = [replace(camera, name=cameras[other].name) for camera, other in zip(cameras, order, strict=True)]
    with pytest.raises(InputError, match=f"the calibration would fit if {said}"):
        gathered(tmp_path, tracks, renamed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda matrix: matrix * [[0.5, 0, 1], [0, 0.5, 1], [0, 0, 1]], "focal lengths were twice as long"),
        (lambda matrix: matrix * [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "cx and cy were the middle of the picture"),
    ],
)
def test_lenses_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    with pytest.raises(InputError, match=f"the calibration would fit if its {said}"):
        gathered(tmp_path, tracks, [replace(camera, matrix=change(camera.matrix)) for camera in cameras])


def test_one_camera_whose_matrices_go_the_other_way_is_left_out_and_named(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    cameras[2] = replace(cameras[2], rotation=cameras[2].rotation.T, transl=cameras[2].centre)
    found = gathered(tmp_path, tracks, cameras)
    (note,) = [note for note in found.notes if note.startswith("cam03 sees")]
    assert "it would see the same people as they do if its matrices went from camera to world" in note


def test_people_of_a_calibration_of_twice_the_size_are_no_giants(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    with pytest.raises(InputError, match="times as large as an adult"):
        gathered(tmp_path, tracks, [replace(camera, transl=2 * camera.transl) for camera in cameras])


def test_people_whom_one_camera_alone_sees_are_said(tmp_path: Path) -> None:
    cameras, person, other = room(3), walk(FRAMES), walk(FRAMES, 1, (0.8, 0.3))
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    tracks["cam02"].append(track(seen(cameras[1], other)))
    found = gathered(tmp_path, tracks, cameras)
    assert "cam02 sees somebody whom no other camera sees: left out" in found.notes


def test_frame_rates_that_are_nearly_alike_are_one(tmp_path: Path) -> None:
    cameras, person = room(2), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    slow = tracks["cam02"][0]
    tracks["cam02"] = [replace(slow, keypoints=replace(slow.keypoints, fps=29.97))]
    found = gathered(tmp_path, tracks, cameras)
    assert [view.keypoints.fps for view in found.people[0].views] == [30.0, 30.0]


def test_centimetres_taken_for_millimetres_are_named(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    path = write_toml(tmp_path / "Calib.toml", cameras, 100.0)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    with pytest.raises(InputError, match=r"may be centimetres.*--camera-units cm"):
        gather_people(tracks, read_cameras(path), path)


def test_rotations_that_were_transposed_alone_are_named(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    turned = [replace(camera, rotation=camera.rotation.T) for camera in cameras]
    with pytest.raises(InputError, match="would fit if its rotations were transposed"):
        gathered(tmp_path, tracks, turned)


def picture(tmp_path: Path, scale: float, width: int = 1088) -> list[str]:
    """Files of one camera and somebody in its picture, `scale` times as large; as arguments of the command."""
    (camera,), person = room(1), walk(30)
    write_detections([track(scale * seen(camera, person))], tmp_path / "seen.npz")
    lens = {"fx": camera.matrix[0, 0], "fy": camera.matrix[1, 1], "cx": 544, "cy": 950, "width": width, "height": 1920}
    (tmp_path / "camera.json").write_text(json.dumps(lens))
    out = ["-o", str(tmp_path / "motion.npz")]
    return ["fit", str(tmp_path / "seen.npz"), "--camera", str(tmp_path / "camera.json"), *out]


def test_keypoints_outside_the_cameras_picture_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(picture(tmp_path, 1.0))
    assert "outside" not in capsys.readouterr().err
    main(picture(tmp_path, 1.6))
    assert "% of the keypoints are outside the camera's picture of 1088 x 1920" in words(capsys)
    with pytest.raises(SystemExit) as stop:
        main(picture(tmp_path, 3.0))
    assert stop.value.code == 2
    assert "keypoints are outside the camera's picture of 1088 x 1920: they go to" in words(capsys)


TURNS = {
    "heads to the left, in 100 %": lambda pixels: np.stack((pixels[..., 1], 1088 - pixels[..., 0]), axis=-1),
    "heads to the right, in 100 %": lambda pixels: np.stack((1920 - pixels[..., 1], pixels[..., 0]), axis=-1),
    "upside down in the picture in 100 %": lambda pixels: np.array([1088, 1920]) - pixels,
}


@pytest.mark.parametrize("message", TURNS)
def test_films_that_lie_on_their_side_are_named(message: str) -> None:
    (camera,) = room(1)
    pixels = seen(camera, walk(FRAMES))
    lying = track(TURNS[message](pixels)).keypoints
    (note,) = on_side_notes(lying, Camera.guessed(1088, 1920))
    assert message in note
    assert not on_side_notes(track(pixels).keypoints, Camera.guessed(1088, 1920))
    # A camera that is known to be turned sees upright people so.
    turn = rotvec_to_rotmat(torch.tensor([0.0, 0.0, -torch.pi / 2 if "left" in message else torch.pi / 2]))
    rolled = Camera(1000, 1000, 500, 500, turn @ torch.diag(torch.tensor([1.0, -1.0, -1.0])), up_axis="y")
    assert bool(on_side_notes(lying, rolled)) == ("upside" in message)


def test_a_focal_length_that_hardly_a_camera_has_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = picture(tmp_path, 1.0)
    for focal in (20000, 300):
        lens = json.loads((tmp_path / "camera.json").read_text()) | {"fx": focal, "fy": focal}
        (tmp_path / "camera.json").write_text(json.dumps(lens))
        main(arguments)
        assert f"is {focal} px its focal length?" in words(capsys)


@pytest.mark.parametrize("rate", ["0", "-5", "nan"])
def test_a_frame_rate_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*picture(tmp_path, 1.0), "--fps", rate])
    assert stop.value.code == 2
    assert f"the frame rate is {rate}" in words(capsys)


def words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_clocks_by_which_a_camera_never_runs_with_others_are_refused(tmp_path: Path) -> None:
    cameras, person = room(3), walk(FRAMES)
    path = write_json(tmp_path / "cameras.json", cameras)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    for frames in (FRAMES, -FRAMES, 10**9):
        with pytest.raises(InputError, match="by --clocks cam02 does not run while two other cameras do"):
            gather_people(tracks, read_cameras(path), path, offsets={"cam02": frames})
    gather_people(tracks, read_cameras(path), path, offsets={"cam02": 3})
