"""The whole recording as one least squares problem: its cost, and the banded quadratic that stands for it nearby.

Terms that hold one frame (keypoints, priors: `solver.frame.terms`) fill the diagonal blocks; accelerations tie a frame
to the two before and after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.kernels.convert import fast_rotmat_to_rotvec
from learnable_smplify.kernels.usable import is_usable
from learnable_smplify.rotation import left_jacobian_inverse
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.clip.banded import BandedColumns
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import (
    NUM_ROTATIONS,
    NUM_UNKNOWNS,
    Frames,
    GaussianTerm,
    KeypointTerm,
    apply_step,
    point_derivatives,
)
from learnable_smplify.threads import map_chunks

# Frames linearised at once: the Jacobians (about 0.2 MB a frame) stay near the cache.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class ClipState:
    """Where the search is: rotmat (T, 24, 3, 3), transl (T, 3), betas (10,)."""

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]

    def moved(self, step: Float[Tensor, "T 75"], betas: Float[Tensor, "10"] | float) -> ClipState:
        """Every joint turned in its parent's frame and the person moved by a step; betas changed."""
        return ClipState(*apply_step(self.rotmat, self.transl, step), self.betas + betas)

    def frames(self, points: ShapedPoints, rows: slice) -> Frames:
        """Some frames, with a body of these betas."""
        return Frames.of(points, self.rotmat[rows], self.transl[rows])


# Derivatives of what is about the frames 1 .. T-2 by the frame before, the frame itself, and the one after.
Derivatives: TypeAlias = tuple[Float[Tensor, "*T J D D"], Float[Tensor, "*T J D D"], Float[Tensor, "*T J D D"]]


@dataclass(frozen=True, eq=False)
class ClipProblem:
    """T frames of one person. All tensors are float64.

    Args:
        folded: the layout's keypoints on the body.
        keypoints: of every frame.
        priors: over the rotations of every frame.
        shape_precision: of betas about 0.
        turn_weight: (24,) of a squared change of turning between frames [1/rad^2].
        move_weight: of a squared change of a joint's step between frames [1/m^2].
        hold_weight: (T-1, 24) of a joint's squared step between two frames [1/m^2].
        burst: accelerations lose their pull where their weighted size exceeds this (Cauchy); None for squares.
    """

    folded: FoldedPoints
    keypoints: KeypointTerm | SightTerm
    priors: tuple[GaussianTerm, ...]
    shape_precision: float
    turn_weight: Float[Tensor, "24"]
    move_weight: float
    hold_weight: Float[Tensor, "T-1 24"]
    burst: float | None = None

    def cost(self, state: ClipState) -> Float[Tensor, " T"]:
        """The cost of each frame; the shape's is shared out evenly."""
        points = self.folded.shaped(state.betas[None])

        def of_frames(rows: slice) -> tuple[Tensor, Tensor]:
            frames = state.frames(points, rows)
            keypoints = self.keypoints.select(rows).cost(frames)
            cost = sum((prior.select(rows).cost(frames) for prior in self.priors), keypoints)
            return cost, frames.posed.joints + frames.transl[:, None]

        costs, joints = zip(*map_chunks(of_frames, _slices(len(self.keypoints)), state.transl.device), strict=True)
        total, moved = torch.cat(costs), torch.cat(joints)
        total = total + self.shape_precision * state.betas.square().sum() / len(total)
        turn = self.turn_weight * turn_residual(state.rotmat).square().sum(-1)
        move = self.move_weight * second_differences(moved).square().sum(-1)
        total[1:-1] += self._burst_cost(turn).sum(-1) + self._burst_cost(move).sum(-1)
        total[:-1] += (self.hold_weight * (moved[1:] - moved[:-1]).square().sum(-1)).sum(-1)
        return total

    def linearise(self, state: ClipState) -> LinearisedClip:
        """The problem near a state."""
        points = self.folded.shaped(state.betas[None])
        parts = [points.pose(state.rotmat[rows]).joints for rows in _slices(len(self.keypoints))]
        moved = torch.cat(parts) + state.transl[:, None]
        turn, slopes = linearised_turns(state.rotmat)
        turn_weight = self.turn_weight * self._burst_factor(self.turn_weight * turn.square().sum(-1))
        squared = second_differences(moved).square().sum(-1)
        move_weight = self.move_weight * self._burst_factor(self.move_weight * squared)
        return LinearisedClip(
            problem=self,
            state=state,
            points=points,
            joints=_joint_points(points),
            turn_bands=_bands(slopes, turn_weight, len(moved)),
            turn_gradient=_gradient(slopes, turn_weight[..., None] * turn, len(moved)),
            move_bands=_move_bands(move_weight, self.hold_weight, len(moved)),
            positions=moved,
        )

    def squared_residual(self, state: ClipState) -> Float[Tensor, "T *K"]:
        """Squared distance of every keypoint from its measurement [m^2], or from where each camera sees it."""
        points = self.folded.shaped(state.betas[None])
        slices = _slices(len(self.keypoints))
        parts = [self.keypoints.select(rows).residual(state.frames(points, rows)) for rows in slices]
        return torch.cat(parts).square().sum(-1)

    def trust(self, state: ClipState) -> Float[Tensor, "T *K"]:
        """The share of its pull that each keypoint keeps; 0 for missing ones."""
        return self.keypoints.trust(self.squared_residual(state)) * (self.keypoints.weights > 0)

    def _burst_cost(self, squared: Tensor) -> Tensor:
        return squared if self.burst is None else self.burst**2 * torch.log1p(squared / self.burst**2)

    def _burst_factor(self, squared: Tensor) -> Tensor:
        return torch.ones_like(squared) if self.burst is None else 1 / (1 + squared / self.burst**2)


