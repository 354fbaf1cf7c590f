"""`lsmplify render` from files to files, on the open body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import tyro
from PIL import Image

from learnable_smplify.body import load_body
from learnable_smplify.cli.render import RenderArgs, motion_clip, render
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion


def _motion(frames: int = 4) -> Motion:
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 1] = torch.linspace(0, 0.4, frames)
    pose[:, 16, 2] = -1.0
    return Motion(pose=pose, transl=torch.zeros(frames, 3), betas=torch.zeros(10), fps=10.0, up_axis="y")


@pytest.fixture
def motion_file(tmp_path):
    path = tmp_path / "wave.npz"
    write_motion(_motion(), path)
    return path


@pytest.mark.parametrize("name", ["sheet.png", "film.gif", "film.mp4"])
def test_the_suffix_of_the_output_chooses_what_is_drawn(motion_file, tmp_path, name):
    output = tmp_path / "out" / name
    render(RenderArgs(motion=motion_file, output=output, frames=2, size=64))
    assert output.stat().st_size > 500
    if output.suffix != ".mp4":
        with Image.open(output) as image:
            assert getattr(image, "n_frames", 1) == (1 if name == "sheet.png" else 2)


def test_the_command_line_takes_the_motion_first_and_o_for_the_output(tmp_path):
    args = tyro.cli(RenderArgs, args=["wave.npz", "-o", "x.gif", "--view", "side", "--fps", "25"])
    assert (str(args.motion), str(args.output), args.view, args.fps) == ("wave.npz", "x.gif", "side", 25.0)


def test_keypoints_at_another_rate_are_taken_by_time_and_missing_ones_become_nan():
    body, motion = load_body(), _motion()
    points = body.keypoints(motion.pose, motion.betas, motion.transl, layout="body25")
    confidence = torch.ones(4, 25)
    confidence[2, 7] = 0
    same = motion_clip(motion, body, Keypoints(points, layout="body25", fps=10.0, confidence=confidence))
    assert same.keypoints is not None
    assert np.isnan(same.keypoints[2, 7]).all()
    assert np.isnan(same.keypoints).sum() == 3
    np.testing.assert_allclose(same.keypoints[1], points[1], atol=1e-6)
    doubled = motion_clip(motion, body, Keypoints(points.repeat_interleave(2, 0), layout="body25", fps=20.0))
    assert doubled.keypoints is not None
    np.testing.assert_allclose(doubled.keypoints, points, atol=1e-6)
    shorter = motion_clip(motion, body, Keypoints(points[:3], layout="body25", fps=10.0))
    assert shorter.keypoints is not None
    assert np.isnan(shorter.keypoints[3]).all()  # past their end nothing is drawn
    np.testing.assert_allclose(shorter.keypoints[:3], points[:3], atol=1e-6)


def test_the_camera_knows_where_the_person_faces():
    motion = _motion()
    turned = replace(motion, pose=torch.cat([torch.tensor([0, np.pi / 2, 0]).expand(4, 1, 3), motion.pose[:, 1:]], 1))
    np.testing.assert_allclose(motion_clip(turned, load_body()).forward, [1, 0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"output": "out.avi"}, "png"),
        ({"output": "out"}, "png"),
        ({"output": "out.gif", "view": "both"}, "one view"),
        ({"output": "out.gif", "panels": "beside"}, "nothing to draw"),
        ({"size": 1}, "height"),
        ({"motion": "no_such_file.npz"}, "no_such_file"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_nothing_is_written(motion_file, tmp_path, change, problem):
    given = {"motion": motion_file.name, "output": "out.png"} | change
    paths = {key: tmp_path / given.pop(key) for key in ("motion", "output")}
    with pytest.raises(InputError, match=problem):
        render(RenderArgs(**paths, **given))
    assert list(tmp_path.iterdir()) == [motion_file]


def test_keypoints_of_another_length_are_said(motion_file, tmp_path, capsys):
    points = load_body().keypoints(_motion(9).pose, torch.zeros(10), torch.zeros(9, 3), layout="body25")
    np.savez(tmp_path / "longer.npz", keypoints=points.numpy(), layout="body25", fps=10.0)
    render(RenderArgs(motion=motion_file, keypoints=tmp_path / "longer.npz", frames=2, size=64))
    assert "the motion has 4 frames (0.4 s) and the keypoints 9 (0.9 s)" in capsys.readouterr().err
