"""Several cameras: clocks, who is who, and what is wrong with a calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from calibrated import Calibrated, room, write_json, write_toml
from crowd import seen, track, walk
from learnable_smplify.body import load_body
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.camera_file import read_cameras
from learnable_smplify.formats.detections.detection_arrays import write_detections
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.multiview.gather import Gathered, gather_people
from learnable_smplify.multiview.names import match_cameras
from learnable_smplify.multiview.offsets import parse_offsets
from learnable_smplify.multiview.points import triangulated
from learnable_smplify.track import Track
from toy_motion import swinging_poses

pytest.importorskip("cv2")
FRAMES = 90


def gathered(tmp_path: Path, tracks: dict[str, list[Track]], cameras: list[Calibrated], **options: object) -> Gathered:
    path = write_json(tmp_path / "cameras.json", cameras)
    return gather_people(tracks, read_cameras(path), path, **options)  # type: ignore[arg-type]


def errors(found: Gathered, people: list[np.ndarray]) -> np.ndarray:
    """(found people, people): median distance of keypoints [m]."""
    placed = [triangulated(person.views) for person in found.people]
    return np.array(
        [
            [
                np.median(np.linalg.norm((points.positions.numpy() - person)[points.confidence.numpy() > 0], axis=-1))
                for person in people
            ]
            for points in placed
        ]
    )


def test_people_are_told_apart_though_each_camera_numbers_them_otherwise(tmp_path: Path) -> None:
    cameras = room(4)
    people = [walk(FRAMES, 0), walk(FRAMES, 1, (0.8, 0.3)), walk(FRAMES, 2, (-0.6, -0.8))]
    rng = np.random.default_rng(0)
    tracks = {camera.name: [track(seen(camera, people[who])) for who in rng.permutation(3)] for camera in cameras}
    found = gathered(tmp_path, tracks, cameras)
    assert len(found.people) == 3
    away = errors(found, people)
    assert (away.min(axis=1) < 0.02).all()
    assert sorted(away.argmin(axis=1)) == [0, 1, 2]
    assert all(len(person.views) == 4 for person in found.people)


def test_a_person_stays_the_same_where_a_cameras_tracks_exchange_people_and_lose_them(tmp_path: Path) -> None:
    cameras = room(4)
    people = [walk(FRAMES, 0), walk(FRAMES, 1, (0.8, 0.3))]
    tracks = {camera.name: [track(seen(camera, person)) for person in people] for camera in cameras}
    first, second = (seen(cameras[1], person) for person in people)
    first[40:], second[40:] = second[40:].copy(), first[40:].copy()
    first[20:30] = np.nan
    tracks[cameras[1].name] = [track(first), track(second)]
    pieces = [seen(cameras[2], people[0]) for _ in range(2)]
    pieces[0][50:], pieces[1][:60] = np.nan, np.nan
    tracks[cameras[2].name] = [track(pieces[0]), track(seen(cameras[2], people[1])), track(pieces[1])]
    found = gathered(tmp_path, tracks, cameras)
    away = errors(found, people)
    assert away.shape == (2, 2)
    assert (away.min(axis=1) < 0.02).all()
    assert sorted(away.argmin(axis=1)) == [0, 1]
    for person in found.people:
        share = {
            str(view.camera.name): float((view.keypoints.confidence > 0).any(dim=1).float().mean())
            for view in person.views
        }
        assert share[cameras[0].name] == 1
        assert share[cameras[1].name] > 0.75


def test_a_camera_that_sees_nobody_or_somebody_else_is_left_out(tmp_path: Path) -> None:
    cameras = room(4)
    person, ghost = walk(FRAMES, 0), walk(FRAMES, 1, (1.2, -1.0))
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras[:2]}
    tracks[cameras[3].name] = [track(seen(cameras[3], ghost))]
    found = gathered(tmp_path, tracks, cameras)
    assert [[view.camera.name for view in one.views] for one in found.people] == [["cam01", "cam02"]]
    assert "person 0 is seen by cam01, cam02" in found.notes


def test_a_camera_that_goes_astray_is_left_out_for_the_moment(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    pixels = {camera.name: seen(camera, person, 8.0) for camera in cameras}
    for camera, frames in ((cameras[1], slice(20, 30)), (cameras[2], slice(36, 60))):
        beside = camera.rotation.T @ [0.05, 0.15, 0.0]
        pixels[camera.name][frames] = seen(camera, person[frames] + beside)
    found = gathered(tmp_path, {name: [track(points)] for name, points in pixels.items()}, cameras)
    assert len(found.people) == 1
    trusted = {view.camera.name: (view.keypoints.confidence > 0).all(dim=1) for view in found.people[0].views}
    assert trusted["cam01"].all()
    assert trusted["cam04"].all()
    for name, frames in (("cam02", slice(20, 30)), ("cam03", slice(36, 60))):
        assert (~trusted[name][frames]).float().mean() > 0.8
        assert trusted[name][: frames.start - 3].all()
        assert trusted[name][frames.stop + 3 :].all()
    assert any("cam03 follows somebody else, or nobody" in note for note in found.notes), found.notes
    assert errors(found, [person])[0, 0] < 0.03


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("two", [False, True])
def test_clocks_that_differ_are_found(tmp_path: Path, two: bool, exchanged: bool) -> None:
    cameras = room(3)
    people = [walk(150, 0), walk(150, 1, (0.9, 0.0))][: 1 + two]
    starts = {"cam01": 10, "cam02": 0, "cam03": 27}
    mirror = list(load_layout("coco17").mirror)
    pixels = {camera.name: [seen(camera, person) for person in people] for camera in cameras}
    if exchanged:
        pixels["cam02"] = [points[:, mirror] for points in pixels["cam02"]]
    tracks = {
        name: [track(points[starts[name] : 120 + starts[name]]) for points in both] for name, both in pixels.items()
    }
    found = gathered(tmp_path, tracks, cameras)
    assert found.offsets == {"cam01": 0, "cam02": 10, "cam03": -17}
    assert "cam02 +10, cam03 -17" in found.notes[0]
    begin = found.first_frame + 10
    cut = [person[begin : begin + len(found.people[0].views[0].keypoints)] for person in people]
    assert (errors(found, cut).min(axis=1) < 0.02).all()
    told = gathered(tmp_path, tracks, cameras, offsets={"cam02": 10, "cam03": -17})
    assert told.offsets == found.offsets


def test_offsets_are_written_as_a_cameras_name_and_frames() -> None:
    assert parse_offsets(["a=5", "b=-3"], ["a", "b"]) == {"a": 5, "b": -3}
    for wrong in ("c=1", "5", "a=x", "a=inf"):
        with pytest.raises(InputError, match="CAMERA=FRAMES of a, b"):
            parse_offsets([wrong], ["a", "b"])


def test_a_world_that_lies_on_its_side_is_stood_up_or_named(tmp_path: Path) -> None:
    cameras, person = room(3, z_up=False), walk(FRAMES)
    tracks = {
        camera.name: [track(seen(camera, person @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]).T))]
        for camera in cameras
    }
    path = write_json(tmp_path / "cameras.json", cameras)
    for text in (path.read_text().replace('"up_axis": "z"', '"up_axis": null'), path.read_text()):
        path.write_text(text)
        found = gather_people(
            tracks, {name: replace(camera, up_axis=None) for name, camera in read_cameras(path).items()}, path
        )
        assert found.people[0].views[0].camera.up_axis == "y"


def test_a_world_with_y_down_is_turned(tmp_path: Path) -> None:
    cameras, person = room(3), walk(FRAMES)
    down = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]])  # Z up to Y down
    turned = [replace(camera, rotation=camera.rotation @ down.T) for camera in cameras]
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    path = write_json(tmp_path / "cameras.json", turned)
    given = {name: replace(camera, up_axis=None) for name, camera in read_cameras(path).items()}
    found = gather_people(tracks, given, path)
    assert found.people[0].views[0].camera.up_axis == "y"
    points = triangulated(found.people[0].views).positions
    assert float((points[:, 0, 1] - points[:, 15, 1]).min()) > 1.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda camera: replace(camera, transl=camera.transl / 10), r"people are 0\.1\d* times as large as an adult"),
        (lambda camera: replace(camera, transl=camera.transl * 10), r"people are 10\.?\d* times as large as an adult"),
        (lambda camera: replace(camera, transl=camera.transl * 1e3), "may be millimetres.*--camera-units mm"),
        (lambda camera: replace(camera, transl=camera.transl * 1e2), "may be centimetres.*--camera-units cm"),
        (lambda camera: replace(camera, transl=camera.transl / 1e3), r"may be metres.*--camera-units m\b"),
        (
            lambda camera: replace(camera, transl=-camera.rotation @ camera.centre[[1, 0, 2]]),
            "no two cameras see the same person.*would fit if x and y of where cameras stand were exchanged",
        ),
    ],
)
def test_a_calibration_that_does_not_fit_is_named(tmp_path: Path, change: object, message: str) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    path = write_json(tmp_path / "cameras.json", cameras)
    wrong = read_cameras(path)
    changed = [change(camera) for camera in cameras]  # type: ignore[operator]
    given = {
        camera.name: replace(
            wrong[camera.name],
            R_camera_world=torch.as_tensor(np.ascontiguousarray(camera.rotation)),
            t_camera_world=torch.as_tensor(camera.transl),
        )
        for camera in changed
    }
    with pytest.raises(InputError, match=message):
        gather_people(tracks, given, path)


def test_cameras_whose_names_are_exchanged_are_named(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    tracks["cam01"], tracks["cam02"] = tracks["cam02"], tracks["cam01"]
    del tracks["cam03"], tracks["cam04"]
    with pytest.raises(InputError, match=r"no two cameras see the same person.*cam01 and cam02 were exchanged"):
        gathered(tmp_path, tracks, cameras)


def test_cameras_of_different_rates_are_matched_by_time(tmp_path: Path) -> None:
    cameras, person = room(3), walk(2 * FRAMES)  # 60 frames a second of somebody slow
    own, steps = {}, {"cam01": 2.0, "cam02": 1.0, "cam03": 2.4}
    for camera in cameras:
        fast = replace(track(seen(camera, person)).keypoints, fps=60.0)
        places = torch.arange(0, 2 * FRAMES - 1, steps[camera.name])
        own[camera.name] = [Track(fast.at_frames(places, 60 / steps[camera.name]))]
    found = gathered(tmp_path, own, cameras)
    views = found.people[0].views
    assert [view.keypoints.fps for view in views] == [60.0] * 3
    assert errors(found, [person[: len(views[0].keypoints)]])[0, 0] < 0.01
    assert found.steps == {name: pytest.approx(1 / step) for name, step in steps.items()}
    assert not any(found.offsets.values())
    assert "other frame rates than 60: cam01 (30), cam03 (25) matched by time" in found.notes[0]


def test_a_camera_that_says_no_frame_rate_has_that_of_the_others(tmp_path: Path) -> None:
    cameras, person = room(2), walk(FRAMES)
    silent, known = (track(seen(camera, person)).keypoints for camera in cameras)
    own = {"cam01": [Track(replace(silent, fps_guessed=True))], "cam02": [Track(replace(known, fps=60.0))]}
    found = gathered(tmp_path, own, cameras)
    assert [view.keypoints.fps for view in found.people[0].views] == [60.0] * 2
    assert "cam01: no frame rate is given, taken to be 60" in found.notes[0]


def test_cameras_of_different_keypoints_are_refused(tmp_path: Path) -> None:
    cameras, person = room(2), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    other = Keypoints2D(torch.rand(FRAMES, 25, 2), "body25", 30.0)
    with pytest.raises(InputError, match="cam02 has body25, cam01 coco17"):
        gathered(tmp_path, tracks | {"cam02": [Track(other)]}, cameras)


def test_one_camera_needs_no_other(tmp_path: Path) -> None:
    (camera,) = room(1)
    people = [walk(FRAMES), walk(FRAMES, 1, (0.8, 0.3))]
    found = gathered(tmp_path, {camera.name: [track(seen(camera, person)) for person in people]}, [camera])
    assert [len(person.views) for person in found.people] == [1, 1]


@pytest.mark.parametrize(
    ("entries", "cameras", "expected"),
    [
        (["cam2", "cam1"], ["cam1", "cam2"], {"cam1": "cam1", "cam2": "cam2"}),
        (["clip_cam02", "clip_cam01"], ["cam01", "cam02", "cam03"], {"cam01": "clip_cam01", "cam02": "clip_cam02"}),
        (["CAM_01_json", "cam_02_json"], ["cam_01", "cam_02"], {"cam_01": "CAM_01_json", "cam_02": "cam_02_json"}),
        (["01", "02"], ["cam01", "cam02"], {"cam01": "01", "cam02": "02"}),
        (["p1", "p10"], ["c1", "c10"], {"c1": "p1", "c10": "p10"}),
    ],
)
def test_files_belong_to_the_cameras_whose_names_they_have(
    entries: list[str], cameras: list[str], expected: dict[str, str]
) -> None:
    assert match_cameras(entries, cameras, Path("clips")) == expected


@pytest.mark.parametrize(
    ("entries", "cameras"),
    [(["left", "right"], ["cam01", "cam02"]), (["cam01", "cam01_b"], ["cam01"]), (["cam05"], ["cam01"]), ([], ["a"])],
)
def test_names_that_do_not_go_together_are_listed(entries: list[str], cameras: list[str]) -> None:
    if not entries:
        assert match_cameras(entries, cameras, Path("clips")) == {}
        return
    with pytest.raises(InputError, match=rf"there are {', '.join(entries)}; the calibration has {', '.join(cameras)}"):
        match_cameras(entries, cameras, Path("clips"))


def turned(camera: Calibrated, degrees: float, seed: int) -> Calibrated:
    """A camera that was touched: about its own centre."""
    axis = np.random.default_rng(seed).normal(size=3)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    return replace(camera, rotation=turn @ camera.rotation, transl=turn @ camera.transl)


def test_cameras_that_were_touched_are_turned_back_and_said(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person))] for camera in cameras}
    touched = [turned(camera, 0.5 if index in (1, 3) else 0.0, index) for index, camera in enumerate(cameras)]
    off = gathered(tmp_path, tracks, touched, nudge=False)
    assert not any("degrees" in note for note in off.notes)
    found = gathered(tmp_path, tracks, touched)
    assert "cameras are turned by cam01 0." in "".join(found.notes)
    # Where the room is nobody can tell then; what a person does in it is as good as before, or better.
    away, before = (shape_error(one, person) for one in (found, off))
    assert away < 1.05 * before
    missed = [
        (view.camera.project(triangulated(found.people[0].views).positions) - view.keypoints.pixels).norm(dim=-1)
        for view in found.people[0].views
    ]
    assert float(torch.cat(missed).median()) < 5  # noise of 3 px a coordinate


def shape_error(found: Gathered, person: np.ndarray) -> float:
    """Median distance of keypoints about the person's middle [m]."""
    points = triangulated(found.people[0].views).positions.numpy()
    middle = points.mean(axis=1, keepdims=True) - person.mean(axis=1, keepdims=True)
    return float(np.median(np.linalg.norm(points - middle - person, axis=-1)))