@dataclass(frozen=True, eq=False)
class LinearisedClip:
    """Gradient / 2 and Gauss-Newton matrix of a `ClipProblem` at a state, made for some frames at a time.

    Args:
        turn_bands: (T, 24, 3, 3) each: blocks (t, t), (t+1, t) and (t+2, t) of every joint's rotation.
        turn_gradient: (T, 24, 3).
        move_bands: (T, 24) each: what joint positions of t, t+1 and t+2 have to do with those of t.
        positions: (T, 24, 3) joint positions, metres.
    """

    problem: ClipProblem
    state: ClipState
    points: ShapedPoints
    joints: ShapedPoints
    turn_bands: tuple[Tensor, Tensor, Tensor]
    turn_gradient: Tensor
    move_bands: tuple[Tensor, Tensor, Tensor]
    positions: Tensor

    def columns(self, rows: slice, with_betas: bool) -> BandedColumns:
        """The system H [step, mixed] = [gradient, d gradient / d betas] for these frames."""
        count = rows.stop - rows.start
        right = 1 + len(self.state.betas) if with_betas else 1
        columns = BandedColumns.zeros(self.positions, count, NUM_UNKNOWNS, right)

        def fill(part: slice) -> None:
            here, some = slice(rows.start + part.start, rows.start + part.stop), columns.frames(part)
            self._frames(here, some.diagonal, some.right)
            self._turns(here, some)
            self._moves(here, some)

        map_chunks(fill, _slices(count), self.positions.device)
        return columns

    def shape(self) -> tuple[Float[Tensor, "10 10"], Float[Tensor, "10"]]:
        """Gauss-Newton matrix and gradient / 2 of betas."""
        problem, betas = self.problem, self.state.betas
        normal = problem.shape_precision * torch.eye(len(betas), dtype=betas.dtype, device=betas.device)
        gradient = problem.shape_precision * betas
        for rows in _slices(len(problem.keypoints)):
            keypoints = problem.keypoints.select(rows).linearise(self.state.frames(self.points, rows))
            _, by_betas, pull = keypoints.by_betas()
            normal, gradient = normal + by_betas, gradient + pull
        return normal, gradient

    def _frames(self, rows: slice, diagonal: Tensor, right: Tensor) -> None:
        frames = self.state.frames(self.points, rows)
        keypoints = self.problem.keypoints.select(rows).linearise(frames)
        keypoints.add(diagonal, right[..., 0])
        if right.shape[2] > 1:
            right[..., 1:] += keypoints.by_betas()[0]
        for prior in self.problem.priors:
            prior.select(rows).add(frames, diagonal, right[..., 0])

    def _turns(self, rows: slice, columns: BandedColumns) -> None:
        for later, blocks in enumerate(self.turn_bands):
            part = columns.block(later)[:, :NUM_ROTATIONS, :NUM_ROTATIONS]
            view = part.unflatten(1, (NUM_JOINTS, 3)).unflatten(3, (NUM_JOINTS, 3))
            view.diagonal(dim1=1, dim2=3).add_(blocks[rows].permute(0, 2, 3, 1))
        columns.right[:, :NUM_ROTATIONS, 0] += self.turn_gradient[rows].flatten(1)

    def _moves(self, rows: slice, columns: BandedColumns) -> None:
        frames = len(self.positions)
        count = rows.stop - rows.start
        wider = slice(rows.start, min(rows.stop + 2, frames))
        pull = _along_bands(self.move_bands, self.positions, rows)
        if is_usable(self.positions, any_precision=True):
            from learnable_smplify.solver.clip.kernels import add_moves

            gradient = columns.right.new_zeros(columns.right.shape[:2])
            bands = [band[rows].contiguous().numpy() for band in self.move_bands]
            rotmat, offsets = self.state.rotmat[wider].contiguous().numpy(), self.joints.offsets[0].contiguous().numpy()
            add_moves(rotmat, offsets, *bands, pull.numpy(), columns.packed.numpy(), gradient.numpy())
            columns.right[..., 0] += gradient
            return
        jacobian = point_derivatives(self.joints.pose(self.state.rotmat[wider]))
        here = jacobian[:count]
        for later, band in enumerate(self.move_bands):
            there = jacobian[later : later + count]
            reach = len(there)
            weight = band[rows][:reach, :, None, None]
            columns.block(later)[:reach] += there.flatten(1, 2).mT @ (weight * here[:reach]).flatten(1, 2)
        columns.right[..., 0] += (here.flatten(1, 2).mT @ pull.flatten(1)[..., None])[..., 0]


