"""The viewer: what is drawn, as arrays; and that the page is served and the command ends cleanly."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import test_estimates as files
from learnable_smplify.body import load_body
from learnable_smplify.body.body import Body
from learnable_smplify.body.motion_mesh import MotionMesh
from learnable_smplify.cli.view import ViewArgs, view
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.formats.estimates import FORMATS
from learnable_smplify.formats.estimates.any_motion import read_any_motion
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.hands import HandKeypoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.view import figure as figure_module
from learnable_smplify.view.dots import Dots
from learnable_smplify.view.figure import Figure
from learnable_smplify.view.stage import DIRECTIONS, direction_vector, guess_up, set_stage, turn_matrix, turn_wxyz
from toy_body import toy_arrays
from toy_motion import drifting_transl, swinging_poses

FRAMES = 24


@pytest.fixture(scope="module")
def body():
    return load_body()


def _motion(frames: int = FRAMES, seed: int = 0, **changes) -> Motion:
    betas = torch.randn(10, generator=torch.Generator().manual_seed(seed)) * 0.5
    motion = Motion(swinging_poses(frames, seed), drifting_transl(frames), betas, up_axis="y")
    return replace(motion, **changes)


def _turned(motion: Motion, turn: np.ndarray, body: Body) -> Motion:
    """The motion in a world turned by `turn`; SMPL's transl is added after turning about the pelvis."""
    root = Rotation.from_matrix(turn) * Rotation.from_rotvec(motion.pose[:, 0].numpy())
    pose = motion.pose.clone()
    pose[:, 0] = torch.from_numpy(root.as_rotvec())
    pelvis = body.joints(torch.zeros(1, 24, 3), motion.betas)[0, 0].numpy()
    transl = (motion.transl.numpy() + pelvis) @ turn.T - pelvis
    return replace(motion, pose=pose, transl=torch.from_numpy(transl))


# --- figure


@pytest.mark.parametrize("fingers", [False, True])
def test_bones_and_weights_alone_give_the_mesh_of_the_open_body(body, fingers):
    bent = 0.4 * torch.randn(FRAMES, 30, 3, generator=torch.Generator().manual_seed(1))
    figure = Figure(body, _motion(hand_pose=bent if fingers else None))
    assert len(figure.rest_joints) == (52 if fingers else 24)
    assert figure.skins_in_browser
    for frame in (0, 7):
        turns = Rotation.from_quat(figure.bone_wxyz[frame], scalar_first=True).as_matrix()
        from_bones = figure.rest_vertices[:, None] - figure.rest_joints
        moved = np.einsum("jab,vjb->vja", turns, from_bones) + figure.joints[frame]
        skinned = np.einsum("vj,vja->va", figure.mesh.weights, moved)
        np.testing.assert_allclose(skinned, figure.vertices(frame), atol=2e-6)


def test_a_body_with_pose_correctives_is_not_left_to_the_browser():
    assert not Figure(Body(toy_arrays()), _motion()).skins_in_browser
    assert Figure(Body(toy_arrays(correctives=False)), _motion()).skins_in_browser


def test_kept_meshes_are_bounded_and_right(body, monkeypatch):
    monkeypatch.setattr(figure_module, "_KEPT_FRAMES", 3)
    motion = _motion()
    figure = Figure(body, motion)
    expected = MotionMesh(body, motion).vertices().numpy()
    for frame in (0, 1, 2, 0, 5, 6, 1, 0):
        np.testing.assert_allclose(figure.vertices(frame), expected[frame], atol=1e-6)
        assert figure._kept.cache_info().currsize <= 3
    assert figure.vertices(0) is figure.vertices(0)


def test_bones_run_from_parent_to_joint(body):
    figure = Figure(body, _motion())
    segments = figure.segments(3)
    assert segments.shape == (23, 2, 3)
    np.testing.assert_array_equal(segments[:, 1], figure.joints[3, 1:])
    np.testing.assert_array_equal(segments[17, 0], figure.joints[3, 16])  # left elbow hangs on the left shoulder


def test_bones_of_fingers_run_from_the_wrist_to_every_joint(body):
    figure = Figure(body, _motion(hand_pose=torch.zeros(FRAMES, 30, 3)))
    segments = figure.segments(3)
    assert segments.shape == (51, 2, 3)
    np.testing.assert_array_equal(segments[21, 0], figure.joints[3, 20])  # the index finger hangs on the left wrist