def test_cameras_that_agree_are_left_as_they_are(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    tracks = {camera.name: [track(seen(camera, person, noise_px=8.0))] for camera in cameras}
    found = gathered(tmp_path, tracks, cameras)
    assert not found.notes


def test_sides_that_one_camera_exchanges_do_not_part_a_person(tmp_path: Path) -> None:
    cameras, person = room(4), walk(FRAMES)
    pixels = {camera.name: seen(camera, person) for camera in cameras}
    mirror = list(load_layout("coco17").mirror)
    pixels["cam02"][30:70] = pixels["cam02"][30:70][:, mirror]
    found = gathered(tmp_path, {name: [track(points)] for name, points in pixels.items()}, cameras)
    assert len(found.people) == 1
    shares = [float((view.keypoints.confidence > 0).all(dim=1).float().mean()) for view in found.people[0].views]
    assert shares == [1.0] * 4


def test_fit_with_cameras_solves_a_folder_of_what_each_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = load_body()
    pose, frames = swinging_poses(30), 30
    # Y up, as the body is modelled, in a room whose Z is up.
    stand = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    motions = [
        Motion(pose, torch.tensor([[x, 1.0, z]]).expand(frames, 3), torch.zeros(10), 30.0) for x, z in ((0, 0), (1, 1))
    ]
    cameras = room(3)
    folder = tmp_path / "seen"
    folder.mkdir()
    for camera in cameras:
        tracks = []
        for name, motion in enumerate(motions):
            points = (body.keypoints(motion.pose, motion.betas, motion.transl, layout="coco17") @ stand.T).numpy()
            tracks.append(track(seen(camera, points, 2.0), str(name)))
        write_detections(tracks, folder / f"clip_{camera.name}.npz")
    write_toml(tmp_path / "Calib.toml", cameras)
    main(["fit", str(folder), "--cameras", str(tmp_path / "Calib.toml"), "-o", str(tmp_path / "m.npz"), "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["frames"] for one in told] == [frames, frames]
    assert all(one["median_error_px"] < 4 for one in told)
    for number in range(2):
        motion = read_motion(tmp_path / f"m_{number}.npz")
        joints = body.joints(motion.pose, motion.betas, motion.transl)
        away = [
            float((joints - body.joints(true.pose, true.betas, true.transl) @ stand.T).norm(dim=-1).mean())
            for true in motions
        ]
        assert min(away) < 0.04


def test_a_camera_without_detections_is_named_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cameras, person = room(4), walk(30)
    write_toml(tmp_path / "Calib.toml", cameras)
    (tmp_path / "seen").mkdir()
    for camera in (cameras[0], cameras[1], cameras[3]):
        write_detections([track(seen(camera, person))], tmp_path / "seen" / f"{camera.name}.npz")
    main(["fit", str(tmp_path / "seen"), "--cameras", str(tmp_path / "Calib.toml"), "-o", str(tmp_path / "m.npz")])
    said = capsys.readouterr()
    assert "there are no detections of cam03: solved without" in said.err.replace("\n", " ")
    assert "cam03" not in said.out


def test_fit_with_cameras_names_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "c.json", room(2))
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "left.npz").write_bytes(b"")
    for options, said in (
        ([], "there are left; the calibration has cam01, cam02"),
        (["--smooth"], "--smooth is for 3D keypoints"),
        (["--clocks", "cam09=1"], "left"),
    ):
        with pytest.raises(SystemExit):
            main(["fit", str(tmp_path / "seen"), "--cameras", str(tmp_path / "c.json"), *options])
        assert said in capsys.readouterr().err.replace("\n", " ")
