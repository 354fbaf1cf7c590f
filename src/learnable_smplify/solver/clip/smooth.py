"""A recording solved as one problem: every frame's keypoints, what is human, and how fast people can accelerate.

Over all frames together, minimise

    sum_t  h [ sum_k w_tk rho(|k_k(R_t) - y_tk|)  +  e(R_t)^T P e(R_t) ]
  + sum_t  h^-3 [ sum_j r(|v_tj - v_t-1,j| / a_j)  +  sum_j r(|p_t+1,j - 2 p_tj + p_t-1,j| / b) ]
  + sum over contacts  h^-1 |p_t+1,j - p_tj|^2 / c^2,

with h the time between frames in units of 1/30 s, keypoints k, measurements y, prior errors e, turning between frames
v_tj = log(R_t+1,j R_tj^T), joint positions p, Geman-McClure's rho and Cauchy's r: people mostly move smoothly, and
sometimes stamp. The powers of h make the sums approach integrals over time, so that the same motion at another frame
rate is smoothed alike.

Gauss-Newton, damped by `solver.frame.damping`; every step is a banded system (`solver.clip.banded`), so the
work is linear in the number of frames. Everything is in float64: second differences at 240 fps, against keypoints that
are missing for two seconds, span too many digits for less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.kernels.convert import fast_closest_rotmat
from learnable_smplify.skeleton import JOINT_NAMES
from learnable_smplify.solver.clip.banded import BandedColumns, solve_banded
from learnable_smplify.solver.clip.contacts import CONTACT_JOINTS, detect_contacts
from learnable_smplify.solver.clip.problem import ClipProblem, ClipState, LinearisedClip
from learnable_smplify.solver.frame.damping import Damping, foretold_gain
from learnable_smplify.solver.frame.noise import keypoint_noise
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import NUM_UNKNOWNS, GaussianTerm, KeypointTerm
from learnable_smplify.timeline import averaged, between, rotations_between

REFERENCE_FPS = 30.0
# Somebody's answer for each frame, rotations (T, 24, 3, 3) and their precision (*T, 72, 72) in 1/30 s [1/rad^2].
Source: TypeAlias = tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "*T 72 72"]]
# The numbers were chosen on clips of the train split.
# Measured noise is at least this [m]: errors that stay the same from frame to frame do not show.
_LEAST_SIGMA = 0.003
# A keypoint starts to lose its pull at this distance, in keypoint sigmas, but not nearer than this [m].
_ROBUST_SIGMAS, _LEAST_ROBUST = 4.0, 0.15
# Allowed angular acceleration, relative to what is typical of each joint; allowed acceleration of positions [m/s^2];
# and what share of both is allowed once most of the noise is gone. Accelerations above this multiple of that are
# believed, and held less and less.
_TURN_SCALE, _MOVE_ACCELERATION, _QUIET, _BURST = 4.0, 20.0, 0.5, 0.7
# What keypoints at least are off by in every frame alike [m]; as more of it is measured, the betas' standard normal
# prior gets more weight against the keypoints.
_LEAST_OFFSET = 0.0015
# While betas are looked for, the pose prior's weight goes down with noise above this [m].
_LEANING_SIGMA = 0.007
# What a held foot may move in 1/30 s [m].
_SLIP = 0.0005
# The start is averaged over so long, before and after [s].
_AVERAGED_S = 1 / 15
# A round is done when no rotation [rad] or position [m] changes by more than this, or the cost falls by less than this
# share.
_STEP_TOLERANCE, _COST_TOLERANCE = 1e-3, 1e-3
# How fast joints move where no keypoint was seen [m/s].
_UNSEEN_SPEED = 1.0
# Frames that a step made worse are damped by more than this from then on: less is not felt.
_FIRST_DAMPING, _FELT_DAMPING = 1e-6, 1e-2
# A typical angular acceleration of a joint relative to its parent [rad/s^2], between the median and the root mean
# square over every tenth training clip at 30 fps. No training clip moves collars and hands: as the spine, as wrists.
_TYPICAL = {
    "pelvis": 12, "hip": 18, "spine1": 12, "knee": 12, "spine2": 7, "ankle": 20, "spine3": 7, "foot": 25, "neck": 11,
    "collar": 7, "head": 12, "shoulder": 20, "elbow": 14, "wrist": 25, "hand": 25,
}  # fmt: skip


@dataclass(frozen=True)
class SmoothOptions:
    """How a recording is smoothed.

    Args:
        keypoint_sigma: what a measured keypoint coordinate may be off by [m]; None measures it on the recording.
        pose_weight: of the pose prior in every 1/30 s.
        network_weight: of the network's own Gaussian in every 1/30 s, where one is given.
        refine_shape: refine betas together with all poses.
        hold_feet: hold feet still while they touch the ground.
        near_start: poses to start from are off by little more than noise, and averages over a moment are good enough.
        max_iterations: steps tried at most in each round (all alike, with betas, with bursts, with held feet).
        segment: frames worked off at once, in memory (0.14 MB each).
        kept: frames at most whose part of the solution is kept in memory (as much) instead of worked out twice.
    """

    keypoint_sigma: float | None = None
    pose_weight: float = 0.2
    network_weight: float = 0.2
    refine_shape: bool = True
    hold_feet: bool = False
    near_start: bool = False
    max_iterations: int = 10
    segment: int = 510
    kept: int = 4096


@dataclass(frozen=True, eq=False)
class SmoothSolution:
    """A smoothed recording.

    Args:
        rotmat: (T, 24, 3, 3) local rotations.
        transl: (T, 3) metres.
        betas: (10,).
        trust: (T, K) share of its pull that each keypoint keeps: near 0 for outliers, 0 for missing ones.
        contacts: (T, 4) where the joints `contacts.CONTACT_JOINTS` were held; None without `hold_feet`.
        costs: of each round, the start's cost and that after every accepted step.
    """

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]
    trust: Float[Tensor, "T K"]
    contacts: Bool[Tensor, "T 4"] | None
    costs: tuple[tuple[float, ...], ...]


def smooth_clip(
    folded: FoldedPoints,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Float[Tensor, "T 3"],
    fps: float,
    priors: Priors,
    options: SmoothOptions,
    betas: Float[Tensor, "10"],
    *,
    shape_priors: Priors | None = None,
    sources: Sequence[Source] = (),
    up_axis: Literal["x", "y", "z"] | None = None,
) -> SmoothSolution:
    """Solve a recording of one person as one problem.

    Args:
        folded: the layout's keypoints on the body.
        targets: (T, K, 3) measured keypoints, metres.
        confidence: (T, K) in [0, 1], 0 = missing.
        rotmat, transl: poses to start from, as the causal pass finds them. Frames without any keypoint are started
            between their neighbours instead.
        fps: frames a second.
        priors: over poses.
        betas: (10,) of the person; refined if the options say so.
        shape_priors: over poses while betas are looked for; None for the same. A pose prior knows one program's poses:
            where it leaves habits open (`solver.shape.habit`), betas do not take them up.
        sources: others' answers for each frame, as the network's own; `network_weight` weighs them.
        up_axis: for `hold_feet`; None finds it.

    Returns:
        the solution, in the dtypes of what came in.
    """
    folded = folded.double()
    targets, confidence = targets.double(), confidence.double()
    sigma = options.keypoint_sigma
    if sigma is None:
        sigma = max(keypoint_noise(targets, confidence), _LEAST_SIGMA)
    h = REFERENCE_FPS / fps
    keypoints = KeypointTerm(
        targets=torch.where(confidence[..., None] > 0, targets, 0.0),
        weights=confidence * (h / sigma**2),
        robust_scale=robust_scale(sigma),
    )
    seen = (confidence > 0).any(dim=1)
    state = bridged(ClipState(rotmat.double(), transl.double(), betas.double()), seen)
    history: list[tuple[float, ...]] = []

    first = first_problem(folded, keypoints, seen, h, priors, options, sources)
    problem = with_bursts(first, h)
    # Noise looks like bursts; only with most of it gone can bursts be told.
    if options.near_start:
        offset, state = _offset(problem, state, sigma), without_jitter(state, fps)
    else:
        state, costs = descend(first, state, replace(options, refine_shape=False))
        offset = _offset(problem, state, sigma)
        history.append(costs)
    if options.refine_shape:
        # Noise in many frames does not sway betas, but offsets do.
        shape_precision = 1 + h * len(targets) * (offset / sigma) ** 2
        # In noise every frame leans towards the pose prior, all alike, and betas would make up for it.
        lighter = replace(options, pose_weight=options.pose_weight * min(1.0, _LEANING_SIGMA / sigma))
        wide = first_problem(folded, keypoints, seen, h, shape_priors or priors, lighter, sources)
        wide = replace(with_bursts(wide, h), shape_precision=shape_precision)
        state, costs = descend(wide, state, options)
        history.append(costs)
    state, costs = descend(problem, state, replace(options, refine_shape=False))
    history.append(costs)
    contacts = None
    if options.hold_feet:
        joints = folded.shaped(state.betas[None]).pose(state.rotmat).joints + state.transl[:, None]
        contacts = detect_contacts(joints, fps, up_axis)
        problem = replace(problem, hold_weight=problem.hold_weight + _hold_weight(contacts, h))
        state, costs = descend(problem, state, replace(options, refine_shape=False))
        history.append(costs)
    return SmoothSolution(
        rotmat=state.rotmat.to(rotmat.dtype),
        transl=state.transl.to(transl.dtype),
        betas=state.betas.to(betas.dtype),
        trust=problem.trust(state).to(transl.dtype),
        contacts=contacts,
        costs=tuple(history),
    )


def without_jitter(state: ClipState, fps: float) -> ClipState:
    """Poses and places averaged over a moment."""
    reach, every = round(_AVERAGED_S * fps), torch.ones(len(state.rotmat), dtype=torch.bool, device=state.rotmat.device)
    turned = averaged(state.rotmat.flatten(1), every, reach).view_as(state.rotmat)
    return ClipState(fast_closest_rotmat(turned.float()).to(turned), averaged(state.transl, every, reach), state.betas)


def robust_scale(sigma: float) -> float:
    """Distance [m] at which a keypoint that is off by `sigma` [m] starts to lose its pull."""
    return max(_ROBUST_SIGMAS * sigma, _LEAST_ROBUST)


def _offset(problem: ClipProblem, state: ClipState, sigma: float) -> float:
    """What the keypoints are off by in every frame alike [m]: the misfit that noise does not explain."""
    squared = problem.squared_residual(state)[problem.keypoints.weights > 0]
    if len(squared) == 0:
        return _LEAST_OFFSET
    # The median of the squared length of a normal vector in space is 2.366 times the variance of a coordinate.
    return max(float(squared.median()) / 2.366 - sigma**2, _LEAST_OFFSET**2) ** 0.5


def first_problem(
    folded: FoldedPoints,
    keypoints: KeypointTerm | SightTerm,
    seen: Bool[Tensor, " T"],
    h: float,
    priors: Priors,
    options: SmoothOptions,
    sources: Sequence[Source],
) -> ClipProblem:
    """The first round's problem, without bursts or contacts; `network_weight` weighs what the sources say."""
    pose_precision = priors.pose_precision.double().clone()
    pose_precision[:3] = 0  # the pelvis may point anywhere
    pose_precision[:, :3] = 0
    terms = [
        GaussianTerm(priors.pose_mean.double()[None], (h * options.pose_weight) * pose_precision[None], exact=True)
    ]
    for mean, precision in sources:
        weighted = h * options.network_weight * precision.double().reshape(-1, 72, 72)
        terms.append(GaussianTerm(mean.double(), weighted, exact=True))
    names = [name.removeprefix("left_").removeprefix("right_") for name in JOINT_NAMES]
    typical = torch.tensor([float(_TYPICAL[name]) for name in names], dtype=torch.float64, device=seen.device)
    turn = _TURN_SCALE * typical / REFERENCE_FPS**2
    move = _MOVE_ACCELERATION / REFERENCE_FPS**2
    return ClipProblem(
        folded=folded,
        keypoints=keypoints,
        priors=tuple(terms),
        shape_precision=1.0,
        turn_weight=turn**-2 / h**3,
        move_weight=move**-2 / h**3,
        hold_weight=_unseen_weight(~seen, h),
    )