def test_uncertainty_without_one_known_value_is_none(body):
    assert Figure(body, _motion()).uncertainty_deg(0) is None
    assert Figure(body, _motion(uncertainty_deg=torch.full((FRAMES, 24), torch.nan))).uncertainty_deg(0) is None
    told = torch.rand(FRAMES, 24)
    np.testing.assert_array_equal(Figure(body, _motion(uncertainty_deg=told)).uncertainty_deg(4), told[4])


# --- keypoints


def _keypoints(body: Body, motion: Motion) -> Keypoints:
    points = body.keypoints(motion.pose, motion.betas, motion.transl, layout="coco17")
    confidence = torch.ones(points.shape[:2])
    confidence[3, 9] = 0.0  # left wrist: an end of one line
    confidence[3, 0] = 0.25
    return Keypoints(points, layout="coco17", confidence=confidence)


def test_missing_keypoints_and_their_lines_are_hidden(body):
    keypoints = _keypoints(body, _motion())
    dots = Dots(keypoints, np.arange(FRAMES))
    points, colors = dots.points(3)
    assert points.shape == colors.shape == (16, 3)
    seen = [number for number in range(17) if number != 9]
    np.testing.assert_array_equal(points, keypoints.positions[3][seen])
    assert len(np.unique(colors, axis=0)) == 2
    lines = dots.segments(3)
    touching = sum(9 in edge for edge in keypoints.layout.edges)
    assert touching > 0
    assert len(lines) == len(keypoints.layout.edges) - touching
    assert dots.caption(3) == "16 of 17 keypoints seen"


def test_points_of_hands_are_shown_beside_the_body(body):
    keypoints = _keypoints(body, _motion())
    positions = torch.rand(FRAMES, 2, 21, 3)
    positions[3, 1] = torch.nan
    dots = Dots(replace(keypoints, hands=HandKeypoints(positions)), np.arange(FRAMES))
    assert len(dots.points(3)[0]) == 16 + 21
    assert len(dots.segments(3)) == len(Dots(keypoints, np.arange(FRAMES)).segments(3)) + 20
    assert dots.caption(4) == "59 of 59 keypoints seen"


def test_keypoints_past_their_end_are_hidden(body):
    dots = Dots(_keypoints(body, _motion()), np.array([0, -1]))
    assert dots.points(1)[0].shape == dots.points(1)[1].shape == (0, 3)
    assert dots.segments(1).shape == (0, 2, 3)
    assert "ended" in dots.caption(1)


# --- stage


