"""One camera that nobody placed: which way is up, and where the floor is, as people stand in its pictures.

People who stand have the middle of their body above their feet. That tells up within ten degrees or so, which a camera
that is held level knows better, and one that looks down from a wall worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.camera import Camera
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.timeline import evenly

# The floor is where the lowest part of the body is in this share of frames; so many frames are looked at.
_ON_FLOOR, _LOOKED_AT = 0.1, 60
# Somebody stands where the trunk and a leg are in line within this cosine, and tells up when it is so in this share.
_STRAIGHT, _OFTEN = 0.9, 0.2
# A camera is taken to be level up to this tilt [deg], and people to lie beyond the other.
_LEVEL, _LYING = 12.0, 50.0
_UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Floor:
    """A world with Y up and the floor at height 0: `x_new = turn x + (0, -height, 0)`.

    Args:
        turn: (3, 3) from the world that the camera has at its own axes.
        height: of the floor, after the turn [m].
        tilt_deg: by how much the camera is taken to be off level.
    """

    turn: Float[Tensor, "3 3"]
    height: float
    tilt_deg: float

    def motion(self, motion: Motion, body: Body) -> Motion:
        """A motion in this world."""
        pose = motion.pose.double().clone()
        pose[:, 0] = rotmat_to_rotvec(self.turn @ rotvec_to_rotmat(pose[:, 0]))
        # A body turns about its pelvis joint, and transl moves it afterwards.
        pelvis = body.joints(torch.zeros(1, 24, 3), motion.betas)[0, 0].double()
        transl = (motion.transl.double() + pelvis) @ self.turn.T - pelvis + self._shift
        return replace(motion, pose=pose.float(), transl=transl.float(), notes=(*motion.notes, self.note))

    def camera(self, camera: Camera) -> Camera:
        """The camera in this world."""
        turned = camera.R_camera_world.double() @ self.turn.T
        return replace(
            camera, R_camera_world=turned, t_camera_world=camera.t_camera_world.double() - turned @ self._shift
        )

    @property
    def note(self) -> str:
        """A line for the user."""
        above = f"{-self.height:.2f} m above the floor under people's feet"
        if not self.tilt_deg:
            return f"the camera is {above}, if it is level"
        return (
            f"the camera is not level but {self.tilt_deg:.0f} degrees off, as people stand in its pictures, "
            f"and {above} (--camera to say otherwise)"
        )

    @property
    def _shift(self) -> Tensor:
        return torch.tensor([0.0, -self.height, 0.0], dtype=torch.float64)


def find_floor(motions: Sequence[Motion], body: Body) -> Floor:
    """The floor on which people stand.

    Args:
        motions: of everybody in one world with Y up, which is the camera's own held level.
        body: that they are of.
    """
    posed = [_posed(motion, body) for motion in motions]
    middles = torch.cat([vertices.mean(dim=1) for vertices, _ in posed])
    joints = torch.cat([joints for _, joints in posed])
    turn, tilt = _upright(middles, joints)
    heights = [float((vertices @ turn[1]).amin(dim=1).quantile(_ON_FLOOR)) for vertices, _ in posed]
    return Floor(turn, sorted(heights)[len(heights) // 2], tilt)


def _posed(motion: Motion, body: Body) -> tuple[Float[Tensor, "T V 3"], Float[Tensor, "T 24 3"]]:
    rows = evenly(len(motion), _LOOKED_AT).unique()
    pose, transl = motion.pose[rows], motion.transl[rows]
    vertices, joints = body.vertices(pose, motion.betas, transl), body.joints(pose, motion.betas, transl)
    return vertices.double(), joints.double()


def _upright(middles: Float[Tensor, "T 3"], joints: Float[Tensor, "T 24 3"]) -> tuple[Float[Tensor, "3 3"], float]:
    """The turn that stands people upright, and by how much [deg]; none where nobody stands, or hardly any is needed."""

    def mean(*names: str) -> Float[Tensor, "T 3"]:
        return joints[:, [JOINT_INDEX[name] for name in names]].mean(dim=1)

    hips = mean("left_hip", "right_hip")
    trunk = mean("left_shoulder", "right_shoulder") - hips
    legs = torch.stack([hips - mean(f"{side}_ankle") for side in ("left", "right")])
    straight = torch.cosine_similarity(trunk[None], legs, dim=-1).amax(dim=0) > _STRAIGHT
    level = torch.eye(3, dtype=torch.float64)
    if float(straight.double().mean()) < _OFTEN:
        return level, 0.0
    feet = mean("left_ankle", "right_ankle", "left_foot", "right_foot")
    above = torch.nn.functional.normalize(middles - feet, dim=-1)[straight].mean(dim=0)
    up = torch.tensor(_UP, dtype=torch.float64)
    axis = torch.linalg.cross(torch.nn.functional.normalize(above, dim=0), up)
    angle = float(torch.atan2(axis.norm(), above @ up / above.norm()))
    tilt = float(torch.rad2deg(torch.tensor(angle)))
    if not _LEVEL < tilt < _LYING:
        return level, 0.0
    return rotvec_to_rotmat(axis / axis.norm() * angle), tilt
