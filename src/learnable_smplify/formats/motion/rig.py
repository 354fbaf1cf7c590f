"""What every skeletal format writes of a motion: the rest skeleton, its turns and where the pelvis is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.body.motion_mesh import MotionMesh
from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.style import FileUp
from learnable_smplify.formats.motion.up import turn_between
from learnable_smplify.motion import Motion


@dataclass(frozen=True, eq=False)
class Rig:
    """A motion as a skeleton that moves.

    Args:
        mesh: whose bones these are: SMPL's 24 joints, or SMPL-H's 52 where the motion has fingers.
        rest_joints: (J, 3) joints in the rest pose at the motion's betas, metres, body frame.
        local_rotmat: (T, J, 3, 3) rotation of every joint relative to its parent; joint 0 in the file's world.
        root_positions: (T, 3) pelvis joint in the file's world, metres.
        notes: what was assumed or turned, for the user.
    """

    mesh: MotionMesh
    rest_joints: Float[Tensor, "J 3"]
    local_rotmat: Float[Tensor, "T J 3 3"]
    root_positions: Float[Tensor, "T 3"]
    notes: tuple[str, ...]

    @property
    def body(self) -> Body:
        """Whose bones these are."""
        return self.mesh.body

    @property
    def parents(self) -> tuple[int, ...]:
        """(J,) of each joint, -1 of the root."""
        return self.mesh.parents

    def offsets(self) -> Float[Tensor, "J 3"]:
        """Rest position of every joint relative to its parent, of the root from the origin [m]."""
        rest = self.rest_joints
        return torch.cat((rest[:1], rest[1:] - rest[list(self.parents[1:])]))


def rig_motion(motion: Motion, path: Path, body: Body | None = None, up: FileUp = "y") -> Rig:
    """The motion on the bones of its body, in float64.

    Args:
        motion: T frames.
        path: the file that will be written, for messages.
        body: the body; None takes the open body where the motion belongs to it.
        up: which axis points up in the file.

    Raises:
        InputError: no body is given and the motion belongs to a licensed one.
    """
    notes: list[str] = []
    if body is None:
        if motion.body not in OPEN_BODIES:
            known = motion.body if motion.body in ("smpl", "smplh", "smplx") else "FILE"
            raise InputError(
                f"the motion belongs to the body '{motion.body[:40]}', whose bones this kind of file needs",
                path=path,
                expected="a body",
                hint=f"lsmplify convert MOTION -o {path} --body {known} (or --body open for the one in the package)",
            )
        body = load_body(motion.body)
    elif body.name != motion.body:
        notes.append(f"the motion was made for the body '{motion.body[:40]}'; this file has the bones of '{body.name}'")
    if motion.up_axis is None:
        notes.append(f"the motion does not say which way is up; the file takes {up.upper()} for up")
    elif motion.up_axis != up:
        notes.append(f"the motion is {motion.up_axis.upper()} up; the person is turned, the file is {up.upper()} up")
    if bool(motion.flagged.any()):
        count = int(motion.flagged.sum())
        notes.append(f"{count} flagged frames are written like the others: this kind of file has no place for flags")

    if motion.hand_pose is not None and body.hands is None:
        notes.append(f"the body '{body.name}' has no fingers: those of the motion are left out")
    mesh = MotionMesh(body, motion)
    rest_joints = mesh.rest_joints()
    turn = turn_between(motion.up_axis or up, up)
    local = mesh.local_rotmat()
    local = torch.cat((turn @ local[:, :1], local[:, 1:]), dim=1)
    pelvis = rest_joints[0] + motion.transl.cpu().to(torch.float64)
    return Rig(mesh, rest_joints, local, pelvis @ turn.T, tuple(notes))
