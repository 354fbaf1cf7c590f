"""Habits of a source: constant rotations by which somebody's poses differ from those that the pose prior was fitted on.

One program raises the collars by thirty degrees where another leaves them level; a person stoops, or carries the
shoulders high. Frame by frame the prior would put that right, and a longer trunk or a bent spine would take it up. So
habits are unknowns that all frames share, beside betas: a normal distribution about none, as wide as programs and
people differ, mirrored from left to right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_INDEX, NUM_JOINTS
from learnable_smplify.solver.frame.levenberg_marquardt import PoseProblem
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.terms import NUM_ROTATIONS, NUM_UNKNOWNS

# Standard deviations about x, y and z of the parent's frame [deg]. A collar goes up and down most, and forward; in the
# middle, only bending counts.
_COLLAR_DEG = (6.0, 12.0, 20.0)
_BEND_DEG = {"spine1": 5.0, "spine2": 5.0, "spine3": 5.0, "neck": 5.0, "head": 8.0}
# Standard deviations from which on a habit is rather believed than not.
_CLEAR = 0.7
# And of every joint about every axis, where it is not known which program the poses are to be like.
_ANY_DEG = 5.0
# How far a first pose that is known may be from the mean, about every axis of every joint, for other reasons than that
# poses vary [deg]: habits, how hands are held, a posture that is kept (chosen on train clips, as they are and with
# every joint turned by 10 degrees).
_KEPT_DEG = 30.0


@lru_cache(maxsize=4)
def habit_directions(device: torch.device, dtype: torch.dtype) -> Float[Tensor, "72 H"]:
    """Rotations of all joints [rad] that stand for one standard deviation of each habit."""
    columns = []
    for axis, degrees in enumerate(_COLLAR_DEG):
        column = torch.zeros(NUM_JOINTS, 3, device=device, dtype=dtype)
        column[JOINT_INDEX["left_collar"], axis] = math.radians(degrees)
        column[JOINT_INDEX["right_collar"], axis] = math.radians(degrees) * (1 if axis == 0 else -1)
        columns.append(column)
    for name, degrees in _BEND_DEG.items():
        column = torch.zeros(NUM_JOINTS, 3, device=device, dtype=dtype)
        column[JOINT_INDEX[name], 0] = math.radians(degrees)
        columns.append(column)
    return torch.stack(columns, dim=-1).flatten(0, 1)


def with_habit(priors: Priors, habit: Float[Tensor, "24 3"]) -> Priors:
    """The priors of somebody with a habit [rad]."""
    return replace(priors, pose_mean=rotvec_to_rotmat(habit) @ priors.pose_mean)


def with_first_pose(priors: Priors, rotmat: Float[Tensor, "24 3 3"]) -> Priors:
    """The priors of somebody whose first pose is known: what keypoints do not show goes on about as it began.

    What it is beside the mean is a habit, as far as joints do not vary so much anyway.
    """
    habits = math.radians(_KEPT_DEG) ** 2 * torch.eye(3 * NUM_JOINTS - 3, dtype=torch.float64, device=rotmat.device)
    return with_habit(priors, _habit(priors, rotmat[None], habits))


def habitless(priors: Priors) -> Float[Tensor, "72 72"]:
    """The pose prior's precision for somebody of unknown habits [1/rad^2]: poses and habits vary together."""
    wide = priors.pose_precision.clone()
    wide[3:, 3:] = torch.linalg.inv(_covariance(priors) + _habit_covariance(priors)).to(wide)
    return wide


def open_priors(priors: Priors) -> Priors:
    """The priors of somebody of unknown habits, of whom one picture or one camera does not tell them."""
    return replace(priors, pose_precision=habitless(priors))


def habit_of(priors: Priors, rotmat: Float[Tensor, "N 24 3 3"]) -> Float[Tensor, "24 3"]:
    """The habit [rad] of somebody from poses spread over a recording, solved with `habitless`.

    The mean over them errs as much as poses vary, less the more there are.
    """
    return _habit(priors, rotmat, _habit_covariance(priors))


