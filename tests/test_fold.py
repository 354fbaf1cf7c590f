"""The folded keypoints against the mesh they stand for, and their derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.body import Body
from learnable_smplify.body.body import _regressors
from learnable_smplify.layouts.layout import load_layout
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


@pytest.mark.parametrize("correctives", [False, True])
def test_the_jacobian_equals_central_differences(correctives: bool) -> None:
    body = Body(toy_arrays(correctives=correctives))
    pose, betas, transl = random_inputs()
    jacobian = body.keypoint_jacobian(pose, betas, transl)
    h = 1e-6

    def difference(index: int, argument: str) -> torch.Tensor:
        values = {"pose": pose, "betas": betas, "transl": transl}
        shifted = []
        for sign in (1, -1):
            moved = values[argument].clone()
            moved.reshape(len(moved), -1)[:, index] += sign * h
            shifted.append(body.keypoints(**{**values, argument: moved}))
        return (shifted[0] - shifted[1]) / (2 * h)

    by_pose = torch.stack([difference(i, "pose") for i in range(72)], dim=-1)
    torch.testing.assert_close(jacobian.pose.flatten(3), by_pose, atol=1e-6, rtol=1e-6)
    by_betas = torch.stack([difference(i, "betas") for i in range(10)], dim=-1)
    torch.testing.assert_close(jacobian.betas, by_betas, atol=1e-6, rtol=1e-6)
    by_transl = torch.stack([difference(i, "transl") for i in range(3)], dim=-1)
    torch.testing.assert_close(jacobian.transl, by_transl, atol=1e-6, rtol=1e-6)


def test_one_person_in_many_poses_equals_the_same_betas_repeated() -> None:
    body = Body(toy_arrays())
    pose, betas, transl = random_inputs()
    shared = body.keypoints(pose, betas[:1], transl)
    repeated = body.keypoints(pose, betas[:1].expand(len(pose), -1), transl)
    torch.testing.assert_close(shared, repeated)
