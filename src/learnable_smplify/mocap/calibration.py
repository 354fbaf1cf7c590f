"""How a source skeleton's bones lie in the person, found from the motion, for skeletons whose zero pose says nothing.

Many programs write bones whose zero pose is no pose at all: every bone along +X, arms and legs along the bones' own
axes. What remains is the motion itself. The places of the joints over all frames fix where every bone points in its own
axes. How it is turned about its length follows from how people move: knees and elbows are hinges, hips and shoulders
lie left and right, a foot at rest on the floor is flat, and a spine is straight and a gaze level more often than not.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.mocap.target import RetargetTarget
from learnable_smplify.rotation import rotmat_between, shortest_turn
from learnable_smplify.skeleton import JOINT_INDEX

# Axes that knee and elbow bend about, of the left side, in SMPL's rest pose: where they lie in CMU's ASF skeletons,
# whose zero pose is a T pose. Right: mirrored. The elbow bends forward and up when the palm faces down.
_KNEE_AXIS = (0.995, 0.095, 0.01)
_ELBOW_AXIS = (0.0, -0.866, 0.5)
# Squared sine of the bend at which the bend says as much about the hinge as the expectation does: 18 and 27 degrees.
# A limb that is straighter than that bends about anything, by its shape and by how its joints were placed.
_KNEE_PRIOR = 0.1
_ELBOW_PRIOR = 0.2
# Arms that hang are turned inwards from the shortest way down from the T pose, by about 33 degrees in CMU's clips, and
# those held level outwards by 20: degrees at level, degrees a unit of the way down, and the most.
_ARM_TWIST_DEG = (-20.0, 75.0, 33.0)
# A foot rests on the floor where it is slower than this and this much above its usual lowest at most.
_REST_SPEED_M_S = 0.4
_REST_HEIGHT_M = 0.02
_FLAT_DEG = 35.0
_FEW_FRAMES = 5
# Upright: the trunk within 25 degrees of the vertical.
_UPRIGHT_COSINE = 0.9
_SHORTEST_M = 1e-6
# Standing and walking people look a little down.
_GAZE_DOWN_DEG = 5.0
# SMPL's rest axes.
_LEFT, _UP, _FORWARD = torch.eye(3, dtype=torch.float64)


def calibrate(source: SourceMotion, target: RetargetTarget, bone_map: BoneMap) -> dict[str, Float[Tensor, "3 3"]]:
    """For every mapped SMPL joint the constant turn A of R_smpl = R_source A, from all frames of a motion.

    Where two bones move one joint, the first counts.

    Args:
        source: the motion, T frames. Its zero pose is not looked at.
        target: the body it is for.
        bone_map: which bone moves which joint.

    Returns:
        SMPL joint name -> rotmat, from SMPL's rest axes (X left, Y up, Z forward) to the axes of the source joint.

    Raises:
        InputError: joints that a limb or the trunk needs lie in one place.
    """
    return _Calibration(source, target, bone_map).solve()


class _Calibration:
    """The motion by SMPL's names, and what is known so far; the steps of `solve` go from the trunk outwards."""

    def __init__(self, source: SourceMotion, target: RetargetTarget, bone_map: BoneMap) -> None:
        joints = bone_map.starts(source.names)
        positions = source.positions()
        self.source, self.target = source, target
        self.turns = {joint: source.rotations[:, i] for joint, i in joints.items()}
        self.places = {joint: positions[:, i] for joint, i in joints.items()}
        self.tips = {joint: positions[:, i] + source.rotations[:, i] @ source.tips[i] for joint, i in joints.items()}
        for wrist, tip in bone_map.hand_tips.items():
            self.tips[wrist] = positions[:, source.names.index(tip)]
        self.bones = {joint: bones[0] for joint, bones in bone_map.bones.items()}
        self.aligned: dict[str, Tensor] = {}
        self.up: Tensor | None = None
        if source.up_axis is not None:
            self.up = torch.eye(3, dtype=torch.float64)["xyz".index(source.up_axis)]

    def solve(self) -> dict[str, Tensor]:
        self.trunk()
        for side in ("left", "right"):
            self.leg(side)
            self.foot(side)
            self.arm(side)
        return self.aligned

    def local(self, joint: str, vectors: Tensor, weights: Tensor | None = None) -> Tensor:
        """(3,) weighted mean over frames of world vectors (T, 3), seen from a source joint; not normalised."""
        seen = torch.einsum("tji,tj->ti", self.turns[joint], vectors)
        return seen.mean(dim=0) if weights is None else (weights.unsqueeze(-1) * seen).sum(dim=0)

    def world(self, joint: str) -> Tensor:
        """(T, 3, 3) rotation of the SMPL joint, as far as its source joint is aligned."""
        return self.turns[joint] @ self.aligned[joint]

    def follow(self, joint: str, world: Tensor, weights: Tensor | None = None) -> Tensor:
        """(3, 3) the alignment that keeps the joint, in the mean over frames, as these rotations (T, 3, 3)."""
        relative = self.turns[joint].mT @ world
        if weights is not None:
            relative = relative * weights[:, None, None]
        return roma.special_procrustes(relative.sum(dim=0))

    def trunk(self) -> None:
        mid_hip, mid_knee, mid_ankle, mid_shoulder = (
            (self.places[f"left_{joint}"] + self.places[f"right_{joint}"]) / 2
            for joint in ("hip", "knee", "ankle", "shoulder")
        )
        line = _unit(self.places.get("neck", mid_shoulder) - mid_hip)
        thigh, leg = _unit(mid_hip - mid_knee), _unit(mid_hip - mid_ankle)
        # Trunk and legs in one line show which way the pelvis points; a trunk that is bent from the thighs says less.
        straight = (line * thigh).sum(dim=-1).clamp(min=0) ** 12 + 1e-3
        across = self.places["left_hip"] - self.places["right_hip"]
        if float(across.norm(dim=-1).mean()) < _SHORTEST_M:
            # Some skeletons hang both legs on one point.
            across = self.places["left_knee"] - self.places["right_knee"]
        left = self.local("pelvis", across)
        self.aligned["pelvis"] = _axes(left, self.local("pelvis", line + leg, straight))
        chest = next((joint for joint in ("spine3", "spine2", "spine1") if joint in self.turns), "pelvis")
        if chest != "pelvis":
            across = self.places["left_shoulder"] - self.places["right_shoulder"]
            self.aligned[chest] = _axes(self.local(chest, across), self.local(chest, line))
        below, above = self.world("pelvis"), self.world(chest)
        for joint, share in (("spine1", 1 / 3), ("spine2", 2 / 3)):
            if joint in self.turns and joint not in self.aligned:
                same = self.bones[joint] == self.bones[chest]
                self.aligned[joint] = (
                    self.aligned[chest] if same else self.follow(joint, rotmat_between(below, above, share), straight)
                )
        for side in ("left", "right"):
            if f"{side}_collar" in self.turns:
                upper = _unit(self.places[f"{side}_elbow"] - self.places[f"{side}_shoulder"])
                hanging = (-(above[..., 1] * upper).sum(dim=-1)).clamp(min=0) ** 4 + 1e-2
                self.aligned[f"{side}_collar"] = self.follow(f"{side}_collar", above, hanging)
        if "head" in self.turns:
            self.head(above, line)
        if "neck" in self.turns:
            top = self.world("head") if "head" in self.turns else above
            self.aligned["neck"] = self.follow("neck", rotmat_between(above, top, 0.5))

    def head(self, chest: Tensor, line: Tensor) -> None:
        """The head faces where the chest does in the mean; while the person is upright, its gaze is level."""
        self.aligned["head"] = self.follow("head", chest)
        upright = torch.zeros(len(line), dtype=torch.bool) if self.up is None else (line @ self.up) > _UPRIGHT_COSINE
        if int(upright.sum()) < _FEW_FRAMES:
            # Who crawls looks ahead and not along the chest: the end of the head's own bone is up.
            top = self.local("head", self.tips["head"] - self.places["head"])
            if float(top.norm()) > _SHORTEST_M:
                self.aligned["head"] = _axes(self.aligned["head"][:, 0], top)
            return
        assert self.up is not None
        up = self.local("head", self.up.expand_as(line), upright.to(torch.float64))
        self.aligned["head"] = _axes(self.aligned["head"][:, 0], up)
        self.aligned["head"] = self.aligned["head"] @ roma.rotvec_to_rotmat(torch.pi / 180 * _GAZE_DOWN_DEG * _LEFT)

    def leg(self, side: str) -> None:
        axis = _mirrored(_KNEE_AXIS, side)
        # Without a bend, the knees are taken to bend straight forward.
        expected = self.world("pelvis")[..., 0]
        self.limb(f"{side}_hip", f"{side}_knee", f"{side}_ankle", axis, expected, _KNEE_PRIOR)

    def arm(self, side: str) -> None:
        axis = _mirrored(_ELBOW_AXIS, side)
        shoulder, elbow, wrist = (f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist"))
        upper = _unit(self.places[elbow] - self.places[shoulder])
        chest = self.world(next(j for j in ("spine3", "spine2", "spine1", "pelvis") if j in self.aligned))
        sideways = _unit(self.rest(shoulder, elbow))
        swing = shortest_turn(sideways.expand_as(upper), torch.einsum("tji,tj->ti", chest, upper))
        down = -torch.einsum("tji,tj->ti", chest, upper)[:, 1]
        level_deg, slope_deg, most_deg = _ARM_TWIST_DEG
        inwards = torch.deg2rad((level_deg + slope_deg * down).clamp(level_deg, most_deg)).unsqueeze(-1)
        twist = roma.rotvec_to_rotmat((inwards if side == "left" else -inwards) * upper)
        expected = (twist @ chest @ swing) @ axis
        self.limb(shoulder, elbow, wrist, axis, expected, _ELBOW_PRIOR)
        pointing = self.local(wrist, self.tips[wrist] - self.places[wrist])
        self.aligned[wrist] = self.follow(wrist, self.world(elbow))
        if float(pointing.norm()) > _SHORTEST_M:
            # Over the clip, the hand is turned about its length as the forearm is.
            hand = _unit(self.rest(wrist, f"{side}_hand"))
            turned = self.local(wrist, self.world(elbow) @ _FORWARD)
            self.aligned[wrist] = _align(hand, _FORWARD, pointing, turned)

    def limb(self, upper: str, lower: str, end: str, axis: Tensor, expected: Tensor, prior: float) -> None:
        """Two bones and the hinge between them, which bends about `axis` in SMPL's rest pose.

        `expected` (T, 3) is the axis in the world as far as it can be told without a bend. It counts like a bend with
        the squared sine `prior` in every frame.
        """
        thigh = self.places[lower] - self.places[upper]
        shin = self.places[end] - self.places[lower]
        bend = torch.linalg.cross(_unit(thigh), _unit(shin))
        # The further a hinge is bent, the better its axis shows; two factors of the sine, one is in `bend`.
        bend = bend * bend.norm(dim=-1, keepdim=True)
        turned = self.local(upper, bend + prior * expected)
        self.aligned[upper] = _align(_unit(self.rest(upper, lower)), axis, self.local(upper, thigh), turned)
        expected = self.world(upper) @ axis
        turned = self.local(lower, bend + prior * expected)
        self.aligned[lower] = _align(_unit(self.rest(lower, end)), axis, self.local(lower, shin), turned)

    def foot(self, side: str) -> None:
        knee, ankle, toes = (f"{side}_{joint}" for joint in ("knee", "ankle", "foot"))
        far = self.places.get(toes, self.tips[ankle])
        pointing = self.local(ankle, far - self.places[ankle])
        self.aligned[ankle] = self.follow(ankle, self.world(knee))
        if float(pointing.norm()) < _SHORTEST_M:
            return
        toe_rest = self.rest(ankle, f"{side}_foot")
        self.aligned[ankle] = _align(_unit(toe_rest), _LEFT, pointing, self.local(ankle, self.world(knee)[..., 0]))
        flat = self.standing(ankle, far)
        if int(flat.sum()) >= _FEW_FRAMES:
            assert self.up is not None
            up = self.local(ankle, self.up.expand_as(far), flat.to(torch.float64))
            self.aligned[ankle] = _align(_UP, toe_rest, up, pointing)
            if toes in self.turns:
                self.aligned[toes] = self.follow(toes, self.world(ankle), flat.to(torch.float64))
        elif toes in self.turns:
            self.aligned[toes] = self.follow(toes, self.world(ankle))
            tip = self.local(toes, self.tips[toes] - self.places[toes])
            if float(tip.norm()) > _SHORTEST_M:
                self.aligned[toes] = _align(_LEFT, _FORWARD, self.aligned[toes][:, 0], tip)

    def standing(self, ankle: str, far: Tensor) -> Tensor:
        """(T,) whether the foot rests flat on the floor: low, slow, and its sole about level."""
        if self.up is None or len(far) < 2:
            return torch.zeros(len(far), dtype=torch.bool)
        heel = self.places[ankle]
        speed = torch.maximum((heel[1:] - heel[:-1]).norm(dim=-1), (far[1:] - far[:-1]).norm(dim=-1)) * self.source.fps
        level = self.world(ankle)[..., 1] @ self.up
        still = torch.cat([speed[:1], speed]) < _REST_SPEED_M_S
        # Heel and toes low at once: a heel that has left the floor already can be as slow.
        heights = torch.stack([heel @ self.up, far @ self.up])
        low = (heights < torch.quantile(heights, 0.1, dim=1, keepdim=True) + _REST_HEIGHT_M).all(dim=0)
        return still & low & (level > torch.cos(torch.deg2rad(torch.tensor(_FLAT_DEG))))

    def rest(self, start: str, end: str) -> Tensor:
        """(3,) from one joint of the body at rest to another, metres."""
        return self.target.rest_joints[JOINT_INDEX[end]] - self.target.rest_joints[JOINT_INDEX[start]]


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def _mirrored(axis: tuple[float, float, float], side: str) -> Tensor:
    """An axis of turning, of the left side, for either side: mirrored, it keeps its sense along X."""
    x, y, z = axis
    vector = torch.tensor([x, y, z] if side == "left" else [x, -y, -z], dtype=torch.float64)
    return vector / vector.norm()


def _align(first: Tensor, second: Tensor, to_first: Tensor, to_second: Tensor) -> Tensor:
    """(3, 3) rotation that takes `first` to the direction of `to_first`, and `second` as near `to_second` as it can."""
    return _frame(to_first, to_second) @ _frame(first, second).mT


def _axes(left: Tensor, up: Tensor) -> Tensor:
    """(3, 3) left, up and forward as columns; `left` stays, `up` is made square to it."""
    return _align(_LEFT, _UP, left, up)


def _frame(first: Tensor, second: Tensor) -> Tensor:
    """(3, 3) right-handed axes as columns: along `first`, then as near `second` as is square to it."""
    if float(first.norm()) < _SHORTEST_M:
        raise InputError(
            "neither the rest pose nor the motion of this skeleton tells how its bones lie",
            expected="hips, shoulders, elbows, wrists, knees and ankles that are apart",
            hint="--bone-map FILE.toml, if the names were misunderstood",
        )
    x = _unit(first)
    y = second - (second @ x) * x
    if float(y.norm()) < 1e-9:
        y = torch.eye(3, dtype=x.dtype)[int(x.abs().argmin())]
        y = y - (y @ x) * x
    y = _unit(y)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=1)
