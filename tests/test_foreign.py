"""Motion of other sources: conventions laid on clips, and files of other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.foreign import offset_clips, read_foreign
from learnable_smplify.evaluation.markdown import HYBRID, NUMERICAL, START, ratio_table
from learnable_smplify.evaluation.pairs import Condition, Method, evaluate_pairs
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from toy_motion import swinging_poses


def clip(frames: int = 40) -> Clip:
    return Clip("swing", swinging_poses(frames), torch.zeros(frames, 3), 30.0)


def test_every_joint_but_pelvis_and_hands_is_turned_by_the_same_angle_in_all_frames() -> None:
    own = clip()
    (turned,) = offset_clips([own], 10.0)
    offset = rotmat_to_rotvec(rotvec_to_rotmat(own.pose).mT @ rotvec_to_rotmat(turned.pose))
    angle = torch.rad2deg(offset.norm(dim=-1))
    torch.testing.assert_close(angle[:, 1:22], torch.full((40, 21), 10.0), atol=0.05, rtol=0)
    assert float(angle[:, [0, 22, 23]].max()) < 0.05
    assert float((offset - offset[:1]).abs().max()) < 1e-4


def test_the_same_seed_gives_the_same_convention() -> None:
    first, again, other = (offset_clips([clip()], 5.0, seed)[0].pose for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_file_of_many_clips_and_a_folder_of_motions_are_read(tmp_path: Path) -> None:
    pose = swinging_poses(12).numpy()
    np.savez(tmp_path / "many.npz", **{"b|p": pose, "b|t": np.zeros((12, 3)), "a|p": pose[:5], "a|t": np.zeros((5, 3))})
    assert [(each.name, len(each.pose)) for each in read_foreign(tmp_path / "many.npz")] == [("a", 5), ("b", 12)]
    folder = tmp_path / "motions"
    motion = ls.Motion(swinging_poses(40), torch.zeros(40, 3), torch.zeros(10), 60.0)
    ls.write_motion(motion, folder / "deep" / "swing.npz")
    (found,) = read_foreign(folder)
    assert (found.name, found.fps) == ("deep/swing", 30.0)
    assert len(found.pose) == 20


def test_clips_of_the_wrong_shape_and_empty_folders_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", **{"a|p": np.zeros((5, 72)), "a|t": np.zeros((5, 3))})
    with pytest.raises(ls.InputError, match="clip 'a' has shapes"):
        read_foreign(tmp_path / "many.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ls.InputError, match="no motion found"):
        read_foreign(tmp_path / "empty")


def test_the_numerical_baseline_is_told_how_far_off_the_keypoints_are() -> None:
    body = ls.load_body()
    method = Method(NUMERICAL, ls.Solver(body, "gauss_newton"), knows_sigma=True)
    noisy, clean = method.under(Condition("20 mm", noise=0.02)), method.under(Condition("clean"))
    assert noisy is not None
    assert clean is not None
    assert noisy.pair_options.keypoint_sigma == 0.02
    assert clean.pair_options.keypoint_sigma < 0.001


def test_the_ratio_is_to_the_better_of_solver_and_start() -> None:
    body = ls.load_body()
    methods = [
        Method(START, None),
        Method(NUMERICAL, ls.Solver(body, "gauss_newton"), knows_sigma=True),
        Method(HYBRID, ls.Solver(body)),
    ]
    rows = evaluate_pairs([clip()], body, methods, 10, (Condition("clean"),), (1, 3))
    better = min(rows[0].pve_mm[0], rows[1].pve_mm[0])
    assert f"{rows[2].pve_mm[0] / better:.2f}" in ratio_table({"toy": rows})
