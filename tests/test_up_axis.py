"""Motion files for other programs: Z up, SMPL's betas where SMPL is posed, and the same motion read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.formats.motion.style import MotionStyle
from learnable_smplify.formats.motion.up import turn_motion
from learnable_smplify.motion import Motion
from test_bvh_writer import some_motion
from toy_motion import swinging_poses


def standing(up: str | None = "y") -> Motion:
    """Somebody who stands upright and swings, in a world whose axis `up` points up."""
    turn = {"x": [0, 0, -np.pi / 2], "y": [0, 0, 0], "z": [np.pi / 2, 0, 0], None: [0, 0, 0]}[up]
    pose = swinging_poses(20)
    pose[:, 0] = torch.tensor(turn)
    return Motion(pose, torch.rand(20, 3), 0.5 * torch.ones(10), fps=30, up_axis=up)  # type: ignore[arg-type]


def joints_as_amass_readers_see_them(path: Path) -> np.ndarray:
    """What a program does that knows AMASS and none of our keys: (T, 24, 3) joints, Z up."""
    with np.load(path) as file:
        np.testing.assert_array_equal(file["poses"][:, :3], file["root_orient"])
        pose = np.zeros((len(file["poses"]), 24, 3), dtype=np.float32)
        pose[:, 0], pose[:, 1:22] = file["root_orient"], file["pose_body"].reshape(-1, 21, 3)
        return load_body().joints(pose, file["betas"][:10], file["trans"]).numpy()


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_a_person_stands_upright_for_programs_that_know_only_amass(tmp_path: Path, up: str) -> None:
    write_motion(standing(up), tmp_path / "m.npz")
    joints = joints_as_amass_readers_see_them(tmp_path / "m.npz")
    spine = joints[:, 12] - joints[:, 0]
    assert (spine[:, 2] > 0.9 * np.linalg.norm(spine, axis=1)).all()
    assert str(np.load(tmp_path / "m.npz")["up_axis"]) == "z"


@pytest.mark.parametrize("up", ["x", "y", "z", None])
def test_the_motion_read_back_is_the_motion_written(tmp_path: Path, up: str | None) -> None:
    motion = some_motion(up)
    write_motion(motion, tmp_path / "m.npz", pose_layout="smpl")
    back = read_motion(tmp_path / "m.npz")
    assert back.up_axis == up
    body = load_body()
    torch.testing.assert_close(
        body.joints(back.pose, back.betas, back.transl),
        body.joints(motion.pose, motion.betas, motion.transl),
        atol=1e-5,
        rtol=0,
    )


def test_the_turned_person_is_the_same_person_in_the_same_place() -> None:
    motion, pelvis = some_motion("y"), np.array([0.01, -0.22, 0.03])
    turned = turn_motion(motion, "z", pelvis)
    there = torch.from_numpy(pelvis) + motion.transl.double()
    torch.testing.assert_close(
        torch.from_numpy(pelvis) + turned.transl.double(), there[:, [0, 2, 1]] * torch.tensor([1.0, -1.0, 1.0])
    )
    back = turn_motion(turned, "y", pelvis)
    torch.testing.assert_close(back.transl, motion.transl)


def test_a_direction_that_nobody_knows_is_said(tmp_path: Path) -> None:
    (note,) = write_motion(standing(None), tmp_path / "m.npz")
    assert "which way is up" in note
    assert read_motion(tmp_path / "m.npz").up_axis is None


@pytest.mark.parametrize("suffix", ["npz", "bvh", "glb"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_convert_writes_every_format_with_the_axis_asked_for(tmp_path: Path, suffix: str, up: str) -> None:
    write_motion(standing("y"), tmp_path / "in.npz")
    out = tmp_path / f"out.{suffix}"
    convert(ConvertArgs(tmp_path / "in.npz", out, up=up))  # type: ignore[arg-type]
    if suffix == "npz":
        spine = np.diff(joints_as_amass_readers_see_them(out)[:, [0, 12]], axis=1)[:, 0]
        assert read_motion(out).up_axis == str(np.load(out)["up_axis"]) == up
    elif suffix == "bvh":
        from test_bvh_writer import read_joints

        spine = np.diff(read_joints(out)[:, [0, 12]], axis=1)[:, 0]
    else:
        from test_glb import ReadGlb

        spine = np.diff(ReadGlb(out).world()[1][..., :3, 3][:, [0, 12]], axis=1)[:, 0]
    assert (np.abs(spine).argmax(axis=1) == "xyz".index(up)).all()
    assert (spine[:, "xyz".index(up)] > 0).all()


def test_betas_of_the_open_body_are_named_so_and_zeros_for_smpl(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    motion = standing()
    write_motion(motion, tmp_path / "in.npz")
    np.testing.assert_allclose(np.load(tmp_path / "in.npz")["betas_open"], motion.betas)
    convert(ConvertArgs(tmp_path / "in.npz", tmp_path / "plain.npz"))
    assert "--betas-for smpl" in capsys.readouterr().out
    convert(ConvertArgs(tmp_path / "in.npz", tmp_path / "gmr.npz", betas_for="smpl"))
    with np.load(tmp_path / "gmr.npz") as file:
        assert file["betas"].shape == (16,)
        assert not file["betas"].any()
        vertices = load_body().vertices(torch.zeros(1, 24, 3), motion.betas)[0]
        assert float(file["actual_human_height"]) == pytest.approx(float(vertices[:, 1].max() - vertices[:, 1].min()))
    torch.testing.assert_close(read_motion(tmp_path / "gmr.npz").betas, motion.betas)


def test_betas_of_smpl_stay(tmp_path: Path) -> None:
    motion = replace(standing(), body="smplh")
    write_motion(motion, tmp_path / "m.npz", style=MotionStyle(betas_for="smpl"))
    with np.load(tmp_path / "m.npz") as file:
        np.testing.assert_allclose(file["betas"][:10], motion.betas)
        assert "betas_open" not in file


def test_the_time_of_the_first_frame_is_kept(tmp_path: Path) -> None:
    write_motion(replace(standing(), start_s=0.37), tmp_path / "m.npz")
    assert read_motion(tmp_path / "m.npz").start_s == pytest.approx(0.37)
