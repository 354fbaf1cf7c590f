"""AMASS files: what is written is read back, and files of both generations are understood."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.amass import POSE_COLUMNS, read_amass, write_amass
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat

FRAMES = 7


def some_motion(hands: bool = False) -> Motion:
    generator = torch.Generator().manual_seed(5)
    pose = torch.randn(FRAMES, 24, 3, generator=generator)
    if not hands:
        pose[:, 22:] = 0
    return Motion(
        pose=pose,
        transl=torch.randn(FRAMES, 3, generator=generator),
        betas=torch.randn(10, generator=generator),
        fps=29.97,
        body="open",
        gender="female",
        up_axis="y",
        flagged=torch.arange(FRAMES) == 2,
    )


def foreign(**changes: object) -> dict[str, object]:
    """The arrays of an AMASS SMPL-H file, as the data set ships them, in float64."""
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "poses": rng.normal(size=(FRAMES, 156)),
        "trans": rng.normal(size=(FRAMES, 3)),
        "betas": rng.normal(size=16),
        "gender": np.array("male"),
        "mocap_framerate": np.array(120.00004577),
        "dmpls": rng.normal(size=(FRAMES, 8)),
    }
    arrays.update(changes)
    return {key: value for key, value in arrays.items() if value is not None}


def save(path: Path, arrays: dict[str, object]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("layout", ["smpl", "smplh", "smplx"])
@pytest.mark.parametrize("hands", [False, True])
def test_what_is_written_is_read_back(tmp_path: Path, layout, hands: bool) -> None:
    motion = some_motion(hands)
    write_motion(motion, tmp_path / "deep" / "m.npz", layout)
    back = read_motion(tmp_path / "deep" / "m.npz")
    for name in ("betas", "flagged"):
        torch.testing.assert_close(getattr(back, name), getattr(motion, name), atol=0, rtol=0)
    torch.testing.assert_close(back.pose[:, 1:], motion.pose[:, 1:], atol=0, rtol=0)
    # The file is Z up: the root is turned there and back.
    torch.testing.assert_close(rotvec_to_rotmat(back.global_orient), rotvec_to_rotmat(motion.global_orient))
    torch.testing.assert_close(back.transl, motion.transl)
    for name in ("fps", "body", "gender", "up_axis"):
        assert getattr(back, name) == getattr(motion, name)


@pytest.mark.parametrize("layout", ["smpl", "smplh", "smplx"])
def test_the_file_holds_the_keys_of_both_generations(tmp_path: Path, layout) -> None:
    motion = some_motion()
    write_amass(motion, tmp_path / "m.npz", layout)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert file["poses"].shape == (FRAMES, POSE_COLUMNS[layout])
        assert file["poses"].dtype == np.float32
        np.testing.assert_array_equal(file["poses"][:, :3], file["root_orient"])
        np.testing.assert_array_equal(file["poses"][:, 3:66], file["pose_body"])
        assert file["pose_body"].shape == (FRAMES, 63)
        assert file["betas"].shape == (16,)
        assert not file["betas"][10:].any()
        for key in ("mocap_frame_rate", "mocap_framerate"):
            assert file[key].shape == ()
            assert float(file[key]) == pytest.approx(29.97)
        assert file["gender"].dtype.kind == "U"
        assert str(file["gender"]) == "female"
        assert str(file["surface_model_type"]) == layout
        assert (str(file["up_axis"]), str(file["turned_from"])) == ("z", "y")


def test_a_file_of_the_first_generation_is_z_up_smplh(tmp_path: Path) -> None:
    arrays = foreign()
    motion = read_amass(save(tmp_path / "x_poses.npz", arrays))
    np.testing.assert_array_equal(motion.pose[:, :22].reshape(FRAMES, -1), np.float32(arrays["poses"][:, :66]))  # type: ignore[index]
    assert not bool(motion.pose[:, 22:].any())
    assert (motion.gender, motion.up_axis, motion.body) == ("male", "z", "smplh")
    assert motion.fps == 120.00004577
    np.testing.assert_array_equal(motion.betas, np.float32(arrays["betas"][:10]))  # type: ignore[index]


def test_a_file_of_the_second_generation_is_z_up_smplx(tmp_path: Path) -> None:
    poses = np.random.default_rng(1).normal(size=(FRAMES, 165))
    arrays = foreign(
        poses=poses,
        mocap_framerate=None,
        mocap_frame_rate=np.array(100.0),
        root_orient=poses[:, :3],
        pose_body=poses[:, 3:66],
        surface_model_type=np.array("smplx"),
        labels=np.array([{"a": 1}], dtype=object),
    )
    motion = read_amass(save(tmp_path / "x_stageii.npz", arrays))
    assert (motion.body, motion.fps, motion.up_axis) == ("smplx", 100.0, "z")
    np.testing.assert_array_equal(motion.pose[:, 21].numpy(), np.float32(poses[:, 63:66]))


def test_the_rate_is_taken_from_the_first_key_that_is_there(tmp_path: Path) -> None:
    both = foreign(mocap_frame_rate=np.array(60.0), fps=np.array(5.0))
    assert read_amass(save(tmp_path / "a.npz", both)).fps == 60.0
    assert read_amass(save(tmp_path / "b.npz", foreign(mocap_framerate=None, fps=np.array([50])))).fps == 50.0


@pytest.mark.parametrize(
    ("gender", "read"),
    [
        (np.array(b"female"), "female"),
        (np.array("MALE"), "male"),
        (np.array("f"), "female"),
        (np.array(["neutral"]), "neutral"),
        (np.array(b"male", dtype=object), "neutral"),
        (None, "neutral"),
    ],
)
def test_gender_is_understood_in_all_the_ways_it_is_stored(tmp_path: Path, gender, read: str) -> None:
    assert read_amass(save(tmp_path / "m.npz", foreign(gender=gender))).gender == read


def test_smpl_with_72_columns_keeps_its_hand_joints(tmp_path: Path) -> None:
    poses = np.random.default_rng(2).normal(size=(FRAMES, 72))
    motion = read_amass(save(tmp_path / "m.npz", foreign(poses=poses)))
    np.testing.assert_array_equal(motion.pose.reshape(FRAMES, 72), np.float32(poses))
    assert motion.body == "smpl"


def with_nan(frame: int) -> np.ndarray:
    poses = np.zeros((FRAMES, 156))
    poses[frame, 40] = math.nan
    return poses


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": None}, "'poses' is missing"),
        ({"trans": None}, "'trans' is missing"),
        ({"mocap_framerate": None}, "states no frame rate"),
        ({"mocap_framerate": np.array(0.0)}, "is no frame rate"),
        ({"mocap_framerate": np.array("fast")}, "numbers"),
        ({"poses": with_nan(4)}, "'poses' holds NaN or infinity in row 4"),
        ({"trans": np.full((FRAMES, 3), 1e300)}, "'trans' holds NaN or infinity"),
        ({"poses": np.zeros((FRAMES, 99))}, "(7, 99)"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "(0, 156)"),
        ({"poses": np.zeros(156)}, "(156,)"),
        ({"trans": np.zeros((3, 3))}, "(3, 3)"),
        ({"poses": np.array([[{}]], dtype=object)}, "'poses' is missing"),
        ({"poses": np.full((FRAMES, 156), "a")}, "numbers"),
        ({"betas": np.arange(20.0).reshape(2, 10)}, "betas"),
        ({"gender": np.array("robot")}, "is 'robot'"),
        ({"up_axis": np.array("w")}, "up_axis"),
        ({"flagged": np.zeros(2, dtype=bool)}, "flagged"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_key(tmp_path: Path, changes, words: str) -> None:
    with pytest.raises(InputError, match=r"m\.npz") as error:
        read_amass(save(tmp_path / "m.npz", foreign(**changes)))
    assert words in str(error.value)


def test_missing_files_and_unknown_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_motion(tmp_path / "none.npz")
    (tmp_path / "clip.bvh").write_text("HIERARCHY")
    with pytest.raises(InputError, match="import-motion"):
        read_motion(tmp_path / "clip.bvh")
    with pytest.raises(InputError, match="cannot write"):
        write_motion(some_motion(), tmp_path / "m.xyz")
    with pytest.raises(InputError, match="unknown pose layout"):
        write_amass(some_motion(), tmp_path / "m.npz", "smplz")  # type: ignore[arg-type]
    assert not (tmp_path / "m.npz").exists()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 20), cut=st.integers(0, 4000), insert=st.binary(max_size=8))
def test_no_damage_to_the_bytes_gives_anything_but_a_motion_or_an_input_error(
    tmp_path: Path, at: int, cut: int, insert: bytes
) -> None:
    path = tmp_path / "m.npz"
    write_amass(some_motion(), path)
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + insert + data[at + cut :])
    try:
        motion = read_amass(path)
    except InputError:
        return
    assert bool(torch.isfinite(motion.pose).all())
