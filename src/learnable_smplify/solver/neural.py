"""The hybrid: the network says where the pose is and how sure it is, Gauss-Newton makes it meet the keypoints.

The network's rotations are the prior mean, its sigmas and the measured correlation of its errors the prior precision,
and what it says of each keypoint's error is that keypoint's weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.compiled import is_usable
from learnable_smplify.compiled.convert import fast_rotvec_to_rotmat
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.network.packed import PackedMlp, can_pack
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, PassInput, PassOutput, PoseMlp, rotation_error
from learnable_smplify.network.stgcn import Stgcn
from learnable_smplify.network.stgcn_pass import StgcnPass
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.clip import ClipOptions, Follower
from learnable_smplify.solver.compiled_pairs import CompiledHybrid
from learnable_smplify.solver.levenberg_marquardt import LevenbergMarquardt, PoseProblem, PoseSolution, fit_error, solve
from learnable_smplify.solver.numeric import PairOptions, numeric_pairs
from learnable_smplify.solver.pair_input import PairInput
from learnable_smplify.solver.priors import Priors

# Nothing is known of the hands beyond the wrists: they stay as they are.
_HAND_PRECISION = 1e4
# Above this mean keypoint error [m], and so many times what the network expects, the numerical solver is asked too, and
# believed if it is clearly better. (With noisy keypoints a small error is no merit.)
_DOUBTFUL_ERROR = 0.05
_SURPRISE = 2.0
_CLEARLY_BETTER = 0.7
# Mean length of a normal vector in space with unit variance in each coordinate.
_MEAN_LENGTH = (8 / math.pi) ** 0.5
# Where between "nothing moved" and "all of it moved" the network's answer is taken; chosen on pairs of the train split.
_STILL, _STILL_SLOPE = 0.5, 4.0


@dataclass(frozen=True, eq=False)
class Body25View:
    """How a layout's keypoints become the network's 25.

    Args:
        matrix: (25, K) weights of the layout's keypoints; a row of zeros is a keypoint the layout cannot give.
        needs: (25, K) True where that keypoint must have been seen.
    """

    matrix: Float[Tensor, "25 K"]
    needs: Tensor

    @staticmethod
    @lru_cache(maxsize=16)
    def of(layout: Layout, device: torch.device) -> Body25View:
        """BODY_25 keypoints from those of `layout` that stand for the same canonical points."""
        body25 = load_layout("body25")
        single = {parts[0][0]: index for index, parts in enumerate(layout.points) if len(parts) == 1}
        same = {parts: index for index, parts in enumerate(layout.points)}
        matrix = torch.zeros(len(body25.keypoint_names), len(layout.keypoint_names))
        for row, parts in enumerate(body25.points):
            if parts in same:
                matrix[row, same[parts]] = 1
            elif all(point in single for point, _ in parts):
                for point, share in parts:
                    matrix[row, single[point]] += share
        return Body25View(matrix.to(device), (matrix != 0).to(device))

    def apply(
        self, keypoints: Float[Tensor, "B K 3"], confidence: Float[Tensor, "B K"]
    ) -> tuple[Float[Tensor, "B 25 3"], Float[Tensor, "B 25"]]:
        """The network's view of measured keypoints: positions and confidence (the least of the keypoints needed)."""
        least = torch.where(self.needs, confidence[:, None, :], torch.inf).amin(dim=-1)
        return self.matrix @ keypoints, torch.where(torch.isfinite(least), least, 0.0)

    @cached_property
    def is_body25(self) -> bool:
        """Whether the layout is the network's own."""
        return self.matrix.shape[0] == self.matrix.shape[1] and bool((self.matrix.diagonal() == 1).all())

    @cached_property
    def sigma_weights(self) -> Float[Tensor, "26 K"]:
        """`sigma_of_layout` as a matrix: weights of the network's 25 sigmas, and of their median in the last row."""
        direct = (self.matrix == 1).float()
        known = direct.sum(0, keepdim=True)
        return torch.cat((direct / known.clamp(min=1), (known == 0).float()))

    def sigma_of_layout(self, sigma: Float[Tensor, "B 25"]) -> Float[Tensor, "B K"]:
        """Sigmas of the layout's keypoints from the network's; keypoints it does not know get the frame's median."""
        return torch.cat((sigma, sigma.median(dim=1, keepdim=True).values), dim=1) @ self.sigma_weights.to(sigma)