@pytest.mark.parametrize(("start", "end"), list(product(DIRECTIONS, DIRECTIONS)))
def test_turning_the_world_takes_one_up_to_the_other(start, end):
    turn = turn_matrix(start, end)
    np.testing.assert_array_equal(turn @ direction_vector(start), direction_vector(end))
    np.testing.assert_array_equal(turn @ turn.T, np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    quaternion = Rotation.from_quat(turn_wxyz(start, end), scalar_first=True)
    np.testing.assert_allclose(quaternion.as_matrix(), turn, atol=1e-12)


@pytest.mark.parametrize("up", ["y", "z", "-y"])
def test_up_is_told_by_the_person_where_the_file_is_silent(body, up):
    motion = _turned(_motion(up_axis=None), turn_matrix("y", up), body)
    for one in (motion, replace(motion, hand_pose=torch.zeros(len(motion), 30, 3))):
        assert guess_up(Figure(body, one))[0] == up
    if up == "z":
        stated, reason = guess_up(Figure(body, replace(motion, up_axis="y")))
        assert stated == "y"
        assert "along z" in reason


@pytest.mark.parametrize("up", ["y", "z", "-y"])
def test_the_stage_stands_the_person_on_the_ground_and_the_camera_sees_all_of_them(body, up):
    figure = Figure(body, _turned(_motion(60), turn_matrix("y", up), body))
    stage = set_stage(figure, up)
    heights = np.stack([figure.vertices(frame) @ stage.up for frame in range(len(figure))])
    assert np.abs(np.percentile(heights.min(axis=1), 5) - stage.path @ stage.up).max() < 0.01
    sway = figure.joints[:, 0] - stage.path
    assert np.abs(sway - (sway @ stage.up)[:, None] * stage.up).max() < 0.2
    position, target, fov = stage.camera()
    ahead = (target - position) / np.linalg.norm(target - position)
    assert ahead @ stage.forward < -0.5  # it looks at the face
    for frame in range(0, 60, 7):
        points = figure.vertices(frame) - stage.path[frame] - position
        depth = points @ ahead
        across = np.linalg.norm(points - depth[:, None] * ahead, axis=1)
        height = points @ stage.up - depth * (ahead @ stage.up)
        assert (np.abs(height) < np.tan(fov / 2) * depth).all()
        assert (across < 1.4 * np.tan(fov / 2) * depth).all()  # a window of 7:5


def test_a_second_person_is_put_beside_or_on_the_first_whatever_their_worlds(body):
    first = Figure(body, _motion())
    second_motion = _turned(_motion(transl=drifting_transl(FRAMES) + 5.0), turn_matrix("y", "z"), body)
    second = Figure(body, second_motion)
    stage, turn = set_stage(first, "y"), turn_matrix("z", "y")
    other = set_stage(second, "z").turned("z", "y")
    for frame in (0, FRAMES - 1):
        joints = second.joints[frame] @ turn.T
        beside = joints + stage.shift("beside", frame, other, frame)
        assert (beside @ stage.sideways).min() > (first.joints[frame] @ stage.sideways).max() + 0.2
        np.testing.assert_allclose(beside[:, 1], first.joints[frame, :, 1], atol=1e-4)
        on = joints + stage.shift("pelvis on pelvis", frame, other, frame)
        np.testing.assert_allclose(on, first.joints[frame], atol=1e-5)
        assert not stage.shift("in its own place", frame, other, frame).any()


# --- files


@pytest.mark.parametrize("name", FORMATS)
def test_every_estimators_result_is_shown_like_a_motion(body, tmp_path, name):
    path = files.WRITERS[name](tmp_path)
    read, notes = read_any_motion(path, body, None, None)
    assert len(read) == files.T
    missed = {"hmr2": [2]}.get(name, [])  # the one generated file with a gap, which is filled
    assert read.flagged.nonzero().flatten().tolist() == missed
    seen = np.setdiff1d(np.arange(files.T), missed)
    assert files.angle_to(read.pose[seen], files.POSE[seen]) < 1e-4
    if name == "easymocap":  # turned about the origin, then moved; `body` says where the pelvis is
        unturned = torch.from_numpy(files.POSE[seen]).clone()
        unturned[:, 0] = 0
        turn = torch.from_numpy(files.ROTMAT[seen, 0]).float()
        expected = body.joints(unturned, read.betas) @ turn.mT + torch.from_numpy(files.TRANSL[seen])[:, None]
        found = body.joints(read.pose[seen], read.betas, read.transl[seen])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    else:
        np.testing.assert_allclose(read.transl[seen], files.TRANSL[seen], atol=1e-5)
    figure = Figure(body, read)
    assert np.isfinite(figure.vertices(files.T - 1)).all()
    assert guess_up(figure)[0] in DIRECTIONS
    assert any("--fps" in note for note in notes) == (name != "amass")  # only that file says its rate
    assert any("--person" in note for note in notes) == (name in ("wham", "hmr2"))
    assert read_any_motion(path, body, None, 25.0)[0].fps == (30.0 if name == "amass" else 25.0)


def test_a_person_of_an_estimators_result_is_chosen_by_name(body, tmp_path):
    path = files.write_wham(tmp_path)
    assert files.angle_to(read_any_motion(path, body, "4", None)[0].pose, files.POSE[::-1]) < 1e-4
    with pytest.raises(InputError, match="no person 2"):
        read_any_motion(path, body, "2", None)


def test_code_in_an_estimators_file_is_refused_and_not_run(body, tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "wham_output.pkl"
    path.write_bytes(pickle.dumps({**files.wham_content(), 9: files.Command(marker)}))
    with pytest.raises(InputError, match=r"system.*nothing was run"):
        view(ViewArgs(path, no_browser=True))
    assert not marker.exists()


@pytest.mark.parametrize(("name", "content"), [("x.npz", b"no zip"), ("x.pkl", b"text"), ("x.bvh", b"HIERARCHY")])
def test_a_file_that_is_neither_is_refused(body, tmp_path, name, content):
    path = tmp_path / name
    with pytest.raises(InputError, match=name):
        read_any_motion(path, body, None, None)
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        read_any_motion(path, body, None, None)


# --- the page


@pytest.fixture
def motion_file(tmp_path):
    flagged = torch.zeros(FRAMES, dtype=torch.bool)
    flagged[4:7] = True
    path = tmp_path / "motion.npz"
    write_motion(_motion(flagged=flagged, uncertainty_deg=torch.full((FRAMES, 24), 3.0)), path)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_without_viser_the_extra_is_named(motion_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"learnable-smplify\[view\]"):
        view(ViewArgs(motion_file, no_browser=True))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"port": 0}, "port is 0"),
        ({"port": 99999}, "port is 99999"),
        ({"host": "256.1.1.1"}, "cannot listen"),
        ({"motion": "no_such.npz"}, "no_such"),
    ],
)
def test_addresses_and_files_that_do_not_work_are_refused(motion_file, change, problem):
    pytest.importorskip("viser")
    change = dict(change)
    path = motion_file.with_name(change.pop("motion", motion_file.name))
    with pytest.raises(InputError, match=problem):
        view(ViewArgs(path, no_browser=True, **change))


