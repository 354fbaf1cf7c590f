"""Skeletons whose zero pose is no pose: how their bones lie is found from the motion."""

from __future__ import annotations

import dataclasses
import tarfile
from pathlib import Path

import pytest
import roma
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.alignment import rest_flaw
from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.mocap.plausible import check_plausible
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.transfer import retarget, world_joints
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES
from toy_skeleton import (
    SMPL_MAP,
    along_x,
    any_zero_pose,
    on_smpl,
    open_target,
    posed_zero,
    walking_poses,
    with_zero_pose,
    world_rotmats,
)

MORE_MOTION = Path(__file__).parents[2] / "shared" / "data" / "motion" / "more_motion.tar.xz"
_BONES = [
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]
_LARGEST_DEG = {"hip": 6, "knee": 8, "shoulder": 15, "elbow": 15, "pelvis": 12, "spine3": 12, "ankle": 12, "head": 30}


def joints_of(motion: Motion) -> torch.Tensor:
    return world_joints(open_target(), world_rotmats(motion.pose), motion.transl.to(torch.float64))


def largest_bone_angle_deg(source: SourceMotion, motion: Motion, names: dict[str, str]) -> float:
    """Between the source's and the body's limbs, over all frames."""
    points, joints = source.positions(), joints_of(motion)
    largest = 0.0
    for start, end in _BONES:
        theirs = points[:, source.names.index(names[end])] - points[:, source.names.index(names[start])]
        ours = joints[:, JOINT_INDEX[end]] - joints[:, JOINT_INDEX[start]]
        sine = torch.linalg.cross(theirs, ours).norm(dim=-1)
        largest = max(largest, float(torch.rad2deg(torch.atan2(sine, (theirs * ours).sum(dim=-1))).max()))
    return largest


@pytest.mark.parametrize("zero_pose", ["random", "along X"])
def test_the_body_moves_as_the_source_whatever_the_zero_pose_is(zero_pose: str) -> None:
    pose = walking_poses()
    plain = on_smpl(pose)
    turns = any_zero_pose(24) if zero_pose == "random" else along_x(plain)
    source = with_zero_pose(plain, turns)
    torch.testing.assert_close(source.positions(), plain.positions(), atol=1e-9, rtol=0)
    if zero_pose == "along X":
        knee = source.offsets[JOINT_INDEX["left_ankle"]]
        torch.testing.assert_close(knee / knee.norm(), torch.tensor([1.0, 0, 0], dtype=torch.float64))
    motion = retarget(source, open_target(), SMPL_MAP)
    assert any("found from the motion" in note for note in motion.notes)
    assert largest_bone_angle_deg(source, motion, {name: name for name in JOINT_INDEX}) < 1e-3
    # The twists are estimates: they must be what a person would call the same pose.
    truth, found = world_rotmats(pose), world_rotmats(motion.pose)
    for name, limit in _LARGEST_DEG.items():
        for full in (name, f"left_{name}", f"right_{name}"):
            if full in JOINT_INDEX:
                apart = roma.rotmat_geodesic_distance(truth[:, JOINT_INDEX[full]], found[:, JOINT_INDEX[full]])
                assert float(torch.rad2deg(apart).max()) < limit, full


def test_a_clip_without_a_bent_limb_still_gets_knees_and_elbows_that_bend_forward() -> None:
    pose = torch.zeros(60, 24, 3, dtype=torch.float64)
    pose[:, JOINT_INDEX["left_shoulder"], 2], pose[:, JOINT_INDEX["right_shoulder"], 2] = -1.2, 1.2
    motion = retarget(with_zero_pose(on_smpl(pose), any_zero_pose(24)), open_target(), SMPL_MAP)
    apart = roma.rotmat_geodesic_distance(world_rotmats(motion.pose), world_rotmats(pose))[0]
    for name in ("left_hip", "right_hip", "left_knee", "right_knee", "left_shoulder", "right_elbow"):
        # Arms that hang are expected to be turned in by 33 degrees; these are not.
        assert float(torch.rad2deg(apart[JOINT_INDEX[name]])) < 40, name


@pytest.mark.parametrize(
    "zero_pose",
    [
        {},
        {"left_shoulder": (0.0, 0.0, -0.8), "right_shoulder": (0.0, 0.0, 0.8)},
        {"left_shoulder": (0.0, 0.0, -1.5), "right_shoulder": (0.0, 0.0, 1.5)},
        {"left_hip": (0.0, 0.0, 0.35), "right_hip": (0.0, 0.0, -0.35)},
    ],
    ids=["T", "A", "arms down", "straddling"],
)
def test_zero_poses_of_people_are_taken_at_their_word(zero_pose: dict[str, tuple[float, float, float]]) -> None:
    plain = on_smpl(walking_poses(40))
    source = with_zero_pose(plain, posed_zero(plain, zero_pose))
    assert rest_flaw(source, SMPL_MAP) is None
    motion = retarget(source, open_target(), SMPL_MAP)
    assert not any("found from the motion" in note for note in motion.notes)
    assert largest_bone_angle_deg(source, motion, {name: name for name in JOINT_INDEX}) < 1e-3


