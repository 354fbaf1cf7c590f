"""The arm that goes with a hand: the wrist where the hand's points have it, and the forearm turned as people turn it.

A hand's points tell its rotation in the world and, twenty times over, where its wrist is. The elbow and the shoulder
turn a little, so that the wrist gets there; the forearm's roll about its own bone moves no joint, and is chosen where
the pose prior of the whole body is happiest with elbow and wrist together. A wrist hardly twists: what a hand is turned
beyond that is the forearm's; and it bends so far and no further, wherever the hand's points seem to be.
"""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.kinematics import joint_positions, parent_rotations, world_rotations
from learnable_smplify.kernels import is_usable
from learnable_smplify.kernels.convert import arrays, fast_rotmat_to_rotvec, fast_rotvec_to_rotmat
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat, skew, twist_angle
from learnable_smplify.skeleton import PARENTS, WRISTS
from learnable_smplify.solver.frame.priors import Priors

ARM_JOINTS: tuple[tuple[int, int, int], ...] = tuple(
    (PARENTS[PARENTS[wrist]], PARENTS[wrist], wrist) for wrist in WRISTS
)
# What the arm gives up of its own idea to reach the hand [m]; smaller follows a stretched arm's noise.
_DAMPING = 0.05
_REACHES, _ROLLS = 3, 3
# How far a wrist twists against the forearm, bends to the sides, and to the palm or the back of the hand [rad]. More
# than anatomy has: the poses that the prior was made from go so far, with one elbow joint for the whole forearm.
WRIST_LIMITS: tuple[float, float, float] = (math.radians(50), math.radians(70), math.radians(100))
# A hand further away than this from the arm's wrist belongs to somebody else, or to another unit [m].
_FARTHEST = 0.15


def arms(
    rotmat: Float[Tensor, "T 24 3 3"], transl: Float[Tensor, "T 3"], offsets: Float[Tensor, "#T 24 3"]
) -> tuple[Float[Tensor, "T 2 3 3"], Float[Tensor, "T 2 3"]]:
    """World rotations and places [m] of both wrists."""
    if is_usable(rotmat, transl, offsets):
        from learnable_smplify.solver.hand.arm_kernels import arm_ends

        turn, place = torch.empty(len(rotmat), 2, 3, 3), torch.empty(len(rotmat), 2, 3)
        arm_ends(*arrays(rotmat, transl, offsets, turn, place))
        return turn, place
    world = world_rotations(rotmat)
    joints = joint_positions(parent_rotations(world), offsets) + transl[:, None]
    return world[:, list(WRISTS)], joints[:, list(WRISTS)]


def with_wrists(
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Float[Tensor, "T 3"],
    offsets: Float[Tensor, "#T 24 3"],
    turn: Float[Tensor, "T 2 3 3"],
    place: Float[Tensor, "T 2 3"],
    seen: Bool[Tensor, "T 2"],
    priors: Priors,
) -> Float[Tensor, "T 24 3 3"]:
    """The poses with arms that hold the hands as they were seen.

    Args:
        rotmat: local rotations.
        transl: metres.
        offsets: rest offsets of the joints [m], one row for all frames or one each.
        turn, place: world rotations and places [m] of the wrists, left and right.
        seen: where the hand was not, the arm stays as it is.
        priors: of poses.
    """
    if is_usable(rotmat, transl, offsets, turn, place):
        from learnable_smplify.solver.hand.arm_kernels import hold_hands

        rotmat = rotmat.contiguous().clone()
        hold_hands(
            *arrays(rotmat, transl, offsets, turn, place, seen, priors.pose_mean, priors.pose_precision),
            (_REACHES, np.float32(_DAMPING**2), np.float32(_FARTHEST**2)),
            _ROLLS,
            np.array(WRIST_LIMITS, np.float32),
        )
        return rotmat
    rotmat = rotmat.clone()
    for index, joints in enumerate(ARM_JOINTS):
        rows = seen[:, index].nonzero()[:, 0]
        if len(rows) == 0:
            continue
        own = offsets if offsets.shape[0] == 1 else offsets[rows]
        reached = _reached(rotmat[rows], transl[rows], own, place[rows, index], joints)
        rotmat[rows] = _turned(reached, own, turn[rows, index], joints, priors)
    return rotmat


def correction(rotmat: Float[Tensor, "T 24 3 3"], before: Float[Tensor, "T 24 3 3"]) -> Float[Tensor, "T 2 9"]:
    """How far each arm's shoulder, elbow and wrist were turned, in their parents' frames [rad]."""
    joints = list(chain(*ARM_JOINTS))
    return fast_rotmat_to_rotvec(rotmat[:, joints] @ before[:, joints].mT).unflatten(1, (2, 3)).flatten(2)


def corrected(rotmat: Float[Tensor, "T 24 3 3"], turned: Float[Tensor, "T 2 9"]) -> Float[Tensor, "T 24 3 3"]:
    """The poses with arms turned by so much: the inverse of `correction`."""
    joints = list(chain(*ARM_JOINTS))
    rotmat = rotmat.clone()
    rotmat[:, joints] = fast_rotvec_to_rotmat(turned.unflatten(2, (3, 3)).flatten(1, 2)) @ rotmat[:, joints]
    return rotmat


