"""The open body with fingers: SMPL-H's format, and the open body in all but the hands."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.body.arrays import BodyArrays, HandArrays
from learnable_smplify.body.export import export_body
from learnable_smplify.body.model_files import read_model
from learnable_smplify.body.open_body import read_open_body, read_open_hands
from learnable_smplify.hands import (
    HAND_JOINT_NAMES,
    NUM_SHARED_JOINTS,
    SMPLH_JOINT_NAMES,
    SMPLH_PARENTS,
    mirrored_hand,
    relaxed_hands,
)
from learnable_smplify.solver.hand.anatomy import Anatomy


@pytest.fixture(scope="module")
def body() -> BodyArrays:
    return read_open_body()


@pytest.fixture(scope="module")
def hands() -> HandArrays:
    return read_open_hands()


def random_pose(count: int, seed: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pose = 0.6 * torch.randn(count, 24, 3, generator=generator)
    fingers = 0.4 * torch.randn(count, 30, 3, generator=generator)
    return pose, fingers, torch.randn(count, 10, generator=generator), torch.randn(count, 3, generator=generator)


def test_the_first_22_joints_are_the_open_body_s_for_any_betas(body: BodyArrays, hands: HandArrays) -> None:
    for betas in np.random.default_rng(1).normal(size=(20, 10)):
        own = body.j_regressor @ (body.v_template + body.shapedirs @ betas)
        same = hands.j_regressor @ (hands.v_template + hands.shapedirs @ betas)
        np.testing.assert_allclose(same[:NUM_SHARED_JOINTS], own[:NUM_SHARED_JOINTS], atol=2e-6)


def test_its_skin_outside_the_hands_is_the_open_body_s_vertex_by_vertex(body: BodyArrays, hands: HandArrays) -> None:
    place = {vertex.tobytes(): index for index, vertex in enumerate(hands.v_template)}
    outside = body.weights[:, [20, 21, 22, 23]].sum(axis=1) == 0
    rows = [place[vertex.tobytes()] for vertex in body.v_template[outside]]
    np.testing.assert_array_equal(hands.shapedirs[rows], body.shapedirs[outside])
    np.testing.assert_allclose(hands.weights[rows, :22], body.weights[outside, :22], atol=1e-6)


def test_the_file_is_under_two_megabytes_and_its_mesh_closed_and_outward(hands: HandArrays) -> None:
    folder = resources.files("learnable_smplify.body")
    assert len((folder / "open_hands.npz").read_bytes()) < 2_000_000
    assert "open_hands.npz" in (folder / "OPEN_BODY_NOTICE.txt").read_text(encoding="utf-8")
    faces, count = hands.faces, len(hands.v_template)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward, backward = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    assert len(np.unique(forward)) == len(forward)
    assert np.array_equal(np.sort(forward), np.sort(backward))
    assert np.linalg.det(hands.v_template.astype(np.float64)[faces]).sum() > 0


def test_weights_and_regressors_sum_to_one_and_each_finger_joint_moves_skin(hands: HandArrays) -> None:
    np.testing.assert_allclose(hands.weights.sum(axis=1), 1, atol=1e-5)
    assert (hands.weights > 0).sum(axis=1).max() <= 4
    assert (hands.weights.max(axis=0) > 0.1).all()
    np.testing.assert_allclose(hands.j_regressor.sum(axis=1), 1, atol=1e-5)
    assert hands.j_regressor.min() >= 0


def test_joints_are_named_and_hang_as_in_smplh() -> None:
    assert len(SMPLH_JOINT_NAMES) == 52
    assert HAND_JOINT_NAMES[:3] == ("left_index1", "left_index2", "left_index3")
    assert [name[5:-1] for name in HAND_JOINT_NAMES[:15:3]] == ["index", "middle", "pinky", "ring", "thumb"]
    for joint, name in enumerate(HAND_JOINT_NAMES, start=NUM_SHARED_JOINTS):
        parent = SMPLH_JOINT_NAMES[SMPLH_PARENTS[joint]]
        assert parent == (f"{name.split('_')[0]}_wrist" if name.endswith("1") else f"{name[:-1]}{int(name[-1]) - 1}")


def test_left_and_right_are_mirror_images() -> None:
    fingered = ls.load_body().hands
    assert fingered is not None
    _, fingers, betas, _ = random_pose(4)
    still, origin, flip = torch.zeros(4, 24, 3), torch.zeros(4, 3), torch.tensor([-1.0, 1, 1])
    fingers[:, 15:] = mirrored_hand(fingers[:, :15])
    points = fingered.hand_points(still, fingers, betas, origin)
    torch.testing.assert_close(points[:, 1], points[:, 0] * flip, atol=1e-5, rtol=0)


def test_points_of_hands_are_joints_and_skin_of_the_mesh() -> None:
    fingered = ls.load_body().hands
    assert fingered is not None
    pose, fingers, betas, transl = random_pose(4)
    points = fingered.hand_points(pose, fingers, betas, transl)
    joints = fingered.joints(pose, fingers, betas, transl)
    skin = fingered.vertices(pose, fingers, betas, transl)
    torch.testing.assert_close(points[:, 0, 0], joints[:, 20])
    torch.testing.assert_close(points[:, 1, 5], joints[:, SMPLH_JOINT_NAMES.index("right_index1")])
    torch.testing.assert_close(points[:, 0, 4], skin[:, fingered.arrays.tips[0]], atol=1e-5, rtol=0)
    torch.testing.assert_close(points[:, 1, 20], skin[:, fingered.arrays.tips[9]], atol=1e-5, rtol=0)


def test_smplx_opens_it_as_smplh_and_gives_the_same_vertices_and_joints(
    body: BodyArrays, hands: HandArrays, tmp_path: Path
) -> None:
    smplx = pytest.importorskip("smplx")
    path = tmp_path / "SMPLH_OPEN.pkl"
    export_body(body, path, hands)
    pose, fingers, betas, transl = random_pose(5)
    for flat in (True, False):
        model = smplx.SMPLH(model_path=str(path), batch_size=5, use_pca=False, flat_hand_mean=flat)
        given = fingers if flat else fingers - relaxed_hands()
        with torch.no_grad():
            out = model(
                global_orient=pose[:, 0],
                body_pose=pose[:, 1:22].flatten(1),
                left_hand_pose=given[:, :15].flatten(1),
                right_hand_pose=given[:, 15:].flatten(1),
                betas=betas,
                transl=transl,
            )
        fingered = ls.load_body().hands
        assert fingered is not None
        vertices = fingered.vertices(pose, fingers, betas, transl)
        torch.testing.assert_close(vertices, out.vertices, atol=1e-5, rtol=0)
        torch.testing.assert_close(fingered.joints(pose, fingers, betas, transl), out.joints[:, :52], atol=1e-5, rtol=0)


def test_the_exported_file_is_read_as_the_open_body_with_its_landmarks(
    body: BodyArrays, hands: HandArrays, tmp_path: Path
) -> None:
    path = tmp_path / "SMPLH_OPEN.npz"
    export_body(body, path, hands)
    again = ls.Body(read_model(path))
    assert again.name == "open"
    assert again.hands is not None
    pose, _, betas, transl = random_pose(3)
    own = ls.load_body().keypoints(pose, betas, transl, "coco_feet23")
    torch.testing.assert_close(again.keypoints(pose, betas, transl, "coco_feet23"), own, atol=1e-4, rtol=0)


def test_relaxed_hands_are_within_the_limits_and_close_neither_fist_nor_thumb() -> None:
    fingered = ls.load_body().hands
    assert fingered is not None
    anatomy = Anatomy.of(fingered.rest(torch.zeros(10)))
    turns = anatomy.turns(relaxed_hands()[None])
    assert float(anatomy.beyond(turns).max()) < 1e-4
    bends = torch.rad2deg(turns[0, 0, :4, 2::3])
    assert bool(((bends > 10) & (bends < 45)).all())
