"""Hands from their points: a wrist that turns and moves, and five fingers on it.

Each hand looks for the wrist's world rotation R and place t and turns p of its fingers, within their limits, that
minimise

    sum_k w_k rho(|x_k(R, t, p) - y_k|)  +  (p - m)^T P (p - m)  +  q_R |log(R R_0^T)|^2  +  q_t |t - t_0|^2

with points x, measurements y, a prior (m, P) of the fingers, and what the arm says of the wrist (R_0, t_0). Turns at a
limit that the cost wants beyond it are left out of a step, and every step ends within the limits (Bertsekas 1982,
"Projected Newton methods for optimization problems with simple constraints").
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.hands import FINGERS, POINT_FINGERS
from learnable_smplify.kernels import is_usable
from learnable_smplify.kernels.convert import arrays
from learnable_smplify.rotation import closest_rotmat, left_jacobian_inverse, rotmat_to_rotvec, rotvec_to_rotmat, skew
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, damped_step, squared_scale
from learnable_smplify.solver.frame.terms import kept_pull, robust_error
from learnable_smplify.solver.hand.anatomy import Anatomy

# Where the points of HAND_POINT_NAMES are when the fingers come in SMPL-H's order.
POINT_ORDER: tuple[int, ...] = (
    0,
    *(1 + 4 * POINT_FINGERS.index(finger) + number for finger in FINGERS for number in range(4)),
)
# The points that no finger moves: the wrist and the fingers' first joints; so many of them tell how a palm is turned.
_PALM, _FEWEST_OF_PALM = (0, *(1 + 4 * finger for finger in range(5))), 4
_WRIST = 45  # unknowns: 5 fingers of 9 turns, then the wrist's turn and place


@dataclass(frozen=True, eq=False)
class HandProblem:
    """B independent hands, right ones mirrored; points in the order wrist, then four of each finger of SMPL-H's.

    Args:
        anatomy: the person's two hands.
        side: (B,) which of them each is.
        targets: (B, 21, 3) measured points [m].
        weights: (B, 21) 1 / variance of every point's coordinate [1/m^2], 0 = missing.
        mean, precision: (B, 5, 9) and (B, 5, 9, 9) prior of the fingers' turns [rad], [1/rad^2].
        prior_turn, turn_precision: (B, 3, 3) prior of the wrist's world rotation, and 1 / variance [1/rad^2].
        prior_place, place_precision: (B, 3) prior of the wrist's place [m], and 1 / variance [1/m^2].
        robust_scale: distance [m] at which a point starts to lose its pull (Geman-McClure); None for squares.
    """

    anatomy: Anatomy
    side: Int[Tensor, " B"]
    targets: Float[Tensor, "B 21 3"]
    weights: Float[Tensor, "B 21"]
    mean: Float[Tensor, "B 5 9"]
    precision: Float[Tensor, "B 5 9 9"]
    prior_turn: Float[Tensor, "B 3 3"]
    turn_precision: float
    prior_place: Float[Tensor, "B 3"]
    place_precision: float
    robust_scale: float | None = None

    def select(self, rows: Int[Tensor, " N"]) -> HandProblem:
        """The hands at these rows."""
        names = ("side", "targets", "weights", "mean", "precision", "prior_turn", "prior_place")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True, eq=False)
class HandSolution:
    """Where the solver stopped.

    Args:
        turn: (B, 3, 3) the wrist's world rotation.
        place: (B, 3) the wrist [m].
        turns: (B, 5, 9) of the fingers [rad], within their limits.
        cost, converged, distance: (B,) final cost; False where the steps ended first; seen points' mean distance [m].
        joint_variance: (B, 15) of each joint's turn, about its three axes together [rad^2].
        wrist_variance: (B, 2) of the wrist's rotation [rad^2] and place [m^2].
    """

    turn: Float[Tensor, "B 3 3"]
    place: Float[Tensor, "B 3"]
    turns: Float[Tensor, "B 5 9"]
    cost: Float[Tensor, " B"]
    converged: Bool[Tensor, " B"]
    distance: Float[Tensor, " B"]
    joint_variance: Float[Tensor, "B 15"]
    wrist_variance: Float[Tensor, "B 2"]


def palm_starts(
    anatomy: Anatomy,
    targets: Float[Tensor, "2 21 3"],
    trust: Float[Tensor, "2 21"],
    turn: Float[Tensor, "2 3 3"],
    place: Float[Tensor, "2 3"],
) -> tuple[Float[Tensor, "2 3 3"], Float[Tensor, "2 3"]]:
    """World rotations and places [m] of both wrists that lay the palms' points on the measured ones (Kabsch).

    Args:
        anatomy, targets, trust: as of a `HandProblem`, one frame of both hands.
        turn, place: the answer where too few points are seen.
    """
    if is_usable(targets, trust, turn, place):
        from learnable_smplify.solver.hand.descent_kernels import palm_starts

        turn, place = turn.contiguous().clone(), place.contiguous().clone()
        palm_starts(*arrays(targets, trust, anatomy.offsets), _FEWEST_OF_PALM, *arrays(turn, place))
        return turn, place
    palm = list(_PALM)
    weight = trust[:, palm]
    own = torch.nn.functional.pad(anatomy.offsets[:, :, 0], (0, 0, 1, 0))
    share = (weight / weight.sum(1, keepdim=True).clamp(min=1e-6))[..., None]
    centre, own_centre = (share * targets[:, palm]).sum(1), (share * own).sum(1)
    across = ((targets[:, palm] - centre[:, None]) * share).mT @ (own - own_centre[:, None])
    enough = (weight > 0).sum(1) >= _FEWEST_OF_PALM
    turn = torch.where(enough[:, None, None], closest_rotmat(across), turn)
    moved = centre - (turn @ own_centre[..., None])[..., 0]
    return turn, torch.where((weight > 0).any(dim=1)[:, None], moved, place)


def hand_points(
    problem: HandProblem, turn: Float[Tensor, "B 3 3"], place: Float[Tensor, "B 3"], turns: Float[Tensor, "B 5 9"]
) -> Float[Tensor, "B 21 3"]:
    """The points of hands in these poses [m]."""
    return _posed(problem, turn, place, turns)[0]


def _posed(
    problem: HandProblem, turn: Tensor, place: Tensor, turns: Tensor
) -> tuple[Float[Tensor, "B 21 3"], Float[Tensor, "B 5 3 3 3"]]:
    """Points, and the world rotations of each joint's parent."""
    offsets, axes = problem.anatomy.offsets[problem.side], problem.anatomy.axes[problem.side]
    local = rotvec_to_rotmat((axes @ turns.unflatten(-1, (3, 3))[..., None])[..., 0])
    world = [turn[:, None].expand(-1, 5, -1, -1)]
    chain = [place[:, None] + (world[0] @ offsets[:, :, 0, :, None])[..., 0]]
    for joint in range(3):
        world.append(world[-1] @ local[:, :, joint])
        chain.append(chain[-1] + (world[-1] @ offsets[:, :, joint + 1, :, None])[..., 0])
    points = torch.cat((place[:, None], torch.stack(chain, dim=2).flatten(1, 2)), dim=1)
    return points, torch.stack(world[:3], dim=2)


