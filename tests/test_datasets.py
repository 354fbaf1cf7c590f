"""Data sets: generated roots with the real keys, types and quirks are read, and evaluated end to end."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.datasets import DATASETS, DatasetName, DatasetSequence, read_dataset
from learnable_smplify.errors import InputError
from toy_motion import drifting_transl, swinging_poses

T = 24
POSE = swinging_poses(T).numpy().astype(np.float64)
TRANSL = drifting_transl(T).numpy().astype(np.float64)
BETAS = np.random.default_rng(1).normal(size=16)


def save_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def amass_arrays() -> dict[str, Any]:
    return {
        "poses": np.concatenate((POSE.reshape(T, 72)[:, :66], np.zeros((T, 90))), axis=1),
        "trans": TRANSL,
        "betas": BETAS,
        "gender": np.array(b"female"),
        "mocap_framerate": np.array(120.00004577),
        "dmpls": np.zeros((T, 8)),
    }


def stageii_arrays() -> dict[str, Any]:
    poses = np.concatenate((POSE.reshape(T, 72)[:, :66], np.zeros((T, 99))), axis=1)
    return {
        "poses": poses,
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "trans": TRANSL,
        "betas": BETAS,
        "gender": np.array("male"),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(60.0),
        "labels_obs": np.array([["LFHD"]], dtype=object),
    }


def make_amass(root: Path) -> Path:
    subject = root / "CMU" / "49"
    subject.mkdir(parents=True)
    np.savez(subject / "49_01_poses.npz", **amass_arrays())
    np.savez(subject / "49_02_stageii.npz", **stageii_arrays())
    np.savez(subject / "shape.npz", betas=BETAS, gender="female")
    np.savez(subject / "neutral_stagei.npz", betas=BETAS)
    return root


def threedpw_content() -> dict[str, Any]:
    """As the data set's own pickles: Python 2's protocol 2, lists by person, one of them with 300 betas."""
    long = np.zeros(300)
    long[:10] = BETAS[:10]
    valid = np.ones(T, dtype=bool)
    valid[10] = False
    return {
        "poses": [POSE.reshape(T, 72), POSE.reshape(T, 72)[::-1].copy()],
        "trans": [TRANSL, TRANSL],
        "betas": [BETAS[:10], long],
        "genders": ["m", "f"],
        "jointPositions": [np.zeros((T, 72))] * 2,
        "poses_60Hz": [np.zeros((2 * T, 72))] * 2,
        "trans_60Hz": [np.zeros((2 * T, 3))] * 2,
        "campose_valid": [valid, np.ones(T, dtype=np.int64)],
        "cam_poses": np.tile(np.eye(4), (T, 1, 1)),
        "cam_intrinsics": np.eye(3),
        "img_frame_ids": np.arange(T),
        "sequence": "courtyard_dancing",
        "texture_maps": [],
    }


def make_3dpw(root: Path) -> Path:
    save_pickle(root / "sequenceFiles" / "test" / "courtyard_dancing_00.pkl", threedpw_content())
    save_pickle(root / "sequenceFiles" / "train" / "other_00.pkl", threedpw_content())
    return root


def emdb_content() -> dict[str, Any]:
    good = np.ones(T, dtype=bool)
    good[:4] = False
    flat = POSE.reshape(T, 72).astype(np.float32)
    return {
        "gender": "female",
        "name": "P0_09_outdoor_walk",
        "emdb1": True,
        "emdb2": False,
        "n_frames": T,
        "good_frames_mask": good,
        "camera": {"intrinsics": np.eye(3), "extrinsics": np.tile(np.eye(4), (T, 1, 1))},
        "smpl": {"poses_root": flat[:, :3], "poses_body": flat[:, 3:], "trans": TRANSL, "betas": BETAS[:10]},
        "kp2d": np.zeros((T, 24, 2)),
    }


def make_emdb(root: Path) -> Path:
    save_pickle(root / "P0" / "09_outdoor_walk" / "P0_09_outdoor_walk_data.pkl", emdb_content(), 4)
    return root


def rich_content(frame: int) -> dict[str, Any]:
    flat = POSE[frame].reshape(1, 72).astype(np.float32)
    return {
        "global_orient": flat[:, :3],
        "body_pose": flat[:, 3:66],
        "transl": TRANSL[frame : frame + 1].astype(np.float32),
        "betas": BETAS[None, :10].astype(np.float32),
        "left_hand_pose": np.zeros((1, 12), np.float32),
        "right_hand_pose": np.zeros((1, 12), np.float32),
        "jaw_pose": np.zeros((1, 3), np.float32),
        "expression": np.zeros((1, 10), np.float32),
    }


def make_rich(root: Path) -> Path:
    """Frame 12 is missing."""
    for frame in [frame for frame in range(T) if frame != 12]:
        folder = root / "data" / "bodies" / "test" / "LectureHall_003_wipingchairs1" / f"{frame + 17:05d}"
        save_pickle(folder / "003.pkl", rich_content(frame))
    (root / "gender.json").write_text(json.dumps({"3": "male", "9": "female"}))
    return root


def generic_arrays() -> dict[str, Any]:
    return {
        "global_orient": POSE[:, 0],
        "body_pose": POSE[:, 1:].reshape(T, 69).copy(),
        "transl": TRANSL,
        "betas": BETAS[:10],
        "fps": np.array(30.0),
        "gender": np.array(b"f"),
        "valid": np.arange(T) != 3,
    }


def make_generic(root: Path) -> Path:
    (root / "vault" / "anna").mkdir(parents=True)
    np.savez(root / "vault" / "anna" / "01.npz", **generic_arrays())
    return root


MAKERS = {"amass": make_amass, "3dpw": make_3dpw, "emdb": make_emdb, "rich": make_rich, "generic": make_generic}


def read(name: str, root: Path, split: str | None = None) -> list[DatasetSequence]:
    return list(read_dataset(name, root, split))  # type: ignore[arg-type]


def test_every_data_set_has_a_generated_root_here() -> None:
    assert set(MAKERS) == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_gives_the_motion_it_was_made_from(tmp_path: Path, name: DatasetName) -> None:
    sequence = read(name, MAKERS[name](tmp_path))[0]
    used = sequence.valid.numpy()
    joints = 22 if name in ("amass", "rich") else 24
    np.testing.assert_allclose(sequence.pose[used][:, :joints], POSE[used][:, :joints], atol=1e-6)
    assert not bool(sequence.pose[:, joints:].any())
    np.testing.assert_allclose(sequence.transl[used], TRANSL[used], atol=1e-6)
    np.testing.assert_allclose(sequence.betas[:10], BETAS[:10], atol=1e-6)
    assert len(sequence) == T
    assert len(sequence.to_motion()) == T


def test_amass_keeps_all_betas_and_passes_over_files_that_hold_only_a_body(tmp_path: Path) -> None:
    first, second = read("amass", make_amass(tmp_path))
    assert (first.name, first.subject) == ("CMU/49/49_01_poses", "CMU/49")
    assert (first.body, first.gender, first.fps) == ("smplh", "female", 120.00004577)
    assert (second.body, second.gender, second.fps) == ("smplx", "male", 60.0)
    assert len(first.betas) == 16
    assert len(read("amass", tmp_path, "CMU")) == 2


def test_3dpw_has_two_people_long_betas_and_frames_without_a_camera(tmp_path: Path) -> None:
    one, two = read("3dpw", make_3dpw(tmp_path))
    assert (one.gender, two.gender) == ("male", "female")
    assert (len(one.betas), len(two.betas)) == (10, 300)
    np.testing.assert_allclose(one.betas, two.betas[:10])
    assert np.flatnonzero(~one.valid.numpy()).tolist() == [10]
    assert bool(two.valid.all())
    assert one.name == "test/courtyard_dancing_00_0"
    assert [len(read("3dpw", tmp_path, split)) for split in ("train", "all")] == [2, 4]
    assert len(read("3dpw", tmp_path / "sequenceFiles")) == 2


def test_3dpw_text_of_python_2_is_read(tmp_path: Path) -> None:
    """Python 2 wrote text as its own opcode, which Python 3 never does; the gender is such a text there."""
    data = pickle.dumps(threedpw_content(), 2).replace(b"X\x01\x00\x00\x00m", b"U\x01m")
    path = tmp_path / "sequenceFiles" / "test" / "a_00.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    assert b"U\x01m" in data
    assert read("3dpw", tmp_path)[0].gender == "male"


def test_emdb_knows_its_two_evaluation_sets(tmp_path: Path) -> None:
    make_emdb(tmp_path)
    sequence = read("emdb", tmp_path, "emdb1")[0]
    assert (sequence.name, sequence.subject, sequence.gender) == ("P0/09_outdoor_walk", "P0", "female")
    assert np.flatnonzero(~sequence.valid.numpy()).tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="no sequence of emdb here in split 'emdb2'"):
        read("emdb", tmp_path, "emdb2")


def test_rich_puts_its_frames_together_and_marks_the_missing_one(tmp_path: Path) -> None:
    sequence = read("rich", make_rich(tmp_path))[0]
    assert (sequence.name, sequence.gender) == ("test/LectureHall_003_wipingchairs1_003", "male")
    assert np.flatnonzero(~sequence.valid.numpy()).tolist() == [12]
    assert sequence.body == "smplx"
    (tmp_path / "gender.json").unlink()
    assert read("rich", tmp_path / "data")[0].gender == "neutral"


def test_the_generic_layout_takes_what_it_documents(tmp_path: Path) -> None:
    sequence = read("generic", make_generic(tmp_path))[0]
    assert (sequence.name, sequence.subject) == ("vault/anna/01", "anna")
    assert (sequence.gender, sequence.body, sequence.fps) == ("female", "smpl", 30.0)
    assert np.flatnonzero(~sequence.valid.numpy()).tolist() == [3]
    least = {key: value for key, value in generic_arrays().items() if key not in ("gender", "valid")}
    np.savez(tmp_path / "vault" / "anna" / "01.npz", **{**least, "body_pose": POSE[:, 1:22].reshape(T, 63)})
    sequence = read("generic", tmp_path)[0]
    assert (sequence.gender, sequence.body) == ("neutral", "smplx")


def test_frames_with_nan_are_not_valid(tmp_path: Path) -> None:
    arrays = generic_arrays()
    arrays["body_pose"][7, 5] = np.nan
    make_generic(tmp_path)
    np.savez(tmp_path / "vault" / "anna" / "01.npz", **arrays)
    sequence = read("generic", tmp_path)[0]
    assert np.flatnonzero(~sequence.valid.numpy()).tolist() == [3, 7]
    assert bool(torch.isfinite(sequence.pose).all())


def renamed(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {f"{name}_v2" if name == key else name: value for name, value in content.items()}


@pytest.mark.parametrize("key", ["poses", "trans", "betas", "genders", "campose_valid"])
def test_a_renamed_key_of_3dpw_is_named_with_its_file_and_what_is_there(tmp_path: Path, key: str) -> None:
    save_pickle(tmp_path / "sequenceFiles" / "test" / "a_00.pkl", renamed(threedpw_content(), key))
    with pytest.raises(InputError, match=rf"a_00\.pkl: the key '{key}'.*{key}_v2"):
        read("3dpw", tmp_path)


@pytest.mark.parametrize("key", ["smpl", "gender", "good_frames_mask", "poses_root", "poses_body", "trans", "betas"])
def test_a_renamed_key_of_emdb_is_named(tmp_path: Path, key: str) -> None:
    content = renamed(emdb_content(), key)
    if "smpl" in content:
        content["smpl"] = renamed(content["smpl"], key)
    save_pickle(tmp_path / "P0" / "09_outdoor_walk" / "P0_09_outdoor_walk_data.pkl", content)
    with pytest.raises(InputError, match=rf"P0_09_outdoor_walk_data\.pkl.*the key '{key}'.*{key}_v2"):
        read("emdb", tmp_path)


@pytest.mark.parametrize("key", ["global_orient", "body_pose", "transl", "betas"])
def test_a_renamed_key_of_rich_is_named(tmp_path: Path, key: str) -> None:
    save_pickle(tmp_path / "bodies" / "test" / "S_003_x" / "00001" / "003.pkl", renamed(rich_content(0), key))
    with pytest.raises(InputError, match=rf"003\.pkl: the key '{key}'.*{key}_v2"):
        read("rich", tmp_path)


@pytest.mark.parametrize("key", ["global_orient", "body_pose", "transl", "betas", "fps"])
def test_a_renamed_key_of_the_generic_layout_is_named(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "a.npz", **renamed(generic_arrays(), key))
    with pytest.raises(InputError, match=rf"a\.npz: the key '{key}'.*{key}_v2"):
        read("generic", tmp_path)


@pytest.mark.parametrize(("key", "words"), [("poses", "'poses' is missing"), ("mocap_framerate", "frame rate")])
def test_a_renamed_key_of_amass_is_named(tmp_path: Path, key: str, words: str) -> None:
    np.savez(tmp_path / "a_poses.npz", **renamed(amass_arrays(), key))
    with pytest.raises(InputError, match=r"a_poses\.npz.*" + words):
        read("amass", tmp_path)


def test_a_stageii_file_without_poses_is_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a_stageii.npz", **{key: value for key, value in stageii_arrays().items() if key != "poses"})
    with pytest.raises(InputError, match=r"a_stageii\.npz.*'poses' is missing"):
        read("amass", tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_a_wrong_folder_is_refused_with_the_layout_it_should_have(tmp_path: Path, name: DatasetName) -> None:
    with pytest.raises(InputError, match="no sequence of"):
        read(name, tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read(name, tmp_path / "none")
    if name in ("3dpw", "emdb", "rich"):
        with pytest.raises(InputError, match="there is no split 'noon'"):
            read(name, tmp_path, "noon")


@pytest.mark.parametrize("split", ["none", "..", "/tmp"])
def test_a_split_that_is_no_folder_below_the_root_is_refused(tmp_path: Path, split: str) -> None:
    make_generic(tmp_path / "root")
    assert len(read("generic", tmp_path / "root", "vault")) == 1
    with pytest.raises(InputError, match="no folder"):
        read("generic", tmp_path / "root", split)


@pytest.mark.parametrize("name", DATASETS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=3)), max_size=3),
)
def test_no_damage_gives_anything_but_sequences_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, name: DatasetName, cut: float, edits: list[tuple[float, bytes]]
) -> None:
    root = MAKERS[name](tmp_path_factory.mktemp("root"))
    path = next(path for path in sorted(root.rglob("*.*")) if path.suffix in (".npz", ".pkl"))
    data = bytearray(path.read_bytes())
    for at, replacement in edits:
        start = int(at * len(data))
        data[start : start + len(replacement)] = replacement
    path.write_bytes(bytes(data) if edits else bytes(data[: int(cut * len(data))]))
    with contextlib.suppress(InputError):
        assert all(len(sequence) for sequence in read(name, root))


def test_an_unknown_data_set_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'4dpw'.*amass, 3dpw, emdb, rich, generic"):
        read("4dpw", Path("."))


class Command:
    """Pickles as a call of the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_code_in_a_data_set_is_refused_and_never_run(tmp_path: Path) -> None:
    content = {**threedpw_content(), "extra": Command(tmp_path / "ran")}
    save_pickle(tmp_path / "sequenceFiles" / "test" / "a_00.pkl", content)
    with pytest.raises(InputError, match=r"a_00\.pkl.*system.*nothing was run"):
        read("3dpw", tmp_path)
    assert not (tmp_path / "ran").exists()
