"""`MotionMesh`: the skin and the skeleton of a motion, with fingers wherever somebody saw them.

A motion without fingers moves SMPL's 24 joints, and its hands are drawn at rest: the skin of the body with fingers,
bent once and for all. A motion with fingers moves SMPL-H's 52 joints.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.kinematics import posed_tree
from learnable_smplify.hands import (
    NUM_HAND_JOINTS,
    NUM_SHARED_JOINTS,
    SMPLH_JOINT_NAMES,
    SMPLH_PARENTS,
    relaxed_hands,
)
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS


class MotionMesh:
    """One person's mesh, and the joints that move it.

    Args:
        body: whose mesh.
        motion: T frames.

    Attributes:
        fingered: whether the fingers move: the motion has them and the body too.
        joint_names: (J,) SMPL's 24 joints, or SMPL-H's 52 where fingers move.
        parents: (J,) of each joint, -1 of the root.
        faces: (F, 3) triangles.
        weights: (W, J) skin weights.
        body_weights: (W, 24) the same on SMPL's joints: what part of the body each vertex is on.
    """

    def __init__(self, body: Body, motion: Motion) -> None:
        self.body, self.motion = body, motion
        hands = body.hands
        self.fingered = hands is not None and motion.hand_pose is not None
        self.joint_names: tuple[str, ...] = SMPLH_JOINT_NAMES if self.fingered else JOINT_NAMES
        self.parents: tuple[int, ...] = SMPLH_PARENTS if self.fingered else PARENTS
        self.faces: Int[np.ndarray, "F 3"] = (body.faces if hands is None else hands.faces).numpy()
        self.body_weights: Float[np.ndarray, "W 24"] = body.arrays.weights
        if hands is not None:
            self.body_weights = on_body_joints(hands.arrays.weights)
        self.weights: Float[np.ndarray, "W J"] = self.body_weights
        if hands is not None and self.fingered:
            self.weights = hands.arrays.weights

    def vertices(self, frames: slice | Tensor = slice(None)) -> Float[Tensor, "T W 3"]:
        """Skinned vertices [m] of some frames, in the motion's world."""
        motion = self.motion
        fingers = None if motion.hand_pose is None else motion.hand_pose[frames]
        return self._skin(motion.pose[frames], fingers, motion.transl[frames])

    def rest_vertices(self) -> Float[np.ndarray, "W 3"]:
        """Vertices [m] in the rest pose, to which `weights` belong: hands flat where fingers move, else at rest."""
        flat = torch.zeros(1, NUM_HAND_JOINTS, 3) if self.fingered else None
        return self._skin(torch.zeros(1, NUM_JOINTS, 3), flat, torch.zeros(1, 3))[0].numpy()

    def _skin(
        self, pose: Float[Tensor, "T 24 3"], fingers: Float[Tensor, "T 30 3"] | None, transl: Float[Tensor, "T 3"]
    ) -> Float[Tensor, "T W 3"]:
        hands, betas = self.body.hands, self.motion.betas
        if hands is None:
            return self.body.vertices(pose, betas, transl)
        if fingers is None:
            fingers = resting_hands(self.body).expand(len(pose), -1, -1)
        return hands.vertices(pose, fingers.to(pose), betas[None], transl)

    def rest_joints(self) -> Float[Tensor, "J 3"]:
        """Joints [m] in the rest pose, float64."""
        betas, still = self.motion.betas.cpu().double(), torch.zeros(1, NUM_JOINTS, 3, dtype=torch.float64)
        if not self.fingered:
            return self.body.joints(still, betas)[0]
        assert self.body.hands is not None
        fingers = still.new_zeros(1, NUM_HAND_JOINTS, 3)
        return self.body.hands.joints(still, fingers, betas[None], still.new_zeros(1, 3))[0]

    def local_rotmat(self) -> Float[Tensor, "T J 3 3"]:
        """Rotation of every joint relative to its parent, float64."""
        pose = self.motion.pose.cpu()
        if self.fingered and self.motion.hand_pose is not None:
            pose = torch.cat((pose[:, :NUM_SHARED_JOINTS], self.motion.hand_pose.cpu()), dim=1)
        return rotvec_to_rotmat(pose.double())

    def posed_joints(self) -> tuple[Float[Tensor, "T J 3 3"], Float[Tensor, "T J 3"]]:
        """Rotation of every joint in the motion's world and where it is [m], float64, as `vertices` has them.

        Where the body has fingers, SMPL's two hand joints move nothing.
        """
        rest, local = self.rest_joints(), self.local_rotmat()
        if self.body.hands is not None and not self.fingered:
            local[:, NUM_SHARED_JOINTS:] = torch.eye(3, dtype=local.dtype)
        world, placed = posed_tree(local, rest[None], self.parents)
        return world, placed + self.motion.transl.cpu().double()[:, None]

    def fingertips(self) -> dict[str, Float[Tensor, "3"]]:
        """Where the fingers end in the rest pose [m], by the names of their last joints; empty without fingers."""
        if not self.fingered:
            return {}
        assert self.body.hands is not None
        tips = self.body.hands.rest(self.motion.betas.cpu().double()).tips
        last = [name for name in SMPLH_JOINT_NAMES[NUM_SHARED_JOINTS:] if name.endswith("3")]
        return dict(zip(last, tips.reshape(-1, 3), strict=True))


def resting_hands(body: Body) -> Float[Tensor, "30 3"]:
    """Rotvecs [rad] of fingers at rest: the mean hand of a licensed model, else the open body's relaxed one."""
    mean = None if body.hands is None else body.hands.arrays.mean
    return relaxed_hands() if mean is None else torch.from_numpy(mean).reshape(NUM_HAND_JOINTS, 3)


def on_body_joints(weights: Float[np.ndarray, "W 52"]) -> Float[np.ndarray, "W 24"]:
    """Weights of the fingers given to SMPL's two hand joints, which turn with the wrist unless told otherwise."""
    reduced = np.zeros((len(weights), NUM_JOINTS), dtype=weights.dtype)
    reduced[:, :NUM_SHARED_JOINTS] = weights[:, :NUM_SHARED_JOINTS]
    fingers = weights[:, NUM_SHARED_JOINTS:].reshape(len(weights), 2, -1)
    reduced[:, NUM_SHARED_JOINTS:] = fingers.sum(axis=2)
    return reduced
