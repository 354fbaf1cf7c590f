"""Which way is up in a file, and a motion turned from one world into another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.body.open_body import OPEN_BODIES
from learnable_smplify.motion import Motion, UpAxis
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat

# The rotation that takes a world whose up is this axis to one whose up is Y; none of them mirrors.
_R_YUP_WORLD: dict[str, list[list[float]]] = {
    "x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
}


def turn_between(up: str, new_up: str) -> Float[Tensor, "3 3"]:
    """The rotation (float64) from a world whose axis `up` points up to one whose `new_up` does."""
    matrices = {axis: torch.tensor(rows, dtype=torch.float64) for axis, rows in _R_YUP_WORLD.items()}
    return matrices[new_up].T @ matrices[up]


def turned(motion: Motion, turn: Float[Tensor, "3 3"], up: UpAxis, pelvis: Float[Tensor, "3"]) -> Motion:
    """The same movement in a world turned by R, in which axis `up` points up.

    SMPL's body turns about its pelvis joint, which in the rest pose is not at the origin: `transl` alone cannot be
    turned. With J0 that joint, the pelvis is at J0 + transl, so transl becomes R (J0 + transl) - J0.

    Args:
        motion: T frames.
        turn: R, float64.
        up: "x", "y" or "z".
        pelvis: J0 [m], float64.
    """
    root = rotmat_to_rotvec(turn @ rotvec_to_rotmat(motion.global_orient.cpu().to(torch.float64)))
    pose = torch.cat((root.to(torch.float32)[:, None], motion.pose[:, 1:].cpu()), dim=1)
    transl = (motion.transl.cpu().to(torch.float64) + pelvis) @ turn.T - pelvis
    return replace(motion, pose=pose, transl=transl.to(torch.float32), up_axis=up)


def turn_motion(motion: Motion, up: UpAxis, pelvis: Float[np.ndarray, "3"]) -> Motion:
    """The same movement in a world whose axis `up` points up (see `turned`).

    Args:
        motion: T frames, with a known `up_axis`; returned as it is where that is `up`.
        up: "x", "y" or "z".
        pelvis: J0 [m], the pelvis of the body in the rest pose at the motion's betas.
    """
    if motion.up_axis is None or motion.up_axis == up:
        return motion
    joint = torch.as_tensor(np.asarray(pelvis), dtype=torch.float64)
    return turned(motion, turn_between(motion.up_axis, up), up, joint)


def rest_pelvis(motion: Motion, body: Body | None = None) -> tuple[Float[np.ndarray, "3"], tuple[str, ...]]:
    """The pelvis joint [m] of the motion's body in the rest pose, and a note where that body is not at hand.

    Args:
        motion: whose betas.
        body: the motion's body; None takes the package's that it belongs to, else the open one, and says so.
    """
    notes: tuple[str, ...] = ()
    body = own_body(motion, body)
    if body is None:
        body = load_body()
        notes = (f"turned about the open body's pelvis: '{motion.body[:40]}' is not at hand (--body to give it)",)
    pelvis = body.joints(torch.zeros(1, 24, 3, dtype=torch.float64), motion.betas.cpu().to(torch.float64))[0, 0]
    return pelvis.numpy().astype(np.float64), notes


def own_body(motion: Motion, body: Body | None) -> Body | None:
    """The body given, unless the motion belongs to another of the package's."""
    if motion.body in OPEN_BODIES and (body is None or body.name != motion.body):
        return load_body(motion.body)
    return body