def test_a_port_in_use_is_refused_where_it_was_asked_for(motion_file):
    pytest.importorskip("viser")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot listen"):
            view(ViewArgs(motion_file, port=taken.getsockname()[1], no_browser=True))


@pytest.mark.parametrize("correctives", [False, True])
def test_every_frame_and_switch_is_drawn(correctives):
    pytest.importorskip("viser")
    from learnable_smplify.view.viewer import Viewer

    body = Body(toy_arrays(correctives=correctives))
    flagged = torch.zeros(FRAMES, dtype=torch.bool)
    flagged[4:7] = True
    figure = Figure(body, _motion(flagged=flagged, uncertainty_deg=torch.full((FRAMES, 24), 3.0)))
    second = Figure(body, _motion(frames=FRAMES // 2, seed=1))
    keypoints = _keypoints(body, figure.motion)
    with Viewer(
        figure, up="y", dots=Dots(keypoints, np.arange(FRAMES)), second=second, second_up="z", port=_free_port()
    ) as viewer:
        panel, puppet = viewer._panel, viewer._puppet
        viewer.draw(5)
        assert "flagged" in panel.status.content
        if correctives:
            np.testing.assert_array_equal(puppet._mesh.vertices, figure.vertices(5))
        else:
            np.testing.assert_allclose(puppet._skinned.bones[18].position, figure.joints[5, 18])
        np.testing.assert_allclose(viewer._dots_node.points, keypoints.positions[5])
        viewer.draw(3)
        assert viewer._dots_node.points.shape == viewer._dots_node.colors.shape == (16, 3)
        panel.heat.value = True
        viewer.draw(6)
        assert not puppet._mesh.visible
        assert all(piece.visible for piece in puppet._pieces)
        panel.second.value = "pelvis on pelvis"
        panel.up.value = "z"
        for frame in range(FRAMES):
            viewer.draw(frame)
        assert "second motion has ended" in panel.status.content
        assert not viewer._second_puppet._mesh.visible
        viewer.clock.playing = True
        viewer.tick(10.0)
        viewer.tick(10.125)
        assert panel.frame.value == 3
        with urllib.request.urlopen(viewer.url, timeout=20) as page:
            assert page.status == 200


@pytest.mark.slow
def test_the_command_serves_the_page_sends_the_scene_and_ends_on_ctrl_c(motion_file):
    viser = pytest.importorskip("viser")
    import signal

    from websockets.sync.client import connect

    port = _free_port()
    command = [sys.executable, "-m", "learnable_smplify.cli.main", "view", str(motion_file)]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell may have started the tests with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        said = ""
        while f"http://127.0.0.1:{port}" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=20) as page:
            assert b"<html" in page.read(2000).lower()
        received = 0
        with connect(f"ws://127.0.0.1:{port}", subprotocols=[f"viser-v{viser.__version__}"], max_size=None) as client:
            while received < 300_000:  # the mesh, then frames as they play
                received += len(client.recv(timeout=30))
        process.send_signal(signal.SIGINT)
        last, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, last
    assert last.strip() == "closed"
