"""Hands in files: where they are among the points, in which frame, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints, read_people
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.layouts.whole_body import WHOLE_BODIES, WholeBody, hand_columns, whole_body
from learnable_smplify.repair import repair_keypoints
from toy_hands import body_and_hands

TO_MEDIAPIPE = np.array([1.0, -1.0, -1.0])
BODIES = [whole for whole in WHOLE_BODIES if whole.body != "hands"]
ALONE = [whole for whole in WHOLE_BODIES if whole.body == "hands"]
FINGERS = ("thumb", "index_finger", "middle_finger", "ring_finger", "pinky")
MEDIAPIPE_NAMES = ["wrist", "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"] + [
    f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")
]
COCO_NAMES = [
    "hand_root",
    *(f"{f}{n}" for f in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger") for n in (1, 2, 3, 4)),
]


def in_order(whole: WholeBody, body: np.ndarray, hands: np.ndarray) -> np.ndarray:
    """(T, N, 3) the points of a file in this order; the face somewhere about the head."""
    points = np.random.default_rng(0).normal([0.2, 1.6, 0.4], 0.05, (len(body), whole.count, 3))
    if whole.body != "hands":
        points[:, list(load_layout(whole.body).columns)] = body
    for side, places in enumerate((whole.left, whole.right)):
        for point, place in enumerate(places):
            if place >= 0:
                points[:, place] = hands[:, side, point]
    return points


def write_points(path: Path, points: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".npz":
        np.savez(path, keypoints=points)
    elif path.suffix == ".json":
        path.write_text(json.dumps(points.tolist()))
    else:
        header = ",".join(f"landmark_{n}_{axis}" for n in range(points.shape[1]) for axis in "xyz")
        np.savetxt(path, points.reshape(len(points), -1), delimiter=",", header=header, comments="", fmt="%.8f")
    return path


@pytest.mark.parametrize("whole", BODIES, ids=lambda whole: whole.name)
@pytest.mark.parametrize("ending", ["npy", "npz", "json", "csv"])
def test_every_whole_body_has_its_body_as_before_and_both_hands(tmp_path: Path, whole: WholeBody, ending: str) -> None:
    body, hands = body_and_hands(whole.body)
    path = write_points(tmp_path / f"a.{ending}", in_order(whole, body, hands))
    for layout in (None, whole.name, whole.body):
        keypoints = read_keypoints(path, layout=layout, up="y", mirrored=False)
        assert keypoints.layout.name == whole.body
        np.testing.assert_allclose(keypoints.positions, body, atol=1e-5)
        assert keypoints.hands is not None
        places = np.array([whole.left, whole.right])
        there = (places >= 0) | (np.arange(21) == 0)  # the wrist is the body's where the hand has none
        np.testing.assert_allclose(keypoints.hands.positions[:, there], hands[:, there], atol=1e-5)
        assert ((keypoints.hands.confidence == 1).numpy() == there).all()
        assert not whole.face or any(f"{whole.face} of the face are left out" in note for note in keypoints.notes)


@pytest.mark.parametrize("name", ["smplh52", "smplh73", "smplx55", "smplx127", "smplx144"])
def test_fingers_of_smplx_are_where_the_smplx_package_has_them(name: str) -> None:
    joint_names = pytest.importorskip("smplx.joint_names")
    names = joint_names.SMPLH_JOINT_NAMES if "smplh" in name else joint_names.JOINT_NAMES
    whole = next(whole for whole in WHOLE_BODIES if whole.name == name)
    for side, places in (("left", whole.left), ("right", whole.right)):
        found = [names[place] if place >= 0 else "" for place in places[1:]]
        ends = ("1", "2", "3", "" if name in ("smplh73", "smplx127", "smplx144") else None)
        fingers = ("thumb", "index", "middle", "ring", "pinky")
        assert found == ["" if end is None else f"{side}_{finger}{end}" for finger in fingers for end in ends]


@pytest.mark.parametrize("whole", ALONE, ids=lambda whole: whole.name)
def test_hands_alone_are_read_by_name(tmp_path: Path, whole: WholeBody) -> None:
    _, hands = body_and_hands("body25")
    path = write_points(tmp_path / "a.npy", 1000 * in_order(whole, np.zeros((6, 0, 3)), hands))
    keypoints = read_keypoints(path, layout=whole.name)
    assert keypoints.layout.name == "hands"
    assert keypoints.hands is not None
    there = [bool(whole.left), bool(whole.right)]
    assert (keypoints.hands.confidence > 0).all(dim=2).all(dim=0).tolist() == there
    seen = keypoints.hands.positions.numpy()[:, there]
    np.testing.assert_allclose(seen - seen[:, :, :1], (hands - hands[:, :, :1])[:, there], atol=1e-5)
    assert any("hands alone" in note for note in keypoints.notes)
    assert any("millimetres" in note for note in keypoints.notes)


def test_two_hands_of_42_points_need_no_name(tmp_path: Path) -> None:
    _, hands = body_and_hands("body25")
    assert read_keypoints(write_points(tmp_path / "a.npy", hands.reshape(6, 42, 3))).layout.name == "hands"
    assert read_keypoints(write_points(tmp_path / "a.npy", hands[:, 0]), layout="kit21").hands is None


def test_names_are_found_in_any_usual_spelling() -> None:
    assert whole_body("COCO-WholeBody") == whole_body("coco_wholebody133")
    assert whole_body("Holistic") == whole_body(543)
    assert whole_body("freemocap") == whole_body(553)
    assert whole_body("body25") is None
    assert load_layout("coco_wholebody133") == load_layout("coco_feet23")
    spelled = {
        "MediaPipe": [f"left_hand_{name}" for name in MEDIAPIPE_NAMES],
        "COCO-WholeBody": [f"left_{name}" for name in COCO_NAMES],
        "numbers": [f"left_hand_{number:04d}" for number in range(21)],
        "letters": ["LHand0", *(f"L{f}{n}" for f in ("Thumb", "Index", "Middle", "Ring", "Pinky") for n in "1234")],
    }
    for names in spelled.values():
        left, right = hand_columns(["nose", *names])
        assert left == {point: point + 1 for point in range(21)}
        assert not right
    bare = ["left_wrist", "left_index", "left_thumb", "left_pinky", "left_hand", "left_hip", "left_knee", "left_eye"]
    assert hand_columns(bare) == ({}, {})


@pytest.mark.parametrize("hand_names", [MEDIAPIPE_NAMES, COCO_NAMES], ids=["MediaPipe", "COCO"])
def test_columns_named_after_a_hand_are_read_beside_the_body(tmp_path: Path, hand_names: list[str]) -> None:
    layout = load_layout("mediapipe33")
    body, hands = body_and_hands("mediapipe33")
    prefix = "hand_" if hand_names is MEDIAPIPE_NAMES else ""
    names = [
        *(f"right_{prefix}{name}" for name in hand_names),
        *layout.keypoint_names,
        *(f"left_{prefix}{name}" for name in hand_names),
        *(f"face_{n:04d}" for n in range(4)),
    ]
    points = np.concatenate((hands[:, 1], body, hands[:, 0], np.ones((6, 4, 3))), axis=1)
    lines = [",".join(f"{name}_{axis}" for name in names for axis in "xyz")]
    lines += [",".join(f"{value:.8f}" for value in row.ravel()) for row in 1000 * points]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    keypoints = read_keypoints(tmp_path / "a.csv", mirrored=False)
    assert keypoints.layout.name == "mediapipe33"
    assert keypoints.hands is not None
    np.testing.assert_allclose(keypoints.hands.positions, hands, atol=1e-5)
    np.testing.assert_allclose(keypoints.positions, body, atol=1e-5)
    assert any("4 columns are not keypoints" in note for note in keypoints.notes)


def test_a_table_of_one_hand_is_hands_alone(tmp_path: Path) -> None:
    _, hands = body_and_hands("body25")
    lines = [",".join(f"right_hand_{name}_{axis}" for name in MEDIAPIPE_NAMES for axis in "xyz")]
    lines += [",".join(f"{value:.8f}" for value in row.ravel()) for row in hands[:, 1]]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    keypoints = read_keypoints(tmp_path / "a.csv")
    assert keypoints.layout.name == "hands"
    assert keypoints.hands is not None
    assert (keypoints.hands.confidence > 0).any(dim=2).any(dim=0).tolist() == [False, True]


def test_hands_in_folders_of_openpose_are_read_and_may_be_missing(tmp_path: Path) -> None:
    body, hands = body_and_hands("body25")
    rows = np.concatenate((hands, np.full((*hands.shape[:3], 1), 0.7)), axis=3)
    for frame in range(6):
        person = {"pose_keypoints_3d": np.c_[body[frame], np.full(25, 0.8)].ravel().tolist()}
        person["face_keypoints_3d"] = np.ones(70 * 4).tolist()
        person["hand_left_keypoints_3d"] = rows[frame, 0].ravel().tolist() if frame != 2 else []
        if frame == 3:
            rows[frame, 1] = 0.0
        person["hand_right_keypoints_3d"] = rows[frame, 1].ravel().tolist()
        (tmp_path / f"a_{frame:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
    keypoints = read_keypoints(tmp_path, fps=30)
    assert keypoints.hands is not None
    seen = (keypoints.hands.confidence > 0).all(dim=2)
    assert seen.tolist() == [[frame != 2, frame != 3] for frame in range(6)]
    assert float(keypoints.hands.confidence.max()) == pytest.approx(0.7)
    np.testing.assert_allclose(keypoints.hands.positions.numpy()[seen], hands[seen.numpy()], atol=1e-5)
    (tmp_path / "a_000000000006_keypoints.json").write_text(
        json.dumps({"people": [{"pose_keypoints_3d": [1.0] * 100, "hand_left_keypoints_3d": [1.0] * 80}]})
    )
    with pytest.raises(InputError, match="80 numbers"):
        read_keypoints(tmp_path)


@pytest.mark.parametrize("count", [67, 118])
def test_hands_of_several_people_in_easymocap_stay_with_them(tmp_path: Path, count: int) -> None:
    body, hands = body_and_hands("body25")
    points = in_order(next(whole for whole in WHOLE_BODIES if whole.count == count), body, hands)
    for frame in range(6):
        people = [{"id": n, "keypoints3d": np.c_[points[frame] + n, np.ones(count)].tolist()} for n in range(2)]
        (tmp_path / f"{frame:06d}.json").write_text(json.dumps(people if frame != 4 else people[:1]))
    first, second = read_people(tmp_path)
    assert first.hands is not None
    assert second.hands is not None
    np.testing.assert_allclose(first.hands.positions, hands, atol=1e-5)
    np.testing.assert_allclose(second.hands.positions[:4], hands[:4] + 1, atol=1e-5)
    assert bool((second.hands.confidence[4] == 0).all())


def marks(points: np.ndarray, visibility: float | None = None) -> list[dict[str, float]]:
    seen = {} if visibility is None else {"visibility": visibility}
    return [{"x": x, "y": y, "z": z, **seen} for x, y, z in points.tolist()]


def test_hands_about_their_own_middle_are_put_at_the_wrists(tmp_path: Path) -> None:
    body, hands = body_and_hands("mediapipe33")
    turned, middle = hands * TO_MEDIAPIPE, (hands * TO_MEDIAPIPE).mean(axis=2, keepdims=True)
    own = turned - middle
    hips = (body[:, 23:25] * TO_MEDIAPIPE).mean(axis=1, keepdims=True)
    frames = [
        {
            "pose_world_landmarks": [marks(body[frame] * TO_MEDIAPIPE - hips[frame], 0.9)],
            "leftHandWorldLandmarks": marks(own[frame, 0], 0.0),
            "right_hand_world_landmarks": {"landmark": marks(own[frame, 1])},
        }
        for frame in range(6)
    ]
    frames[3]["leftHandWorldLandmarks"] = []
    (tmp_path / "a.json").write_text(json.dumps(frames))
    keypoints = read_keypoints(tmp_path / "a.json", mirrored=False)
    assert keypoints.hands is not None
    found = keypoints.hands.positions.numpy()
    wrists = keypoints.positions.numpy()[:, 15:17]
    seen = keypoints.hands.confidence.numpy() > 0
    assert seen.all(axis=2).tolist() == [[frame != 3, True] for frame in range(6)]
    expected = hands - hands[:, :, :1] + wrists[:, :, None]
    np.testing.assert_allclose(found[seen], expected[seen], atol=1e-5)
    assert sum("in a frame of its own" in note for note in keypoints.notes) == 2


def test_hands_in_picture_coordinates_are_given_a_size(tmp_path: Path) -> None:
    body, hands = body_and_hands("mediapipe33")
    hips = body[:, 23:25].mean(axis=1, keepdims=True)
    width, height, scale = 640, 480, 300
    picture = (hands - hips[:, None]) * TO_MEDIAPIPE * scale
    picture[..., 2] -= picture[:, :, :1, 2]
    picture = picture / [width, height, width] + [0.5, 0.5, 0.0]
    frames = [
        {
            "pose_world_landmarks": marks((body[frame] - hips[frame]) * TO_MEDIAPIPE),
            "left_hand_landmarks": marks(picture[frame, 0]),
            "right_hand_landmarks": marks(picture[frame, 1]),
        }
        for frame in range(6)
    ]
    (tmp_path / "a.json").write_text(json.dumps({"frames": frames, "width": width, "height": height, "fps": 30}))
    keypoints = read_keypoints(tmp_path / "a.json", mirrored=False)
    assert keypoints.hands is not None
    found = keypoints.hands.positions.numpy()
    found, true = found - found[:, :, :1], hands - hands[:, :, :1]
    size = np.linalg.norm(found[:, :, 9], axis=-1) / np.linalg.norm(true[:, :, 9], axis=-1)
    assert float(np.abs(size - 1).max()) < 0.2
    np.testing.assert_allclose(found / size[..., None, None], true, atol=1e-5)
    assert any("in picture coordinates: given a hand's size" in note for note in keypoints.notes)


def test_left_and_right_of_a_hand_landmarker_are_told_by_the_way_that_fingers_bend(tmp_path: Path) -> None:
    body, hands = body_and_hands("mediapipe33")
    turned = hands * TO_MEDIAPIPE
    own = turned - turned.mean(axis=2, keepdims=True)
    for names in (("Left", "Right"), ("Right", "Left")):
        frames = [
            {
                "pose_world_landmarks": marks(body[frame] * TO_MEDIAPIPE),
                "hand_world_landmarks": [marks(own[frame, 1]), marks(own[frame, 0])],
                "handedness": [[{"category_name": names[1]}], [{"category_name": names[0]}]],
            }
            for frame in range(6)
        ]
        (tmp_path / "a.json").write_text(json.dumps(frames))
        keypoints = read_keypoints(tmp_path / "a.json", mirrored=False)
        assert keypoints.hands is not None
        found = keypoints.hands.positions.numpy()
        np.testing.assert_allclose(found - found[:, :, :1], hands - hands[:, :, :1], atol=1e-5)
        assert any("mirrored picture" in note for note in keypoints.notes) == (names[0] == "Right")


def test_hands_without_a_pose_are_hands_alone(tmp_path: Path) -> None:
    _, hands = body_and_hands("mediapipe33")
    own = (hands - hands.mean(axis=2, keepdims=True)) * TO_MEDIAPIPE
    frames = [{"hand_world_landmarks": [marks(h) for h in pair], "handedness": ["Left", "Right"]} for pair in own]
    (tmp_path / "a.json").write_text(json.dumps(frames))
    keypoints = read_keypoints(tmp_path / "a.json", up="-y")
    assert keypoints.layout.name == "hands"
    assert keypoints.hands is not None
    found = keypoints.hands.positions.numpy()
    np.testing.assert_allclose(found - found[:, :, :1], hands - hands[:, :, :1], atol=1e-5)
    assert float(np.linalg.norm(found[:, 0, 0] - found[:, 1, 0], axis=-1).min()) > 0.25
    own[..., 2] -= own[:, :, :1, 2]
    frames = [{"hand_landmarks": [marks(h / 2 + [0.5, 0.5, 0.0]) for h in pair]} for pair in own]
    (tmp_path / "a.json").write_text(json.dumps(frames))
    with pytest.raises(InputError, match="hand_world_landmarks"):
        read_keypoints(tmp_path / "a.json")


def test_hands_of_the_other_side_are_exchanged_by_their_wrists(tmp_path: Path) -> None:
    body, hands = body_and_hands("mediapipe33")
    np.save(tmp_path / "a.npy", np.concatenate((body, hands[:, 1], hands[:, 0]), axis=1))
    keypoints = read_keypoints(tmp_path / "a.npy", mirrored=False)
    assert keypoints.hands is not None
    np.testing.assert_allclose(keypoints.hands.positions, hands, atol=1e-5)
    assert any("exchanged" in note for note in keypoints.notes)


def test_units_axes_and_mirrors_turn_hands_with_the_body(tmp_path: Path) -> None:
    body, hands = body_and_hands("body25")
    points = np.concatenate((body, hands.reshape(6, 42, 3)), axis=1)
    np.save(tmp_path / "a.npy", 1000 * points * [-1.0, -1.0, 1.0])
    keypoints = read_keypoints(tmp_path / "a.npy", up="-y")
    assert keypoints.hands is not None
    left = keypoints.layout.index("LWrist")
    np.testing.assert_allclose(keypoints.hands.positions[:, 0, 0], keypoints.positions[:, left], atol=1e-5)
    np.save(tmp_path / "a.npy", points * [1.0, 1.0, -1.0])
    keypoints = read_keypoints(tmp_path / "a.npy", up="y", mirrored=True)
    assert keypoints.hands is not None
    np.testing.assert_allclose(keypoints.hands.positions[:, 0, 0], keypoints.positions[:, left], atol=1e-5)


def test_our_own_file_keeps_hands(tmp_path: Path) -> None:
    body, hands = body_and_hands("body25")
    hands[2, 1, 5] = np.nan
    np.save(tmp_path / "a.npy", np.concatenate((body, hands.reshape(6, 42, 3)), axis=1))
    keypoints = read_keypoints(tmp_path / "a.npy", fps=25, mirrored=False)
    write_keypoints_npz(keypoints, tmp_path / "b.npz")
    again = read_keypoints(tmp_path / "b.npz", mirrored=False)
    assert keypoints.hands is not None
    assert again.hands is not None
    assert bool((again.hands.positions == keypoints.hands.positions).all())
    assert bool((again.hands.confidence == keypoints.hands.confidence).all())
    assert float(again.hands.confidence[2, 1, 5]) == 0
    arrays = dict(np.load(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", **{**arrays, "hands": arrays["hands"][:, :1]})
    with pytest.raises(InputError, match="array 'hands'"):
        read_keypoints(tmp_path / "c.npz")


def test_a_hand_goes_back_to_its_wrist_and_what_is_far_from_it_is_dropped(tmp_path: Path) -> None:
    body, hands = body_and_hands("body25")
    broken = hands.copy()
    broken[2] = hands[2, ::-1]
    broken[3, 0] += 0.8
    broken[4, 1, 12] += 0.5
    np.save(tmp_path / "a.npy", np.concatenate((body, broken.reshape(6, 42, 3)), axis=1))
    repaired, _ = repair_keypoints(read_keypoints(tmp_path / "a.npy", fps=30, mirrored=False))
    assert repaired.hands is not None
    seen = repaired.hands.confidence.numpy() > 0
    expected = np.ones_like(seen)
    expected[3, 0] = expected[4, 1, 12] = False
    assert bool((seen == expected).all())
    np.testing.assert_allclose(repaired.hands.positions.numpy()[seen], hands[seen], atol=1e-5)
    assert (
        sum(any(word in note for note in repaired.notes) for word in ("exchanged back", "its wrist", "their hand")) == 3
    )