@pytest.mark.parametrize(
    ("zero_pose", "flaw"),
    [
        ({"spine1": (0.0, 3.0, 0.0)}, "shoulders are turned away"),
        ({"left_hip": (3.0, 0.0, 0.0)}, "left thigh"),
        ({"right_knee": (1.5, 0.0, 0.0)}, "right shin"),
        ({"left_elbow": (0.0, -1.5, 0.0)}, "left elbow is bent"),
        ({"right_ankle": (0.0, 3.0, 0.0)}, "right foot points back"),
    ],
)
def test_a_zero_pose_that_no_person_takes_is_told_by_what_shows_it(
    zero_pose: dict[str, tuple[float, float, float]], flaw: str
) -> None:
    plain = on_smpl(walking_poses(5))
    found = rest_flaw(with_zero_pose(plain, posed_zero(plain, zero_pose)), SMPL_MAP)
    assert found is not None
    assert flaw in found


@pytest.mark.parametrize("frames", [1, 2])
def test_a_clip_of_a_frame_or_two_is_taken_as_well(frames: int) -> None:
    source = with_zero_pose(on_smpl(walking_poses(frames)), any_zero_pose(24))
    motion = retarget(source, open_target(), SMPL_MAP)
    assert bool(torch.isfinite(motion.pose).all())
    assert largest_bone_angle_deg(source, motion, {name: name for name in JOINT_INDEX}) < 1e-3


def test_a_skeleton_without_a_spine_still_has_a_head_and_collars() -> None:
    bones = {joint: names for joint, names in SMPL_MAP.bones.items() if not joint.startswith("spine")}
    source = with_zero_pose(on_smpl(walking_poses(40)), any_zero_pose(24))
    motion = retarget(source, open_target(), BoneMap("no spine", bones, SMPL_MAP.hand_tips))
    assert float(motion.pose[:, JOINT_INDEX["spine2"]].abs().max()) == 0
    assert float(torch.rad2deg(motion.pose[:, JOINT_INDEX["head"]].norm(dim=-1)).max()) < 60


@pytest.mark.parametrize("lost", ["left_knee", "right_elbow", "left_wrist"])
def test_joints_in_one_place_are_refused(lost: str) -> None:
    plain = on_smpl(walking_poses(10))
    offsets = plain.offsets.clone()
    offsets[JOINT_INDEX[lost]] = 0.0
    source = with_zero_pose(dataclasses.replace(plain, offsets=offsets), any_zero_pose(24))
    with pytest.raises(InputError, match="how its bones lie"):
        retarget(source, open_target(), SMPL_MAP)


_ACCAD = ["Male1_A1_Stand", "Male1_A9_LieDown", "Male1_B3_Walk", "Male1_C20_Run2Jump2Walk"]


@pytest.mark.skipif(not MORE_MOTION.is_file(), reason="the shared motion is not here")
def test_clips_of_another_studio_whose_zero_pose_twists_the_trunk_are_read(tmp_path: Path) -> None:
    from learnable_smplify.mocap.bvh import read_bvh

    members = [f"./accad_male1/{name}.bvh" for name in _ACCAD]
    with tarfile.open(MORE_MOTION) as archive:
        for member in members:
            (tmp_path / Path(member).name).write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr]
    for member in members:
        source = read_bvh(tmp_path / Path(member).name)
        motion = check_plausible(retarget(source, open_target()))
        assert motion.up_axis == "y"
        assert int(motion.flagged.sum()) == 0
        parts = {"hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand"}
        names = {f"{s}_{ours}": f"{s.title()}{theirs}" for s in ("left", "right") for ours, theirs in parts.items()}
        assert largest_bone_angle_deg(source, motion, names) < 0.01
        # A knee bends about its left-right axis and never forwards.
        for side in ("left", "right"):
            knee = motion.pose[:, JOINT_INDEX[f"{side}_knee"]]
            assert float(knee[:, 0].min()) > -0.35
            assert float(knee[:, 1:].abs().max()) < 0.6


@pytest.mark.slow
def test_scrambled_zero_poses_of_real_clips_are_found_as_well_as_the_documentation_says() -> None:
    from learnable_smplify.cli.import_motion import asf_beside
    from learnable_smplify.mocap.asf_amc import read_amc

    real = Path.home() / "motion" / "cmu"
    if not real.is_dir():
        pytest.skip("the CMU clips are not unpacked")
    apart: dict[str, list[float]] = {}
    for clip in sorted(real.glob("*/*.amc"))[::8]:
        source = read_amc(clip, asf_beside(clip))
        source = dataclasses.replace(source, rotations=source.rotations[::4], root_positions=source.root_positions[::4])
        source = dataclasses.replace(source, fps=30.0)
        truth = world_rotmats(retarget(source, open_target()).pose)
        scrambled = with_zero_pose(source, any_zero_pose(len(source.names)))
        found = world_rotmats(retarget(scrambled, open_target()).pose)
        for joint in range(22):
            turn = roma.special_procrustes((truth[:, joint].mT @ found[:, joint]).mean(dim=0))
            angle = roma.rotmat_geodesic_distance(turn, torch.eye(3, dtype=torch.float64))
            apart.setdefault(JOINT_NAMES[joint].split("_")[-1], []).append(float(torch.rad2deg(angle)))
    medians = {name: float(torch.tensor(angles).median()) for name, angles in apart.items()}
    limits = {
        "hip": 1,
        "knee": 1.5,
        "pelvis": 4,
        "shoulder": 5,
        "spine3": 7,
        "elbow": 7,
        "ankle": 7,
        "wrist": 14,
        "head": 22,
    }
    assert {name: medians[name] for name in limits if medians[name] > limits[name]} == {}
