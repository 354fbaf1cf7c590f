"""The folded keypoints against the mesh they stand for, and their derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.body import Body
from learnable_smplify.body.body import _regressors
from learnable_smplify.body.fold import pose_derivative, shape_derivative
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.rotation import rotvec_to_rotmat
from toy_body import toy_arrays


def random_inputs(batch: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(batch, 24, 3, generator=generator, dtype=torch.float64)
    pose[0] = 0  # the rest pose, where axis-angle formulas divide by zero
    betas = torch.randn(batch, 10, generator=generator, dtype=torch.float64)
    transl = torch.randn(batch, 3, generator=generator, dtype=torch.float64)
    return pose, betas, transl


@pytest.mark.parametrize("correctives", [False, True])
@pytest.mark.parametrize("layout", ["body25", "smpl24"])
def test_folded_keypoints_equal_the_regressed_mesh(layout: str, correctives: bool) -> None:
    arrays = toy_arrays(correctives=correctives)
    body = Body(arrays)
    pose, betas, transl = random_inputs()
    vertex_rows, joint_rows = _regressors(arrays, load_layout(layout))
    expected = torch.as_tensor(vertex_rows) @ body.vertices(pose, betas) + torch.as_tensor(joint_rows) @ body.joints(
        pose, betas
    )
    # Rows made of joints alone have no vertex weights, and the other way round: every row sums to one in all.
    np.testing.assert_allclose(vertex_rows.sum(1) + joint_rows.sum(1), 1, atol=1e-9)
    torch.testing.assert_close(
        body.keypoints(pose, betas, transl, layout=layout), expected + transl[:, None], atol=1e-10, rtol=0
    )


def test_the_derivative_by_turns_of_the_joints_equals_central_differences() -> None:
    body = Body(toy_arrays(correctives=False))
    pose, betas, _ = random_inputs()
    points, rotmat, h = body.folded("body25", dtype=torch.float64).shaped(betas), rotvec_to_rotmat(pose), 1e-6
    columns = []
    for turn in h * torch.eye(72, dtype=torch.float64).unflatten(1, (24, 3)):
        ahead, behind = (points.pose(rotvec_to_rotmat(side * turn) @ rotmat).positions() for side in (1, -1))
        columns.append((ahead - behind) / (2 * h))
    torch.testing.assert_close(pose_derivative(points.pose(rotmat)), torch.stack(columns, -1), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("correctives", [False, True])
def test_the_derivative_by_betas_equals_central_differences(correctives: bool) -> None:
    body = Body(toy_arrays(correctives=correctives))
    pose, betas, _ = random_inputs()
    folded, rotmat, h = body.folded("body25", dtype=torch.float64), rotvec_to_rotmat(pose), 1e-6
    columns = []
    for step in h * torch.eye(10, dtype=torch.float64):
        ahead, behind = (folded.shaped(betas + side * step).pose(rotmat).positions() for side in (1, -1))
        columns.append((ahead - behind) / (2 * h))
    found = shape_derivative(folded.shaped(betas).pose(rotmat))
    torch.testing.assert_close(found, torch.stack(columns, -1), atol=1e-6, rtol=1e-6)


def test_one_person_in_many_poses_equals_the_same_betas_repeated() -> None:
    body = Body(toy_arrays())
    pose, betas, transl = random_inputs()
    shared = body.keypoints(pose, betas[:1], transl)
    repeated = body.keypoints(pose, betas[:1].expand(len(pose), -1), transl)
    torch.testing.assert_close(shared, repeated)
