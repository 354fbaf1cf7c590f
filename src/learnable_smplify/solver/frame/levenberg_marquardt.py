"""Levenberg-Marquardt for batches of independent pose problems.

Each problem looks for joint rotations R and a translation t that minimise

    sum_k w_k rho(|k_k(R) + t - y_k|)  +  e^T P e  +  q |t - t_0|^2,      e_j = log(R_j R_j0^T),

with keypoints k, targets y, prior rotations R_0 and prior precision P; in place of the first sum there may be what
cameras see of the keypoints (`solver.frame.sight`). Every problem has its own damping and accepts or rejects its own
steps, so a start that is far off cannot diverge and does not slow the others down.

Source: Levenberg 1944 and Marquardt 1963, damped by `solver.frame.damping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.kernels import is_usable
from learnable_smplify.kernels.convert import arrays
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.sight import CAMERA_SIZE, LinearisedSight, SightTerm
from learnable_smplify.solver.frame.terms import (
    NUM_UNKNOWNS,
    Frames,
    GaussianTerm,
    KeypointTerm,
    LinearisedKeypoints,
    PlaceTerm,
    apply_step,
)


@dataclass(frozen=True)
class LevenbergMarquardt:
    """When to stop and how to damp.

    Args:
        max_iterations: steps tried at most, rejected ones included.
        step_tolerance: a problem is done when its largest rotation [rad] and translation [m] change is below this.
        cost_tolerance: ... or when an accepted step lowers its cost by less than this share.
        initial_damping: first Marquardt damping, relative to the diagonal of the normal matrix.
    """

    max_iterations: int = 10
    step_tolerance: float = 1e-4
    cost_tolerance: float = 1e-4
    initial_damping: float = 1e-4

    def packed(self) -> tuple[int, np.float32, np.float32, np.float32]:
        """For the kernels."""
        tolerances = np.float32(self.step_tolerance), np.float32(self.cost_tolerance)
        return self.max_iterations, *tolerances, np.float32(self.initial_damping)


def squared_scale(scale: float | None) -> np.float32:
    """A robust scale for the kernels: squared, 0 for squares."""
    return np.float32(0 if scale is None else scale**2)


def packed_sight(sight: SightTerm | None, frames: int, count: int) -> tuple[np.ndarray | np.float32, ...]:
    """What cameras see for the kernels (see `sight_kernels`); without, nothing of so many frames and keypoints."""
    if sight is None:
        shapes = (0, CAMERA_SIZE), (frames, 0, count, 2), (frames, 0, count)
        return *(np.empty(shape, np.float32) for shape in shapes), squared_scale(None)
    return *arrays(sight.cameras.packed(), sight.seen, sight.weights), squared_scale(sight.robust_scale)


@dataclass(frozen=True, eq=False)
class PoseProblem:
    """B independent problems.

    Args:
        points: the people's keypoints (batch B, or 1 for one person).
        targets: (B, K, 3) measured keypoints, metres.
        weights: (B, K) 1 / variance of every keypoint coordinate [1/m^2], 0 = missing.
        prior_rotmat: (B, 24, 3, 3) prior mean of the local rotations.
        prior_precision: (72, 72) or (B, 72, 72) precision of e, joint-major [1/rad^2].
        prior_transl: (B, 3) prior mean of transl, metres.
        transl_precision: 1 / variance of transl about it [1/m^2]; a tiny value leaves transl free.
        robust_scale: distance [m] at which a keypoint starts to lose its pull (Geman-McClure); None for squares.
        sight: what cameras see of the keypoints, in place of `targets`, `weights` and `robust_scale`.
    """

    points: ShapedPoints
    targets: Float[Tensor, "B K 3"]
    weights: Float[Tensor, "B K"]
    prior_rotmat: Float[Tensor, "B 24 3 3"]
    prior_precision: Float[Tensor, "*B 72 72"]
    prior_transl: Float[Tensor, "B 3"]
    transl_precision: float = 1e-2
    robust_scale: float | None = None
    sight: SightTerm | None = None

    def terms(self) -> tuple[KeypointTerm | SightTerm, GaussianTerm, PlaceTerm]:
        """What the problem is the sum of."""
        return (
            KeypointTerm(self.targets, self.weights, self.robust_scale) if self.sight is None else self.sight,
            GaussianTerm(self.prior_rotmat, self.prior_precision),
            PlaceTerm(self.prior_transl, self.transl_precision),
        )

    def select(self, rows: Int[Tensor, " N"]) -> PoseProblem:
        """The problems at these rows."""
        return replace(
            self,
            points=self.points.select(rows),
            targets=self.targets[rows],
            weights=self.weights[rows],
            prior_rotmat=self.prior_rotmat[rows],
            prior_precision=self.prior_precision[rows] if self.prior_precision.ndim == 3 else self.prior_precision,
            prior_transl=self.prior_transl[rows],
            sight=None if self.sight is None else self.sight.select(rows),
        )


@dataclass(frozen=True, eq=False)
class PoseSolution:
    """Where the solver stopped.

    Args:
        rotmat: (B, 24, 3, 3) local rotations.
        transl: (B, 3) metres.
        cost: (B,) final cost.
        converged: (B,) False where `max_iterations` ended the search.
        distance: (B,) mean distance of the seen keypoints from their measurements [m]; in pictures, in units of what
            pixels are off by.
        sigma: (B, 24) standard deviation of each rotation's error [rad], where a network said so.
        strangeness: (B,) squared Mahalanobis distance of the change from the start, where it came for free.
        fallback: (B,) True where the numerical solver's answer stands in for a network's.
    """

    rotmat: Float[Tensor, "B 24 3 3"]
    transl: Float[Tensor, "B 3"]
    cost: Float[Tensor, " B"]
    converged: Bool[Tensor, " B"]
    distance: Float[Tensor, " B"]
    sigma: Float[Tensor, "B 24"] | None = None
    strangeness: Float[Tensor, " B"] | None = None
    fallback: Bool[Tensor, " B"] | None = None


def join_solutions(parts: Sequence[PoseSolution]) -> PoseSolution:
    """Solutions of one problem after the other."""
    names = ("rotmat", "transl", "cost", "converged", "distance")
    return PoseSolution(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def fit_error(
    points: ShapedPoints, rotmat: Tensor, transl: Tensor, targets: Float[Tensor, "B K 3"], weights: Float[Tensor, "B K"]
) -> Float[Tensor, " B"]:
    """Mean distance of the seen keypoints from their measurements, metres."""
    return KeypointTerm(targets, weights, None).distance(Frames.of(points, rotmat, transl))


@dataclass(frozen=True, eq=False)
class Linearised:
    """A problem at one point: cost, and the quadratic that stands for it nearby (see `terms`)."""

    cost: Float[Tensor, " B"]
    normal: Float[Tensor, "B 75 75"]
    gradient: Float[Tensor, "B 75"]
    keypoints: LinearisedKeypoints | LinearisedSight


def solve(
    problem: PoseProblem,
    start_rotmat: Float[Tensor, "B 24 3 3"],
    start_transl: Float[Tensor, "B 3"],
    options: LevenbergMarquardt,
) -> PoseSolution:
    """Minimise every problem from its own start; on the CPU one after the other in compiled code (`kernels`)."""
    if is_usable(start_rotmat, problem.targets, problem.points.anchor):
        return _solve_compiled(problem, start_rotmat, start_transl, options)
    rotmat, transl = start_rotmat.clone(), start_transl.clone()
    batch = rotmat.shape[0]
    cost = torch.full((batch,), torch.inf, dtype=rotmat.dtype, device=rotmat.device)
    converged = torch.zeros(batch, dtype=torch.bool, device=rotmat.device)
    active = torch.arange(batch, device=rotmat.device)
    damping = Damping.first(options.initial_damping, cost)
    part = problem
    for _ in range(options.max_iterations):
        here = linearise(part, rotmat[active], transl[active])
        cost[active] = here.cost
        step = damped_step(here.normal, here.gradient, damping.value)
        new_rotmat, new_transl = apply_step(rotmat[active], transl[active], step)
        new_cost = cost_of(part, new_rotmat, new_transl)
        better = new_cost < here.cost  # False for NaN too
        rotmat[active[better]] = new_rotmat[better]
        transl[active[better]] = new_transl[better]
        cost[active[better]] = new_cost[better]
        gained = here.cost - new_cost
        damped = damping.value[:, None] * here.normal.diagonal(dim1=-2, dim2=-1)
        damping = damping.after(better, ~better, gained, foretold_gain(step, here.gradient, damped))

        small_step = step.abs().amax(dim=-1) < options.step_tolerance
        small_gain = better & (gained < options.cost_tolerance * here.cost)
        done = small_step | small_gain | damping.is_stuck()
        converged[active[done]] = True
        if bool(done.any()):
            keep = (~done).nonzero()[:, 0]
            if len(keep) == 0:
                break
            active, damping, part = active[keep], damping.select(keep), part.select(keep)
    distance = problem.terms()[0].distance(Frames.of(problem.points, rotmat, transl))
    return PoseSolution(rotmat, transl, cost, converged, distance)


def _solve_compiled(
    problem: PoseProblem, start_rotmat: Tensor, start_transl: Tensor, options: LevenbergMarquardt
) -> PoseSolution:
    from learnable_smplify.body.point_kernels import point_tables
    from learnable_smplify.solver.frame.kernels import minimise_frames

    tables = point_tables(problem.points.folded)
    batch = start_rotmat.shape[0]
    rotmat, transl = start_rotmat.contiguous().clone(), start_transl.contiguous().clone()
    cost, distance = torch.empty(batch), torch.empty(batch)
    converged = torch.empty(batch, dtype=torch.bool)
    precision, sight = problem.prior_precision, problem.sight
    weights = problem.weights if sight is None else torch.zeros_like(problem.weights)
    minimise_frames(
        *arrays(rotmat, transl, problem.points.offsets, problem.points.anchor.permute(0, 2, 3, 1)),
        *(tables.anchor_pose, tables.weight, tables.share),
        *arrays(problem.targets, weights),
        packed_sight(sight, *weights.shape),
        *arrays(problem.prior_rotmat, precision[None] if precision.ndim == 2 else precision, problem.prior_transl),
        np.float32(problem.transl_precision),
        squared_scale(problem.robust_scale),
        NUM_JOINTS,
        options.packed(),
        *arrays(cost, converged, distance),
    )
    return PoseSolution(rotmat, transl, cost, converged, distance)


def damped_step(
    normal: Float[Tensor, "B N N"], gradient: Float[Tensor, "B N"], damping: Float[Tensor, " B"]
) -> Float[Tensor, "B N"]:
    """The Marquardt step: -(H + damping diag H)^-1 gradient. Rows that are not positive definite get a zero step."""
    matrix = normal.clone()
    matrix.diagonal(dim1=-2, dim2=-1).mul_(1 + damping[:, None])
    factor, failed = torch.linalg.cholesky_ex(matrix)
    step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    return torch.where((failed == 0)[:, None] & torch.isfinite(step), step, 0.0)


def cost_of(problem: PoseProblem, rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"]) -> Tensor:
    """(B,) the cost alone."""
    frames = Frames.of(problem.points, rotmat, transl)
    keypoints, prior, place = problem.terms()
    return keypoints.cost(frames) + prior.cost(frames) + place.cost(frames)


def linearise(problem: PoseProblem, rotmat: Float[Tensor, "B 24 3 3"], transl: Float[Tensor, "B 3"]) -> Linearised:
    """Cost, gradient / 2 and Gauss-Newton normal matrix at a point."""
    frames = Frames.of(problem.points, rotmat, transl)
    keypoints, prior, place = problem.terms()
    normal = transl.new_zeros(len(transl), NUM_UNKNOWNS, NUM_UNKNOWNS)
    gradient = transl.new_zeros(len(transl), NUM_UNKNOWNS)
    near = keypoints.linearise(frames)
    near.add(normal, gradient)
    cost = near.cost + prior.add(frames, normal, gradient) + place.add(frames, normal, gradient)
    return Linearised(cost, normal, gradient, near)
