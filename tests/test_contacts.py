"""Foot contacts on a made-up walk whose contacts are known."""

import pytest
import torch

from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.clip.contacts import CONTACT_JOINTS, detect_contacts, up_direction

# Height [m] at which each of `CONTACT_JOINTS` rests.
_REST = torch.tensor([0.08, 0.08, 0.02, 0.02])


def _walk(fps: float, seconds: float = 6.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints (T, 24, 3), Y up, and the true contacts (T, 4): each foot stands 0.6 s, then swings 0.4 s."""
    time = torch.arange(int(seconds * fps)) / fps
    joints = torch.zeros(len(time), 24, 3)
    joints[:, :, 1] = 1.0
    joints[:, :, 2] = time[:, None] * 0.6
    joints[:, JOINT_INDEX["head"], 1] = 1.6
    contacts = torch.zeros(len(time), 4, dtype=torch.bool)
    for index, name in enumerate(CONTACT_JOINTS):
        phase = (time + 0.5 * (index % 2)) % 1.0
        swing = ((phase - 0.6) / 0.4).clamp(min=0)
        forward = 0.6 * (torch.floor(time + 0.5 * (index % 2)) + swing**2 * (3 - 2 * swing))
        height = _REST[index] + 0.12 * torch.sin(torch.pi * swing) ** 2
        joints[:, JOINT_INDEX[name]] = torch.stack((torch.full_like(time, 0.1), height, forward), dim=-1)
        contacts[:, index] = phase < 0.6
    return joints, contacts


@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
def test_the_contacts_of_a_walk_are_found_at_any_frame_rate(fps):
    joints, contacts = _walk(fps)
    found = detect_contacts(joints, fps)
    assert (found == contacts).float().mean() > 0.85
    # In the middle of a stance and of a swing there is no doubt.
    phase = (torch.arange(len(joints)) / fps) % 1.0
    assert bool(found[(phase > 0.15) & (phase < 0.45), 0].all())
    assert not bool(found[(phase > 0.75) & (phase < 0.85), 0].any())


@pytest.mark.parametrize(
    ("turned", "up_axis", "up"),
    [([0, 1, 2], "y", [0, 1, 0]), ([2, 0, 1], "z", [0, 0, 1]), ([1, 2, 0], "x", [1, 0, 0])],
)
def test_any_axis_may_point_up_and_is_found_when_not_given(turned, up_axis, up):
    joints = _walk(30.0)[0][:, :, turned]
    assert up_direction(joints, None).tolist() == up
    assert torch.equal(detect_contacts(joints, 30.0), detect_contacts(joints, 30.0, up_axis))


def test_up_may_be_the_negative_direction_of_an_axis():
    joints, contacts = _walk(30.0)
    assert up_direction(-joints, None).tolist() == [0, -1, 0]
    assert (detect_contacts(-joints, 30.0) == contacts).float().mean() > 0.85


def test_the_height_of_the_ground_does_not_matter():
    joints, _ = _walk(30.0)
    assert torch.equal(detect_contacts(joints, 30.0), detect_contacts(joints - torch.tensor([0.0, 7.0, 0.0]), 30.0))


def test_a_foot_held_still_in_the_air_touches_nothing():
    joints, _ = _walk(30.0)
    joints[60:90, JOINT_INDEX["left_ankle"]] = torch.tensor([0.1, 0.5, 2.0])
    assert not bool(detect_contacts(joints, 30.0)[63:87, 0].any())


def test_a_single_frame_is_no_error():
    assert detect_contacts(_walk(30.0)[0][:1], 30.0).shape == (1, 4)
