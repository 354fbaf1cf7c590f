"""Bodies that lie or crawl say nothing of which way is up; people who stand do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.keypoints.upright import overrules, standing_direction
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from toy_recording import settle_axes, standing_person

CASES = Path(__file__).parents[2] / "shared" / "cases" / "bugs"
Y_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
BODY25 = load_layout("body25").keypoint_names


def lying(frames: int = 60, head: int = 1) -> np.ndarray:
    """On the back on the floor y = 0, along z, rolling a little about the body's length."""
    points = standing_person(frames) @ Y_TO_Z.T * [head, 1, head]
    angle = 0.6 * np.sin(np.linspace(0, 6, frames))
    x, y = points[..., 0].copy(), points[..., 1].copy()
    points[..., 0] = np.cos(angle)[:, None] * x - np.sin(angle)[:, None] * y
    points[..., 1] = np.sin(angle)[:, None] * x + np.cos(angle)[:, None] * y + 0.15
    return points + np.array([0.3, 0, 1.1])


def crawling(frames: int = 60) -> np.ndarray:
    """On hands and knees, y up, a metre along z."""
    places = {
        "Nose": (0.53, 1.23), "Neck": (0.58, 0.96), "Shoulder": (0.58, 0.96), "Elbow": (0.32, 1.03),
        "Wrist": (0.09, 1.09), "MidHip": (0.47, 0.46), "Hip": (0.47, 0.46), "Knee": (0.04, 0.49),
        "Ankle": (0.08, 0.06), "Heel": (0.16, 0.05),
        "BigToe": (-0.04, -0.13), "SmallToe": (-0.02, -0.11), "Eye": (0.59, 1.22), "Ear": (0.62, 1.15),
    }  # fmt: skip
    points = np.zeros((frames, 25, 3))
    for index, name in enumerate(BODY25):
        y, z = places[name if name in places else name[1:]]
        side = {"L": 0.14, "R": -0.14}.get(name[0], 0.0)
        points[:, index] = np.array([side, y, z])
    points[..., 2] += np.linspace(0, 1, frames)[:, None]
    return points + 0.005 * np.random.default_rng(1).normal(size=points.shape)


def swaying(frames: int = 90) -> np.ndarray:
    """Standing on fixed feet, y up, far from the floor's origin, the trunk moving to the sides."""
    points = standing_person(frames)
    sway = 0.08 * np.sin(np.linspace(0, 12, frames))[:, None]
    points[..., 0] += sway * np.clip(points[..., 1] - 0.15, 0, 1)
    return points + np.array([0.2, 4.0, -3.0])


def pushing_up(frames: int = 90) -> np.ndarray:
    """Push-ups over toes that stay where they are, y up, feet and hands on the floor y = 0, along z."""
    points = standing_person(frames)
    angle = np.radians(17.5 + 7.5 * np.cos(np.linspace(0, 12, frames)))[:, None]
    y, z = points[..., 1].copy(), points[..., 2].copy()
    points[..., 1], points[..., 2] = np.sin(angle) * y - np.cos(angle) * z, np.cos(angle) * y + np.sin(angle) * z
    toes = points[:, [BODY25.index("LBigToe"), BODY25.index("RBigToe")]].mean(axis=1, keepdims=True)
    points += np.array([0.1, 0.02, 0.4]) - toes
    for index, name in enumerate(BODY25):
        if name.endswith("Wrist"):
            points[:, index] = points[0, BODY25.index("Neck")] * [1, 0, 1] + [0.3 if name[0] == "L" else -0.3, 0, 0]
    return points


def recording(points: np.ndarray, **options) -> Keypoints:
    return Keypoints(torch.tensor(points), layout="body25", **options)


@pytest.mark.parametrize("head", [1, -1])
def test_a_body_that_lies_leaves_the_habit_of_the_format(head: int):
    after = settle_axes(recording(lying(head=head), up_axis="y"), assumed="y")
    assert after.up_axis == "y"
    torch.testing.assert_close(after.positions, torch.tensor(lying(head=head)).float())
    assert "nothing shows that it stands" in after.notes[0]


@pytest.mark.parametrize("head", [1, -1])
def test_an_array_of_a_body_that_lies_on_the_floor_with_pointed_toes_is_not_stood_up_or_turned(head: int):
    points = lying(head=head)
    toes = [name.endswith("Toe") for name in BODY25]
    points[:, toes] += [0.0, 0.1, -0.2 * head]  # away from the head
    after = settle_axes(recording(points))
    assert after.up_axis == "y"
    torch.testing.assert_close(after.positions, torch.tensor(points).float())
    assert "lies along" in after.notes[0]
    assert settle_axes(recording(points - points[:, 8:9])).up_axis == "z"  # no floor: the way out is in the note
    assert "--up" in settle_axes(recording(points - points[:, 8:9])).notes[0]


