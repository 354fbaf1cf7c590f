"""Fingers of SMPL-H and SMPL-X model files, against the `smplx` package on the same toy files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import Body, load_body
from learnable_smplify.body.model_hands import whole_hand_pose
from learnable_smplify.body.motion_mesh import MotionMesh, on_body_joints, resting_hands
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.hands import relaxed_hands
from learnable_smplify.motion import Motion
from toy_family import KINDS, family_model, save_family
from toy_motion import drifting_transl, swinging_poses

smplx = pytest.importorskip("smplx")
FRAMES = 5
NEAR = 1e-5
BETAS = torch.tensor([0.8, -0.6, 0.5, 0.0, 0.4, -0.3, 0.2, 0.0, 0.3, 0.0])


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Body]]:
    kind = request.param
    path = save_family(kind, tmp_path_factory.mktemp(kind) / f"{kind.upper()}_FEMALE.npz")
    yield kind, path, load_body(path)
    path.unlink()


@pytest.fixture
def motion(model: tuple[str, Path, Body]) -> Motion:
    fingers = 0.4 * torch.randn(FRAMES, 30, 3, generator=torch.Generator().manual_seed(0))
    moves = swinging_poses(FRAMES), drifting_transl(FRAMES), BETAS
    return Motion(*moves, body=model[0], gender="female", up_axis="z", hand_pose=fingers)


def package(kind: str, path: Path, poses: torch.Tensor, motion: Motion, hands: torch.Tensor, **options: object):
    """The package's output for a file's columns, with the hands (T, 2, C) as they are given."""
    name = {"smplh": smplx.SMPLH, "smplx": smplx.SMPLX}[kind]
    body = name(model_path=str(path), ext="npz", batch_size=len(poses), num_betas=10, **options)
    with torch.no_grad():
        return body(
            betas=motion.betas.expand(len(poses), -1),
            global_orient=poses[:, :3],
            body_pose=poses[:, 3:66],
            left_hand_pose=hands[:, 0],
            right_hand_pose=hands[:, 1],
            transl=motion.transl,
        )


def test_a_written_motion_bends_the_same_fingers_in_the_package(
    model: tuple[str, Path, Body], motion: Motion, tmp_path: Path
) -> None:
    kind, path, body = model
    write_motion(motion, tmp_path / "m.npz", pose_layout=kind, body=body)  # type: ignore[arg-type]
    with np.load(tmp_path / "m.npz") as file:
        poses = torch.from_numpy(file["poses"])
        np.testing.assert_array_equal(file["pose_hand"], poses[:, -90:])
    hands = poses[:, -90:].reshape(FRAMES, 2, 45)
    found = package(kind, path, poses, motion, hands, use_pca=False, flat_hand_mean=True)
    mesh = MotionMesh(body, motion)
    torch.testing.assert_close(mesh.vertices(), found.vertices, atol=NEAR, rtol=0)
    assert body.hands is not None
    assert motion.hand_pose is not None
    ours = motion.pose, motion.hand_pose, motion.betas[None], motion.transl
    joints = body.hands.joints(*ours)
    first = {"smplh": 22, "smplx": 25}[kind]
    torch.testing.assert_close(joints[:, :22], found.joints[:, :22], atol=NEAR, rtol=0)
    torch.testing.assert_close(joints[:, 22:], found.joints[:, first : first + 30], atol=NEAR, rtol=0)
    again = read_motion(tmp_path / "m.npz")
    assert again.hand_pose is not None
    torch.testing.assert_close(again.hand_pose, motion.hand_pose, atol=0, rtol=0)


@pytest.mark.parametrize("components", [45, 12, 6])
@pytest.mark.parametrize("flat", [True, False])
def test_mean_hands_and_components_become_whole_rotations_as_in_the_package(
    model: tuple[str, Path, Body], motion: Motion, components: int, flat: bool
) -> None:
    kind, path, body = model
    given = torch.randn(FRAMES, 2, components, generator=torch.Generator().manual_seed(1)) * 0.3
    poses = motion.pose.reshape(FRAMES, -1)
    options = {"use_pca": components < 45, "num_pca_comps": components, "flat_hand_mean": flat}
    found = package(kind, path, poses, motion, given, **options)
    assert body.hands is not None
    whole = whole_hand_pose(given.numpy(), body.hands.arrays, about_mean=not flat)
    vertices = body.hands.vertices(motion.pose, torch.from_numpy(whole).float(), motion.betas[None], motion.transl)
    torch.testing.assert_close(vertices, found.vertices, atol=NEAR, rtol=0)


def test_fingertips_are_the_vertices_that_the_package_takes(model: tuple[str, Path, Body]) -> None:
    from smplx.vertex_ids import vertex_ids

    kind, _, body = model
    order = ("thumb", "index", "middle", "ring", "pinky")
    assert body.hands is not None
    assert list(body.hands.arrays.tips) == [vertex_ids[kind][f"{side}{finger}"] for side in "lr" for finger in order]


def test_a_motion_without_fingers_rests_as_the_model_says(model: tuple[str, Path, Body]) -> None:
    kind, _, body = model
    still = Motion(torch.zeros(1, 24, 3), torch.zeros(1, 3), torch.zeros(10), body=kind)
    rest = resting_hands(body)
    mean = np.concatenate([family_model(kind)[f"hands_mean{side}"] for side in "lr"]).reshape(30, 3)
    np.testing.assert_allclose(rest, mean, atol=1e-6)
    assert body.hands is not None
    expected = body.hands.vertices(still.pose, rest[None], torch.zeros(1, 10), still.transl)
    torch.testing.assert_close(MotionMesh(body, still).vertices(), expected, atol=0, rtol=0)


def test_components_need_the_model_that_they_were_made_with() -> None:
    hands = load_body().hands
    assert hands is not None
    with pytest.raises(InputError, match="12 components"):
        whole_hand_pose(np.zeros((2, 2, 12)), hands.arrays, about_mean=False)
    with pytest.raises(InputError, match="mean hand"):
        whole_hand_pose(np.zeros((2, 2, 45)), hands.arrays, about_mean=True)


def test_the_open_body_rests_relaxed_on_a_mesh_whose_parts_are_known() -> None:
    body = load_body()
    still = Motion(torch.zeros(2, 24, 3), torch.zeros(2, 3), torch.zeros(10))
    mesh = MotionMesh(body, still)
    assert mesh.vertices().shape == (2, len(mesh.weights), 3)
    assert int(mesh.faces.max()) == len(mesh.weights) - 1
    np.testing.assert_allclose(mesh.weights.sum(axis=1), 1, atol=1e-5)
    assert body.hands is not None
    np.testing.assert_allclose(on_body_joints(body.hands.arrays.weights), mesh.weights)
    assert bool((resting_hands(body) == relaxed_hands()).all())
    # At rest fingertips are lower than those of flat hands, palms down.
    tips = list(body.hands.arrays.tips)
    flat = torch.from_numpy(mesh.rest_vertices())
    assert float((mesh.vertices()[0, tips] - flat[tips])[:, 1].max()) <= 1e-6