def _reached(
    rotmat: Tensor, transl: Tensor, offsets: Tensor, place: Tensor, joints: tuple[int, int, int]
) -> Float[Tensor, "T 24 3 3"]:
    """Shoulder and elbow turned so that the wrist comes to its place (damped least squares)."""
    shoulder, elbow, wrist = joints
    moving = [shoulder, elbow]
    identity = torch.eye(3).to(rotmat)
    for _ in range(_REACHES):
        parent = parent_rotations(world_rotations(rotmat))
        positions = joint_positions(parent, offsets) + transl[:, None]
        gap = place - positions[:, wrist]
        gap = torch.where(gap.norm(dim=-1, keepdim=True) < _FARTHEST, gap, 0.0)
        levers = -skew(positions[:, wrist, None] - positions[:, moving])  # how the wrist moves by a turn in the world
        square = (levers @ levers.mT).sum(1) + _DAMPING**2 * identity
        step = (levers.mT @ torch.linalg.solve(square, gap[..., None])[:, None])[..., 0]
        local = (parent[:, moving].mT @ step[..., None])[..., 0]
        rotmat = rotmat.clone()
        rotmat[:, moving] = rotvec_to_rotmat(local) @ rotmat[:, moving]
    return rotmat


def _turned(
    rotmat: Tensor, offsets: Tensor, turn: Tensor, joints: tuple[int, int, int], priors: Priors
) -> Float[Tensor, "T 24 3 3"]:
    """The wrist turned as the hand is, and the forearm rolled to where the pose prior is happiest."""
    _, elbow, wrist = joints
    bone = torch.nn.functional.normalize(offsets[:, wrist], dim=-1).expand(len(rotmat), 3)
    rotmat = rotmat.clone()
    rotmat[:, wrist] = world_rotations(rotmat)[:, elbow].mT @ turn
    elbow_alone, wrist_alone = rotmat[:, elbow].clone(), rotmat[:, wrist].clone()
    roll = torch.zeros(len(rotmat)).to(rotmat)
    columns = [3 * joint + axis for joint in (elbow, wrist) for axis in range(3)]
    pair = priors.pose_precision[columns][:, columns]
    for _ in range(_ROLLS):
        error = rotmat_to_rotvec(rotmat @ priors.pose_mean.mT)
        error[:, 0] = 0
        pull = (error.flatten(1) @ priors.pose_precision)[:, columns]
        change = torch.cat(((rotmat[:, elbow] @ bone[..., None])[..., 0], -bone), dim=-1)
        slope, curve = (change * pull).sum(-1), ((change @ pair) * change).sum(-1)
        roll = roll - (slope / curve.clamp(min=1e-6)).clamp(-1.0, 1.0)
        turned = rotvec_to_rotmat(roll[:, None] * bone)
        rotmat[:, elbow] = elbow_alone @ turned
        rotmat[:, wrist] = turned.mT @ wrist_alone
    twist, swing = twist_and_swing(rotmat[:, wrist], bone)
    kept = twist.clamp(-WRIST_LIMITS[0], WRIST_LIMITS[0])
    rotmat[:, elbow] = rotmat[:, elbow] @ rotvec_to_rotmat((twist - kept)[:, None] * bone)
    share = (swing[:, 1:] / swing.new_tensor(WRIST_LIMITS[1:])).norm(dim=-1, keepdim=True).clamp(min=1.0)
    rotmat[:, wrist] = rotvec_to_rotmat(kept[:, None] * bone) @ rotvec_to_rotmat(swing / share)
    return rotmat


def wrists_beyond(rotmat: Float[Tensor, "T 24 3 3"], offsets: Float[Tensor, "#T 24 3"]) -> Float[Tensor, "T 2"]:
    """How far each wrist twists or bends beyond `WRIST_LIMITS` [rad]; 0 within."""
    over = []
    for _, _, wrist in ARM_JOINTS:
        bone = torch.nn.functional.normalize(offsets[:, wrist], dim=-1).expand(len(rotmat), 3)
        twist, swing = twist_and_swing(rotmat[:, wrist], bone)
        share = (swing[:, 1:] / swing.new_tensor(WRIST_LIMITS[1:])).norm(dim=-1).clamp(min=1.0)
        bent = swing.norm(dim=-1)
        over.append(torch.maximum((twist.abs() - WRIST_LIMITS[0]).clamp(min=0), bent - bent / share))
    return torch.stack(over, dim=1)


def twist_and_swing(
    rotmat: Float[Tensor, "N 3 3"], bone: Float[Tensor, "N 3"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N 3"]]:
    """The angle about a bone [rad] and the rotvec across it [rad] that follow each other to a rotation, swing first."""
    twist = twist_angle(rotmat, bone)
    return twist, rotmat_to_rotvec(rotvec_to_rotmat(-twist[:, None] * bone) @ rotmat)