def _cost(problem: HandProblem, turn: Tensor, place: Tensor, turns: Tensor) -> Float[Tensor, " B"]:
    squared = (hand_points(problem, turn, place, turns) - problem.targets).square().sum(-1)
    away = turns - problem.mean
    turned = rotmat_to_rotvec(turn @ problem.prior_turn.mT).square().sum(-1)
    return (
        (problem.weights * robust_error(squared, problem.robust_scale)).sum(-1)
        + torch.einsum("bfi,bfij,bfj->b", away, problem.precision, away)
        + problem.turn_precision * turned
        + problem.place_precision * (place - problem.prior_place).square().sum(-1)
    )


def _linearise(
    problem: HandProblem, turn: Tensor, place: Tensor, turns: Tensor
) -> tuple[Float[Tensor, "B 51 51"], Float[Tensor, "B 51"]]:
    """Gauss-Newton matrix and half the gradient."""
    points, world = _posed(problem, turn, place, turns)
    batch = len(points)
    axes = problem.anatomy.axes[problem.side]
    rotvec = (axes @ turns.unflatten(-1, (3, 3))[..., None])[..., 0]
    turned = world @ torch.linalg.solve(left_jacobian_inverse(rotvec), axes)  # columns: turns in the world by each part
    fingers = points[:, 1:].unflatten(1, (5, 4))
    jacobian = points.new_zeros(batch, 21, 3, _WRIST + 6)
    inner = jacobian[:, 1:].unflatten(1, (5, 4))
    for finger in range(5):
        for joint in range(3):
            for point in range(joint + 1, 4):
                arm = fingers[:, finger, point] - fingers[:, finger, joint]
                first = 9 * finger + 3 * joint
                inner[:, finger, point, :, first : first + 3] = -skew(arm) @ turned[:, finger, joint]
    jacobian[:, 1:, :, _WRIST : _WRIST + 3] = -skew(points[:, 1:] - place[:, None])
    jacobian[:, :, :, _WRIST + 3 :] = torch.eye(3).to(points)
    residual = points - problem.targets
    weights = problem.weights * kept_pull(residual.square().sum(-1), problem.robust_scale)
    flat = jacobian.flatten(1, 2)
    weighted = flat * weights[:, :, None].expand(-1, -1, 3).flatten(1)[..., None]
    normal = weighted.mT @ flat
    gradient = (weighted.mT @ residual.flatten(1)[..., None])[..., 0]
    pull = (problem.precision @ (turns - problem.mean)[..., None])[..., 0]
    for finger in range(5):
        rows = slice(9 * finger, 9 * finger + 9)
        normal[:, rows, rows] += problem.precision[:, finger]
        gradient[:, rows] += pull[:, finger]
    diagonal = normal.diagonal(dim1=1, dim2=2)
    diagonal[:, _WRIST : _WRIST + 3] += problem.turn_precision
    diagonal[:, _WRIST + 3 :] += problem.place_precision
    gradient[:, _WRIST : _WRIST + 3] += problem.turn_precision * rotmat_to_rotvec(turn @ problem.prior_turn.mT)
    gradient[:, _WRIST + 3 :] += problem.place_precision * (place - problem.prior_place)
    return normal, gradient


