"""People who swing their limbs, on skeletons with the quirks of other programs: zero poses, names, axes, channels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import roma
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.target import RetargetTarget, target_from_body
from learnable_smplify.mocap.transfer import world_joints
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, PARENTS
from toy_motion import swinging_poses

SMPL_MAP = BoneMap(
    "SMPL",
    {name: (name,) for name in JOINT_NAMES if not name.endswith("_hand")},
    {"left_wrist": "left_hand", "right_wrist": "right_hand"},
)


@functools.cache
def open_target() -> RetargetTarget:
    return target_from_body(read_open_body())


def walking_poses(frames: int = 150, seed: int = 0) -> Tensor:
    """(T, 24, 3) rotvec, float64: arms hang and swing, knees and elbows bend, and every foot is flat at times."""
    pose = swinging_poses(frames, seed).to(torch.float64)
    # Arms that hang turn inwards from the T pose's twist, and elbows bend about CMU's axis.
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bend = pose[:, JOINT_INDEX[f"{side}_elbow"], 1].abs()
        axis = torch.tensor([0.0, -0.866 * sign, 0.5 * sign], dtype=torch.float64)
        pose[:, JOINT_INDEX[f"{side}_elbow"]] = bend[:, None] * axis
        hang = pose[:, JOINT_INDEX[f"{side}_shoulder"]]
        inwards = torch.tensor([0.58, 0.0, 0.0], dtype=torch.float64).expand_as(hang)
        turned = roma.rotvec_to_rotmat(hang) @ roma.rotvec_to_rotmat(inwards)
        pose[:, JOINT_INDEX[f"{side}_shoulder"]] = roma.rotmat_to_rotvec(turned)
    # The feet level out whatever the legs do, as they do on a floor.
    world = world_rotmats(pose)
    for side in ("left", "right"):
        knee = world[:, JOINT_INDEX[f"{side}_knee"]]
        pose[:, JOINT_INDEX[f"{side}_ankle"]] = roma.rotmat_to_rotvec(knee.mT)
    return pose


def world_rotmats(pose: Tensor) -> Tensor:
    """(T, 24, 3, 3) global rotations of local rotvecs (T, 24, 3)."""
    local = roma.rotvec_to_rotmat(pose.to(torch.float64))
    world: list[Tensor] = []
    for joint, parent in enumerate(PARENTS):
        world.append(local[:, joint] if parent < 0 else world[parent] @ local[:, joint])
    return torch.stack(world, dim=1)


def on_smpl(pose: Tensor, fps: float = 30.0) -> SourceMotion:
    """The open body's own skeleton in motion, feet on the floor at height 0 of Y, walking along Z."""
    target = open_target()
    world = world_rotmats(pose)
    offsets = target.rest_joints.clone()
    for joint, parent in enumerate(PARENTS):
        offsets[joint] = target.rest_joints[joint] - target.rest_joints[parent] if parent >= 0 else 0.0
    tips = torch.zeros_like(offsets)
    tips[JOINT_INDEX["head"]] = torch.tensor([0.0, 0.15, 0.0])
    for side in ("left", "right"):
        tips[JOINT_INDEX[f"{side}_foot"]] = torch.tensor([0.0, 0.0, 0.05])
    joints = world_joints(target, world, torch.zeros(len(pose), 3, dtype=torch.float64))
    root = joints[:, 0].clone()
    root[:, 1] += 0.03 - joints[..., 1].min(dim=1).values
    root[:, 2] += torch.linspace(0, 1, len(pose), dtype=torch.float64)
    return SourceMotion(JOINT_NAMES, PARENTS, offsets, tips, world, root, fps, up_axis=None)


def with_zero_pose(source: SourceMotion, turns: Tensor) -> SourceMotion:
    """The same motion with another zero pose: joint j's axes turned by turns[j] (J, 3, 3). The joints stay in place."""
    offsets = source.offsets.clone()
    for joint, parent in enumerate(source.parents):
        if parent >= 0:
            offsets[joint] = turns[parent].mT @ source.offsets[joint]
    tips = (turns.mT @ source.tips.unsqueeze(-1)).squeeze(-1)
    return replace(source, rotations=source.rotations @ turns, offsets=offsets, tips=tips)


