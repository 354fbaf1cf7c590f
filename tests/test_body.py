"""`Body` and `load_body`: shapes, dtypes, devices and errors. The open body's own data: test_open_body, test_export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import learnable_smplify as ls


@pytest.fixture(scope="module")
def body() -> ls.Body:
    return ls.load_body()


def people(batch: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pose = 0.6 * torch.randn(batch, 24, 3, generator=generator)
    return pose, torch.randn(batch, 10, generator=generator), torch.randn(batch, 3, generator=generator)


def test_joints_in_the_rest_pose_are_the_regressed_ones(body: ls.Body) -> None:
    betas = people()[1]
    pose = torch.zeros(5, 24, 3)
    regressed = torch.as_tensor(body.arrays.j_regressor) @ body.vertices(pose, betas)
    torch.testing.assert_close(body.joints(pose, betas), regressed, atol=1e-5, rtol=0)


def test_turning_the_pelvis_turns_the_body_about_its_pelvis_joint(body: ls.Body) -> None:
    pose, betas, transl = people()
    pelvis = body.joints(pose, betas, transl)[:, 0]
    turned = pose.clone()
    turned[:, 0] = 0
    torch.testing.assert_close(body.joints(turned, betas, transl)[:, 0], pelvis, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", ls.layout_names())
def test_every_layout_has_finite_keypoints_on_the_open_body(body: ls.Body, layout: str) -> None:
    pose, betas, transl = people()
    keypoints = body.keypoints(pose, betas, transl, layout=layout)
    assert keypoints.shape == (5, len(ls.load_layout(layout).keypoint_names), 3)
    assert bool(torch.isfinite(keypoints).all())


def test_one_pose_without_a_batch_axis_one_shape_for_all_and_flat_poses_are_welcome(body: ls.Body) -> None:
    pose, betas, transl = people()
    one = body.joints(pose[0], betas[0], transl[0])
    torch.testing.assert_close(one, body.joints(pose[:1], betas[:1], transl[:1]))
    torch.testing.assert_close(body.joints(pose.flatten(1), betas[0]), body.joints(pose, betas[:1].expand(5, 10)))
    padded = torch.nn.functional.pad(betas[:, :4], (0, 6))
    torch.testing.assert_close(body.joints(pose, betas[:, :4]), body.joints(pose, padded))


def test_the_dtype_follows_the_pose(body: ls.Body) -> None:
    pose, betas, transl = people()
    exact = body.vertices(pose.double(), betas, transl)
    assert exact.dtype == torch.float64
    assert body.keypoints(pose.double(), betas).dtype == torch.float64
    assert body.joints(pose.half(), betas).dtype == torch.float32
    torch.testing.assert_close(body.vertices(pose, betas, transl), exact.float(), atol=2e-6, rtol=0)


def test_results_stay_on_the_device_of_the_pose(body: ls.Body) -> None:
    pose, betas, _ = people()
    assert body.joints(pose.to("meta"), betas).device.type == "meta"


def test_more_poses_than_are_skinned_at_once_make_no_difference(body: ls.Body) -> None:
    pose = 0.3 * torch.randn(260, 24, 3, generator=torch.Generator().manual_seed(1))
    vertices = body.vertices(pose, torch.zeros(10))
    torch.testing.assert_close(vertices[257:], body.vertices(pose[257:], torch.zeros(10)))
    assert body.vertices(pose[:0], torch.zeros(10)).shape == (0, len(body.arrays.v_template), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pose": np.zeros((2, 23, 3))}, "pose has shape"),
        ({"betas": np.zeros((3, 10))}, "betas have shape"),
        ({"betas": np.zeros(11)}, "betas have shape"),
        ({"transl": np.zeros((3, 3))}, "transl has shape"),
    ],
)
@pytest.mark.parametrize("method", ["vertices", "joints", "keypoints"])
def test_arguments_that_do_not_fit_are_refused(body: ls.Body, method: str, change: dict, message: str) -> None:
    given = {"pose": np.zeros((2, 24, 3)), "betas": np.zeros(10), "transl": np.zeros((2, 3))} | change
    with pytest.raises(ls.InputError, match=message):
        getattr(body, method)(**given)


def test_what_is_no_body_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path, message in (
        (tmp_path / "absent.pkl", "absent.pkl"),
        (tmp_path / "notes.txt", "notes.txt"),
        (tmp_path, str(tmp_path.name)),
    ):
        with pytest.raises(ls.InputError, match=message):
            ls.load_body(path)
    with pytest.raises(ls.InputError, match="gender"):
        ls.load_body(gender="female")
