"""Videos: pictures, people found by a detector (a stand-in for MediaPipe), bodies drawn over them, and the command."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrated import write_camera_json
from learnable_smplify.body import Body, load_body
from learnable_smplify.camera import Camera
from learnable_smplify.cli.main import main
from learnable_smplify.cli.video import fitted_camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.detection_arrays import write_detections
from learnable_smplify.formats.detections.detection_file import read_detections
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.guided import fit_guided
from learnable_smplify.solver.solver import Solver
from learnable_smplify.solver.view.lift import lifted
from learnable_smplify.track import Track
from learnable_smplify.video import detect
from learnable_smplify.video.detect import Found, MissingDetectorError, detect_people, find_people
from learnable_smplify.video.floor import find_floor
from learnable_smplify.video.overlay import Shown, draw_bodies, write_overlay
from learnable_smplify.video.read import VideoInfo, read_pictures, video_info
from learnable_smplify.views import View
from toy_motion import drifting_transl, swinging_poses

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
WIDTH, HEIGHT, FRAMES, FPS = 160, 288, 24, 30.0
LAYOUT = "mediapipe33"


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def write_clip(path: Path, pictures: np.ndarray) -> Path:
    writer = imageio_ffmpeg.write_frames(str(path), pictures.shape[2:0:-1], fps=FPS, macro_block_size=2)
    writer.send(None)
    for picture in pictures:
        writer.send(np.ascontiguousarray(picture))
    writer.close()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = np.full((FRAMES, HEIGHT, WIDTH, 3), 200, np.uint8)
    for frame in range(FRAMES):
        pictures[frame, 100:180, 20 + 4 * frame : 40 + 4 * frame] = (200, 30, 30)
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures)


def someone(x: float, y: float = 140.0, tall: float = 80.0) -> Found:
    """A find whose keypoints lie about a place."""
    shape = np.random.default_rng(3).uniform(-0.5, 0.5, (33, 2)) * [tall / 4, tall]
    table = np.column_stack([shape + np.array([x, y]), np.full(33, 0.9)])
    return Found(table, np.pad(shape / tall, ((0, 0), (0, 1))))


def red_finder(outlines: bool) -> detect.OnePersonDetector:
    """Finds the middle of what is red, then of what is blue."""

    def find(picture: np.ndarray) -> Found | None:
        wide = picture.astype(int)
        for color in (0, 2):
            mask = wide[..., color] - wide[..., 2 - color] > 90
            if mask.sum() > 50:
                rows, columns = np.nonzero(mask)
                return replace(someone(columns.mean(), rows.mean()), outline=mask if outlines else None)
        return None

    return find


def test_a_video_says_its_size_and_gives_its_pictures_in_any_size(clip: Path) -> None:
    info = video_info(clip)
    assert (info.width, info.height, info.fps, info.frames) == (WIDTH, HEIGHT, FPS, FRAMES)
    assert [picture.shape for picture in read_pictures(info)] == [(HEIGHT, WIDTH, 3)] * FRAMES
    assert next(read_pictures(info, (80, 144))).shape == (144, 80, 3)


def frames_shown(film: Path, first_column: int = 0) -> np.ndarray:
    """Which frame of `clip` each picture shows, from that column on: what is red moves by 4 pixels a frame."""
    rows = [
        picture[140, first_column : first_column + WIDTH].astype(int) for picture in read_pictures(video_info(film))
    ]
    return np.array([(np.nonzero(row[:, 0] - row[:, 2] > 90)[0].mean() - 29.5) / 4 for row in rows])


def test_pictures_that_were_taken_unevenly_come_when_they_were_taken(clip: Path, tmp_path: Path) -> None:
    """A phone that takes ever fewer pictures: at the mean rate, what moves still moves evenly."""
    uneven = tmp_path / "uneven.mp4"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(clip)]
    few = ["-vf", "select='lt(n,8)+not(mod(n,4))'", "-fps_mode", "vfr", str(uneven)]
    subprocess.run([*ffmpeg, *few], check=True)
    info = video_info(uneven)
    assert info.fps < 0.9 * FPS
    shown = frames_shown(uneven)
    assert np.abs(shown / FPS - np.arange(len(shown)) / info.fps).max() < 3.5 / FPS


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: (there is no such file|not a readable video)"):
        video_info(path)


def test_people_are_found_and_followed(clip: Path) -> None:
    done: list[int] = []
    (track,) = detect_people(video_info(clip), 1, red_finder, lambda count, total: done.append(count))
    assert done == list(range(1, FRAMES + 1))
    assert (len(track), track.frames_seen, track.keypoints.fps) == (FRAMES, FRAMES, FPS)
    assert track.world is not None
    way = track.keypoints.pixels.mean(dim=1)[:, 0].diff()
    assert torch.allclose(way, torch.full_like(way, 4.0), atol=1.0)


def test_a_second_person_is_looked_for_where_the_first_is_painted_out(tmp_path: Path) -> None:
    pictures = np.full((FRAMES, HEIGHT, WIDTH, 3), 200, np.uint8)
    pictures[:, 100:180, 20:40] = (220, 20, 20)
    pictures[:, 90:170, 110:130] = (20, 20, 220)
    info = video_info(write_clip(tmp_path / "two.mp4", pictures))
    tracks = detect_people(info, 2, red_finder)
    places = sorted(float(track.keypoints.pixels[..., 0].mean()) for track in tracks)
    assert len(tracks) == 2
    assert places == pytest.approx([30, 120], abs=4)
    assert detect.count_people(info, red_finder) == 2


def test_the_same_person_found_twice_counts_once() -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert len(find_people(picture, [lambda _: someone(80), lambda _: someone(82)])) == 1
    assert len(find_people(picture, [lambda _: someone(30), lambda _: someone(120)])) == 2
    assert find_people(picture, [lambda _: None, lambda _: someone(82)]) == []


def test_a_video_in_which_nobody_is_found_is_refused(clip: Path) -> None:
    with pytest.raises(InputError, match=r"clip\.mp4: nobody is in any frame"):
        detect_people(video_info(clip), 1, lambda _: lambda _: None)


def seen(body: Body, camera: Camera, noise_px: float = 0.0, noise_m: float = 0.0) -> tuple[Motion, Track]:
    """A motion in front of a camera, and what a detector sees of it."""
    motion = Motion(swinging_poses(FRAMES), drifting_transl(FRAMES), torch.zeros(10), FPS, up_axis="y")
    motion = replace(motion, transl=motion.transl + torch.tensor([0.0, 0.0, -4.0]))
    points = body.keypoints(motion.pose, motion.betas, motion.transl, layout=LAYOUT)
    generator = torch.Generator().manual_seed(0)
    pixels = camera.project(points)
    pixels = pixels + noise_px * torch.randn(pixels.shape, generator=generator)
    local = camera.to_camera(points)
    hips = local[:, [23, 24]].mean(dim=1, keepdim=True)
    away = torch.nn.functional.normalize(hips, dim=-1)
    axis = torch.tensor([0.0, 0.0, 1.0]).expand_as(away)
    # As a detector sees them: turned so that the person is straight ahead.
    cross = torch.linalg.cross(away, axis, dim=-1)
    skew = torch.zeros(FRAMES, 1, 3, 3)
    for (row, column), (index, sign) in {(0, 1): (2, -1), (0, 2): (1, 1), (1, 2): (0, -1)}.items():
        skew[..., row, column], skew[..., column, row] = sign * cross[..., index], -sign * cross[..., index]
    turn = torch.eye(3) + skew + skew @ skew / (1 + (away * axis).sum(-1))[..., None, None]
    world = (turn @ (local - hips)[..., None])[..., 0]
    world = world + noise_m * torch.randn(world.shape, generator=generator)
    return motion, Track(Keypoints2D(pixels, LAYOUT, FPS), "0", world)


def test_landmarks_in_space_are_put_where_the_picture_shows_them(body: Body) -> None:
    camera = replace(Camera.guessed(WIDTH, HEIGHT), distortion=(-0.05, 0.1, 0.001, 0.001))
    motion, track = seen(body, camera)
    placed = lifted(track.keypoints, track.world, camera)
    points = camera.to_camera(body.keypoints(motion.pose, motion.betas, motion.transl, layout=LAYOUT))
    torch.testing.assert_close(placed.positions, points, atol=2e-3, rtol=0)


def test_a_guided_fit_follows_picture_and_guess_and_exchanges_sides_back(body: Body) -> None:
    camera = Camera.guessed(10 * WIDTH, 10 * HEIGHT)
    motion, track = seen(body, camera, noise_px=4.0, noise_m=0.02)
    mirror = list(track.keypoints.layout.mirror)  # type: ignore[union-attr]
    pixels, world = track.keypoints.pixels.clone(), track.world.clone()  # type: ignore[union-attr]
    pixels[8:14], world[8:14] = pixels[8:14][:, mirror], world[8:14][:, mirror]
    damaged = replace(track, keypoints=Keypoints2D(pixels, LAYOUT, FPS), world=world)
    found = fit_guided(Solver(body), damaged, View(damaged.keypoints, camera), motion.betas)
    joints, true = (body.joints(one.pose, one.betas, one.transl) for one in (found, motion))
    aligned = ((joints - joints[:, :1]) - (true - true[:, :1])).norm(dim=-1)
    assert float(aligned.mean()) < 0.035
    assert float((joints[:, 0] - true[:, 0]).norm(dim=-1).mean()) < 0.12
    assert found.up_axis == "y"


def test_a_body_is_drawn_where_the_camera_sees_it(body: Body) -> None:
    camera = replace(Camera.guessed(2 * WIDTH, 2 * HEIGHT), distortion=(-0.05, 0.1, 0.001, 0.001))
    motion, _ = seen(body, camera)
    vertices = body.vertices(motion.pose[:1], motion.betas, motion.transl[:1]).numpy()
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    info = VideoInfo(Path("any.mp4"), 2 * WIDTH, 2 * HEIGHT, FPS, 1)
    drawn = draw_bodies(grey, vertices, body.faces.numpy(), camera, info)
    rows, columns = np.nonzero((drawn != grey).any(axis=-1))
    pixels = camera.project(torch.as_tensor(vertices[0])).numpy() / 2
    assert [columns.min(), columns.max()] == pytest.approx([pixels[:, 0].min(), pixels[:, 0].max()], abs=2)
    assert [rows.min(), rows.max()] == pytest.approx([pixels[:, 1].min(), pixels[:, 1].max()], abs=2)


def stood(tilt_deg: float, body: Body, lying: bool = False) -> Motion:
    """Somebody who stands 4 m before a camera that looks down by so much, as the camera sees it."""
    pose = 0.3 * swinging_poses(FRAMES)
    transl = drifting_transl(FRAMES) + torch.tensor([0.0, 0.0, -4.0])
    turn = torch.tensor([torch.pi / 2 if lying else torch.deg2rad(torch.tensor(tilt_deg)), 0.0, 0.0])
    pelvis = body.joints(torch.zeros(1, 24, 3), torch.zeros(10))[0, 0]
    rotmat = rotvec_to_rotmat(turn)
    pose[:, 0] = rotmat_to_rotvec(rotmat @ rotvec_to_rotmat(pose[:, 0]))
    return Motion(pose, (transl + pelvis) @ rotmat.T - pelvis, torch.zeros(10), FPS, up_axis="y")


@pytest.mark.parametrize("tilt", [25.0, -30.0])
def test_people_of_a_camera_that_looks_down_are_stood_on_a_floor(body: Body, tilt: float) -> None:
    motion, camera = stood(tilt, body), Camera.guessed(WIDTH, HEIGHT)
    floor = find_floor([motion], body)
    assert floor.tilt_deg == pytest.approx(abs(tilt), abs=6)
    placed, moved = floor.motion(motion, body), floor.camera(camera)
    points = [body.joints(one.pose, one.betas, one.transl) for one in (motion, placed)]
    torch.testing.assert_close(moved.to_camera(points[1]), camera.to_camera(points[0]), atol=1e-4, rtol=0)
    lowest = body.vertices(placed.pose, placed.betas, placed.transl)[..., 1].amin(dim=1)
    assert float(lowest.median().abs()) < 0.1
    assert "degrees off, as people stand" in placed.notes[-1]


@pytest.mark.parametrize(("tilt", "lying"), [(0.0, False), (6.0, False), (0.0, True)])
def test_a_camera_is_level_where_people_stand_about_so_or_lie(body: Body, tilt: float, lying: bool) -> None:
    floor = find_floor([stood(tilt, body, lying)], body)
    assert floor.tilt_deg == 0
    assert torch.equal(floor.turn, torch.eye(3, dtype=torch.float64))
    assert "if it is level" in floor.note


def test_films_of_several_cameras_lie_side_by_side_at_the_videos_rate(body: Body, clip: Path, tmp_path: Path) -> None:
    camera, info = Camera.guessed(WIDTH, HEIGHT), video_info(clip)
    motion, _ = seen(body, camera)
    items = [Shown(info, camera), Shown(info, camera, 2), Shown(info, camera, -3)]
    assert write_overlay(items, [motion[:10]], body, tmp_path / "o.mp4") == 10
    found = video_info(tmp_path / "o.mp4")
    assert (found.width, found.height, found.fps) == (3 * WIDTH, HEIGHT, FPS)


def test_a_film_of_cameras_of_different_rates_shows_the_same_moments(body: Body, clip: Path, tmp_path: Path) -> None:
    camera = replace(
        Camera.guessed(WIDTH, HEIGHT), t_camera_world=torch.tensor([100.0, 0.0, 9.0])
    )  # bodies not in sight
    motion, _ = seen(body, camera)
    slow, fast = Shown(video_info(clip), camera, 2, 0.5), Shown(video_info(clip), camera, 4, 1.0)
    write_overlay([slow, fast], [motion[:10]], body, tmp_path / "o.mp4")
    assert video_info(tmp_path / "o.mp4").fps == 2 * FPS
    np.testing.assert_allclose(frames_shown(tmp_path / "o.mp4", WIDTH), 4 + np.arange(10), atol=0.3)
    np.testing.assert_allclose(frames_shown(tmp_path / "o.mp4"), 2 + np.arange(10) / 2, atol=0.8)


def test_a_camera_is_scaled_to_the_videos_size_and_otherwise_named() -> None:
    camera = replace(Camera.guessed(1920, 1080), name="left")
    info = VideoInfo(Path("a.mp4"), 960, 540, FPS, 9)
    scaled, notes = fitted_camera(camera, info)
    assert scaled.fx == pytest.approx(camera.fx / 2)
    assert "calibrated for 1920 x 1080, the video has 960 x 540: scaled" in notes[0]
    # Half as large, and an encoder left columns out.
    scaled, _ = fitted_camera(camera, replace(info, width=952))
    assert scaled.fx == pytest.approx(camera.fx / 2)
    kept, notes = fitted_camera(camera, replace(info, width=1910, height=1080))
    assert kept is camera
    assert "pixel for pixel" in notes[0]
    with pytest.raises(InputError, match="left is calibrated for 1920 x 1080, the video has 540 x 960"):
        fitted_camera(camera, replace(info, width=540, height=960))


def test_the_command_writes_motion_report_and_film(body: Body, clip: Path, tmp_path: Path) -> None:
    _, track = seen(body, Camera.guessed(WIDTH, HEIGHT), 0.3, 0.01)
    write_detections([track], tmp_path / "found.npz")
    output = tmp_path / "out" / "m.npz"
    main(["video", str(clip), "--detections", str(tmp_path / "found.npz"), "-o", str(output), "--quiet"])
    motion = read_motion(output)
    assert len(motion) == FRAMES
    assert motion.fps == FPS
    lowest = body.vertices(motion.pose, motion.betas, motion.transl)[..., "xyz".index(motion.up_axis or "")].amin(dim=1)
    assert float(lowest.median().abs()) < 0.1
    assert "<html" in output.with_suffix(".html").read_text()[:200]
    assert video_info(output.with_suffix(".overlay.mp4")).height == HEIGHT


def test_detections_of_another_length_than_the_video_are_said(
    body: Body, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, track = seen(body, Camera.guessed(WIDTH, HEIGHT), 0.3, 0.01)
    half = track.keypoints.at_frames(torch.arange(0, FRAMES, 2.0), FPS)
    write_detections([Track(half)], tmp_path / "found.npz")
    options = [
        "--detections",
        str(tmp_path / "found.npz"),
        "-o",
        str(tmp_path / "m.npz"),
        "--no-report",
        "--no-overlay",
    ]
    main(["video", str(clip), *options])
    assert "have 12 frames, the video about 24" in " ".join(capsys.readouterr().err.split())


def test_the_command_with_a_detector_keeps_what_it_found(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Body
) -> None:
    _, track = seen(body, Camera.guessed(WIDTH, HEIGHT), 0.3, 0.01)
    monkeypatch.setattr("learnable_smplify.cli.video.check_detector", lambda: None)
    monkeypatch.setattr("learnable_smplify.cli.video.detect_people", lambda *_, **__: [track])
    monkeypatch.setattr("learnable_smplify.cli.video.count_people", lambda *_: 1)
    options = ["--no-overlay", "--no-report", "--quiet", "--save-detections", str(tmp_path / "found")]
    main(["video", str(clip), "-o", str(tmp_path / "m.npz"), *options])
    (again,) = read_detections(tmp_path / "found" / "clip.npz")
    torch.testing.assert_close(again.keypoints.pixels, track.keypoints.pixels)
    assert [path.name for path in tmp_path.glob("m*")] == ["m.npz"]


def test_what_a_reader_says_is_said_once(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: Body, capsys: pytest.CaptureFixture[str]
) -> None:
    _, track = seen(body, Camera.guessed(WIDTH, HEIGHT), 0.3, 0.01)
    track = replace(track, keypoints=replace(track.keypoints, notes=("the clip breaks off",)))
    monkeypatch.setattr("learnable_smplify.cli.video.check_detector", lambda: None)
    monkeypatch.setattr("learnable_smplify.cli.video.detect_people", lambda *_, **__: [track])
    monkeypatch.setattr("learnable_smplify.cli.video.count_people", lambda *_: 1)
    main(["video", str(clip), "-o", str(tmp_path / "m.npz"), "--no-overlay", "--no-report"])
    assert capsys.readouterr().err.count("the clip breaks off") == 1


def test_without_the_detector_one_line_says_what_to_type_before_any_work(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "mediapipe" else name)
    monkeypatch.setattr("learnable_smplify.cli.video.video_info", lambda _: pytest.fail("work was done"))
    with pytest.raises(SystemExit) as ended:
        main(["video", str(clip), "-o", str(tmp_path / "m.npz")])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1
    assert "pip install 'learnable-smplify[video]' && pip install --no-deps" in said


def test_several_videos_need_a_calibration_whose_names_they_have(body: Body, clip: Path, tmp_path: Path) -> None:
    two = [str(clip), str(clip)]
    with pytest.raises(SystemExit):
        main(["video", *two, "-o", str(tmp_path / "m.npz"), "--detections", str(tmp_path)])
    camera = Camera.guessed(WIDTH, HEIGHT)
    write_camera_json({"left": camera, "right": camera}, tmp_path / "c.json")
    with pytest.raises(SystemExit):
        main(["video", *two, "-o", "m.npz", "--detections", str(tmp_path), "--cameras", str(tmp_path / "c.json")])


def test_mediapipe_finds_a_real_person() -> None:
    pytest.importorskip("mediapipe")
    path = Path(__file__).parents[2] / "shared/data/video/balance_cam01.mp4"
    if not path.is_file():
        pytest.skip("no real recordings here")
    try:
        detector = detect.mediapipe_detector(False)
    except MissingDetectorError:
        pytest.skip("MediaPipe is here without its models")
    found = detector(next(read_pictures(video_info(path))))
    assert found is not None
    assert found.table[:, 2].mean() > 0.5


def test_a_video_that_breaks_off_is_solved_as_far_as_it_goes_and_says_so(clip: Path) -> None:
    info = video_info(clip)
    longer = replace(info, frames=2 * info.frames)
    found = detect_people(longer, opener=red_finder)
    assert any(note.startswith(f"{clip.name} breaks off: ") for note in found[0].keypoints.notes)
    found = detect_people(info, opener=red_finder)
    assert not any("breaks off" in note for note in found[0].keypoints.notes)


def test_a_file_of_sound_says_that_it_has_no_pictures(tmp_path: Path) -> None:
    import subprocess

    import imageio_ffmpeg

    path = tmp_path / "sound.mp4"
    make = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-f", "lavfi", "-i", "sine=d=0.5", str(path)]
    subprocess.run(make, check=True)
    with pytest.raises(InputError, match="no pictures in it, only sound"):
        video_info(path)
