"""The hybrid: the network says where the pose is and how sure it is, Gauss-Newton makes it meet the keypoints.

The network's rotations are the prior mean, its stiffness the prior precision, and how closely each keypoint shall be
met is what it says as well.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.kernels import is_usable
from learnable_smplify.kernels.convert import fast_rotvec_to_rotmat
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.packed import PackedMlp, can_pack
from learnable_smplify.network.pose_mlp import (
    SOLVED_JOINTS,
    START_KINDS,
    PassInput,
    PassOutput,
    PoseMlp,
    StartKind,
)
from learnable_smplify.network.stgcn import Stgcn
from learnable_smplify.network.stgcn_pass import StgcnPass
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.compiled_hybrid import CompiledHybrid
from learnable_smplify.solver.frame.levenberg_marquardt import (
    LevenbergMarquardt,
    PoseProblem,
    PoseSolution,
    cost_of,
    solve,
)
from learnable_smplify.solver.frame.numeric import PairOptions, numeric_problem
from learnable_smplify.solver.frame.pair_input import PairInput
from learnable_smplify.solver.frame.priors import CHANGE_SECONDS, Priors
from learnable_smplify.solver.frame.tracking import ClipOptions, Follower
from learnable_smplify.solver.freedom import freed
from learnable_smplify.solver.laid import laid_start

# Nothing is known of the hands beyond the wrists: they stay as they are.
_HAND_PRECISION = 1e4
# The numerical solver is asked too where the network cannot be right: where the keypoints are further off than this [m]
# and so many times what it expects ...
_DOUBTFUL_ERROR = 0.02
_SURPRISE = 2.0
# ... or where it turns joints in a way that people do not: the squared Mahalanobis distance of the change from a start
# that is exact, for each degree of freedom. Of the train pairs 99.8 % are below, with the time told 99.9 %.
_STRANGE_CHANGE = 8.0
# A start may be this old [s] and still be a tracked frame.
_LONGEST_CHANGE = 0.3
# Mean length of a normal vector in space with unit variance in each coordinate.
_MEAN_LENGTH = (8 / math.pi) ** 0.5
_CLEARLY_BETTER, _ABOUT_AS_WELL = 0.7, 1.1


@dataclass(frozen=True)
class Start:
    """What is known of the start poses of a batch.

    Args:
        kind: how far they can be trusted.
        seconds: time from start to target; 0 where nobody knows.
    """

    kind: StartKind = "exact"
    seconds: float = 0.0


def network_passes(
    network: PoseMlp | StgcnPass,
    body25: FoldedPoints,
    start_rotmat: Float[Tensor, "B 24 3 3"],
    target: Float[Tensor, "B 25 3"],
    confidence: Float[Tensor, "B 25"],
    betas: Float[Tensor, "B 10"],
    kind: Int[Tensor, " B"],
    seconds: Float[Tensor, " B"],
    passes: int,
) -> PassOutput:
    """The network's answer after so many passes; every problem has a kind of start and a time of its own."""
    shaped = body25.shaped(betas)
    betas = betas.expand(start_rotmat.shape[0], -1)  # `len` would be a fixed number in an exported graph
    rotmat, memory, output = start_rotmat, None, None
    for _ in range(passes):
        keypoints = shaped.pose(rotmat).positions()
        output = network(PassInput(rotmat, keypoints, target, confidence, betas, kind, seconds, memory))
        rotmat, memory = output.rotmat, output.memory
    assert output is not None
    return output


def prior_precision(network: PoseMlp, output: PassOutput) -> Float[Tensor, "B 72 72"]:
    """Precision of the prior about a pass's answer, in the parents' frames as the Gauss-Newton steps have it.

    The network tells it in the joints' own axes, P = D^-1 (L L^T) D^-1 with D the stiffness sigmas: there, a twist is a
    twist however the limb points. With the answer's rotations R it becomes R P R^T.
    """
    solved = 3 * SOLVED_JOINTS
    inverse = 1 / output.stiffness_sigma
    own = inverse[:, :, None] * network.error_precision * inverse[:, None, :]
    rotmat = output.rotmat[:, :SOLVED_JOINTS].detach()
    turned = (rotmat @ own.reshape(-1, SOLVED_JOINTS, 3, solved)).reshape(-1, solved, SOLVED_JOINTS, 3).transpose(1, 2)
    turned = (turned @ rotmat.transpose(-1, -2)).transpose(1, 2).reshape(-1, solved, solved)
    precision = torch.nn.functional.pad(turned, (0, 72 - solved, 0, 72 - solved))
    hands = torch.zeros(72, dtype=precision.dtype, device=precision.device)
    hands[solved:] = _HAND_PRECISION
    return precision + hands.diag()


