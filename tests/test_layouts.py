from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import (
    Layout,
    infer_layout,
    infer_layout_from_count,
    layout_names,
    load_layout,
)
from learnable_smplify.layouts.points import CANONICAL_POINTS
from learnable_smplify.skeleton import JOINT_NAMES, PARENTS, mirrored_name

COUNTS = {
    "body25": 25,
    "body25b": 25,
    "coco17": 17,
    "coco18": 18,
    "coco_feet23": 23,
    "halpe26": 26,
    "h36m17": 17,
    "mediapipe33": 33,
    "smpl24": 24,
    "amass22": 22,
    "ntu25": 25,
    "kit21": 21,
    "h36m32": 17 + 2,
    "kinect32": 32,
    "mocap20": 20,
    "mhr70": 24,
}

VALID = """
name = "mine"
title = "Mine"
edges = [["Hip", "LKnee"], ["Hip", "RKnee"]]
[keypoints]
Hip = { left_hip = 0.5, right_hip = 0.5 }
LKnee = "left_knee"
RKnee = "right_knee"
Nail = "head_top"
[aliases]
KJC = "LKnee"
"""


@pytest.fixture
def user_file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_every_layout_of_the_package_loads_with_its_number_of_keypoints():
    assert {name: len(load_layout(name)) for name in layout_names()} == COUNTS


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_is_a_tree_of_known_points_with_weights_that_sum_to_one(name: str):
    layout = load_layout(name)
    assert layout.name == name
    for row in layout.points:
        assert sum(weight for _, weight in row) == pytest.approx(1.0)
        assert {point for point, _ in row} <= set(CANONICAL_POINTS)
    joined = {end for edge in layout.edges for end in edge}
    assert joined == set(range(len(layout)))
    assert hash(layout) == hash(dataclasses.replace(layout))


@pytest.mark.parametrize("name", layout_names())
def test_mirroring_twice_gives_every_keypoint_back_and_pairs_left_with_right(name: str):
    layout = load_layout(name)
    for index, partner in enumerate(layout.mirror):
        assert layout.mirror[partner] == index
        mirrored = {(mirrored_name(point), weight) for point, weight in layout.points[index]}
        assert mirrored == set(layout.points[partner])
    assert any(partner != index for index, partner in enumerate(layout.mirror))


@pytest.mark.parametrize("name", layout_names())
def test_edges_are_the_same_on_both_sides_of_the_body(name: str):
    layout = load_layout(name)
    edges = {frozenset(edge) for edge in layout.edges}
    assert {frozenset(layout.mirror[end] for end in edge) for edge in edges} == edges


def test_smpl_layouts_follow_the_kinematic_tree():
    layout = load_layout("smpl24")
    assert layout.keypoint_names == JOINT_NAMES
    assert set(layout.edges) == {(PARENTS[joint], joint) for joint in range(1, 24)}
    assert load_layout("amass22").keypoint_names == JOINT_NAMES[:22]


def test_body25_has_the_order_of_openpose():
    layout = load_layout("body25")
    assert " ".join(layout.keypoint_names) == (
        "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle "
        "REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
    )
    assert layout.mirror[:8] == (0, 1, 5, 6, 7, 2, 3, 4)


def test_groups_say_which_part_of_the_body_a_keypoint_is_on():
    layout = load_layout("body25")
    groups = dict(zip(layout.keypoint_names, layout.groups, strict=True))
    assert groups["Nose"] == groups["LEar"] == "head"
    assert groups["Neck"] == groups["MidHip"] == "torso"
    assert groups["RWrist"] == "arms"
    assert groups["LHip"] == groups["LAnkle"] == "legs"
    assert groups["LHeel"] == groups["RBigToe"] == "feet"
    assert load_layout("mediapipe33").groups[19] == "hands"


@pytest.mark.parametrize("spelling", ["BODY_25", "body25", "Body-25", "body 25"])
def test_a_layout_is_found_in_any_spelling(spelling: str):
    assert load_layout(spelling).name == "body25"


def test_an_unknown_layout_is_refused_with_the_candidates():
    with pytest.raises(InputError, match=r"body25, coco17.*mediapipe33"):
        load_layout("body26")


@pytest.mark.parametrize(
    "spelling", ["LWrist", "left_wrist", "L_Wrist", "lwrist", "WristLeft", "wrist.l", "Left Wrist"]
)
def test_a_keypoint_is_found_in_any_spelling(spelling: str):
    for name in ("body25", "coco17", "mediapipe33", "smpl24"):
        layout = load_layout(name)
        assert layout.points[layout.index(spelling)] == (("left_wrist", 1.0),)


def test_an_unknown_keypoint_is_refused():
    with pytest.raises(InputError, match="no keypoint 'tail'"):
        load_layout("coco17").index("tail")


@given(st.data())
def test_a_layout_is_inferred_from_its_own_names_in_any_order(data: st.DataObject):
    layout = load_layout(data.draw(st.sampled_from(layout_names())))
    names = data.draw(st.permutations([*layout.keypoint_names, "C7_study", "r.ASIS_study", "Wand"]))
    inferred, index = infer_layout(names)
    assert inferred.name == layout.name
    assert {layout.keypoint_names[i]: i for i in index.values()} == index


