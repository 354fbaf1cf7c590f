"""Rotation transfer: limbs of the body point where the source's limbs point."""

from __future__ import annotations

import dataclasses
import math

import pytest
import roma
import torch

from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bone_map import CMU_ASF, CMU_BVH, BoneMap, find_bone_map
from learnable_smplify.mocap.plausible import check_plausible
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.target import RetargetTarget, target_from_body
from learnable_smplify.mocap.transfer import leg_length, retarget, world_joints
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import JOINT_INDEX, PARENTS

FRAMES = 11
# name, parent, offset from the parent in metres, end of the bone; legs 20 degrees apart, arms sideways, as CMU's ASF.
_S, _C = math.sin(math.radians(20)), math.cos(math.radians(20))
_LIMBS = [
    ("{}hipjoint", "root", (0.0, 0.0, 0.0), (0.08, -0.1, 0.04)),
    ("{}femur", "{}hipjoint", (0.08, -0.1, 0.04), (0.4 * _S, -0.4 * _C, 0.0)),
    ("{}tibia", "{}femur", (0.4 * _S, -0.4 * _C, 0.0), (0.42 * _S, -0.42 * _C, 0.0)),
    ("{}foot", "{}tibia", (0.42 * _S, -0.42 * _C, 0.0), (0.01, -0.03, 0.13)),
    ("{}toes", "{}foot", (0.01, -0.03, 0.13), (0.0, 0.0, 0.06)),
    ("{}clavicle", "thorax", (0.0, 0.12, 0.0), (0.17, 0.06, -0.01)),
    ("{}humerus", "{}clavicle", (0.17, 0.06, -0.01), (0.28, 0.0, 0.0)),
    ("{}radius", "{}humerus", (0.28, 0.0, 0.0), (0.19, 0.0, 0.0)),
    ("{}wrist", "{}radius", (0.19, 0.0, 0.0), (0.09, 0.0, 0.0)),
    ("{}hand", "{}wrist", (0.09, 0.0, 0.0), (0.04, 0.0, 0.0)),
]
_TRUNK = [
    ("root", "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ("lowerback", "root", (0.0, 0.0, 0.0), (0.0, 0.11, -0.01)),
    ("upperback", "lowerback", (0.0, 0.11, -0.01), (0.0, 0.11, 0.0)),
    ("thorax", "upperback", (0.0, 0.11, 0.0), (0.0, 0.12, 0.0)),
    ("lowerneck", "thorax", (0.0, 0.12, 0.0), (0.0, 0.1, 0.01)),
    ("upperneck", "lowerneck", (0.0, 0.1, 0.01), (0.0, 0.1, 0.0)),
    ("head", "upperneck", (0.0, 0.1, 0.0), (0.0, 0.1, 0.0)),
]
# SMPL joint -> the source joints at the two ends of the bone it carries.
_SAME_DIRECTION = {
    "hip": ("{}femur", "{}tibia", "knee"),
    "knee": ("{}tibia", "{}foot", "ankle"),
    "shoulder": ("{}humerus", "{}radius", "elbow"),
    "elbow": ("{}radius", "{}hand", "wrist"),
}


def skeleton() -> list[tuple[str, str, tuple[float, float, float], tuple[float, float, float]]]:
    rows = list(_TRUNK)
    for letter, sign in (("l", 1.0), ("r", -1.0)):
        for name, parent, offset, tip in _LIMBS:
            flip = [(sign * x, y, z) for x, y, z in (offset, tip)]
            rows.append((name.format(letter), parent.format(letter), flip[0], flip[1]))
    return rows


def moving(local: torch.Tensor | None = None, rest: torch.Tensor | None = None, up_axis: str = "y") -> SourceMotion:
    """The CMU-like skeleton moved by local rotvecs (T, J, 3), its rest pose standing turned by `rest`."""
    rows = skeleton()
    names = [row[0] for row in rows]
    if local is None:
        generator = torch.Generator().manual_seed(1)
        local = 0.6 * torch.randn(FRAMES, len(rows), 3, generator=generator, dtype=torch.float64)
        for letter in "lr":
            # The last third of the forearm only turns about its own length.
            local[:, names.index(f"{letter}wrist"), 1:] = 0
    rotmats = roma.rotvec_to_rotmat(local)
    turn = torch.eye(3, dtype=torch.float64) if rest is None else rest
    world: list[torch.Tensor] = []
    for joint, (_, parent, _, _) in enumerate(rows):
        own = turn @ rotmats[:, joint] @ turn.mT
        world.append(own if not parent else world[names.index(parent)] @ own)
    count = len(local)
    return SourceMotion(
        names=tuple(names),
        parents=tuple(names.index(row[1]) if row[1] else -1 for row in rows),
        offsets=torch.tensor([row[2] for row in rows], dtype=torch.float64) @ turn.mT,
        tips=torch.tensor([row[3] for row in rows], dtype=torch.float64) @ turn.mT,
        rotations=torch.stack(world, dim=1),
        root_positions=torch.linspace(0, 1, count, dtype=torch.float64)[:, None] * torch.ones(3, dtype=torch.float64),
        fps=120.0,
        up_axis=up_axis,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def target() -> RetargetTarget:
    return target_from_body(read_open_body())


def body_joints(target: RetargetTarget, motion: Motion) -> tuple[torch.Tensor, torch.Tensor]:
    """World joints and world rotations of a motion in float64."""
    local = roma.rotvec_to_rotmat(motion.pose.double())
    world = [local[:, 0]]
    for joint in range(1, 24):
        world.append(world[PARENTS[joint]] @ local[:, joint])
    rotmats = torch.stack(world, dim=1)
    return world_joints(target, rotmats, motion.transl.double()), rotmats


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    sine = torch.linalg.cross(a, b).norm(dim=-1)
    return float(torch.atan2(sine, (a * b).sum(dim=-1)).max())


def largest_limb_angle(target: RetargetTarget, source: SourceMotion, motion: Motion) -> float:
    joints, _ = body_joints(target, motion)
    points = source.positions()
    largest = 0.0
    for side in ("left", "right"):
        for joint, (start, end, far) in _SAME_DIRECTION.items():
            ends = [source.names.index(name.format(side[0])) for name in (start, end)]
            bone = joints[:, JOINT_INDEX[f"{side}_{far}"]] - joints[:, JOINT_INDEX[f"{side}_{joint}"]]
            largest = max(largest, angle(bone, points[:, ends[1]] - points[:, ends[0]]))
    return largest


def test_limbs_point_where_the_sources_limbs_point(target: RetargetTarget) -> None:
    source = moving()
    assert largest_limb_angle(target, source, retarget(source, target)) < 1e-5


def test_the_hips_follow_the_sources_scaled_by_the_legs(target: RetargetTarget) -> None:
    source = moving()
    motion = retarget(source, target)
    joints, _ = body_joints(target, motion)
    hips = joints[:, [JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"]]].mean(dim=1)
    theirs = source.positions()[:, [source.names.index("lfemur"), source.names.index("rfemur")]].mean(dim=1)
    theirs = theirs * leg_length(target.rest_joints, JOINT_INDEX) / 0.82
    theirs[:, 1] += (hips - theirs)[0, 1]  # the clip as a whole stands on the floor
    torch.testing.assert_close(hips, theirs, atol=1e-5, rtol=0)
    assert motion.up_axis == "y"
    assert not bool(motion.betas.any())


def test_a_body_standing_upright_stands_flat_on_the_floor(target: RetargetTarget) -> None:
    names = [row[0] for row in skeleton()]
    local = torch.zeros(FRAMES, len(names), 3, dtype=torch.float64)
    # Legs brought together from the rest pose, in which they are 20 degrees apart.
    local[:, names.index("lfemur"), 2] = -math.radians(20)
    local[:, names.index("rfemur"), 2] = math.radians(20)
    at = torch.tensor([0.3, 0.95, -2.0], dtype=torch.float64).expand(FRAMES, 3)
    motion = retarget(dataclasses.replace(moving(local), root_positions=at), target)
    joints, rotmats = body_joints(target, motion)
    for side in ("left", "right"):
        up = rotmats[:, JOINT_INDEX[f"{side}_ankle"], :, 1]
        assert angle(up, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand_as(up)) < 1e-6
    owner = target.sole_joints
    arms = target.sole_points - target.rest_joints[owner]
    soles = joints[:, owner] + torch.einsum("tpij,pj->tpi", rotmats[:, owner], arms)
    assert float(soles[..., 1].amin(dim=1).abs().max()) < 1e-5


def test_the_feet_stand_at_height_zero_in_the_lowest_twentieth_of_a_clip(target: RetargetTarget) -> None:
    source = moving()
    lifted = dataclasses.replace(source, root_positions=source.root_positions + torch.tensor([0.0, 0.02, 0.0]))
    a, b = retarget(source, target), retarget(lifted, target)
    height = [float(body_joints(target, m)[0][..., 1].min()) for m in (a, b)]
    if not any("height left" in note for note in a.notes + b.notes):
        assert height[0] == pytest.approx(height[1], abs=1e-5)
    high = dataclasses.replace(source, root_positions=source.root_positions + torch.tensor([0.0, 5.0, 0.0]))
    assert any("height left as it was" in note for note in retarget(high, target).notes)


@pytest.mark.parametrize("turned", [(math.pi / 2, 0.0, 0.0), (0.0, math.pi, 0.0), (0.0, -math.pi / 2, 0.0)])
def test_a_rig_that_stands_along_other_axes_gives_the_same_body_turned(
    target: RetargetTarget, turned: tuple[float, float, float]
) -> None:
    rest = roma.rotvec_to_rotmat(torch.tensor(turned, dtype=torch.float64))
    plain, other = moving(), moving(rest=rest, up_axis="z" if turned[0] else "y")
    a, b = retarget(plain, target), retarget(other, target)
    assert largest_limb_angle(target, other, b) < 1e-5
    world_a, world_b = body_joints(target, a)[1], body_joints(target, b)[1]
    torch.testing.assert_close(rest @ world_a, world_b, atol=1e-5, rtol=0)


def test_the_forearm_shares_the_turn_of_the_wrist_and_follows_it_past_half_a_circle(target: RetargetTarget) -> None:
    names = [row[0] for row in skeleton()]
    local = torch.zeros(101, len(names), 3, dtype=torch.float64)
    twist = torch.linspace(0, math.radians(220), 101, dtype=torch.float64)
    local[:, names.index("lwrist"), 0] = twist
    motion = retarget(moving(local), target)
    elbow = roma.rotvec_to_rotmat(motion.pose[:, JOINT_INDEX["left_elbow"]].double())
    steps = roma.rotmat_geodesic_distance(elbow[1:], elbow[:-1])
    torch.testing.assert_close(steps, (twist[1:] - twist[:-1]) / 2, atol=1e-4, rtol=0)


def test_feet_and_head_stay_upright_in_the_sources_rest_pose_of_a_rig_with_flat_feet(target: RetargetTarget) -> None:
    flat = BoneMap("flat", CMU_ASF.bones, {}, feet_splay=False)
    local = torch.zeros(2, len(skeleton()), 3, dtype=torch.float64)
    _, rotmats = body_joints(target, retarget(moving(local), target, flat))
    for name in ("left_ankle", "right_foot", "head", "pelvis", "spine2"):
        torch.testing.assert_close(rotmats[0, JOINT_INDEX[name]], torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)


def test_known_skeletons_are_found_by_their_names() -> None:
    assert find_bone_map([row[0] for row in skeleton()]) is CMU_ASF
    assert find_bone_map([bone for bones in CMU_BVH.bones.values() for bone in bones] + ["lMid1"]) is CMU_BVH


_ARM_AND_LEG = ["Shoulder", "Arm", "ForeArm", "Hand", "HandThumb1", "HandMiddle1", "UpLeg", "Leg", "Foot", "ToeBase"]
MIXAMO = ["Hips", "Spine", "Spine1", "Spine2", "Neck", "Head"]
MIXAMO += [side + name for side in ("Left", "Right") for name in _ARM_AND_LEG]


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig1_"])
def test_mixamo_names_are_guessed(prefix: str) -> None:
    found = find_bone_map([prefix + name for name in MIXAMO])
    bones = {joint: source[0].removeprefix(prefix) for joint, source in found.bones.items()}
    assert bones["pelvis"] == "Hips"
    assert [bones[f"spine{i}"] for i in (1, 2, 3)] == ["Spine", "Spine1", "Spine2"]
    assert [bones[f"left_{j}"] for j in ("hip", "knee", "ankle", "foot")] == [
        "LeftUpLeg",
        "LeftLeg",
        "LeftFoot",
        "LeftToeBase",
    ]
    assert [bones[f"right_{j}"] for j in ("collar", "shoulder", "elbow", "wrist")] == [
        "RightShoulder",
        "RightArm",
        "RightForeArm",
        "RightHand",
    ]
    assert found.hand_tips == {f"{s}_wrist": f"{prefix}{s.title()}HandMiddle1" for s in ("left", "right")}


def test_unreal_and_smpl_names_are_guessed() -> None:
    limbs = ["clavicle", "upperarm", "lowerarm", "hand", "thigh", "calf", "foot", "ball"]
    unreal = ["root", "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head"]
    unreal += [f"{name}_{side}" for side in "lr" for name in limbs]
    bones = find_bone_map(unreal).bones
    assert bones["pelvis"] == ("pelvis",)
    assert bones["left_knee"] == ("calf_l",)
    assert bones["right_shoulder"] == ("upperarm_r",)
    assert bones["spine3"] == ("spine_03",)
    smpl = find_bone_map(list(JOINT_INDEX)).bones
    for joint in ("left_hip", "left_collar", "right_shoulder", "right_elbow", "left_ankle", "left_foot", "spine3"):
        assert smpl[joint] == (joint,)


def test_a_skeleton_without_arm_bones_is_refused_with_what_is_missing() -> None:
    with pytest.raises(InputError, match="no bone found for left_elbow, right_elbow"):
        find_bone_map([name for name in MIXAMO if "Arm" not in name])


def still(count: int, fps: float = 120.0) -> Motion:
    return Motion(pose=torch.zeros(count, 24, 3), transl=torch.zeros(count, 3), betas=torch.zeros(10), fps=fps)


def test_a_root_that_jumps_is_refused_with_its_frame() -> None:
    motion = still(50)
    transl = motion.transl.clone()
    transl[30:, 0] = 0.5
    with pytest.raises(InputError, match=r"frame 30: the body jumps at 60 m/s"):
        check_plausible(dataclasses.replace(motion, transl=transl))


def test_frames_around_a_jumping_joint_are_flagged() -> None:
    motion = still(200)
    pose = motion.pose.clone()
    pose[100:110, JOINT_INDEX["left_elbow"], 1] = 1.5
    checked = check_plausible(dataclasses.replace(motion, pose=pose))
    assert checked.flagged.nonzero()[:, 0].tolist() == list(range(99, 111))
    assert any("left_elbow turns 86 degrees in one frame at frame 100" in note for note in checked.notes)


def test_the_start_of_a_clip_before_an_early_jump_is_flagged() -> None:
    motion = still(200)
    pose = motion.pose.clone()
    pose[3:, JOINT_INDEX["left_shoulder"], 2] = -1.4
    checked = check_plausible(dataclasses.replace(motion, pose=pose))
    assert checked.flagged.nonzero()[:, 0].tolist() == [0, 1, 2, 3]


def test_a_joint_bent_beyond_what_people_can_is_flagged_or_where_most_frames_are_refused() -> None:
    motion = still(200)
    pose = motion.pose.clone()
    pose[20:60, JOINT_INDEX["head"], 1] = torch.linspace(0, 2.5, 40)
    pose[60:100, JOINT_INDEX["head"], 1] = torch.linspace(2.5, 0, 40)
    checked = check_plausible(dataclasses.replace(motion, pose=pose))
    assert 20 < int(checked.flagged.sum()) < 60
    pose[:, JOINT_INDEX["head"], 1] = 2.5
    with pytest.raises(InputError, match="head is turned 143 degrees"):
        check_plausible(dataclasses.replace(motion, pose=pose))


def test_a_turn_written_as_more_than_half_a_circle_is_judged_by_where_it_ends() -> None:
    motion = still(5)
    pose = motion.pose.clone()
    pose[:, JOINT_INDEX["left_knee"], 0] = 2 * math.pi + 0.5
    checked = check_plausible(dataclasses.replace(motion, pose=pose))
    assert not bool(checked.flagged.any())
