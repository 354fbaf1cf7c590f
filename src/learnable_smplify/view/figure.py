"""`Figure`: a body posed by a motion, as the arrays that a viewer draws."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.motion_mesh import MotionMesh
from learnable_smplify.motion import Motion
from learnable_smplify.timeline import evenly

# Posed meshes that are kept for the next time round: 80 KB to 125 KB each.
_KEPT_FRAMES = 256
# Bones a vertex may hang on where the browser does the skinning.
_MOST_BONES = 4
# Frames whose mesh is looked at for the height of the ground.
_GROUND_SAMPLES = 48


class Figure:
    """One body in motion. Positions are those of the motion's world, metres.

    Args:
        body: the body to draw.
        motion: T frames.

    Attributes:
        mesh: what moves: 24 joints, or 52 where the motion has fingers.
        joints: (T, J, 3) joint centres.
        bone_wxyz: (T, J, 4) unit quaternions, real part first: how each joint is turned in the world.
        rest_vertices: (V, 3) and rest_joints: (J, 3) of the T pose, with the motion's shape.
        forward: (3,) where the person faces, on average.
    """

    def __init__(self, body: Body, motion: Motion) -> None:
        self.body = body
        self.motion = motion
        self.mesh = MotionMesh(body, motion)
        rotmat, joints = self.mesh.posed_joints()
        self.joints: Float[np.ndarray, "T J 3"] = joints.float().numpy()
        quaternions = roma.quat_xyzw_to_wxyz(roma.rotmat_to_unitquat(rotmat))
        self.bone_wxyz: Float[np.ndarray, "T J 4"] = quaternions.float().numpy()
        self.rest_vertices: Float[np.ndarray, "V 3"] = self.mesh.rest_vertices()
        self.rest_joints: Float[np.ndarray, "J 3"] = self.mesh.rest_joints().float().numpy()
        self.faces: Int[np.ndarray, "F 3"] = self.mesh.faces
        self.forward: Float[np.ndarray, "3"] = rotmat[:, 0, :, 2].mean(dim=0).float().numpy()
        self._kept = lru_cache(_KEPT_FRAMES)(lambda frame: self._posed(torch.tensor([frame]))[0])

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.motion)

    @property
    def skins_in_browser(self) -> bool:
        """Whether bones and weights alone give the exact mesh: no pose correctives, four bones a vertex at most."""
        return self.body.arrays.posedirs is None and int((self.mesh.weights > 0).sum(axis=1).max()) <= _MOST_BONES

    def vertices(self, frame: int) -> Float[np.ndarray, "V 3"]:
        """The mesh at a frame, from the store of the latest ones where it is there. Not to be written to."""
        return self._kept(frame)

    def segments(self, frame: int) -> Float[np.ndarray, "B 2 3"]:
        """The skeleton's lines, from each joint's parent to the joint."""
        joints = self.joints[frame]
        return np.stack([joints[list(self.mesh.parents[1:])], joints[1:]], axis=1)

    def uncertainty_deg(self, frame: int) -> Float[np.ndarray, "24"] | None:
        """Standard deviation of each joint's rotation [deg], NaN where it is not known; None where none is."""
        told = self.motion.uncertainty_deg
        return None if told is None or not bool(told.isfinite().any()) else told[frame].cpu().numpy()

    def ground_height(self, up: Float[np.ndarray, "3"]) -> float:
        """How far up the ground is [m]: what the lowest vertex reaches, but for the few lowest frames."""
        sample = evenly(len(self), _GROUND_SAMPLES)
        return float(np.percentile((self._posed(sample) @ up.astype(np.float32)).min(axis=1), 5))

    def _posed(self, frames: Tensor) -> Float[np.ndarray, "N V 3"]:
        return self.mesh.vertices(frames).numpy()