def turn_residual(rotmat: Float[Tensor, "T 24 3 3"]) -> Float[Tensor, "T-2 24 3"]:
    """log(R_t+1 R_t^T) - log(R_t R_t-1^T) about the frames t = 1 .. T-2 [rad]."""
    turn = fast_rotmat_to_rotvec(rotmat[1:] @ rotmat[:-1].mT)
    return turn[1:] - turn[:-1]


def linearised_turns(rotmat: Float[Tensor, "T 24 3 3"]) -> tuple[Float[Tensor, "T-2 24 3"], Derivatives]:
    """`turn_residual` with its derivatives by rotations."""
    turn = fast_rotmat_to_rotvec(rotmat[1:] @ rotmat[:-1].mT)
    # log(exp(d) V exp(-c)) = log V + J_l^-1 d - J_r^-1 c to first order, and J_r = J_l^T.
    by_later = left_jacobian_inverse(turn)
    by_earlier = by_later.mT
    return turn[1:] - turn[:-1], (by_earlier[:-1], -by_earlier[1:] - by_later[:-1], by_later[1:])


def second_differences(values: Float[Tensor, "T *D"]) -> Float[Tensor, "T-2 *D"]:
    """x_t+1 - 2 x_t + x_t-1."""
    return values[2:] - 2 * values[1:-1] + values[:-2]


def _bands(
    slopes: Derivatives, weight: Float[Tensor, "T-2 J"], frames: int
) -> tuple[Float[Tensor, "T J D D"], Float[Tensor, "T J D D"], Float[Tensor, "T J D D"]]:
    """Blocks (t, t), (t+1, t) and (t+2, t) of the Gauss-Newton matrix of weighted squares."""
    before, here, after = slopes
    same = weight.new_zeros(frames, weight.shape[1], *before.shape[-2:])
    next_, second = torch.zeros_like(same), torch.zeros_like(same)
    scale = weight[..., None, None]
    same[:-2] += before.mT @ (scale * before)
    same[1:-1] += here.mT @ (scale * here)
    same[2:] += after.mT @ (scale * after)
    next_[:-2] += here.mT @ (scale * before)
    next_[1:-1] += after.mT @ (scale * here)
    second[:-2] += after.mT @ (scale * before)
    return same, next_, second


def _gradient(slopes: Derivatives, pull: Float[Tensor, "T-2 J D"], frames: int) -> Float[Tensor, "T J D"]:
    gradient = pull.new_zeros(frames, *pull.shape[1:])
    for first, slope in enumerate(slopes):
        gradient[first : first + len(pull)] += (slope.mT @ pull[..., None])[..., 0]
    return gradient


def _move_bands(
    weight: Float[Tensor, "T-2 24"], hold: Float[Tensor, "T-1 24"], frames: int
) -> tuple[Float[Tensor, "T 24"], Float[Tensor, "T 24"], Float[Tensor, "T 24"]]:
    one = weight.new_ones(1, 1)
    same, next_, second = (band[..., 0, 0] for band in _bands((one, -2 * one, one), weight, frames))
    same[:-1] += hold
    same[1:] += hold
    next_[:-1] -= hold
    return same, next_, second


def _along_bands(bands: tuple[Tensor, Tensor, Tensor], values: Float[Tensor, "T 24 3"], rows: slice) -> Tensor:
    """The symmetric banded matrix times values along time, at these frames."""
    total = bands[0][rows, :, None] * values[rows]
    for away in (1, 2):
        weight, count = bands[away][..., None], len(values)
        later = (rows.start, min(rows.stop, count - away))
        if later[1] > later[0]:
            total[: later[1] - later[0]] += weight[later[0] : later[1]] * values[later[0] + away : later[1] + away]
        earlier = (max(rows.start - away, 0), rows.stop - away)
        if earlier[1] > earlier[0]:
            total[earlier[0] + away - rows.start :] += weight[earlier[0] : earlier[1]] * values[earlier[0] : earlier[1]]
    return total


def _joint_points(points: ShapedPoints) -> ShapedPoints:
    """The 24 joints as points like any other."""
    offsets = points.offsets
    anchor = offsets.new_zeros(1, NUM_JOINTS, NUM_JOINTS, 3)
    folded = replace(
        points.folded,
        weight=torch.eye(NUM_JOINTS, dtype=offsets.dtype, device=offsets.device),
        anchor=anchor[0],
        anchor_shape=offsets.new_zeros(NUM_JOINTS, NUM_JOINTS, 3, points.folded.anchor_shape.shape[-1]),
        anchor_pose=None,
    )
    return ShapedPoints(folded, anchor, offsets)


def _slices(count: int) -> list[slice]:
    return [slice(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]
