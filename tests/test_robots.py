"""The way from keypoints to robots: the file read by the steps of GMR's loader, SMPL-X posed, a person upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.formats.motion.motion_file import write_motion
from learnable_smplify.motion import Motion
from toy_family import save_family
from toy_motion import drifting_transl, swinging_poses

smplx = pytest.importorskip("smplx")
FRAMES = 12


def test_gmrs_loader_finds_a_person_standing_on_z(tmp_path: Path) -> None:
    motion = Motion(swinging_poses(FRAMES), drifting_transl(FRAMES), torch.ones(10), fps=30, up_axis="y")
    write_motion(motion, tmp_path / "walk.npz")
    convert(ConvertArgs(tmp_path / "walk.npz", tmp_path / "gmr.npz", pose_layout="smplx", betas_for="smpl"))
    model_path = save_family("smplx", tmp_path / "SMPLX_NEUTRAL.npz")
    with np.load(tmp_path / "gmr.npz", allow_pickle=False) as file:
        count = file["pose_body"].shape[0]
        hands, face = torch.zeros(count, 45), torch.zeros(count, 3)
        model = smplx.SMPLX(str(model_path), gender=str(file["gender"]), use_pca=False, num_betas=16, batch_size=count)
        with torch.no_grad():
            output = model(
                betas=torch.tensor(file["betas"]).float().view(1, -1).expand(count, -1),
                global_orient=torch.tensor(file["root_orient"]).float(),
                body_pose=torch.tensor(file["pose_body"]).float(),
                transl=torch.tensor(file["trans"]).float(),
                left_hand_pose=hands,
                right_hand_pose=hands,
                jaw_pose=face,
                leye_pose=face,
                reye_pose=face,
                return_full_pose=True,
            )
        height = 1.66 + 0.1 * file["betas"][0]
        assert float(file["mocap_frame_rate"].item()) == 30
        assert 1.2 < float(file["actual_human_height"]) < 2.2
    assert height == pytest.approx(1.66)
    assert output.full_pose.shape == (FRAMES, 165)
    spine = output.joints[:, 12] - output.joints[:, 0]
    assert bool((spine[:, 2] > 0.8 * spine.norm(dim=1)).all())
