from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.network.canonical import CanonicalFrame, canonicalise
from learnable_smplify.network.rot6d import IDENTITY_ROT6D, rot6d_to_rotmat

BODY25 = load_layout("body25")
NECK, MID_HIP, LEFT_HIP, RIGHT_HIP = (BODY25.index(name) for name in ("Neck", "MidHip", "LHip", "RHip"))


def people(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and target keypoints of people no one has seen: random, but with the hips apart and the neck above."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(count, 25, 3, generator=generator, dtype=torch.float64)
    return start, start + 0.1 * torch.randn(count, 25, 3, generator=generator, dtype=torch.float64)


def rotations(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix())


@pytest.mark.parametrize(("mirrored", "determinant"), [(False, 1.0), (True, -1.0)])
def test_the_frame_is_orthonormal_and_right_handed_unless_mirrored(mirrored, determinant):
    frame = CanonicalFrame.of(people(50)[0], mirrored=mirrored)
    R = frame.R_canonical_world
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=R.dtype).expand_as(R))
    torch.testing.assert_close(torch.linalg.det(R), torch.full((50,), determinant, dtype=R.dtype))


def test_a_standing_person_faces_along_x_with_the_left_side_on_y_and_the_neck_on_z():
    start = torch.zeros(1, 25, 3)  # Y up, facing Z, at (5, 1, 5)
    start[0, MID_HIP] = torch.tensor([0.0, 0.9, 0.0])
    start[0, LEFT_HIP] = torch.tensor([0.1, 0.9, 0.0])
    start[0, RIGHT_HIP] = torch.tensor([-0.1, 0.9, 0.0])
    start[0, NECK] = torch.tensor([0.0, 1.4, 0.0])
    start[0, BODY25.index("LBigToe")] = torch.tensor([0.1, 0.0, 0.2])
    canonical, _, frame = canonicalise(start + torch.tensor([5.0, 1.0, 5.0]), start)
    torch.testing.assert_close(frame.origin_world, torch.tensor([[5.0, 1.9, 5.0]]))
    torch.testing.assert_close(canonical[0, NECK], torch.tensor([0.0, 0.0, 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(canonical[0, LEFT_HIP], torch.tensor([0.0, 0.1, 0.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(canonical[0, BODY25.index("LBigToe")], torch.tensor([0.2, 0.1, -0.9]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mirrored", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), far=st.floats(0, 100))
def test_where_the_person_stands_and_looks_does_not_matter(mirrored, seed, far):
    start, target = people(4, seed)
    R = rotations(4, seed)
    move = torch.full((4, 1, 3), far, dtype=torch.float64)
    before = canonicalise(start, target, mirrored=mirrored)
    after = canonicalise(start @ R.mT + move, target @ R.mT + move, mirrored=mirrored)
    for left, right in zip(before[:2], after[:2], strict=True):
        torch.testing.assert_close(left, right, atol=1e-9, rtol=0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_distances_and_the_motion_survive_and_the_way_back_is_exact(mirrored):
    start, target = people(10)
    a, b, frame = canonicalise(start, target, mirrored=mirrored)
    torch.testing.assert_close((b - a).norm(dim=-1), (target - start).norm(dim=-1))
    for canonical, world in ((a, start), (b, target)):
        back = canonical @ frame.R_canonical_world + frame.origin_world[:, None]
        torch.testing.assert_close(back, world)


def test_a_mirrored_frame_only_turns_x_round():
    start, target = people(10)
    right, left = canonicalise(start, target), canonicalise(start, target, mirrored=True)
    torch.testing.assert_close(left[1], right[1] * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
@pytest.mark.parametrize(
    "keypoints", [(LEFT_HIP, RIGHT_HIP), (NECK,), (MID_HIP,), (NECK, MID_HIP), (LEFT_HIP, RIGHT_HIP, NECK, MID_HIP)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_missing_and_coincident_keypoints_give_a_finite_frame_and_gradient(value, keypoints, mirrored):
    start, target = people(3)
    start[:, list(keypoints)] = value
    start, target = start.requires_grad_(), target.requires_grad_()
    a, b, frame = canonicalise(start, target, mirrored=mirrored)
    R = frame.R_canonical_world
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=R.dtype).expand_as(R))
    assert a.isfinite().all()
    assert b.isfinite().all()
    (a.square().sum() + b.square().sum()).backward()
    assert start.grad is not None
    assert start.grad.isfinite().all()


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_nothing_seen_at_all_gives_a_finite_frame(value):
    a, b, frame = canonicalise(torch.full((2, 25, 3), value), torch.full((2, 25, 3), value))
    assert a.isfinite().all()
    assert b.isfinite().all()
    torch.testing.assert_close(torch.linalg.det(frame.R_canonical_world), torch.ones(2))


def test_a_neck_on_the_line_of_the_hips_gives_a_finite_frame():
    start, target = people(3)
    start[:, NECK] = start[:, MID_HIP] + 2 * (start[:, LEFT_HIP] - start[:, RIGHT_HIP])
    a, _, frame = canonicalise(start, target)
    assert a.isfinite().all()
    torch.testing.assert_close(torch.linalg.det(frame.R_canonical_world), torch.ones(3, dtype=torch.float64))


def test_the_gradient_is_that_of_finite_differences():
    start, target = people(2)
    assert torch.autograd.gradcheck(
        lambda a, b: canonicalise(a, b)[:2], (start.requires_grad_(), target.requires_grad_())
    )


def test_the_first_two_columns_of_a_matrix_are_its_6d_form():
    R = rotations(100, 1)
    torch.testing.assert_close(rot6d_to_rotmat(R[..., :2].flatten(-2)), R)
    torch.testing.assert_close(rot6d_to_rotmat(torch.tensor(IDENTITY_ROT6D)), torch.eye(3))


def test_any_six_numbers_give_the_gram_schmidt_rotation():
    rot6d = torch.randn(200, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    R = rot6d_to_rotmat(rot6d)
    # Independent: the Q of a QR decomposition with positive diagonal is Gram-Schmidt.
    Q, upper = torch.linalg.qr(rot6d.view(-1, 3, 2))
    torch.testing.assert_close(R[..., :2], Q * upper.diagonal(dim1=-2, dim2=-1).sign()[:, None])
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(200, dtype=torch.float64))


@pytest.mark.parametrize("rot6d", [[0] * 6, [1, 2, 0, 0, 0, 0], [math.nan] * 6, [0, 1, 0, 0, 0, 0], [1e30] * 6])
def test_six_numbers_without_a_direction_still_give_a_rotation(rot6d):
    value = torch.tensor(rot6d, dtype=torch.float64, requires_grad=True)
    R = rot6d_to_rotmat(value)
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=torch.float64))
    R.sum().backward()
    assert value.grad is not None
    assert value.grad.isfinite().all()
