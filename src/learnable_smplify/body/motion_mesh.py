"""`MotionMesh`: the skin of a motion, with bent fingers wherever the body has fingers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fingers import FingeredBody
from learnable_smplify.hands import NUM_SHARED_JOINTS, SMPLH_PARENTS, relaxed_hands
from learnable_smplify.motion import Motion
from learnable_smplify.skeleton import NUM_JOINTS


@dataclass(frozen=True, eq=False)
class MotionMesh:
    """The mesh of one person. Where nobody saw the fingers, they rest.

    Args:
        body: whose mesh.
        motion: T frames.
    """

    body: Body
    motion: Motion

    @property
    def fingered(self) -> FingeredBody | None:
        """The body with fingers; None where it has none, and hands are as stiff as in the template."""
        return self.body.hands

    @property
    def faces(self) -> Int[np.ndarray, "F 3"]:
        """Triangles."""
        hands = self.fingered
        return (self.body.faces if hands is None else hands.faces).numpy()

    @property
    def weights(self) -> Float[np.ndarray, "W 24"]:
        """Skin weights on SMPL's 24 joints: what part of the body each vertex is on."""
        hands = self.fingered
        if hands is None:
            return self.body.arrays.weights
        return on_body_joints(hands.arrays.weights)

    def vertices(self, frames: slice = slice(None)) -> Float[Tensor, "T W 3"]:
        """Skinned vertices [m] of some frames, in the motion's world."""
        motion, hands = self.motion, self.fingered
        pose, transl = motion.pose[frames], motion.transl[frames]
        if hands is None:
            return self.body.vertices(pose, motion.betas, transl)
        fingers = resting_hands(self.body).expand(len(motion), -1, -1) if motion.hand_pose is None else motion.hand_pose
        return hands.vertices(pose, fingers[frames].to(pose), motion.betas[None], transl)

    def rest_vertices(self) -> Float[np.ndarray, "W 3"]:
        """Vertices [m] in the rest pose, hands flat."""
        hands, betas = self.fingered, self.motion.betas
        still = torch.zeros(1, NUM_JOINTS, 3)
        if hands is None:
            return self.body.vertices(still, betas)[0].numpy()
        return hands.vertices(still, torch.zeros(1, 30, 3), betas[None], torch.zeros(1, 3))[0].numpy()


def resting_hands(body: Body) -> Float[Tensor, "30 3"]:
    """Rotvecs [rad] of fingers at rest: the mean hand of a licensed model, else the open body's relaxed one."""
    hands = body.hands
    mean = None if hands is None else hands.arrays.mean
    return relaxed_hands() if mean is None else torch.from_numpy(mean).reshape(30, 3)


def on_body_joints(weights: Float[np.ndarray, "W 52"]) -> Float[np.ndarray, "W 24"]:
    """Weights of fingers given to the wrists that they hang on; SMPL's two hand joints get none."""
    reduced = np.zeros((len(weights), NUM_JOINTS), dtype=weights.dtype)
    for joint in range(weights.shape[1]):
        ancestor = joint
        while ancestor >= NUM_SHARED_JOINTS:
            ancestor = SMPLH_PARENTS[ancestor]
        reduced[:, ancestor] += weights[:, joint]
    return reduced
