"""People whose limbs and trunk have other proportions than the body: bones point where theirs do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver import RecordingOptions, Solver
from toy_motion import drifting_transl, swinging_poses

BODY = load_body()
NAMES = load_layout("body25").keypoint_names
FRAMES = 60
POSES = swinging_poses(FRAMES)


def person(legs: float, arms: float, trunk: float) -> Keypoints:
    """Somebody whose bones point as the mean body's and are so many times as long, seen with 4 mm of noise."""
    own = BODY.keypoints(POSES, torch.zeros(10), drifting_transl(FRAMES))
    bones = [("MidHip", "Neck", trunk), *(("Neck", name, 1.0) for name in ("Nose", "REye", "LEye", "REar", "LEar"))]
    for side in "LR":
        bones += [("Neck", f"{side}Shoulder", trunk), ("MidHip", f"{side}Hip", trunk)]
        bones += [(f"{side}Shoulder", f"{side}Elbow", arms), (f"{side}Elbow", f"{side}Wrist", arms)]
        bones += [(f"{side}Hip", f"{side}Knee", legs), (f"{side}Knee", f"{side}Ankle", legs)]
        bones += [(f"{side}Ankle", f"{side}{name}", 1.0) for name in ("BigToe", "SmallToe", "Heel")]
    theirs = own.clone()
    for start, end, times in bones:
        first, last = NAMES.index(start), NAMES.index(end)
        theirs[:, last] = theirs[:, first] + times * (own[:, last] - own[:, first])
    noise = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(0))
    return Keypoints(theirs + 0.004 * noise, "body25", 30.0, up_axis="y")


def fitted(keypoints: Keypoints, smooth: bool) -> Motion:
    return Solver(BODY, recording_options=RecordingOptions(smooth=smooth)).fit(keypoints)


def off_deg(motion: Motion, joint: str) -> Tensor:
    """What a joint's own rotation is off by in the mean over the frames [deg]."""
    index = JOINT_INDEX[joint]
    true, found = rotvec_to_rotmat(POSES[:, index]), rotvec_to_rotmat(motion.pose[:, index])
    return torch.rad2deg(rotmat_to_rotvec(true.mT @ found).norm(dim=-1).mean())


@pytest.mark.parametrize("smooth", [False, True])
def test_long_legs_below_a_short_trunk_neither_tip_the_pelvis_nor_hang_the_head(smooth: bool) -> None:
    motion = fitted(person(legs=1.12, arms=1.08, trunk=0.95), smooth)
    assert off_deg(motion, "pelvis") < 7
    assert off_deg(motion, "spine1") < 9
    assert off_deg(motion, "head") < 25
    assert any("the pelvis would tip back by" in note for note in motion.notes)


def test_who_has_the_bodys_proportions_is_fitted_to_the_bodys_own_points() -> None:
    assert not any("would tip" in note for note in fitted(person(legs=1.0, arms=1.0, trunk=1.0), False).notes)
