"""What poses are asked to satisfy: terms, of which the problems of a frame, of a shape and of a clip are sums.

Each has a cost for every one of B frames, and adds to the quadratic that stands for it nearby: to the Gauss-Newton
matrix (B, 75, 75) and to half the gradient (B, 75). The 75 unknowns of a frame are 24 rotations as rotvecs in the
parent's frame [rad], then transl [m]. The change of pose correctives with the pose is left out of the derivatives, not
of the cost: accepted steps lower the true cost either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import PosedPoints, ShapedPoints, pose_derivative, shape_derivative
from learnable_smplify.kernels.convert import arrays, fast_rotmat_to_rotvec
from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.rotation import left_jacobian_inverse, rotvec_to_rotmat, skew
from learnable_smplify.skeleton import NUM_JOINTS

NUM_ROTATIONS = 3 * NUM_JOINTS
NUM_UNKNOWNS = NUM_ROTATIONS + 3


@dataclass(frozen=True, eq=False)
class Frames:
    """B frames: local rotations (B, 24, 3, 3), transl (B, 3), and the body's points in these poses."""

    rotmat: Float[Tensor, "B 24 3 3"]
    transl: Float[Tensor, "B 3"]
    posed: PosedPoints

    @staticmethod
    def of(points: ShapedPoints, rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"]) -> Frames:
        """People put into these poses."""
        return Frames(rotmat, transl, points.pose(rotmat))


def apply_step(
    rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"], step: Float[Tensor, "B 75"]
) -> tuple[Float[Tensor, "B 24 3 3"], Float[Tensor, "B 3"]]:
    """Turn every joint by its part of the step, in its parent's frame, and move the person."""
    turn = rotvec_to_rotmat(step[:, :NUM_ROTATIONS].unflatten(-1, (NUM_JOINTS, 3)))
    return turn @ rotmat, transl + step[:, NUM_ROTATIONS:]


def point_derivatives(posed: PosedPoints) -> Float[Tensor, "B K 3 75"]:
    """d keypoint / d unknowns of its frame, without the change of pose correctives."""
    by_turn = pose_derivative(posed)
    by_transl = torch.eye(3, dtype=by_turn.dtype, device=by_turn.device).expand(*by_turn.shape[:3], 3)
    return torch.cat((by_turn, by_transl), dim=-1)


def robust_error(squared: Float[Tensor, "*B"], scale: float | None) -> Float[Tensor, "*B"]:
    """Geman-McClure's error for a squared one, never more than scale^2; the squared error itself without a scale."""
    return squared if scale is None else squared * (scale**2 / (scale**2 + squared))


def kept_pull(squared: Float[Tensor, "*B"], scale: float | None) -> Float[Tensor, "*B"]:
    """The share of its pull that something so far off keeps: d rho / d r^2 = (1 + r^2 / s^2)^-2."""
    return torch.ones_like(squared) if scale is None else (1 + squared / scale**2) ** -2


class MeasuredTerm:
    """What `KeypointTerm` and `solver.frame.sight.SightTerm` share: weighted robust errors of measured points."""

    weights: Float[Tensor, "B *V K"]
    robust_scale: float | None

    def residual(self, frames: Frames) -> Float[Tensor, "B *V K D"]:
        """How far the points are off."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.weights)

    def cost(self, frames: Frames) -> Float[Tensor, " B"]:
        return self._cost(self.residual(frames).square().sum(-1))

    def trust(self, squared: Float[Tensor, "B *V K"]) -> Float[Tensor, "B *V K"]:
        """The share of its pull that a point keeps so far off."""
        return kept_pull(squared, self.robust_scale)

    def distance(self, frames: Frames) -> Float[Tensor, " B"]:
        """Mean distance of the seen points from their measurements, in the residual's unit."""
        seen = (self.weights > 0).flatten(1)
        return (self.residual(frames).norm(dim=-1).flatten(1) * seen).sum(1) / seen.sum(1).clamp(min=1)

    def misfit(self, frames: Frames) -> float:
        """Root mean square of the weighted errors: 1 where they are as large as the weights say."""
        residual = self.residual(frames)
        squared = residual.square().sum(-1)
        weights = self.weights * self.trust(squared)
        return float(((weights * squared).sum() / (residual.shape[-1] * (weights > 0).sum()).clamp(min=1)).sqrt())

    def _cost(self, squared: Tensor) -> Float[Tensor, " B"]:
        return (self.weights * robust_error(squared, self.robust_scale)).flatten(1).sum(1)


@dataclass(frozen=True, eq=False)
class KeypointTerm(MeasuredTerm):
    """Keypoints near where they were measured: sum_k w_k rho(|k_k - y_k|).

    Args:
        targets: (B, K, 3) metres.
        weights: (B, K) 1 / variance of every keypoint coordinate [1/m^2], 0 = missing.
        robust_scale: distance [m] at which a keypoint starts to lose its pull (Geman-McClure); None for squares.
    """

    targets: Float[Tensor, "B K 3"]
    weights: Float[Tensor, "B K"]
    robust_scale: float | None

    def select(self, rows: slice) -> KeypointTerm:
        """Of some frames."""
        return KeypointTerm(self.targets[rows], self.weights[rows], self.robust_scale)

    def residual(self, frames: Frames) -> Float[Tensor, "B K 3"]:
        """How far the keypoints are off [m]."""
        return frames.posed.positions() + frames.transl[:, None] - self.targets

    def linearise(self, frames: Frames) -> LinearisedKeypoints:
        """The term near these poses, as iteratively reweighted squares."""
        residual = self.residual(frames)
        squared = residual.square().sum(-1)
        levers = frames.posed.levers().flatten(2)
        return LinearisedKeypoints(
            self._cost(squared), frames.posed, levers, residual, self.weights * self.trust(squared)
        )


@dataclass(frozen=True, eq=False)
class LinearisedKeypoints:
    """A `KeypointTerm` near some poses.

    Args:
        cost: (B,) there.
        posed: the body.
        levers: (B, K, 72) of the keypoints about the joints, metres.
        residual: (B, K, 3) metres.
        weights: (B, K) with what outliers have lost taken off.
    """

    cost: Float[Tensor, " B"]
    posed: PosedPoints
    levers: Float[Tensor, "B K 72"]
    residual: Float[Tensor, "B K 3"]
    weights: Float[Tensor, "B K"]

    def add(self, normal: Float[Tensor, "B 75 75"], gradient: Float[Tensor, "B 75"]) -> None:
        """Add to the quadratic, in place."""
        weighted = self.levers * self.weights[..., None]
        # With J_kj = -[c_kj]x: J_ki^T J_kj = (c_ki . c_kj) I - c_kj c_ki^T, so one Gram matrix of levers is enough.
        gram = (self.levers.mT @ weighted).unflatten(1, (NUM_JOINTS, 3)).unflatten(3, (NUM_JOINTS, 3))
        identity = torch.eye(3, dtype=gram.dtype, device=gram.device)
        trace = gram.diagonal(dim1=2, dim2=4).sum(-1)
        blocks = trace[:, :, None, :, None] * identity[:, None, :] - gram.transpose(2, 4)
        parent = self.posed.parent_rotmat
        blocks = (parent.mT @ blocks.flatten(3)).unflatten(3, (NUM_JOINTS, 3)).flatten(1, 2)
        normal[:, :NUM_ROTATIONS, :NUM_ROTATIONS] += (blocks.transpose(1, 2) @ parent).transpose(1, 2).flatten(2)
        mixed = -skew(weighted.sum(1).unflatten(-1, (NUM_JOINTS, 3))) @ parent  # sum_k w_k J_kj, per joint
        mixed = mixed.transpose(1, 2).flatten(2)
        normal[:, NUM_ROTATIONS:, :NUM_ROTATIONS] += mixed
        normal[:, :NUM_ROTATIONS, NUM_ROTATIONS:] += mixed.mT
        normal[:, NUM_ROTATIONS:, NUM_ROTATIONS:] += self.weights.sum(1)[:, None, None] * identity
        gradient += self.gathered(self.residual[..., None])[..., 0]

    def gathered(self, vectors: Float[Tensor, "B K 3 S"]) -> Float[Tensor, "B 75 S"]:
        """J^T W v of vectors v at the keypoints."""
        pull = vectors * self.weights[..., None, None]
        products = (self.levers.mT @ pull.flatten(2)).unflatten(1, (NUM_JOINTS, 3)).unflatten(3, (3, -1))
        x, y, z = ((1, 2), (2, 0), (0, 1))
        torque = torch.stack([products[:, :, a, b] - products[:, :, b, a] for a, b in (x, y, z)], dim=2)
        return torch.cat(((self.posed.parent_rotmat.mT @ torque).flatten(1, 2), pull.sum(1)), dim=1)

    def by_betas(self) -> tuple[Float[Tensor, "B 75 10"], Float[Tensor, "10 10"], Float[Tensor, "10"]]:
        """What betas that all frames share add: the matrix between unknowns and them, theirs, half their gradient."""
        derivative = shape_derivative(self.posed)
        weighted = (derivative * self.weights[..., None, None]).flatten(0, 2)
        return self.gathered(derivative), weighted.mT @ derivative.flatten(0, 2), weighted.mT @ self.residual.flatten()


@dataclass(frozen=True, eq=False)
class GaussianTerm:
    """Rotations near a mean: e^T P e with e_j = log(R_j R_0j^T); a first dimension of 1 serves every frame.

    Args:
        rotmat: (B, 24, 3, 3) R_0.
        precision: (72, 72) or (B, 72, 72) P [1/rad^2].
        exact: take the derivative of e as it is; else as the identity, which it is at the mean.
    """

    rotmat: Float[Tensor, "B 24 3 3"]
    precision: Float[Tensor, "*B 72 72"]
    exact: bool = False

    def select(self, rows: slice) -> GaussianTerm:
        """Of some frames."""
        rotmat, precision = (part if part.shape[0] == 1 else part[rows] for part in (self.rotmat, self.precision))
        return GaussianTerm(rotmat, precision, self.exact)

    def cost(self, frames: Frames) -> Float[Tensor, " B"]:
        error = self._error(frames)
        return (error * self._pull(error)).sum(-1)

    def add(self, frames: Frames, normal: Tensor, gradient: Tensor) -> Float[Tensor, " B"]:
        """Add to the quadratic, in place; returns the cost."""
        error = self._error(frames)
        pull, precision = self._pull(error), self.precision
        cost = (error * pull).sum(-1)
        if self.exact:
            change = left_jacobian_inverse(error.unflatten(1, (NUM_JOINTS, 3)))
            pull = (change.mT @ pull.unflatten(1, (NUM_JOINTS, 3))[..., None]).flatten(1)
            _add_turned(precision, change, normal)
        else:
            normal[:, :NUM_ROTATIONS, :NUM_ROTATIONS] += precision
        gradient[:, :NUM_ROTATIONS] += pull
        return cost

    def _error(self, frames: Frames) -> Float[Tensor, "B 72"]:
        return fast_rotmat_to_rotvec(frames.rotmat @ self.rotmat.mT).flatten(1)

    def _pull(self, error: Tensor) -> Float[Tensor, "B 72"]:
        return (self.precision @ error[..., None])[..., 0]


def _add_turned(precision: Float[Tensor, "*B 72 72"], change: Float[Tensor, "B 24 3 3"], normal: Tensor) -> None:
    """Add C^T P C, where `change` are the blocks of C."""
    if is_usable(precision, change, normal, any_precision=True):
        from learnable_smplify.solver.frame.term_kernels import add_precision

        add_precision(*arrays(precision.view(-1, NUM_ROTATIONS, NUM_ROTATIONS), change), normal.numpy())
        return
    half = precision.unflatten(-1, (NUM_JOINTS, 3))[..., None, :] @ change[:, None]
    turned = change.mT @ half[..., 0, :].flatten(2).unflatten(1, (NUM_JOINTS, 3))
    normal[:, :NUM_ROTATIONS, :NUM_ROTATIONS] += turned.flatten(1, 2)


@dataclass(frozen=True, eq=False)
class PlaceTerm:
    """A person near a place: q |t - t_0|^2.

    Args:
        transl: (B, 3) t_0, metres.
        precision: q [1/m^2]; a tiny value leaves people free.
    """

    transl: Float[Tensor, "B 3"]
    precision: float

    def cost(self, frames: Frames) -> Float[Tensor, " B"]:
        return self.precision * (frames.transl - self.transl).square().sum(-1)

    def add(self, frames: Frames, normal: Tensor, gradient: Tensor) -> Float[Tensor, " B"]:
        """Add to the quadratic, in place; returns the cost."""
        normal[:, NUM_ROTATIONS:, NUM_ROTATIONS:].diagonal(dim1=1, dim2=2).add_(self.precision)
        gradient[:, NUM_ROTATIONS:] += self.precision * (frames.transl - self.transl)
        return self.cost(frames)
