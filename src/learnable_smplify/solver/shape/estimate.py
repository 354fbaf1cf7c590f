"""One shape for a recording, before its frames are solved: betas, the detector's errors and habits, with poses.

Two explanations compete. Either the keypoints are the body's own (made from a body, as in tests and data sets of
motion), and whatever they show is shape; or a detector found them, which puts hips and shoulders where its annotators
did (`layouts.bias`). Each is fitted, and the one of larger evidence (Laplace's approximation) is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.betas import NUM_BETAS
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.size import RestMesh
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.cold_start import cold_start
from learnable_smplify.solver.frame.levenberg_marquardt import PoseProblem
from learnable_smplify.solver.frame.noise import keypoint_noise
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.shape.detector import detected_points, errors_of, own_points
from learnable_smplify.solver.shape.habit import Unknowns
from learnable_smplify.solver.shape.joint_estimate import ShapeFit, refine_betas
from learnable_smplify.solver.shape.limb_lengths import betas_from_lengths, limb_lengths, scale_of
from learnable_smplify.solver.shape.offsets import Offsets
from learnable_smplify.solver.shape.prior import KnownSize, ShapePrior, Want
from learnable_smplify.timeline import evenly

# Frames from which betas are estimated together with the poses.
_FRAMES = 64
# ... and as many habits alone.
_HABIT_FRAMES = 16
# As many frames' errors are taken to be independent of each other: what is left of a detector's when the constant part
# is known still changes slowly, with the pose.
_INDEPENDENT_OWN, _INDEPENDENT_DETECTED = 16, 4
# Frames of one clip lean away from the pose prior alike: share of its weight while the body's own keypoints tell betas.
# Chosen on clips of the train split, clean and with 10 and 20 mm of noise.
_POSE_SHARE = 0.2
# Keypoint coordinates are taken to be off by this at least [m].
_LEAST_OWN, _LEAST_DETECTED = 0.0005, 0.006
# A fit leaves 0.6 of noise. Where it leaves less than this share, fast motion was taken for noise: keypoints are off by
# so many times what it leaves, by this at least [m], and betas bend less to the pose prior. So often at most.
_OF_NOISE, _KEPT, _LEAST_LEFT, _SHARPENED = 0.3, 2.0, 0.0001, 2
# Constant errors of a skeleton beyond so many of their spreads are no skeleton's: they make up for a pose that is held.
_FARTHEST = 3.5
# What detected keypoints leave of the spread of builds [kg/m^2]: who detects joints does not see bellies.
_BUILD_SIGMA = 2.3
# Betas further out than this are drawn in: of people, one in a thousand is.
_LARGEST_DISTANCE = 5.4
_UNUSUAL_BETA = 2.5
# Limbs that many times as long as the mean body's, or shorter, are nobody's on this body.
_LARGEST_SCALE = 1.35
_TIGHTER, _MOST_ROUNDS = 2.0, 8


@dataclass(frozen=True, eq=False)
class ShapeEstimate:
    """A person's shape.

    Args:
        betas: (10,).
        sigma: (10,) standard deviation of each.
        offsets: the detector's errors; None where the keypoints are the body's own.
        habit: (24, 3) constant rotations by which the recording's poses differ from the usual ones [rad] (see `habit`).
        bounded: whether betas were drawn into the shape space.
        frames: (N,) those of the recording that it was made from; None where betas were known, or nothing was seen.
        pelvis: (N, 3, 3) how the pelvis is held in them by somebody of this shape, these errors and these habits.
    """

    betas: Float[Tensor, "10"]
    sigma: Float[Tensor, "10"]
    habit: Float[Tensor, "24 3"]
    offsets: Offsets | None = None
    bounded: bool = False
    frames: Int[Tensor, " N"] | None = None
    pelvis: Float[Tensor, "N 3 3"] | None = None


@dataclass(frozen=True, eq=False)
class ShapeEstimator:
    """Estimates shapes on one body and layout.

    Args:
        folded: the layout's keypoints on the body.
        layout: of the keypoints.
        mesh: of the body.
        priors: over poses.
        options: what keypoints may be off by.
        known: what a user knows of the person.
    """

    folded: FoldedPoints
    layout: Layout
    mesh: RestMesh
    priors: Priors
    options: ClipOptions
    known: KnownSize = field(default_factory=KnownSize)

    def estimate(
        self,
        targets: Float[Tensor, "T K 3"],
        confidence: Float[Tensor, "T K"],
        betas: Float[Tensor, "10"] | None = None,
    ) -> ShapeEstimate:
        """From limb lengths over all frames, then jointly with the poses of some frames.

        Args:
            targets: metres.
            betas: where they are known, and only the habits are not.
        """
        start, scale = betas, 1.0
        if start is None:
            limbs = limb_lengths(self.folded, self.priors)
            start = betas_from_lengths(limbs, targets, confidence)
            scale = scale_of(limbs.pairs, limbs.length, targets, confidence)
        rows = telling_frames(confidence, _FRAMES if betas is None else _HABIT_FRAMES, self.options.min_keypoints)
        if len(rows) == 0:
            return ShapeEstimate(start, torch.ones_like(start), start.new_zeros(NUM_JOINTS, 3))
        sigma = self.options.keypoint_sigma
        weights = confidence[rows] / sigma**2
        found = cold_start(
            self.folded.shaped(start[None]), targets[rows], weights, self.priors, self.options.robust_scale
        )
        problem = PoseProblem(
            points=self.folded.shaped(start[None]),
            targets=targets[rows],
            weights=weights,
            prior_rotmat=self.priors.mean_facing(found.rotmat),
            prior_precision=self.priors.pose_precision,
            prior_transl=found.transl,
            robust_scale=self.options.robust_scale,
        )
        if betas is not None and not self.layout.markers:
            return self._habit_alone(problem, found.rotmat, found.transl, betas)
        noise = keypoint_noise(targets, confidence)
        answer = self._compared(problem, found.rotmat, found.transl, start, noise, betas)
        bounded = answer.bounded or not 1 / _LARGEST_SCALE < scale < _LARGEST_SCALE
        return replace(answer, bounded=bounded, frames=rows)

    def _habit_alone(
        self, problem: PoseProblem, rotmat: Tensor, transl: Tensor, betas: Float[Tensor, "10"]
    ) -> ShapeEstimate:
        """Habits of a person whose betas are known, from keypoints taken to be the body's own."""
        unknowns = Unknowns.of(self.folded.of_person(betas), True)
        prior = ShapePrior(weight=_share(len(rotmat), _INDEPENDENT_OWN))
        fit = refine_betas(unknowns, problem, rotmat, transl, unknowns.padded(betas[:0]), prior)
        return ShapeEstimate(betas, torch.zeros_like(betas), unknowns.clear_habit(fit.shape))

    def _compared(
        self,
        problem: PoseProblem,
        rotmat: Tensor,
        transl: Tensor,
        start: Tensor,
        noise: float,
        known: Float[Tensor, "10"] | None,
    ) -> ShapeEstimate:
        frames, sigma = len(rotmat), self.options.keypoint_sigma
        wants = self.known.wants(self.mesh) if known is None else ()
        average = self.known.usual(self.mesh)
        prior = ShapePrior(self.mesh, wants, _share(frames, _INDEPENDENT_OWN), betas=known, average=average)
        explanations = tuple(
            Unknowns.of(points(self.folded, self.layout), True) for points in (own_points, detected_points)
        )
        # A first look at how far the keypoints are off, then both at what the better one leaves.
        looks = []
        mean = average if known is None else known
        for unknowns, betas in zip(explanations, (start, mean), strict=True):
            looks.append(refine_betas(unknowns, problem, rotmat, transl, unknowns.padded(betas), prior))
        seen = max(min(look.error for look in looks) * sigma, noise, _LEAST_OWN)
        every = replace(prior, weight=1.0)
        own, detected = (_again(look, sigma / seen, every) for look in looks)
        if not self.layout.markers and _evidence(own, every) > _evidence(detected, every):
            return self._own(own, prior, seen)
        if known is None and self.known.build is None and self.known.weight_kg is None:
            wants = (*wants, Want("bmi", self.known.usual_bmi(self.mesh), _BUILD_SIGMA))
        rarer = replace(prior, wants=wants, weight=_share(frames, _INDEPENDENT_DETECTED))
        detected = _again(detected, seen / max(seen, _LEAST_DETECTED), rarer)
        if self.layout.is_skeleton and _largest_error(detected) > _FARTHEST:
            return self._own(own, prior, seen)
        return self._bounded(detected, rarer, True)

    def _own(self, own: ShapeFit, prior: ShapePrior, seen: float) -> ShapeEstimate:
        """Of keypoints that are the body's own and off by `seen` [m]: the pose prior is bent to less."""
        lighter = own.problem.prior_precision * _POSE_SHARE
        own = _again(replace(own, problem=replace(own.problem, prior_precision=lighter)), 1.0, prior)
        for _ in range(_SHARPENED):
            sharper = max(_KEPT * own.error, _LEAST_LEFT / seen)
            if own.error > _OF_NOISE or sharper >= 1:
                break
            closer = _again(own, 1 / sharper, prior)
            if closer.error > _OF_NOISE:  # it was not the pose prior that kept the fit off
                break
            own, seen = closer, sharper * seen
        return self._bounded(own, prior, False)

    def _bounded(self, fit: ShapeFit, prior: ShapePrior, detected: bool) -> ShapeEstimate:
        """The fit, with betas drawn in until they are a person's."""
        bounded = False
        for _ in range(_MOST_ROUNDS):
            if prior.betas is not None or float(fit.shape[:NUM_BETAS].norm()) <= _LARGEST_DISTANCE:
                break
            bounded, prior = True, replace(prior, tightness=prior.tightness * _TIGHTER)
            fit = _again(fit, 1.0, prior)
        covariance, points = torch.linalg.inv(fit.precision(prior) / prior.weight), fit.unknowns.folded
        return ShapeEstimate(
            betas=fit.shape[:NUM_BETAS],
            sigma=covariance.diagonal()[:NUM_BETAS].clamp(min=0).sqrt(),
            habit=fit.unknowns.clear_habit(fit.shape),
            offsets=errors_of(self.folded, points, self.layout, fit.shape[: fit.unknowns.in_points])
            if detected
            else None,
            bounded=bounded,
            pelvis=fit.rotmat[:, 0],
        )