def solve_hands(
    problem: HandProblem,
    turn: Float[Tensor, "B 3 3"],
    place: Float[Tensor, "B 3"],
    turns: Float[Tensor, "B 5 9"],
    options: LevenbergMarquardt,
) -> HandSolution:
    """Minimise every hand from its own start; on the CPU one after the other in compiled code (`descent_kernels`)."""
    if is_usable(problem.targets, problem.weights, turn):
        return _solve_compiled(problem, turn, place, turns, options)
    lower, upper = problem.anatomy.lower[problem.side].flatten(1), problem.anatomy.upper[problem.side].flatten(1)
    turns = _within(problem, turns)
    cost = _cost(problem, turn, place, turns)
    damping = Damping.first(options.initial_damping, cost)
    running = torch.ones_like(cost, dtype=torch.bool)
    for _ in range(options.max_iterations):
        normal, gradient = _linearise(problem, turn, place, turns)
        here, slope = turns.flatten(1), gradient[:, :_WRIST]
        frozen = torch.zeros_like(gradient, dtype=torch.bool)
        frozen[:, :_WRIST] = ((here <= lower) & (slope > 0)) | ((here >= upper) & (slope < 0))
        held = frozen[:, :, None] | frozen[:, None, :]
        reduced = torch.where(held, 0.0, normal)
        reduced.diagonal(dim1=1, dim2=2).copy_(torch.where(frozen, 1.0, normal.diagonal(dim1=1, dim2=2)))
        slope = torch.where(frozen, 0.0, gradient)
        step = damped_step(reduced, slope, damping.value)
        new_turns = _within(problem, turns + step[:, :_WRIST].unflatten(1, (5, 9)))
        new_turn = rotvec_to_rotmat(step[:, _WRIST : _WRIST + 3]) @ turn
        new_place = place + step[:, _WRIST + 3 :]
        new_cost = _cost(problem, new_turn, new_place, new_turns)
        better = running & (new_cost < cost)
        gained = cost - new_cost
        damped = damping.value[:, None] * torch.where(frozen, 0.0, normal.diagonal(dim1=1, dim2=2))
        moved = (new_turns - turns).flatten(1).abs().amax(dim=1).maximum(step[:, _WRIST:].abs().amax(dim=1))
        small = (moved < options.step_tolerance) | (better & (gained < options.cost_tolerance * cost))
        damping = damping.after(better, running & ~better, gained, foretold_gain(step, slope, damped))
        turn = torch.where(better[:, None, None], new_turn, turn)
        place = torch.where(better[:, None], new_place, place)
        turns = torch.where(better[:, None, None], new_turns, turns)
        cost = torch.where(better, new_cost, cost)
        running = running & ~(small | damping.is_stuck())
        if not bool(running.any()):
            break
    normal, _ = _linearise(problem, turn, place, turns)
    variance = torch.linalg.inv(normal).diagonal(dim1=1, dim2=2)
    distance = (hand_points(problem, turn, place, turns) - problem.targets).norm(dim=-1)
    seen = problem.weights > 0
    return HandSolution(
        turn=turn,
        place=place,
        turns=turns,
        cost=cost,
        converged=~running,
        distance=(distance * seen).sum(1) / seen.sum(1).clamp(min=1),
        joint_variance=variance[:, :_WRIST].unflatten(1, (15, 3)).sum(-1),
        wrist_variance=variance[:, _WRIST:].unflatten(1, (2, 3)).sum(-1),
    )