def with_bursts(problem: ClipProblem, h: float) -> ClipProblem:
    """The second round's problem: accelerations held closer, those that are bursts let go."""
    turn, move = problem.turn_weight / _QUIET**2, problem.move_weight / _QUIET**2
    return replace(problem, turn_weight=turn, move_weight=move, burst=_BURST * h**0.5)


def _unseen_weight(unseen: Bool[Tensor, " T"], h: float) -> Float[Tensor, "T-1 24"]:
    """Nobody seen: speeds are held a little, or people at the end of a recording would keep theirs for ever."""
    weight = (unseen[1:] | unseen[:-1]).double() / ((_UNSEEN_SPEED / REFERENCE_FPS) ** 2 * h)
    return weight[:, None].expand(-1, len(JOINT_NAMES))


def _hold_weight(contacts: Bool[Tensor, "T 4"], h: float) -> Float[Tensor, "T-1 24"]:
    weight = torch.zeros(len(contacts) - 1, len(JOINT_NAMES), dtype=torch.float64, device=contacts.device)
    weight[:, [JOINT_NAMES.index(name) for name in CONTACT_JOINTS]] = (contacts[1:] & contacts[:-1]).double()
    return weight / (_SLIP**2 * h)


def descend(problem: ClipProblem, state: ClipState, options: SmoothOptions) -> tuple[ClipState, tuple[float, ...]]:
    """Minimise from a state; and the costs on the way.

    Frames have dampings of their own: where a step made things worse, the next is shorter.
    """
    cost = problem.cost(state)
    damping = Damping.first(_FIRST_DAMPING, cost)
    everywhere = torch.ones_like(cost, dtype=torch.bool)
    costs = [float(cost.sum())]
    here: LinearisedClip | None = None
    for _ in range(options.max_iterations):
        here = here or problem.linearise(state)
        step = _step(here, damping.value, options)
        if step is None:
            damping = damping.after(~everywhere, everywhere, cost.sum(), cost.sum())
            continue
        new_state = state.moved(step.pose, step.betas)
        new_cost = problem.cost(new_state)
        gained = cost.sum() - new_cost.sum()
        if bool(gained > 0):
            small = float(step.pose.abs().max()) < _STEP_TOLERANCE
            small |= float(gained) < _COST_TOLERANCE * float(cost.sum())
            state, cost, here = new_state, new_cost, None
            costs.append(float(cost.sum()))
            if small:
                break
            damping = damping.after(everywhere, ~everywhere, gained, step.foretold)
        else:
            worse = (~(new_cost <= cost)).to(cost)  # True for NaN too
            near = torch.nn.functional.max_pool1d(worse[None], 7, stride=1, padding=3)[0] > 0
            damping = replace(damping, value=torch.where(near, damping.value.clamp(min=_FELT_DAMPING), damping.value))
            damping = damping.after(~everywhere, near, gained, step.foretold)
            if bool(damping.is_stuck().any()):
                break
    return state, tuple(costs)