def test_opencap_names_are_body25_and_pose2sim_names_are_body25b():
    limbs = [side + part for side in "RL" for part in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")]
    feet = [side + part for side in "RL" for part in ("BigToe", "SmallToe", "Heel")]
    opencap, index = infer_layout(["Neck", "midHip", *limbs, *feet, "r_shoulder_study", "RHJC_study"])
    assert (opencap.name, len(index)) == ("body25", 20)
    pose2sim, index = infer_layout(["Neck", "Head", "Nose", *limbs, *feet])
    assert (pose2sim.name, len(index)) == ("body25b", 21)
    halpe, index = infer_layout(["Neck", "Head", "Nose", "Hip", *limbs, *feet])
    assert (halpe.name, len(index)) == ("halpe26", 22)


def test_two_names_for_one_keypoint_leave_the_layouts_own():
    matched = load_layout("body25").match(["lwrist", "LWrist", "Left_Wrist"])
    assert matched == {"LWrist": 7}


def test_too_few_known_names_are_refused_with_the_candidates():
    with pytest.raises(InputError, match=r"cannot be told from these names: LWrist, foo.*body25"):
        infer_layout(["LWrist", "foo"])
    with pytest.raises(InputError, match="none"):
        infer_layout([])


@pytest.mark.parametrize(("count", "name"), [(33, "mediapipe33"), (26, "halpe26"), (24, "smpl24"), (21, "kit21")])
def test_a_layout_is_told_from_a_number_that_is_only_its_own(count: int, name: str):
    assert infer_layout_from_count(count).name == name


@pytest.mark.parametrize(("count", "names"), [(17, ["coco17", "h36m17"]), (25, ["body25", "body25b", "ntu25"])])
def test_an_ambiguous_number_of_keypoints_is_refused_with_the_candidates(count: int, names: list[str]):
    with pytest.raises(InputError) as caught:
        infer_layout_from_count(count)
    assert all(name in str(caught.value) for name in names)
    with pytest.raises(InputError, match="no layout has 5 keypoints"):
        infer_layout_from_count(5)


def test_a_users_layout_is_read(user_file):
    layout = load_layout(user_file(VALID))
    assert isinstance(layout, Layout)
    assert layout.keypoint_names == ("Hip", "LKnee", "RKnee", "Nail")
    assert layout.edges == ((0, 1), (0, 2))
    assert layout.mirror == (0, 2, 1, 3)
    assert layout.index("kjc") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"left_knee"', '"left_knie"', r"keypoints\.LKnee: unknown point 'left_knie'"),
        ('"left_knee"', "3", r"keypoints\.LKnee: the value is not a point"),
        ("right_hip = 0.5 }", "right_hip = 0.7 }", r"keypoints\.Hip: the weights add up to 1\.2"),
        ("right_hip = 0.5 }", 'right_hip = "x" }', r"keypoints\.Hip: the weight of 'right_hip'"),
        ("right_hip = 0.5 }", "right_hip = nan }", r"keypoints\.Hip: the weight of 'right_hip'"),
        ('["Hip", "RKnee"]]', '["Hip", "Toe"]]', "edge 2: the edge names a keypoint 'Toe'"),
        ('["Hip", "RKnee"]]', '["LKnee", "Hip"]]', "is there twice"),
        ('["Hip", "RKnee"]]', '["Hip", "Hip"]]', "joins a keypoint to itself"),
        ('["Hip", "RKnee"]]', '"Hip"]', "edge 2: an edge is not a pair"),
        ("RKnee =", "LKnee =", "not a valid TOML file"),
        ("RKnee =", "lknee =", r"keypoints\.lknee: keypoint 'lknee' is the same name as 'LKnee'"),
        ('KJC = "LKnee"', 'KJC = "Knee"', r"aliases\.KJC"),
        ('KJC = "LKnee"', 'rknee = "LKnee"', "already the name of another keypoint"),
        ("[aliases]", "[alias]", "unknown key 'alias'"),
        ('name = "mine"', "name = 3", "key 'name'"),
        ("[keypoints]", "[keypoints", "not a valid TOML file"),
        ("[keypoints]", "[aliases.x]", "there are no keypoints"),
    ],
)
def test_every_mistake_in_a_users_layout_names_the_file_and_the_key(user_file, old: str, new: str, message: str):
    assert old in VALID
    with pytest.raises(InputError, match=message) as caught:
        load_layout(user_file(VALID.replace(old, new)))
    assert "mine.toml" in str(caught.value)


def test_a_missing_or_binary_layout_file_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read the layout"):
        load_layout(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_layout(tmp_path / "binary.toml")


def test_two_arms_or_two_legs_are_enough_where_no_name_is_strange():
    arms = [f"{side}{joint}" for side in "LR" for joint in ("Shoulder", "Elbow", "Wrist")]
    layout, matched = infer_layout([*arms, "Neck"])
    assert layout.name == "body25"
    assert len(matched) == 7
    assert len(infer_layout([f"{side}{joint}" for side in "LR" for joint in ("Hip", "Knee", "Ankle")])[1]) == 6
    for names in ([*arms, "LASI"], arms[:5]):
        with pytest.raises(InputError, match="cannot be told from these names"):
            infer_layout(names)