def _habit(priors: Priors, rotmat: Float[Tensor, "N 24 3 3"], habits: Float[Tensor, "69 69"]) -> Float[Tensor, "24 3"]:
    """The likeliest habit [rad] behind N poses, of habits with this covariance [rad^2]."""
    away = rotmat_to_rotvec(rotmat @ priors.pose_mean.mT)[:, 1:].flatten(1).mean(0).double()
    mean = habits @ torch.linalg.solve(habits + _covariance(priors) / len(rotmat), away)
    return torch.nn.functional.pad(mean.to(rotmat), (3, 0)).unflatten(0, (NUM_JOINTS, 3))


def _covariance(priors: Priors) -> Float[Tensor, "69 69"]:
    return torch.linalg.inv(priors.pose_precision[3:, 3:].double())


def _habit_covariance(priors: Priors) -> Float[Tensor, "69 69"]:
    directions = habit_directions(priors.pose_precision.device, torch.float64)[3:]
    every = math.radians(_ANY_DEG) ** 2 * torch.eye(len(directions)).to(directions)
    return every + directions @ directions.mT


@dataclass(frozen=True, eq=False)
class Unknowns:
    """What all frames share: S numbers, of which the first go into the body's points and the others are habits.

    Args:
        folded: the layout's keypoints on the body.
        habits: (72, H) rotations of the joints [rad] for each habit; H may be 0.
    """

    folded: FoldedPoints
    habits: Float[Tensor, "72 H"]

    @staticmethod
    def of(folded: FoldedPoints, with_habits: bool) -> Unknowns:
        """Of the points, with habits or without."""
        habits = habit_directions(folded.anchor.device, folded.anchor.dtype)
        return Unknowns(folded, habits if with_habits else habits[:, :0])

    @property
    def in_points(self) -> int:
        """How many go into the points."""
        return self.folded.anchor_shape.shape[-1]

    def padded(self, shape: Float[Tensor, " N"]) -> Float[Tensor, " S"]:
        """The first unknowns, with zeros for the others."""
        return torch.nn.functional.pad(shape, (0, self.in_points + self.habits.shape[1] - len(shape)))

    def habit(self, shape: Float[Tensor, " S"]) -> Float[Tensor, "24 3"]:
        """The habit as rotations of the joints [rad]."""
        return (self.habits @ shape[self.in_points :]).unflatten(0, (NUM_JOINTS, 3))

    def clear_habit(self, shape: Float[Tensor, " S"]) -> Float[Tensor, "24 3"]:
        """The habit [rad] as far as it is clear: what is small beside `_CLEAR` is as likely a clip's own poses.

        Kept whole, small ones made clips without habits worse by a tenth (held-back training clips).
        """
        size = shape[self.in_points :]
        return self.habit(torch.cat((shape[: self.in_points], size**3 / (size**2 + _CLEAR**2))))

    def placed(self, problem: PoseProblem, shape: Float[Tensor, " S"]) -> PoseProblem:
        """The frames of a person of this shape and these habits."""
        points = self.folded.shaped(shape[None, : self.in_points])
        if self.habits.shape[1] == 0:
            return replace(problem, points=points)
        turned = rotvec_to_rotmat(self.habit(shape)) @ problem.prior_rotmat
        return replace(problem, points=points, prior_rotmat=turned)

    def beside_poses(
        self, placed: PoseProblem, rotmat: Float[Tensor, "B 24 3 3"]
    ) -> tuple[Float[Tensor, "B 75 H"], Float[Tensor, "H H"], Float[Tensor, " H"]]:
        """What habits add to the quadratic, like `LinearisedKeypoints.by_betas`: the matrix between unknowns of the
        frames and them, theirs, half their gradient. A habit moves the prior's error as a turn of the joint does, the
        other way."""
        error = rotmat_to_rotvec(rotmat @ placed.prior_rotmat.mT).flatten(1)
        pull = (placed.prior_precision @ self.habits).expand(len(rotmat), -1, -1)
        mixed = torch.nn.functional.pad(-pull, (0, 0, 0, NUM_UNKNOWNS - NUM_ROTATIONS))
        return mixed, (self.habits.mT @ pull).sum(0), -torch.einsum("bjh,bj->h", pull, error)