@pytest.mark.parametrize("what", ["walks beside", "squats"])
def test_people_who_move_as_high_above_another_axis_as_people_who_lie_are_told_to_stand(what: str):
    points = standing_person(90)
    if what == "squats":
        depth = 0.2 * (1 - np.cos(np.linspace(0, 12, 90)))[:, None]
        low = np.array([name.endswith(("Ankle", "Heel", "Toe")) for name in BODY25])
        points[..., 1] -= depth * np.where(low, 0.0, 1.0)
    else:
        points[..., 0] += 0.03 * np.arange(90)[:, None]
        for index, name in enumerate(BODY25):
            if name.endswith(("Ankle", "Heel", "Toe")):  # each foot waits for every other half second
                wait = (np.arange(90) // 15 + (name[0] == "L")) % 2
                points[:, index, 0] = points[0, index, 0] + 0.06 * np.cumsum(1 - wait)
    points = points @ Y_TO_Z.T + np.array([0.0, 0.28, 1.0])
    assert settle_axes(recording(points, up_axis="y"), assumed="y").up_axis == "z"


@pytest.mark.parametrize("way", [1, -1])
def test_push_ups_leave_the_habit_of_the_format(way: int):
    after = settle_axes(recording(pushing_up() * [way, 1, way], up_axis="y"), assumed="y")
    assert after.up_axis == "y"
    assert "nothing shows that it stands" in after.notes[0]


def test_a_body_that_crawls_is_no_evidence_against_its_file_and_shows_up_by_its_trunk():
    after = settle_axes(recording(crawling(), up_axis="y"), assumed="y")
    assert (after.up_axis, after.notes) == ("y", ())
    assert settle_axes(recording(crawling())).up_axis == "y"
    assert settle_axes(recording(crawling() @ Y_TO_Z.T)).up_axis == "z"


@pytest.mark.parametrize("where", ["on the floor at zero", "anywhere, moving over fixed feet"])
def test_people_who_stand_overrule_a_habit(where: str):
    points = standing_person(90) if where == "on the floor at zero" else swaying()
    after = settle_axes(recording(points @ Y_TO_Z.T, up_axis="y"), assumed="y")
    assert after.up_axis == "z"
    assert "not along y" in after.notes[0]


def test_a_handstand_is_no_world_that_hangs_head_down():
    points = standing_person(60)
    for index, name in enumerate(BODY25):
        if name.endswith(("Elbow", "Wrist")):  # arms beside the head
            points[:, index, 1] = points[:, BODY25.index("Neck"), 1] + (0.28 if name.endswith("Elbow") else 0.53)
    handstand = points * [1, -1, -1]
    handstand[..., 1] -= handstand[:, BODY25.index("LWrist"), 1].mean() - 0.05
    assert settle_axes(recording(handstand), assumed="y").up_axis == "y"
    np.testing.assert_allclose(settle_axes(recording(handstand), assumed="y").positions, handstand, atol=1e-6)
    assert "on its hands" in settle_axes(recording(handstand)).notes[0]  # an array
    np.testing.assert_allclose(settle_axes(recording(handstand)).positions, handstand, atol=1e-6)
    camera = standing_person(60) * [1, -1, -1] + [0, 1.2, 4]  # whose y points down
    assert settle_axes(recording(camera), assumed="y").positions[0, BODY25.index("Nose"), 1] > 0
    turns_over = np.concatenate((points[:10], handstand[10:])) + np.array([0, 3, 0])
    assert settle_axes(recording(turns_over), assumed="y").positions[20, 0, 1] < 4


def test_a_camera_s_frame_is_turned_whoever_is_in_it():
    upside_down = np.diag([1.0, -1.0, -1.0])
    assert overrules([recording(swaying() @ upside_down)], "-y", "y")
    after = settle_axes(recording(swaying() @ upside_down, up_axis="y"), assumed="y")
    assert after.up_axis == "y"
    assert standing_direction([after]) == "y"


def test_a_bust_shows_up_by_its_head_and_shoulders():
    seen = np.array(
        [name in ("Nose", "Neck") or name[1:] in ("Shoulder", "Elbow", "Wrist", "Eye", "Ear") for name in BODY25]
    )
    bust = Keypoints(
        torch.tensor(standing_person(20) @ Y_TO_Z.T), layout="body25", confidence=torch.tensor(seen).float()
    )
    assert settle_axes(bust).up_axis == "z"


@pytest.mark.parametrize("file", ["02-lying-trc/20b.trc", "03-crawling-trc/20f.trc"])
def test_the_shared_recordings_of_people_on_the_floor_keep_their_axis(file: str):
    if not (CASES / file).is_file():
        pytest.skip("the shared cases are not here")
    after = read_keypoints(CASES / file)
    assert after.up_axis == "y"
    assert not any("turned by" in note for note in after.notes)