@torch.no_grad()
def network_pose(
    network: PoseMlp | StgcnPass,
    body25: FoldedPoints,
    start_rotmat: Float[Tensor, "B 24 3 3"],
    target: Float[Tensor, "B 25 3"],
    confidence: Float[Tensor, "B 25"],
    betas: Float[Tensor, "B 10"],
    passes: int,
) -> PassOutput:
    """The network's answer after `passes` passes."""
    shaped = body25.shaped(betas)
    betas = betas.expand(len(start_rotmat), -1)
    rotmat, output = start_rotmat, None
    for index in range(passes):
        keypoints = shaped.pose(rotmat).positions()
        output = network(PassInput(rotmat, keypoints, target, confidence, betas, first=index == 0))
        rotmat = output.rotmat
    assert output is not None
    return output


def prior_precision(network: PoseMlp, sigma: Float[Tensor, "B 22"]) -> Float[Tensor, "B 72 72"]:
    """Precision of the rotation errors: the measured correlations, scaled by the predicted sigmas."""
    inverse = (1 / sigma).repeat_interleave(3, dim=1)
    solved = 3 * SOLVED_JOINTS
    precision = torch.zeros(len(sigma), 72, 72, dtype=sigma.dtype, device=sigma.device)
    precision[:, :solved, :solved] = inverse[:, :, None] * network.error_precision * inverse[:, None, :]
    precision.diagonal(dim1=-2, dim2=-1)[:, solved:] = _HAND_PRECISION
    return precision


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
        self._trust = (1.0, 0.0)
        if isinstance(network, PoseMlp):
            plain, growing = network.keypoint_trust.tolist()
            self._trust = (plain, growing)
        usual = network.config.passes if isinstance(network, PoseMlp) else 1
        self.passes = usual if passes is None else passes
        self._priors = priors
        self._options = options
        self._steps = LevenbergMarquardt(refine_steps, step_tolerance=0, cost_tolerance=0, initial_damping=1e-6)
        self._compiled: CompiledHybrid | None = None
        if isinstance(network, PoseMlp) and can_pack(network) and is_usable(network.error_precision):
            packed = PackedMlp(network)
            self._compiled = CompiledHybrid(packed, self.passes, refine_steps, self._steps.initial_damping, priors)

    def solve(self, body: Body, layout: Layout, pairs: PairInput) -> PoseSolution:
        """Every pair from its own start; the numerical solver's answer where the network's does not fit."""
        device = pairs.keypoints.device
        folded, body25 = body.folded(layout, device), body.folded("body25", device)
        view = Body25View.of(layout, device)
        start = fast_rotvec_to_rotmat(pairs.start_pose)
        transl = torch.zeros_like(start[:, 0, 0]) if pairs.start_transl is None else pairs.start_transl
        found, keypoint_sigma = self.from_start(
            folded,
            body25,
            view,
            pairs.betas,
            start,
            transl,
            pairs.keypoints,
            pairs.confidence,
            still_is_possible=True,
        )
        if self.refine_steps == 0:
            return found
        error = found.distance
        if error is None:
            error = fit_error(folded.shaped(pairs.betas), found, pairs.keypoints, pairs.confidence)
        if not float(error.max()) > _DOUBTFUL_ERROR:
            return found
        expected = _expected_error(keypoint_sigma, pairs.confidence)
        doubtful = ((error > _DOUBTFUL_ERROR) & (error > _SURPRISE * expected)).nonzero()[:, 0]
        if len(doubtful) == 0:
            return found
        part = pairs.rows(doubtful)
        numeric = numeric_pairs(folded, part, self._priors, self._options)
        numeric_error = fit_error(folded.shaped(part.betas), numeric, part.keypoints, part.confidence)
        better = numeric_error < _CLEARLY_BETTER * error[doubtful]
        rows = doubtful[better]
        found.rotmat[rows], found.transl[rows] = numeric.rotmat[better], numeric.transl[better]
        return found

    def from_start(
        self,
        folded: FoldedPoints,
        body25: FoldedPoints,
        view: Body25View,
        betas: Float[Tensor, "B 10"],
        start: Float[Tensor, "B 24 3 3"],
        transl: Float[Tensor, "B 3"],
        keypoints: Float[Tensor, "B K 3"],
        confidence: Float[Tensor, "B K"],
        *,
        still_is_possible: bool,
        pose_share: float = 0.0,
        keypoint_trust: tuple[float, float] | None = None,
    ) -> tuple[PoseSolution, Float[Tensor, "B K"]]:
        """Network and refinement, and the standard deviation (B, K) that the network gives each keypoint [m].

        Problems without any keypoint keep their start.

        Args:
            folded, body25: keypoints of the measured layout and of BODY_25 on the body.
            view: from the one to the other.
            still_is_possible: take the start pose for true, and keep it where the keypoints show no certain motion.
            pose_share: weight of the pose prior. Over many frames small errors of joints that no keypoint shows would
                add up; the pose prior holds them.
            keypoint_trust: in place of the network's own.
        """
        target, seen = (keypoints, confidence) if view.is_body25 else view.apply(keypoints, confidence)
        if self._compiled is not None:
            assert isinstance(self.network, PoseMlp)
            answer = self._compiled.solve(
                folded,
                body25,
                betas,
                start,
                transl,
                keypoints,
                confidence,
                (target, seen),
                None if view.is_body25 else view.sigma_weights,
                self._trust if keypoint_trust is None else keypoint_trust,
                (_STILL, _STILL_SLOPE) if still_is_possible and self.refine_steps > 0 else None,
                pose_share,
            )
            every = torch.ones(len(start), dtype=torch.bool)
            solution = PoseSolution(answer.rotmat, answer.transl, answer.distance, every, answer.sigma, answer.distance)
            return solution, answer.keypoint_sigma
        output = network_pose(self.network, body25, start, target, seen, betas, self.passes)
        keypoint_sigma = view.sigma_of_layout(output.keypoint_sigma)
        variance = keypoint_sigma.square()
        if isinstance(self.network, PoseMlp):
            precision = prior_precision(self.network, output.sigma)
            plain, growing = self._trust if keypoint_trust is None else keypoint_trust
            variance = variance * (plain + growing * variance / 0.01**2)
            sigma = torch.nn.functional.pad(output.sigma, (0, 24 - SOLVED_JOINTS), value=torch.nan)
        else:
            precision, sigma = self._priors.change_precision, None
        mean = output.rotmat
        if still_is_possible and self.refine_steps > 0:
            mean = _unless_still(start, output)
        if pose_share > 0:
            mean, precision = self._priors.and_human(mean, precision, pose_share)
        points, weights = folded.shaped(betas), confidence / variance
        problem = PoseProblem(
            points=points,
            targets=keypoints,
            weights=weights,
            prior_rotmat=mean,
            prior_precision=precision,
            prior_transl=_best_transl(points, mean, keypoints, weights),
        )
        if self.refine_steps > 0:
            solution = solve(problem, problem.prior_rotmat, problem.prior_transl, self._steps)
            rotmat, moved = solution.rotmat, solution.transl
        else:
            rotmat, moved = problem.prior_rotmat, problem.prior_transl
        unseen = (confidence > 0).sum(1) == 0
        rotmat = torch.where(unseen[:, None, None, None], start, rotmat)
        moved = torch.where(unseen[:, None], transl, moved)
        every = torch.ones_like(unseen)
        found = PoseSolution(rotmat, moved, torch.zeros_like(moved[:, 0]), every, sigma)
        return found, keypoint_sigma


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

    def follow(rotmat: Tensor, transl: Tensor, targets: Tensor, confidence: Tensor) -> PoseSolution:
        # The frame before is an estimate itself: to keep it where nothing is certain would add up to a lag.
        found, _ = solver.from_start(
            folded,
            body25,
            view,
            betas[None],
            rotmat,
            transl,
            targets,
            confidence,
            still_is_possible=False,
            pose_share=options.pose_share,
            keypoint_trust=(options.variance_share, 0.0),
        )
        return found

    return follow