class NeuralPairs:
    """Pairs by the network and a few Gauss-Newton steps, with the numerical solver behind them.

    Args:
        network: a `PoseMlp`, or a `Stgcn` (which says nothing of its errors: the change prior stands in).
        refine_steps: Gauss-Newton steps; 0 returns the network's answer.
        priors: on the solver's device.
        options: of the numerical solver.
        passes: how often the network is run on a frame; None is what its configuration says.
    """

    def __init__(
        self,
        network: PoseMlp | Stgcn,
        refine_steps: int,
        priors: Priors,
        options: PairOptions,
        passes: int | None = None,
    ) -> None:
        self.network = StgcnPass(network) if isinstance(network, Stgcn) else network
        self.refine_steps = refine_steps
        usual = network.config.passes if isinstance(network, PoseMlp) else 1
        self.passes = usual if passes is None else passes
        self._priors = priors
        self._options = options
        self._steps = LevenbergMarquardt(refine_steps, step_tolerance=0, cost_tolerance=0, initial_damping=1e-6)
        self._compiled: CompiledHybrid | None = None
        if can_pack(network) and is_usable(next(network.parameters())):
            assert isinstance(network, PoseMlp)
            packed = PackedMlp(network)
            self._compiled = CompiledHybrid(packed, self.passes, refine_steps, self._steps.initial_damping, priors)

    def with_priors(self, priors: Priors) -> NeuralPairs:
        """The same network and options with other priors."""
        other = copy(self)
        other._priors = priors
        other._compiled = None if self._compiled is None else replace(self._compiled, priors=priors)
        return other

    def solve(self, body: Body, layout: Layout, pairs: PairInput, start: Start) -> PoseSolution:
        """Every pair from its own start; the numerical solver's answer where the network's cannot be right.

        `fallback` of the solution marks those.
        """
        device = pairs.keypoints.device
        folded, body25 = body.folded(layout, device), body.folded("body25", device)
        view = Body25View.of(layout, device)
        shown = view.apply(pairs.keypoints, pairs.confidence)
        first = laid_start(fast_rotvec_to_rotmat(pairs.start_pose), body25, pairs.betas, *shown, start.seconds)
        transl = torch.zeros_like(first[:, 0, 0]) if pairs.start_transl is None else pairs.start_transl
        found, keypoint_sigma = self.from_start(
            folded, body25, view, pairs.betas, first, transl, pairs.keypoints, pairs.confidence, start, shown=shown
        )
        if self.refine_steps == 0:
            return found
        doubtful = self._doubtful(folded, first, found, keypoint_sigma, pairs, start)
        if doubtful is None:
            return found
        rows = doubtful.nonzero()[:, 0]
        better, numeric = self._numeric(folded, pairs.rows(rows), found, rows, keypoint_sigma, start)
        fallback = torch.zeros_like(doubtful)
        fallback[rows[better]] = True
        found.rotmat[rows[better]], found.transl[rows[better]] = numeric.rotmat[better], numeric.transl[better]
        return replace(found, fallback=fallback)

    def _doubtful(
        self,
        folded: FoldedPoints,
        first: Tensor,
        found: PoseSolution,
        keypoint_sigma: Tensor,
        pairs: PairInput,
        start: Start,
    ) -> Bool[Tensor, " B"] | None:
        """Where the network's answer is not what it expected itself, or not what people do; None for nowhere."""
        error, strangeness = found.distance, found.strangeness
        surprising = float(error.max()) > _DOUBTFUL_ERROR
        strange: Tensor | None = None
        if start.kind == "exact":
            if strangeness is None:
                below = slice(1, SOLVED_JOINTS)  # the pelvis may turn as it likes
                change = rotmat_to_rotvec(found.rotmat[:, below] @ first[:, below].mT).flatten(1)
                precision = self._priors.change_precision[3 : 3 * SOLVED_JOINTS, 3 : 3 * SOLVED_JOINTS]
                strangeness = (change @ precision * change).sum(1)
            # The prior's precision falls with the time that a change takes.
            freedom = 3 * (SOLVED_JOINTS - 1)
            limit = _STRANGE_CHANGE * freedom * (start.seconds / CHANGE_SECONDS if start.seconds > 0 else 1.0)
            if float(strangeness.max()) > limit:
                strange = strangeness > limit
        if strange is None and not surprising:
            return None
        doubtful = error > _DOUBTFUL_ERROR
        doubtful &= error > _SURPRISE * _MEAN_LENGTH * _mean_sigma(keypoint_sigma, pairs.confidence)
        if strange is not None:
            doubtful |= strange
        return doubtful if bool(doubtful.any()) else None

    def _numeric(
        self,
        folded: FoldedPoints,
        part: PairInput,
        found: PoseSolution,
        rows: Tensor,
        keypoint_sigma: Tensor,
        start: Start,
    ) -> tuple[Bool[Tensor, " N"], PoseSolution]:
        """The numerical solver's answers for the pairs `part` at `rows`, and where they are the better ones.

        Better is what fits the keypoints clearly closer; or what fits them about as well and is likelier by the
        numerical solver's own cost: keypoints as far off as the network expects, and a change that people make.
        """
        sigma = _mean_sigma(keypoint_sigma[rows], part.confidence)
        weighted = replace(part, confidence=part.confidence * (self._options.keypoint_sigma / sigma)[:, None].square())
        problem = numeric_problem(folded, weighted, self._priors, self._options, start.seconds)
        numeric = solve(problem, problem.prior_rotmat, problem.prior_transl, self._options.optimiser)
        error, other = found.distance[rows], numeric.distance
        likelier = numeric.cost < cost_of(problem, found.rotmat[rows], found.transl[rows])
        return (other < _CLEARLY_BETTER * error) | (likelier & (other < _ABOUT_AS_WELL * error)), numeric

    @torch.no_grad()
    def from_start(
        self,
        folded: FoldedPoints,
        body25: FoldedPoints,
        view: Body25View,
        betas: Float[Tensor, "B 10"],
        start_rotmat: Float[Tensor, "B 24 3 3"],
        transl: Float[Tensor, "B 3"],
        keypoints: Float[Tensor, "B K 3"],
        confidence: Float[Tensor, "B K"],
        start: Start,
        *,
        shown: tuple[Tensor, Tensor] | None = None,
        pose_weight: float = 0.0,
        variance_weight: float = 1.0,
    ) -> tuple[PoseSolution, Float[Tensor, "B K"]]:
        """Network and refinement, and the standard deviation (B, K) that the network gives each keypoint [m].

        Problems without any keypoint keep their start.

        Args:
            folded, body25: keypoints of the measured layout and of BODY_25 on the body.
            view: from the one to the other.
            shown: the keypoints and confidence in this view, where they are known.
            pose_weight: of the pose prior, besides what the network says.
            variance_weight: of the keypoint variances that the steps assume; below 1 they follow the keypoints closer
                than the network would.
        """
        target, seen = view.apply(keypoints, confidence) if shown is None else shown
        if self._compiled is not None:
            return self._compiled.solve(
                folded,
                body25,
                view,
                betas,
                start_rotmat,
                transl,
                keypoints,
                confidence,
                (target, seen),
                start.kind,
                start.seconds,
                variance_weight,
                pose_weight,
            )
        kind = betas.new_full((len(start_rotmat),), START_KINDS.index(start.kind), dtype=torch.int64)
        seconds = betas.new_full((len(start_rotmat),), start.seconds)
        output = network_passes(self.network, body25, start_rotmat, target, seen, betas, kind, seconds, self.passes)
        keypoint_sigma = view.sigma_of_layout(output.keypoint_sigma)
        variance = variance_weight * view.sigma_of_layout(output.weight_sigma).square()
        if isinstance(self.network, PoseMlp):
            held = output.stiffness_sigma, self.network.error_precision
            stiffness = freed(*held, folded, body25, view, confidence, self._priors, start.seconds)
            precision = prior_precision(self.network, replace(output, stiffness_sigma=stiffness))
            sigma = torch.nn.functional.pad(output.sigma, (0, 24 - SOLVED_JOINTS), value=torch.nan)
        else:
            precision, sigma = self._priors.change_over(start.seconds), None
        mean = output.rotmat
        if pose_weight > 0:
            mean, precision = self._priors.and_human(mean, precision, pose_weight)
        points, weights = folded.shaped(betas), confidence / variance
        problem = PoseProblem(
            points=points,
            targets=keypoints,
            weights=weights,
            prior_rotmat=mean,
            prior_precision=precision,
            prior_transl=best_transl(points, mean, keypoints, weights),
        )
        solution = solve(problem, problem.prior_rotmat, problem.prior_transl, self._steps)
        unseen, distance = (confidence > 0).sum(1) == 0, solution.distance
        rotmat = torch.where(unseen[:, None, None, None], start_rotmat, solution.rotmat)
        moved = torch.where(unseen[:, None], transl, solution.transl)
        return PoseSolution(rotmat, moved, distance, torch.ones_like(unseen), distance, sigma), keypoint_sigma


