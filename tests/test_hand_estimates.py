"""Hands in estimators' results: whole rotations, about a mean hand, or components of a body model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.model_hands import whole_hand_pose
from learnable_smplify.formats.estimates import read_estimates
from learnable_smplify.formats.estimates.any_motion import read_any_motion
from learnable_smplify.hands import relaxed_hands
from toy_family import save_family

FRAMES = 4


@pytest.fixture(scope="module")
def smplx_body(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Body]:
    path = save_family("smplx", tmp_path_factory.mktemp("model") / "SMPLX_NEUTRAL.npz")
    yield load_body(path)
    path.unlink()


def hands(columns: int) -> np.ndarray:
    return np.random.default_rng(3).normal(scale=0.3, size=(FRAMES, 2, columns))


def smplestx_file(path: Path, given: np.ndarray) -> Path:
    parts = {"lhand": given[:, 0], "rhand": given[:, 1]}
    np.savez(
        path,
        smplx_root_pose=np.zeros((FRAMES, 3)),
        smplx_body_pose=np.full((FRAMES, 63), 0.1),
        smplx_shape=np.zeros((FRAMES, 10)),
        cam_trans=np.ones((FRAMES, 3)),
        **{f"smplx_{name}_pose": value for name, value in parts.items()},
    )
    return path


def test_hands_about_the_mean_take_the_relaxed_hand_for_it_or_the_models_own(tmp_path: Path, smplx_body: Body) -> None:
    given = hands(45)
    path = smplestx_file(tmp_path / "a.npz", given)
    motion, notes = read_any_motion(path, None)
    assert motion.hand_pose is not None
    expected = torch.from_numpy(given.reshape(FRAMES, 30, 3)).float() + relaxed_hands()
    torch.testing.assert_close(motion.hand_pose, expected, atol=1e-6, rtol=0)
    assert any("about the mean hand of 'smplx'" in note for note in notes)
    motion, notes = read_any_motion(path, smplx_body)
    assert motion.hand_pose is not None
    assert smplx_body.hands is not None
    whole = whole_hand_pose(given, smplx_body.hands.arrays, about_mean=True)
    np.testing.assert_allclose(motion.hand_pose, whole, atol=1e-6)
    assert not any("hand" in note for note in notes)


def test_components_are_left_out_without_the_model_and_converted_with_it(tmp_path: Path, smplx_body: Body) -> None:
    given = hands(6)
    path = smplestx_file(tmp_path / "a.npz", given)
    motion, notes = read_any_motion(path, None)
    assert motion.hand_pose is None
    assert any("6 components of 'smplx'" in note and "--body smplx" in note for note in notes)
    motion, _ = read_any_motion(path, smplx_body)
    assert smplx_body.hands is not None
    whole = whole_hand_pose(given, smplx_body.hands.arrays, about_mean=True)
    np.testing.assert_allclose(motion.hand_pose, whole, atol=1e-6)


def test_files_of_single_frames_keep_their_hands(tmp_path: Path) -> None:
    given = hands(45)
    for frame in (0, 1, 3):
        single = {"smplx_lhand_pose": given[frame, 0], "smplx_rhand_pose": given[frame, 1]}
        np.savez(
            tmp_path / f"{frame:06d}_0.npz",
            smplx_root_pose=np.zeros((1, 3)),
            smplx_body_pose=np.zeros((1, 63)),
            smplx_shape=np.zeros((1, 10)),
            cam_trans=np.ones((1, 3)),
            **single,
        )
    (estimate,) = read_estimates(tmp_path)
    assert estimate.hands is not None
    np.testing.assert_allclose(estimate.hands, given[[0, 1, 3]], atol=1e-6)
    motion = estimate.to_motion(30.0)
    assert motion.hand_flagged is not None
    assert motion.hand_flagged.all(dim=1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("columns", [156, 165])
def test_poses_of_all_joints_have_whole_rotations(tmp_path: Path, columns: int) -> None:
    poses = np.random.default_rng(0).normal(scale=0.2, size=(FRAMES, columns))
    np.savez(tmp_path / "a.npz", pose=poses, betas=np.zeros(10), trans=np.zeros((FRAMES, 3)))
    motion, notes = read_any_motion(tmp_path / "a.npz", None)
    assert motion.hand_pose is not None
    np.testing.assert_allclose(motion.hand_pose.reshape(FRAMES, 90), poses[:, -90:], atol=1e-6)
    assert not any("hand" in note for note in notes)


def test_easymocaps_hands_are_components(tmp_path: Path, smplx_body: Body) -> None:
    folder = tmp_path / "smpl"
    folder.mkdir()
    for frame in range(FRAMES):
        poses = np.zeros(87)
        poses[66:78] = hands(6)[frame].ravel()
        person = {"id": 0, "Rh": [[0, 0, 0]], "Th": [[0, 0, 0]], "poses": [poses.tolist()], "shapes": [[0.0] * 10]}
        (folder / f"{frame:06d}.json").write_text(json.dumps([person]))
    motion, _ = read_any_motion(folder, smplx_body)
    assert smplx_body.hands is not None
    whole = whole_hand_pose(hands(6), smplx_body.hands.arrays, about_mean=False)
    np.testing.assert_allclose(motion.hand_pose, whole, atol=1e-6)
