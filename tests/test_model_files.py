from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

from learnable_smplify.body.body import load_body
from learnable_smplify.body.landmarks import landmark_regressor
from learnable_smplify.body.model_files import read_body25_regressor, read_model
from learnable_smplify.body.model_search import find_body25_regressor, find_model, search_models
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import JOINT_INDEX, PARENTS

JOINTS = {"smpl": 24, "smplh": 52, "smplx": 55}
SHAPES = {"smpl": 10, "smplh": 16, "smplx": 400}


def parents_of(kind: str) -> list[int]:
    """SMPL's tree, or its first 22 joints with (jaw and eyes and) five fingers of three joints on each wrist."""
    if kind == "smpl":
        return list(PARENTS)
    parents = [*PARENTS[:22], *([15, 15, 15] if kind == "smplx" else [])]
    for wrist in (20, 21):
        for _ in range(5):
            first = len(parents)
            parents += [wrist, first, first + 1]
    return parents


def toy_model(kind: str, vertices: int = 80, seed: int = 0) -> dict[str, Any]:
    """A random model with every array of a real file of this kind."""
    rng = np.random.default_rng(seed)
    joints = JOINTS[kind]

    def rows(count: int, columns: int) -> np.ndarray:
        matrix = np.zeros((count, columns))
        for row in matrix:
            row[rng.choice(columns, 4, replace=False)] = rng.dirichlet(np.ones(4))
        return matrix

    table = np.stack([np.array(parents_of(kind)), np.arange(joints)])
    model = {
        "v_template": rng.normal(size=(vertices, 3)),
        "f": rng.integers(0, vertices, size=(100, 3)).astype(np.uint32),
        "weights": rows(vertices, joints),
        "shapedirs": rng.normal(scale=0.1, size=(vertices, 3, SHAPES[kind])),
        "posedirs": rng.normal(scale=0.05, size=(vertices, 3, 9 * (joints - 1))),
        "J_regressor": rows(joints, vertices),
        "kintree_table": table.astype(np.uint32),
    }
    if kind != "smpl":
        model |= {"hands_meanl": np.full(45, 0.3), "hands_meanr": np.full(45, 0.2)}
    if kind == "smplx":
        model["joint2num"] = np.array({f"joint{index}": index for index in range(joints)}, dtype=object)
    return model


def save(model: dict[str, Any], path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **model)
    else:
        path.write_bytes(pickle.dumps({**model, "J_regressor": scipy.sparse.csc_matrix(model["J_regressor"])}, 2))
    return path


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("kind", JOINTS)
def test_a_body_read_from_a_file_has_the_vertices_that_body_models_gives(tmp_path: Path, kind: str, suffix: str):
    from body_models.smpl.torch import SMPL
    from body_models.smplh.torch import SMPLH
    from body_models.smplx.torch import SMPLX

    path = save(toy_model(kind), tmp_path / f"model{suffix}")
    body = load_body(path)
    assert body.name == kind
    generator = torch.Generator().manual_seed(1)
    pose = torch.randn(4, 24, 3, generator=generator) * 0.6
    betas = torch.randn(4, 10, generator=generator)
    transl = torch.randn(4, 3, generator=generator)
    if kind != "smpl":
        pose[:, 22:] = 0.0  # these two joints of SMPL do not exist there
    options = {"pelvis_rotation": pose[:, 0], "global_translation": transl}
    if kind == "smpl":
        model = SMPL(model_path=path)
        expected = model.forward_vertices(pose[:, 1:], shape=betas, **options)
    elif kind == "smplh":
        model = SMPLH(model_path=path, flat_hand_mean=True)
        shape = torch.nn.functional.pad(betas, (0, 6))
        expected = model.forward_vertices(pose[:, 1:22], torch.zeros(4, 30, 3), shape=shape, **options)
    else:
        model = SMPLX(model_path=path, flat_hand_mean=True)
        expected = model.forward_vertices(
            pose[:, 1:22],
            torch.zeros(4, 3, 3),
            torch.zeros(4, 30, 3),
            shape=betas,
            expression=torch.zeros(4, 10),
            **options,
        )
    torch.testing.assert_close(body.vertices(pose, betas, transl), expected, atol=2e-5, rtol=1e-5)