def _unless_still(start: Float[Tensor, "B 24 3 3"], output: PassOutput) -> Float[Tensor, "B 24 3 3"]:
    """The network's rotations, drawn back to the start where all the motion they tell is within their own doubt.

    With strong noise and little motion, what a network sees is mostly noise. The measure is the mean over joints of
    (angle turned / predicted sigma)^2 / 3: about 1 for a motion that is all doubt.
    """
    turned = rotation_error(start[:, :SOLVED_JOINTS], output.rotmat[:, :SOLVED_JOINTS])
    certain = (turned.square().sum(-1) / (3 * output.sigma.square())).mean(1)
    share = torch.sigmoid((certain - _STILL) * _STILL_SLOPE)[:, None, None]
    solved = rotvec_to_rotmat(share * turned) @ start[:, :SOLVED_JOINTS]
    return torch.cat((solved, start[:, SOLVED_JOINTS:]), dim=1)


def _expected_error(keypoint_sigma: Tensor, confidence: Tensor) -> Float[Tensor, " B"]:
    seen = (confidence > 0).to(keypoint_sigma)
    return _MEAN_LENGTH * (keypoint_sigma * seen).sum(1) / seen.sum(1).clamp(min=1)


def _best_transl(points: ShapedPoints, rotmat: Tensor, keypoints: Tensor, weights: Tensor) -> Float[Tensor, "B 3"]:
    gap = keypoints - points.pose(rotmat).positions()
    return (gap * weights[..., None]).sum(1) / weights.sum(1).clamp(min=1e-6)[:, None]