def neural_follower(
    solver: NeuralPairs,
    folded: FoldedPoints,
    body25: FoldedPoints,
    layout: Layout,
    betas: Float[Tensor, "10"],
    options: ClipOptions,
) -> Follower:
    """The network's way from one frame to the next; `folded` are the layout's keypoints on the body."""
    view = Body25View.of(layout, betas.device)

    def follow(rotmat: Tensor, transl: Tensor, targets: Tensor, confidence: Tensor, seconds: float) -> PoseSolution:
        recent = seconds <= _LONGEST_CHANGE
        found, _ = solver.from_start(
            folded,
            body25,
            view,
            betas[None],
            rotmat,
            transl,
            targets,
            confidence,
            Start("tracked", seconds) if recent else Start("estimate"),
            pose_weight=options.pose_weight,
            variance_weight=options.variance_weight,
        )
        return found

    return follow


def _mean_sigma(keypoint_sigma: Tensor, confidence: Tensor) -> Float[Tensor, " B"]:
    """Mean of the seen keypoints' sigmas [m]."""
    seen = (confidence > 0).to(keypoint_sigma)
    return (keypoint_sigma * seen).sum(1) / seen.sum(1).clamp(min=1)


def best_transl(points: ShapedPoints, rotmat: Tensor, keypoints: Tensor, weights: Tensor) -> Float[Tensor, "B 3"]:
    """Where a pose has to stand to be nearest to its keypoints."""
    gap = keypoints - points.pose(rotmat).positions()
    return (gap * weights[..., None]).sum(1) / weights.sum(1).clamp(min=1e-6)[:, None]
