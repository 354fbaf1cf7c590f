"""The open body's file: what SMPL's format and this package rely on."""

from importlib import resources

import numpy as np
import pytest

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import JOINT_INDEX, MIRROR, PARENTS, mirrored_name

FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def body() -> BodyArrays:
    return read_open_body()


@pytest.fixture(scope="module")
def mirror() -> np.ndarray:
    with np.load(str(resources.files("learnable_smplify.body") / "open_body.npz"), allow_pickle=False) as data:
        return data["mirror"].astype(int)


def rest(body: BodyArrays, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rest vertices and joints in float64."""
    vertices = body.v_template.astype(np.float64) + body.shapedirs.astype(np.float64) @ betas
    return vertices, body.j_regressor.astype(np.float64) @ vertices


def stature(vertices: np.ndarray) -> float:
    return float(np.ptp(vertices[:, 1]))


def test_the_arrays_have_smpl_s_shapes_and_are_finite(body: BodyArrays) -> None:
    assert body.v_template.shape == (6890, 3)
    assert body.shapedirs.shape == (6890, 3, 10)
    assert body.j_regressor.shape == (24, 6890)
    assert body.weights.shape == (6890, 24)
    assert body.faces.shape == (13776, 3)
    assert body.point_regressor.shape == (len(body.point_names), 6890)
    assert body.posedirs is None
    for array in (body.v_template, body.shapedirs, body.j_regressor, body.weights, body.point_regressor):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_the_file_is_under_three_megabytes_and_the_licence_travels_with_it() -> None:
    folder = resources.files("learnable_smplify.body")
    assert len((folder / "open_body.npz").read_bytes()) < 3_000_000
    assert "CC0" in (folder / "OPEN_BODY_NOTICE.txt").read_text(encoding="utf-8")


def test_regressors_are_sparse_non_negative_and_sum_to_one(body: BodyArrays) -> None:
    for regressor in (body.j_regressor, body.point_regressor):
        assert regressor.min() >= 0
        np.testing.assert_allclose(regressor.sum(axis=1, dtype=np.float64), 1, atol=1e-5)
        assert (regressor > 0).sum(axis=1).max() <= 40


def test_skin_weights_are_at_most_four_a_vertex_and_sum_to_one(body: BodyArrays) -> None:
    assert body.weights.min() >= 0
    assert (body.weights > 0).sum(axis=1).max() <= 4
    np.testing.assert_allclose(body.weights.sum(axis=1, dtype=np.float64), 1, atol=1e-5)
    assert (body.weights.max(axis=0) > 0.4).all()  # every joint moves some skin of its own


def test_every_landmark_of_the_layouts_is_there(body: BodyArrays) -> None:
    assert body.point_names == tuple(LANDMARKS)


def test_the_mesh_is_closed_and_its_faces_look_outward(body: BodyArrays) -> None:
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]])
    forward = edges[:, 0] * 6890 + edges[:, 1]
    backward = edges[:, 1] * 6890 + edges[:, 0]
    assert len(np.unique(forward)) == len(forward)
    assert np.array_equal(np.sort(forward), np.sort(backward))
    assert len(np.unique(body.faces)) == 6890
    corners = body.v_template.astype(np.float64)[body.faces]
    volume = np.linalg.det(corners).sum() / 6
    assert 0.04 < volume < 0.11  # cubic metres: an adult of 40 to 110 kg, and positive only when faces look outward


def test_axes_are_y_up_z_forward_and_left_at_positive_x(body: BodyArrays) -> None:
    vertices, joints = rest(body, np.zeros(10))
    points = dict(zip(body.point_names, body.point_regressor @ vertices, strict=True))
    for name, index in JOINT_INDEX.items():
        side = joints[index, 0]
        assert (
            side > 0.03 if name.startswith("left_") else side < -0.03 if name.startswith("right_") else abs(side) < 1e-3
        )
    assert np.linalg.norm(joints[0]) < 0.01
    spine = [joints[JOINT_INDEX[name], 1] for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")]
    assert (np.diff(spine) > 0.04).all()
    leg = [joints[JOINT_INDEX[f"left_{name}"], 1] for name in ("hip", "knee", "ankle", "foot")]
    assert (np.diff(leg) < -0.03).all()
    assert points["nose"][2] > joints[JOINT_INDEX["head"], 2] + 0.05
    assert points["left_big_toe"][2] > joints[JOINT_INDEX["left_ankle"], 2] + 0.1 > points["left_heel"][2]


def test_the_arms_are_straight_and_level_and_the_legs_near_vertical(body: BodyArrays) -> None:
    for betas in (np.zeros(10), np.eye(10)[0] * 2, np.eye(10)[1] * -2):
        _, joints = rest(body, betas)
        arm = joints[[JOINT_INDEX[f"left_{name}"] for name in ("shoulder", "elbow", "wrist", "hand")]]
        assert np.ptp(arm[:, 1]) < 0.03
        assert np.ptp(arm[:, 2]) < 0.03
        leg = joints[JOINT_INDEX["left_ankle"]] - joints[JOINT_INDEX["left_hip"]]
        assert abs(leg[0]) < 0.1 * abs(leg[1])
        assert abs(leg[2]) < 0.1 * abs(leg[1])


def test_landmarks_lie_where_their_names_say(body: BodyArrays) -> None:
    vertices, joints = rest(body, np.zeros(10))
    points = dict(zip(body.point_names, body.point_regressor @ vertices, strict=True))
    by_height = ["jugular", "chin", "left_mouth", "nose", "left_eye", "head_top"]
    assert (np.diff([points[name][1] for name in by_height]) > 0).all()
    assert points["left_eye_inner"][0] < points["left_eye"][0] < points["left_eye_outer"][0] < points["left_ear"][0]
    assert points["left_big_toe"][0] < points["left_small_toe"][0]
    assert points["left_index_knuckle"][2] > points["left_pinky_knuckle"][2]  # palms face down
    assert points["left_thumb_tip"][2] > points["left_index_knuckle"][2]
    assert points["left_hand_tip"][0] == pytest.approx(vertices[:, 0].max(), abs=0.01)
    assert points["head_top"][1] == pytest.approx(vertices[:, 1].max(), abs=0.005)
    assert joints[JOINT_INDEX["neck"], 1] < points["upper_neck"][1] < joints[JOINT_INDEX["head"], 1]
    assert abs(points["upper_neck"][1] - points["chin"][1]) < 0.03


def test_the_body_is_its_own_mirror_image(body: BodyArrays, mirror: np.ndarray) -> None:
    assert np.array_equal(mirror[mirror], np.arange(6890))
    np.testing.assert_allclose(body.v_template[mirror], body.v_template * FLIP, atol=2e-6)
    np.testing.assert_allclose(body.shapedirs[mirror], body.shapedirs * FLIP[:, None], atol=2e-6)
    np.testing.assert_allclose(body.weights[mirror][:, MIRROR], body.weights, atol=2e-6)
    np.testing.assert_allclose(body.j_regressor[:, mirror][list(MIRROR)], body.j_regressor, atol=2e-6)
    other = [body.point_names.index(mirrored_name(name)) for name in body.point_names]
    np.testing.assert_allclose(body.point_regressor[:, mirror][other], body.point_regressor, atol=2e-6)
    triangles = {tuple(np.roll(face, -int(face.argmin()))) for face in body.faces}
    mirrored = {tuple(np.roll(face, -int(face.argmin()))) for face in mirror[body.faces][:, ::-1]}
    assert triangles == mirrored


def test_betas_within_two_make_adults(body: BodyArrays) -> None:
    heights = []
    for component in range(10):
        for value in (-2.0, 2.0):
            vertices, joints = rest(body, np.eye(10)[component] * value)
            heights.append(stature(vertices))
            thigh = np.linalg.norm(joints[JOINT_INDEX["left_knee"]] - joints[JOINT_INDEX["left_hip"]])
            shank = np.linalg.norm(joints[JOINT_INDEX["left_ankle"]] - joints[JOINT_INDEX["left_knee"]])
            assert 0.85 < thigh / shank < 1.1
    assert min(heights) > 1.4
    assert max(heights) < 2.1


def test_a_positive_beta_makes_the_body_taller_and_the_first_most(body: BodyArrays) -> None:
    growth = [stature(rest(body, row)[0]) - stature(rest(body, -row)[0]) for row in np.eye(10)]
    assert min(growth) > -1e-4
    assert growth[0] > 10 * max(growth[1:])


def test_joints_lie_inside_the_skin_they_hinge(body: BodyArrays) -> None:
    """Each joint is close to the middle of the skin that its own and its parent's weights share, for any shape."""
    generator = np.random.default_rng(4)
    for _ in range(20):
        vertices, joints = rest(body, generator.normal(size=10))
        for joint in range(1, 24):
            band = body.weights[:, joint].astype(np.float64) * body.weights[:, PARENTS[joint]]
            used = vertices[band > 0.05]
            assert (joints[joint] > used.min(axis=0) - 0.03).all()
            assert (joints[joint] < used.max(axis=0) + 0.03).all()


def test_vertices_are_spread_by_area_not_by_detail(body: BodyArrays) -> None:
    corners = body.v_template.astype(np.float64)[body.faces]
    face_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    area = np.bincount(body.faces.ravel(), np.repeat(face_area / 3, 3))
    owner = body.weights.argmax(axis=1)
    for names in (("left_wrist", "left_hand"), ("left_ankle", "left_foot"), ("head",)):
        part = np.isin(owner, [JOINT_INDEX[name] for name in names])
        assert part.mean() < 1.4 * area[part].sum() / area.sum()