def shape_notes(found: ShapeEstimate) -> tuple[str, ...]:
    """What a user should know of an estimated shape: a line where the person is unlike those the body was made from."""
    largest = float(found.betas.abs().max())
    if found.bounded:
        return (
            "the person is outside the body's shape space: betas are held within "
            f"{_LARGEST_DISTANCE:g} standard deviations of the mean body, and limbs may not be as long as measured",
        )
    if largest > _UNUSUAL_BETA:
        return (f"an unusual shape: betas reach {largest:.1f} standard deviations",)
    return ()


def _share(frames: int, independent: int) -> float:
    """Weight of a prior where only so many of the frames count."""
    return max(frames / independent, 1.0)


def _again(fit: ShapeFit, sharper: float, prior: ShapePrior) -> ShapeFit:
    """The fit with keypoint errors taken to be so many times smaller."""
    problem = replace(fit.problem, weights=fit.problem.weights * sharper**2)
    return refine_betas(fit.unknowns, problem, fit.rotmat, fit.transl, fit.shape, prior)


def _evidence(fit: ShapeFit, prior: ShapePrior) -> float:
    """Twice the log of how likely the keypoints are under an explanation, up to what all explanations share.

    How usual the poses are does not count: a recording of somebody stooping would speak for whatever unbends the back.
    """
    placed = fit.placed
    frames = Frames.of(placed.points, fit.rotmat, fit.transl)
    cost = placed.terms()[0].cost(frames).sum() + prior.cost(fit.shape)
    return -float(cost) / prior.weight - float(torch.logdet(fit.precision(prior) / prior.weight))


def _largest_error(fit: ShapeFit) -> float:
    """The largest constant error along an axis, in its spreads."""
    return float(fit.shape[NUM_BETAS : fit.unknowns.in_points].abs().max())


def telling_frames(confidence: Float[Tensor, "T K"], count: int, min_keypoints: int) -> Int[Tensor, " N"]:
    """At most so many frames, spread over a recording, that show about as much of the person as any."""
    seen = (confidence > 0).sum(1)
    usable = (seen >= torch.clamp(seen.max() * 3 // 4, min=min_keypoints)).nonzero()[:, 0]
    return usable[evenly(len(usable), count).to(usable)]