def test_a_pickle_read_by_us_has_the_vertices_that_smplx_gives(tmp_path: Path):
    import smplx

    model = toy_model("smpl", vertices=60)
    path = save(model, tmp_path / "SMPL_NEUTRAL.pkl")
    face = dict.fromkeys(("nose", "reye", "leye", "rear", "lear"), 0)
    reference = smplx.SMPL(model_path=str(path), vertex_ids=face, use_feet_keypoints=False, use_hands=False)
    pose = torch.randn(3, 24, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    betas = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    expected = reference(betas=betas, global_orient=pose[:, :1].flatten(1), body_pose=pose[:, 1:].flatten(1))
    body = load_body(path)
    torch.testing.assert_close(body.vertices(pose, betas), expected.vertices, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(body.joints(pose, betas), expected.joints[:, :24], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["smplh", "smplx"])
def test_hands_sit_at_the_middle_finger_and_knuckles_at_the_finger_joints(tmp_path: Path, kind: str):
    model = toy_model(kind)
    arrays = read_model(save(model, tmp_path / "model.npz"))
    first = JOINTS[kind] - 30
    regressor = model["J_regressor"].astype(np.float32)
    np.testing.assert_array_equal(arrays.j_regressor[22:], regressor[[first + 3, first + 18]])
    knuckle = dict(zip(arrays.point_names, arrays.point_regressor, strict=True))
    np.testing.assert_array_equal(knuckle["left_index_knuckle"], regressor[first])
    np.testing.assert_array_equal(knuckle["right_pinky_knuckle"], regressor[first + 15 + 6])
    assert not arrays.weights[:, 22:].any()
    np.testing.assert_allclose(arrays.weights.sum(1), 1, atol=1e-6)


def test_a_body_without_its_own_points_gets_every_landmark(tmp_path: Path):
    arrays = read_model(save(toy_model("smpl"), tmp_path / "model.pkl"), gender="female")
    assert arrays.point_names == tuple(LANDMARKS)
    np.testing.assert_allclose(arrays.point_regressor.sum(1), 1, atol=1e-5)
    assert (arrays.gender, arrays.v_template.dtype, arrays.shapedirs.shape) == ("female", np.float32, (80, 3, 10))
    keypoints = load_body(tmp_path / "model.pkl").keypoints(np.zeros((2, 24, 3)), np.zeros(10), layout="mediapipe33")
    assert keypoints.shape == (2, 33, 3)


def test_the_rules_for_landmarks_find_those_of_the_open_body():
    body = read_open_body()
    own = dict(zip(body.point_names, body.point_regressor @ body.v_template, strict=True))
    names, rows = landmark_regressor(body)
    errors = {
        name: np.linalg.norm(point - own[name]) for name, point in zip(names, rows @ body.v_template, strict=True)
    }
    assert max(errors.values()) < 0.035, errors
    assert np.mean(list(errors.values())) < 0.015


def test_the_bodys_own_points_are_used_when_the_file_has_them(tmp_path: Path):
    model = toy_model("smpl")
    points = np.eye(len(LANDMARKS), 80)
    model |= {
        "posedirs": np.zeros((80, 3, 207)),
        "point_names": np.array(list(LANDMARKS)),
        "point_regressor": points,
        "lsmplify_body": np.array("open"),
    }
    for suffix in (".npz", ".pkl"):
        arrays = read_model(save(model, tmp_path / f"open{suffix}"))
        assert (arrays.name, arrays.posedirs, arrays.point_names) == ("open", None, tuple(LANDMARKS))
        np.testing.assert_array_equal(arrays.point_regressor, points)


def test_fewer_shape_components_are_padded_with_zeros(tmp_path: Path):
    model = toy_model("smpl")
    model["shapedirs"] = model["shapedirs"][:, :, :6]
    arrays = read_model(save(model, tmp_path / "model.npz"))
    assert arrays.shapedirs.shape == (80, 3, 10)
    assert not arrays.shapedirs[:, :, 6:].any()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("v_template", None, "it lacks v_template"),
        ("weights", np.zeros((80, 24)), "array 'weights': the skin weights"),
        ("weights", np.ones((70, 24)) / 24, r"array 'weights': the array has shape \(70, 24\)"),
        ("weights", np.array("x"), "array 'weights': the array holds no numbers"),
        ("J_regressor", np.zeros((24, 80, 1)), "array 'J_regressor'"),
        ("f", np.array([[0, 1, 80]]), "array 'f': a triangle names a vertex"),
        ("v_template", np.full((80, 3), np.nan), "NaN"),
        ("posedirs", np.zeros((80, 3, 9)), "array 'posedirs'"),
        ("shapedirs", np.zeros((80, 3)), "array 'shapedirs'"),
        ("kintree_table", np.zeros((2, 16), int), "the model has 16 joints"),
        ("kintree_table", np.zeros((2, 24), int), "not connected as in SMPL"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_array(tmp_path: Path, key: str, value: Any, message: str):
    model = toy_model("smpl")
    if value is None:
        del model[key]
    else:
        model[key] = value
    np.savez(tmp_path / "model.npz", **model)
    with pytest.raises(InputError, match=message):
        read_model(tmp_path / "model.npz")


def test_other_files_are_refused(tmp_path: Path):
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "text.pkl").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    for name, message in (
        ("list.pkl", "the pickle holds a list"),
        ("text.pkl", "pickle"),
        ("text.npz", "not a readable"),
        ("none.pkl", "no such file"),
        ("none.npz", "no such file"),
        ("model.glb", "body models do not end in"),
    ):
        with pytest.raises(InputError, match=message):
            read_model(tmp_path / name)


# search


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with no model anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMPL_BODY_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr("body_models._config.CONFIG_FILE", tmp_path / "config.toml")
    return tmp_path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_model_is_found_in_every_place_in_the_order_of_search(nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match=r"no smpl model.*SMPL_BODY_MODELS.*body_models.*lsmplify doctor"):
        find_model("smpl")
    files = [
        touch(nowhere / "share" / "learnable-smplify" / "body_models" / "SMPL_NEUTRAL.pkl"),
        touch(nowhere / "data" / "body_models" / "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"),
        touch(nowhere / "body_models" / "smpl" / "SMPL_NEUTRAL.npz"),
        touch(nowhere / "configured.pkl"),
        touch(nowhere / "set" / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"),
        touch(nowhere / "flag" / "SMPL_NEUTRAL.pkl"),
    ]
    touch(nowhere / "config.toml").write_text(f'[paths]\nsmpl-neutral = "{files[3]}"\n')
    monkeypatch.setenv("SMPL_BODY_MODELS", str(nowhere / "set"))
    places = search_models("smpl", flag=nowhere / "flag")
    assert [path.resolve() for place in places for path in place.found] == files[::-1]
    for expected in (files[4], files[3]):
        assert find_model("smpl").resolve() == expected
        expected.unlink()


@pytest.mark.parametrize(
    ("kind", "gender", "name"),
    [
        ("smpl", "male", "basicmodel_m_lbs_10_207_0_v1.1.0.pkl"),
        ("smpl", "female", "basicModel_f_lbs_10_207_0_v1.0.0.pkl"),
        ("smplh", "male", "smplh/male/model.npz"),
        ("smplx", "neutral", "smplx/SMPLX_NEUTRAL.npz"),
    ],
)
def test_the_usual_file_names_of_each_model_are_known(nowhere: Path, kind: str, gender: str, name: str):
    path = touch(nowhere / "body_models" / name)
    assert find_model(kind, gender).resolve() == path
    with pytest.raises(InputError, match="unknown body model"):
        find_model("star")
    with pytest.raises(InputError, match="unknown gender"):
        find_model("smpl", "other")


def test_easymocaps_regressor_is_found_beside_the_model_and_checked(nowhere: Path):
    assert find_body25_regressor(nowhere / "models" / "smpl" / "SMPL_NEUTRAL.pkl") is None
    regressor = np.full((25, 80), 1 / 80, dtype=np.float32)
    path = touch(nowhere / "models" / "J_regressor_body25.npy")
    np.save(path, regressor)
    assert find_body25_regressor(nowhere / "models" / "smpl" / "SMPL_NEUTRAL.pkl") == path
    np.testing.assert_array_equal(read_body25_regressor(path, 80), regressor)
    with pytest.raises(InputError, match=r"\(25, 81\)"):
        read_body25_regressor(path, 81)
    np.save(path, regressor * 2)
    with pytest.raises(InputError, match="do not sum to 1"):
        read_body25_regressor(path, 80)


def test_easymocaps_regressor_gives_face_and_feet(tmp_path: Path):
    arrays = read_model(save(toy_model("smpl"), tmp_path / "model.npz"))
    regressor = np.random.default_rng(0).dirichlet(np.ones(80), size=25).astype(np.float32)
    names, rows = landmark_regressor(arrays, regressor)
    row = dict(zip(names, rows, strict=True))
    layout = load_layout("body25")
    for name, points in zip(layout.keypoint_names, layout.points, strict=True):
        if len(points) == 1 and points[0][0] not in JOINT_INDEX:
            np.testing.assert_array_equal(row[points[0][0]], regressor[layout.index(name)])