def any_zero_pose(count: int, seed: int = 3) -> Tensor:
    """(J, 3, 3) turns at random: a zero pose without any meaning."""
    generator = torch.Generator().manual_seed(seed)
    return roma.rotvec_to_rotmat(3 * torch.randn(count, 3, generator=generator, dtype=torch.float64))


def along_x(source: SourceMotion) -> Tensor:
    """(J, 3, 3) turns after which every bone's OFFSET lies along +X, with a twist at random, as LAFAN1 has it."""
    turns = any_zero_pose(len(source.parents))
    for joint in range(len(source.parents)):
        children = [i for i, parent in enumerate(source.parents) if parent == joint]
        if not children:
            continue
        far = source.offsets[children[0] if len(children) == 1 else children[-1]]
        x = far / far.norm()
        y = turns[joint][:, 1] - (turns[joint][:, 1] @ x) * x
        y = y / y.norm()
        turns[joint] = torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)
    return turns


def posed_zero(source: SourceMotion, pose: dict[str, tuple[float, float, float]]) -> Tensor:
    """(J, 3, 3) turns for a zero pose that is SMPL's T pose bent by these local rotvecs: A pose, arms down."""
    local = torch.zeros(1, 24, 3, dtype=torch.float64)
    for name, rotvec in pose.items():
        local[0, JOINT_INDEX[name]] = torch.tensor(rotvec, dtype=torch.float64)
    return world_rotmats(local)[0]


def bvh_text(
    source: SourceMotion,
    unit: float = 0.01,
    positions: bool = False,
    rename: Callable[[str], str] = str,
    order: str = "ZXY",
) -> str:
    """A BVH file of the motion, unit in metres; with `positions`, six channels on every joint."""
    lines = ["HIERARCHY"]
    order_text = " ".join(f"{axis}rotation" for axis in order)

    def joint_lines(joint: int, depth: int) -> None:
        pad = "\t" * depth
        offset = source.offsets[joint] / unit
        lines.append(f"{pad}{'ROOT' if joint == 0 else 'JOINT'} {rename(source.names[joint])}")
        lines.append(pad + "{")
        lines.append(f"{pad}\tOFFSET {_row(offset)}")
        if joint == 0 or positions:
            lines.append(f"{pad}\tCHANNELS 6 Xposition Yposition Zposition {order_text}")
        else:
            lines.append(f"{pad}\tCHANNELS 3 {order_text}")
        children = [i for i, parent in enumerate(source.parents) if parent == joint]
        for child in children:
            joint_lines(child, depth + 1)
        if not children:
            lines.extend(
                [f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET {_row(source.tips[joint] / unit)}", pad + "\t}"]
            )
        lines.append(pad + "}")

    joint_lines(0, 0)
    names = [line.split()[1] for line in lines if line.split()[0] in ("ROOT", "JOINT")]
    in_order = [next(i for i, name in enumerate(source.names) if rename(name) == written) for written in names]
    lines += ["MOTION", f"Frames: {len(source)}", f"Frame Time: {1 / source.fps:.7f}"]
    angles = {}
    for joint, parent in enumerate(source.parents):
        local = source.rotations[:, joint]
        if parent >= 0:
            local = source.rotations[:, parent].mT @ local
        angles[joint] = Rotation.from_matrix(local.numpy()).as_euler(order, degrees=True)
    for frame in range(len(source)):
        numbers: list[str] = []
        for joint in in_order:
            if joint == 0:
                numbers.append(_row(source.root_positions[frame] / unit))
            elif positions:
                numbers.append(_row(source.offsets[joint] / unit))
            numbers.append(_row(angles[joint][frame]))
        lines.append(" ".join(numbers))
    return "\n".join(lines) + "\n"


def _row(values: Sequence[float] | Tensor) -> str:
    return " ".join(f"{float(value):.6f}" for value in values)
