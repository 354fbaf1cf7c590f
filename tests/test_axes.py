from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.axes import is_mirrored, settle_people
from learnable_smplify.formats.keypoints.upright import standing_direction
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import layout_names, load_layout
from toy_recording import settle_axes, standing_person

# Turns that take y up to each direction.
TURNS = {
    "y": np.eye(3),
    "-y": np.diag([1.0, -1.0, -1.0]),
    "z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "-x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
}


def walker(frames: int = 12, turn: str = "y", mirror: bool = False, **options) -> Keypoints:
    points = standing_person(frames) * ([-1, 1, 1] if mirror else 1)
    return Keypoints(torch.tensor(points @ TURNS[turn].T), layout="body25", **options)


@pytest.mark.parametrize("turn", TURNS)
def test_the_direction_in_which_a_body_stands_is_found(turn: str):
    assert standing_direction([walker(turn=turn)]) == turn


@pytest.mark.parametrize("turn", ["y", "z"])
def test_an_up_axis_that_points_up_is_noted_and_nothing_moves(turn: str):
    before = walker(turn=turn)
    after = settle_axes(before)
    assert after.up_axis == turn
    torch.testing.assert_close(after.positions, before.positions)
    assert [turn in note for note in after.notes] == [True]


@pytest.mark.parametrize("turn", ["-y", "-z"])
def test_data_upside_down_is_turned_and_stays_right_handed(turn: str):
    after = settle_axes(walker(turn=turn))
    assert after.up_axis == turn[1]
    assert standing_direction([after]) == turn[1]
    assert not is_mirrored([after])
    assert any("turned by 180 degrees" in note for note in after.notes)


@pytest.mark.parametrize("turn", TURNS)
def test_what_the_user_says_is_obeyed(turn: str):
    after = settle_axes(walker(turn="y", up_axis="y"), up=turn)
    assert after.up_axis == turn[-1]
    assert not is_mirrored([after])
    assert settle_axes(walker(), up="+Y").up_axis == "y"
    with pytest.raises(InputError, match="unknown up direction 'w'"):
        settle_axes(walker(), up="w")


def test_a_statement_of_the_file_is_believed_and_a_habit_of_the_format_only_while_the_body_agrees():
    stated = walker(turn="z", up_axis="y")
    assert (settle_axes(stated).up_axis, settle_axes(stated).notes) == ("y", ())
    after = settle_axes(stated, assumed="y")
    assert after.up_axis == "z"
    assert "not along y" in after.notes[0]
    agreeing = settle_axes(walker(up_axis="y"), assumed="y")
    assert (agreeing.up_axis, agreeing.notes) == ("y", ())


def test_a_body_that_lies_or_tumbles_leaves_the_question_open():
    lying = settle_axes(walker(turn="x"))
    assert lying.up_axis is None
    assert "--up y" in lying.notes[0]
    assert settle_axes(walker(turn="x", up_axis="y"), assumed="y").up_axis == "y"
    angles = np.linspace(0, 2 * np.pi, 40)
    spin = np.stack([[[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]] for a in angles])
    tumbling = Keypoints(torch.tensor(np.einsum("tij,tkj->tki", spin, standing_person(40))), layout="body25")
    assert standing_direction([tumbling]) is None
    assert settle_axes(tumbling).up_axis is None


def test_a_bow_of_some_frames_does_not_change_what_is_up():
    points = standing_person(30)
    points[:9] = points[:9] @ TURNS["z"].T
    assert settle_axes(Keypoints(torch.tensor(points), layout="body25")).up_axis == "y"


@pytest.mark.parametrize(("turn", "axis"), [("y", 0), ("z", 0), ("x", 2)])
def test_a_mirrored_body_is_mirrored_back_and_said(turn: str, axis: int):
    before = walker(turn=turn, mirror=True, up_axis=turn)
    after = settle_axes(before)
    assert is_mirrored([before])
    assert not is_mirrored([after])
    signs = torch.ones(3)
    signs[axis] = -1
    torch.testing.assert_close(after.positions, before.positions * signs)
    assert "left-handed" in after.notes[0]
    assert settle_axes(before, mirrored=False).notes == ()
    assert "as asked" in settle_axes(walker(up_axis="y"), mirrored=True).notes[0]


def test_half_a_second_of_swapped_sides_is_not_taken_for_a_mirror():
    layout = load_layout("body25")
    points = standing_person(60)
    points[20:35] = points[20:35][:, list(layout.mirror)]
    assert not is_mirrored([Keypoints(torch.tensor(points), layout=layout)])


def test_people_of_one_recording_are_turned_together():
    hidden = walker(turn="-y")
    confidence = torch.zeros(12, 25)
    confidence[:, :2] = 1.0  # nose and neck alone say nothing
    second = Keypoints(hidden.positions + 1.0, layout="body25", confidence=confidence)
    first, other = settle_people([hidden, second])
    assert (first.up_axis, other.up_axis) == ("y", "y")
    torch.testing.assert_close(other.positions[:, 1], second.positions[:, 1] * torch.tensor([1.0, -1.0, -1.0]))


def test_points_that_say_nothing_are_left_alone():
    still = Keypoints(torch.full((3, 25, 3), 2.0), layout="body25", up_axis="y")
    assert settle_axes(still).notes == ()
    assert standing_direction([still]) is None


@pytest.mark.parametrize("name", layout_names())
def test_every_layout_shows_up_and_mirror_on_the_open_body(name: str):
    body = load_body()
    generator = torch.Generator().manual_seed(3)
    pose = 0.15 * torch.randn(30, 24, 3, generator=generator)
    pose[:, 4:6, 0] += 0.5  # both knees bent
    pose[:, 0] = torch.tensor([0.0, 2.0, 0.0])
    positions = body.keypoints(pose, torch.zeros(30, 10), torch.zeros(30, 3), layout=name)
    positions = positions + 0.02 * torch.randn(positions.shape, generator=generator)
    sound = Keypoints(positions, layout=name)
    mirrored = Keypoints(positions * torch.tensor([1.0, 1.0, -1.0]), layout=name)
    assert standing_direction([sound]) == "y"
    assert not is_mirrored([sound])
    assert is_mirrored([mirrored])
