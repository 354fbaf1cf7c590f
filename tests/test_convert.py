"""`lsmplify convert` from files to files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import tyro

from learnable_smplify.body.export import export_body
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from test_bvh_writer import read_joints, some_motion, true_joints


def blender_add_on_takes(path) -> bool:
    """What the loader of Blender's SMPL-X add-on asks of a file before it animates anything."""
    with np.load(path) as data:
        if any(key not in data for key in ("trans", "gender", "betas", "poses")):
            return False
        rate = next((key for key in ("mocap_frame_rate", "mocap_framerate", "fps") if key in data), None)
        if rate is None or int(data[rate]) < 30 or data["poses"].shape[1] not in (156, 165):
            return False
        assert len(data["poses"]) == len(data["trans"])
        return str(data["gender"]) in ("neutral", "male", "female") and data["betas"].ndim == 1


@pytest.fixture
def motion_file(tmp_path):
    write_motion(some_motion(), tmp_path / "in.npz")
    return tmp_path / "in.npz"


@pytest.mark.parametrize("suffix", ["npz", "bvh", "glb"])
def test_the_suffix_chooses_the_format(motion_file, tmp_path, capsys, suffix):
    convert(ConvertArgs(motion=motion_file, output=tmp_path / "out" / f"a.{suffix}"))
    assert (tmp_path / "out" / f"a.{suffix}").stat().st_size > 5000
    assert "12 frames at 60 a second" in capsys.readouterr().out


@pytest.mark.parametrize(("layout", "taken"), [("smpl", False), ("smplh", True), ("smplx", True)])
def test_blenders_add_on_takes_the_layouts_with_fingers(motion_file, tmp_path, layout, taken):
    convert(ConvertArgs(motion=motion_file, output=tmp_path / "a.npz", pose_layout=layout))
    assert blender_add_on_takes(tmp_path / "a.npz") == taken
    torch.testing.assert_close(read_motion(tmp_path / "a.npz").pose, some_motion().pose)


@pytest.mark.parametrize("fps", [15.0, 29.97])
def test_a_slow_motion_keeps_its_frames_and_the_note_says_how_to_get_more(tmp_path, capsys, fps):
    slow = replace(some_motion(), fps=fps)
    (note,) = write_motion(slow, tmp_path / "slow.npz")
    assert "--fps 30" in note
    assert len(read_motion(tmp_path / "slow.npz")) == len(slow)
    assert not blender_add_on_takes(tmp_path / "slow.npz")
    convert(ConvertArgs(motion=tmp_path / "slow.npz", output=tmp_path / "a.npz", fps=30.0))
    assert blender_add_on_takes(tmp_path / "a.npz")
    out = capsys.readouterr().out
    assert f"resampled from {fps:g} to 30" in out
    assert "too few" not in out
    assert read_motion(tmp_path / "a.npz").fps == 30


def test_uncertainty_survives_the_npz_and_another_frame_rate(tmp_path):
    uncertainty = torch.rand(12, 24)
    uncertainty[3, 4] = torch.nan
    write_motion(replace(some_motion(), uncertainty_deg=uncertainty), tmp_path / "in.npz")
    torch.testing.assert_close(read_motion(tmp_path / "in.npz").uncertainty_deg, uncertainty, equal_nan=True)
    convert(ConvertArgs(motion=tmp_path / "in.npz", output=tmp_path / "a.npz", fps=30.0))
    assert read_motion(tmp_path / "a.npz").uncertainty_deg is not None


@pytest.mark.parametrize("broken", [np.zeros((3, 24)), -np.ones((12, 24)), np.full((12, 24), np.inf), np.array("no")])
def test_damaged_uncertainty_is_refused(motion_file, broken):
    with np.load(motion_file) as data:
        arrays = dict(data)
    np.savez(motion_file, **arrays, uncertainty_deg=broken)
    with pytest.raises(InputError, match="uncertainty_deg"):
        read_motion(motion_file)


def test_a_body_file_gives_the_bones(tmp_path, capsys):
    motion = replace(some_motion("z"), body="smpl", gender="male")
    write_motion(motion, tmp_path / "in.npz")
    export_body(read_open_body(), tmp_path / "SMPL_FILE.npz")
    with pytest.raises(InputError, match="--body smpl"):
        convert(ConvertArgs(motion=tmp_path / "in.npz", output=tmp_path / "a.bvh"))
    convert(ConvertArgs(motion=tmp_path / "in.npz", output=tmp_path / "a.bvh", body=str(tmp_path / "SMPL_FILE.npz")))
    assert "Z up" in capsys.readouterr().out
    turned = true_joints(motion)[..., [0, 2, 1]] * [1, 1, -1]
    np.testing.assert_allclose(read_joints(tmp_path / "a.bvh"), turned, atol=1e-4)


def test_the_open_body_can_be_asked_for_by_name(tmp_path, capsys):
    write_motion(replace(some_motion(), body="smplh", gender="female"), tmp_path / "in.npz")
    convert(ConvertArgs(motion=tmp_path / "in.npz", output=tmp_path / "a.glb", body="open"))
    assert "made for the body 'smplh'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"output": "a.fbx"}, "fbx"),
        ({"output": "in.npz"}, "overwritten"),
        ({"motion": "none.npz"}, "no such file"),
        ({"fps": -3.0}, "frame rate"),
        ({"fps": float("nan")}, "frame rate"),
        ({"output": "a.glb", "body": "no_such_model.pkl"}, "no_such_model"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_written(motion_file, tmp_path, change, problem):
    given = {"motion": "in.npz", "output": "a.bvh"} | change
    paths = {key: tmp_path / given.pop(key) for key in ("motion", "output")}
    with pytest.raises(InputError, match=problem):
        convert(ConvertArgs(**paths, **given))
    assert list(tmp_path.iterdir()) == [motion_file]


def test_the_command_line_is_short(tmp_path):
    args = tyro.cli(ConvertArgs, args=["in.npz", "-o", "a.glb", "--fps", "30"])
    assert (str(args.motion), str(args.output), args.fps, args.body) == ("in.npz", "a.glb", 30.0, None)
