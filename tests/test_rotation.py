"""Rotation maths: SciPy as a second opinion, finite differences for the derivative, angles near zero and near pi."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from learnable_smplify.rotation import closest_rotmat, left_jacobian_inverse, rotmat_to_rotvec, rotvec_to_rotmat, skew

# Angles [rad] on both sides of every switch between a formula and its series.
ANGLES = [0.0, 1e-9, 1e-4, 0.009, 0.011, 0.5, 2.0, 3.1, np.pi - 1e-6]


def rotvecs(angle: float, count: int = 6) -> torch.Tensor:
    axes = torch.randn(count, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return angle * axes / axes.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotvecs_become_the_matrices_scipy_makes_and_come_back(angle: float) -> None:
    rotvec = rotvecs(angle)
    rotmat = rotvec_to_rotmat(rotvec)
    np.testing.assert_allclose(rotmat, Rotation.from_rotvec(rotvec.numpy()).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotmat_to_rotvec(rotmat), rotvec, atol=1e-7)


def test_half_a_turn_comes_back_as_half_a_turn_about_either_end_of_the_axis() -> None:
    rotvec = rotvecs(np.pi)
    back = rotmat_to_rotvec(rotvec_to_rotmat(rotvec))
    np.testing.assert_allclose(rotvec_to_rotmat(back), rotvec_to_rotmat(rotvec), atol=1e-7)
    np.testing.assert_allclose(back.norm(dim=-1), np.pi, atol=1e-7)


def test_float32_keeps_its_precision_near_half_a_turn() -> None:
    rotmat = rotvec_to_rotmat(rotvecs(np.pi - 1e-3).float())
    np.testing.assert_allclose(rotvec_to_rotmat(rotmat_to_rotvec(rotmat)), rotmat, atol=2e-6)


def test_a_skew_matrix_is_the_cross_product() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 4, 5, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close((skew(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))
    torch.testing.assert_close(skew(a), -skew(a).transpose(-1, -2))


@pytest.mark.parametrize("angle", ANGLES)
def test_the_inverse_left_jacobian_undoes_central_differences(angle: float) -> None:
    rotvec, step = rotvecs(angle), 1e-5
    back = Rotation.from_rotvec(rotvec.numpy()).inv()
    columns = []
    for axis in np.eye(3):
        ahead, behind = (
            (Rotation.from_rotvec(rotvec.numpy() + sign * step * axis) * back).as_rotvec() for sign in (1, -1)
        )
        columns.append((ahead - behind) / (2 * step))
    product = left_jacobian_inverse(rotvec).numpy() @ np.stack(columns, axis=-1)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-6)


def test_the_closest_rotation_of_a_stretched_rotation_is_that_rotation_and_never_a_mirror() -> None:
    rotmat = rotvec_to_rotmat(rotvecs(1.3))
    stretch = torch.diag(torch.tensor([3.0, 1.0, 0.2], dtype=torch.float64))
    torch.testing.assert_close(closest_rotmat(rotmat @ stretch), rotmat)
    mirrored = closest_rotmat(rotmat @ torch.diag(torch.tensor([1.0, 1.0, -0.5], dtype=torch.float64)))
    torch.testing.assert_close(torch.linalg.det(mirrored), torch.ones(6, dtype=torch.float64))
