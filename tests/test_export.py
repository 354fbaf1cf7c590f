"""The exported open body opens as SMPL elsewhere, and poses as plain linear blend skinning says."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from learnable_smplify.body.export import export_body
from learnable_smplify.body.model_files import read_model
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.errors import InputError
from learnable_smplify.skeleton import PARENTS


def plain_skinning(model: dict, pose: np.ndarray, betas: np.ndarray, transl: np.ndarray) -> np.ndarray:
    """(V, 3) linear blend skinning in float64, straight from its definition, with 4x4 matrices."""
    shaped = model["v_template"].astype(float) + model["shapedirs"].astype(float) @ betas
    joints = model["J_regressor"].astype(float) @ shaped
    world: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = Rotation.from_rotvec(pose[joint]).as_matrix()
        local[:3, 3] = joints[joint] if parent < 0 else joints[joint] - joints[parent]
        world.append(local if parent < 0 else world[parent] @ local)
    moved = np.zeros_like(shaped)
    for joint in range(24):
        to_joint = np.eye(4)
        to_joint[:3, 3] = -joints[joint]
        full = world[joint] @ to_joint
        moved += model["weights"][:, joint, None].astype(float) * (shaped @ full[:3, :3].T + full[:3, 3])
    return moved + transl


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "SMPL_OPEN.pkl"
    export_body(read_open_body(), path)
    return path


def test_smplx_opens_it_and_gives_the_same_vertices(exported: Path) -> None:
    torch = pytest.importorskip("torch")
    smplx = pytest.importorskip("smplx")
    count = 5
    model = smplx.SMPL(model_path=str(exported), batch_size=count)
    generator = np.random.default_rng(11)
    pose = generator.normal(scale=0.6, size=(count, 24, 3)).astype(np.float32)
    betas = generator.normal(size=(count, 10)).astype(np.float32)
    transl = generator.normal(size=(count, 3)).astype(np.float32)
    with torch.no_grad():
        output = model(
            global_orient=torch.from_numpy(pose[:, 0]),
            body_pose=torch.from_numpy(pose[:, 1:].reshape(count, -1)),
            betas=torch.from_numpy(betas),
            transl=torch.from_numpy(transl),
        )
    with exported.open("rb") as file:
        arrays = pickle.load(file)  # our own file, written by this test
    for item in range(count):
        expected = plain_skinning(arrays, pose[item], betas[item], transl[item])
        np.testing.assert_allclose(output.vertices[item].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("suffix", [".pkl", ".npz"])
def test_it_loads_back_without_loss(tmp_path: Path, suffix: str) -> None:
    body = read_open_body()
    path = tmp_path / f"body{suffix}"
    export_body(body, path)
    again = read_model(path)
    assert (again.name, again.gender, again.point_names) == (body.name, body.gender, body.point_names)
    assert again.posedirs is None
    for key in ("v_template", "shapedirs", "j_regressor", "weights", "faces", "point_regressor"):
        assert np.array_equal(getattr(again, key), getattr(body, key)), key


def test_the_file_says_that_it_is_not_smpl(exported: Path) -> None:
    with exported.open("rb") as file:
        model = pickle.load(file)  # our own file, written by this test
    assert model["lsmplify_body"] == "open"
    assert "CC0" in model["license"]
    assert model["kintree_table"].dtype == np.uint32
    assert model["kintree_table"][0, 0] == 4294967295
    assert model["posedirs"].shape == (6890, 3, 207)
    assert not model["posedirs"].any()


def test_another_suffix_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.pkl or \.npz"):
        export_body(read_open_body(), tmp_path / "body.obj")
    assert list(tmp_path.iterdir()) == []


def test_a_licensed_body_is_not_written_out_as_ours(tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(InputError, match="licensed"):
        export_body(replace(read_open_body(), name="smpl"), tmp_path / "body.pkl")
    assert list(tmp_path.iterdir()) == []