def _within(problem: HandProblem, turns: Float[Tensor, "B 5 9"]) -> Float[Tensor, "B 5 9"]:
    """`Anatomy.within` for hands of either side in any order."""
    both = problem.anatomy.within(turns[:, None].expand(-1, 2, -1, -1))
    return both[torch.arange(len(turns), device=turns.device), problem.side]


def _solve_compiled(
    problem: HandProblem, turn: Tensor, place: Tensor, turns: Tensor, options: LevenbergMarquardt
) -> HandSolution:
    from learnable_smplify.solver.hand.descent_kernels import minimise_hands

    batch, anatomy = len(turn), problem.anatomy
    turn, place, turns = (part.contiguous().clone() for part in (turn, place, turns))
    cost, distance = torch.empty(batch), torch.empty(batch)
    converged = torch.empty(batch, dtype=torch.bool)
    of_joints, of_wrist = torch.empty(batch, 15), torch.empty(batch, 2)
    minimise_hands(
        *arrays(turn, place, turns, problem.side),
        arrays(anatomy.offsets, anatomy.axes, anatomy.lower, anatomy.upper, anatomy.apart),
        *arrays(problem.targets, problem.weights),
        arrays(problem.mean, problem.precision),
        *arrays(problem.prior_turn, problem.prior_place),
        *(np.float32(problem.turn_precision), np.float32(problem.place_precision)),
        squared_scale(problem.robust_scale),
        options.packed(),
        *arrays(cost, converged, distance, of_joints, of_wrist),
    )
    return HandSolution(turn, place, turns, cost, converged, distance, of_joints, of_wrist)