@dataclass(frozen=True, eq=False)
class _Step:
    """A step of all poses (T, 75) and of betas (10,), and by how much the quadratic says that it lowers the cost."""

    pose: Tensor
    betas: Tensor | float
    foretold: Tensor


def _step(here: LinearisedClip, damping: Float[Tensor, " T"], options: SmoothOptions) -> _Step | None:
    """The damped Gauss-Newton step of all poses and, if wanted, of betas; None where there is none."""
    gradient = here.positions.new_empty(len(damping), NUM_UNKNOWNS)
    damped = torch.empty_like(gradient)

    def columns_of(rows: slice) -> BandedColumns:
        columns = here.columns(rows, options.refine_shape)
        diagonal = columns.diagonal.diagonal(dim1=1, dim2=2)
        gradient[rows], damped[rows] = columns.right[..., 0], damping[rows, None] * diagonal
        diagonal += damped[rows]
        return columns

    solution = solve_banded(columns_of, len(damping), options.segment, options.kept)
    if solution is None or not bool(torch.isfinite(solution.found).all()):
        return None
    pose, by_betas = -solution.found[..., 0], solution.found[..., 1:]
    if not options.refine_shape:
        return _Step(pose, 0.0, foretold_gain(pose, gradient, damped).sum())
    # Poses eliminated, betas are left (Schur complement).
    normal, shape_gradient = here.shape()
    betas = -torch.linalg.solve(normal - solution.products[1:, 1:], shape_gradient - solution.products[1:, 0])
    pose = pose - by_betas @ betas
    return _Step(pose, betas, foretold_gain(pose, gradient, damped).sum() - betas @ shape_gradient)


def bridged(state: ClipState, seen: Bool[Tensor, " T"]) -> ClipState:
    """Frames without any keypoint laid between their neighbours that have some."""
    known = seen.nonzero()[:, 0]
    if len(known) in (0, len(seen)):
        return state
    rotmat = rotations_between(state.rotmat[known], known, len(seen))
    return ClipState(rotmat, between(state.transl[known], known, len(seen)), state.betas)
