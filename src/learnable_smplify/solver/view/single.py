"""A clip of one person of known shape, seen by one camera.

A picture fits many poses, so every frame gets several: the lifting network's guesses, each solved against the pixels.
A chain through them is the start; then all frames are solved as a whole, and near the guesses that were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.network.lifter import Lifter
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.clip.smooth import SmoothOptions
from learnable_smplify.solver.clip.views import smooth_views
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.shape.habit import Unknowns, open_priors
from learnable_smplify.solver.shape.joint_estimate import refine_betas
from learnable_smplify.solver.shape.prior import ShapePrior
from learnable_smplify.solver.view.cameras import LEAST_PX, ROBUST, misfit
from learnable_smplify.solver.view.hypotheses import POSE_WEIGHT, Guess, Hypotheses, hypotheses
from learnable_smplify.solver.view.paths import best_chain
from learnable_smplify.solver.view.place import place_in_view
from learnable_smplify.solver.view.sweeps import sight_problem
from learnable_smplify.timeline import between, evenly, rotations_between

# Frames that betas are estimated from; so many of them say as much as one, as a detector errs alike in all.
_SHAPE_FRAMES, _INDEPENDENT = 48, 16
# A frame is doubtful when poses that put a keypoint elsewhere by this [m] are likelier than this together.
_ELSEWHERE, _DOUBT = 0.25, 0.2
# Weight of the frames' costs in the chain.
_SHARPNESS = 0.2
# How the clip is solved as a whole; its `network_weight` is that of the chosen guesses.
SMOOTH = SmoothOptions(refine_shape=False, max_iterations=5, pose_weight=0.5)


@dataclass(frozen=True, eq=False)
class SeenClip:
    """A clip of one person, in the camera's frame or in the world.

    Args:
        rotmat, transl: of every frame.
        betas: of the person.
        betas_sigma: what they may be off by; None where they were given.
        doubtful: frames that could be another pose, or are lost.
    """

    rotmat: Float[Tensor, "T 24 3 3"]
    transl: Float[Tensor, "T 3"]
    betas: Float[Tensor, "10"]
    betas_sigma: Float[Tensor, "10"] | None
    doubtful: Bool[Tensor, " T"]


def solve_camera(
    observed: Observed,
    folded: FoldedPoints,
    betas: Float[Tensor, "10"] | None,
    shape_prior: ShapePrior,
    lifter: Lifter,
    priors: Priors,
    least_keypoints: int,
) -> SeenClip:
    """Every frame, in the camera's frame.

    Args:
        observed: by one camera that stands at the origin and looks along z.
        betas: the person's, None estimates them.
        shape_prior: what is known of them; one camera does not tell size from distance.
        least_keypoints: a frame with fewer lies between its neighbours.

    Raises:
        InputError: no frame has so many.
    """
    priors = open_priors(priors)
    shape = torch.zeros(10, device=observed.pixels.device) if betas is None else betas
    points = folded.shaped(shape[None])
    rows = ((observed.confidence > 0).sum((1, 2)) >= least_keypoints).nonzero()[:, 0]
    if len(rows) == 0:
        raise InputError(f"no frame has {least_keypoints} keypoints", expected="a person in the picture")
    sigma = observed.noise_px(LEAST_PX)
    sight = observed.sight(sigma, ROBUST)

    several = hypotheses(lifter, observed, rows, points, sight, priors)
    chain = best_chain(several.rotmat, several.transl, several.cost, rows, observed.fps, priors, _SHARPNESS)
    best = several.chosen(chain.chosen)
    betas_sigma = None
    if betas is None:
        shape, best, betas_sigma = _shape(folded, sight.select(rows), best, shape_prior, priors)
        points = folded.shaped(shape[None])
    rotmat, mean = (rotations_between(part, rows, len(observed)) for part in (best.rotmat, best.mean))
    transl = between(best.transl, rows, len(observed))
    precision = torch.zeros(len(observed), 72, 72, dtype=rotmat.dtype, device=rotmat.device)
    precision[rows] = best.whole_precision(points)
    frames = Frames.of(points, rotmat, transl)
    sight = observed.sight(torch.maximum(sigma, sigma * misfit(sight, frames)), ROBUST)
    sources = [(mean, precision)]
    whole = smooth_views(folded, sight, rotmat, transl, shape, observed.fps, priors, SMOOTH, sources=sources)
    doubtful = torch.ones(len(observed), dtype=torch.bool, device=rows.device)
    doubtful[rows] = doubt(several, points, chain.chosen, chain.likely)
    return SeenClip(whole.rotmat, whole.transl, shape, betas_sigma, doubtful)


def chosen_guesses(
    observed: Observed,
    rows: Int[Tensor, " N"],
    points: ShapedPoints,
    lifter: Lifter,
    priors: Priors,
    near: tuple[Float[Tensor, "N 24 3 3"], float],
) -> Guess:
    """The best chain of hypotheses of these frames, where something is known of the poses.

    Args:
        observed: by one camera that stands at the origin.
        near: poses in its frame, and 1 / variance of their rotations [1/rad^2].
    """
    priors = open_priors(priors)
    sight = observed.sight(observed.noise_px(LEAST_PX), ROBUST)
    several = hypotheses(lifter, observed, rows, points, sight, priors)
    away = rotmat_to_rotvec(several.rotmat @ near[0][:, None].mT).square().sum((-1, -2))
    cost = several.cost + near[1] * away
    chain = best_chain(several.rotmat, several.transl, cost, rows, observed.fps, priors, _SHARPNESS)
    return several.chosen(chain.chosen)


def _shape(
    folded: FoldedPoints, sight: SightTerm, best: Guess, prior: ShapePrior, priors: Priors
) -> tuple[Float[Tensor, "10"], Guess, Float[Tensor, "10"]]:
    """Betas from some frames together with their poses; all poses placed anew; and what betas may be off by."""
    rows = evenly(len(best.transl), _SHAPE_FRAMES).to(best.transl.device)
    betas = torch.zeros(10, dtype=best.transl.dtype, device=best.transl.device)
    whole = best.whole_precision(folded.shaped(betas[None]))[rows]
    mean, whole = priors.and_human(best.mean[rows], whole, POSE_WEIGHT)
    problem = sight_problem(folded.shaped(betas[None]), sight.select(rows), mean, whole, best.transl[rows])
    prior = replace(prior, weight=max(1.0, len(rows) / _INDEPENDENT))
    fit = refine_betas(Unknowns.of(folded, False), problem, best.rotmat[rows], best.transl[rows], betas, prior)
    posed = folded.shaped(fit.shape[None]).pose(best.rotmat)
    placed = replace(best, transl=place_in_view(posed.positions(), sight))
    return fit.shape, placed, torch.linalg.inv(fit.precision(prior)).diagonal().sqrt()


def doubt(
    several: Hypotheses, points: ShapedPoints, chosen: Int[Tensor, " T"], likely: Float[Tensor, "T M"]
) -> Bool[Tensor, " T"]:
    """Frames in which poses other than the chosen one are not unlikely."""
    frames, count = likely.shape
    each = torch.arange(frames, device=chosen.device).repeat_interleave(count)
    posed = points.select(each).pose(several.rotmat.flatten(0, 1))
    placed = (posed.positions() - posed.joints[:, :1]).unflatten(0, (frames, count))
    away = (placed - placed[torch.arange(frames, device=chosen.device), chosen][:, None]).norm(dim=-1).amax(dim=-1)
    return (likely * (away > _ELSEWHERE)).sum(1) > _DOUBT


def at_origin(observed: Observed) -> Observed:
    """One camera's frame taken for the world."""
    camera = observed.cameras[0]
    local = replace(camera, R_camera_world=torch.eye(3), t_camera_world=torch.zeros(3), up_axis=None)
    return replace(observed, cameras=(local,))
