"""A clip of one person of known shape, seen by one camera.

A picture fits many poses, so every frame gets several: the lifting network's guesses, each solved against the pixels.
A chain through them is the start; then all frames are solved as a whole, and near the guesses that were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.network.lifter import Lifter
from learnable_smplify.solver.clip.smooth import SmoothOptions
from learnable_smplify.solver.clip.views import smooth_views
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.view.cameras import LEAST_PX, ROBUST, Tracked, between_keyframes, misfit
from learnable_smplify.solver.view.hypotheses import Hypotheses, HypothesisOptions, hypotheses
from learnable_smplify.solver.view.observed import Observed
from learnable_smplify.solver.view.paths import best_chain

# Frames whose hypotheses are solved at once.
_CHUNK = 256
# A frame is doubtful when poses that put a keypoint elsewhere by this [m] are likelier than this together.
_ELSEWHERE, _DOUBT = 0.25, 0.2


@dataclass(frozen=True)
class SingleOptions:
    """How a clip of one camera is solved.

    Args:
        guess: how guesses are solved.
        sharpness: weight of the frames' costs in the chain.
        smooth: how the clip is solved as a whole; its `network_weight` is that of the chosen guesses.
    """

    guess: HypothesisOptions = field(default_factory=HypothesisOptions)
    sharpness: float = 0.2
    smooth: SmoothOptions = field(default_factory=lambda: SmoothOptions(refine_shape=False, max_iterations=5))


@dataclass(frozen=True, eq=False)
class SingleClip:
    """A clip in the camera's frame, and where it could be another pose."""

    tracked: Tracked
    doubtful: Bool[Tensor, " T"]


def solve_camera(
    observed: Observed,
    folded: FoldedPoints,
    betas: Float[Tensor, "10"],
    lifter: Lifter,
    priors: Priors,
    least_keypoints: int,
    options: SingleOptions,
) -> SingleClip:
    """Every frame, in the camera's frame.

    Args:
        observed: by one camera that stands at the origin and looks along z.
        least_keypoints: a frame with fewer lies between its neighbours.

    Raises:
        InputError: no frame has so many.
    """
    points = folded.shaped(betas[None])
    rows = ((observed.confidence > 0).sum((1, 2)) >= least_keypoints).nonzero()[:, 0]
    if len(rows) == 0:
        raise InputError(f"no frame has {least_keypoints} keypoints", expected="a person in the picture")
    sigma = observed.noise_px(LEAST_PX)
    sight = observed.sight(sigma, ROBUST)

    def found(part: Int[Tensor, " B"]) -> Hypotheses:
        return hypotheses(lifter, observed, part, points, sight.select(part), priors, options.guess)

    several = join_hypotheses([found(part) for part in rows.split(_CHUNK)])
    chain = best_chain(several.rotmat, several.transl, several.cost, rows, observed.fps, priors, options.sharpness)
    at = torch.arange(len(rows), device=rows.device), chain.chosen
    rotmat, transl = between_keyframes(several.rotmat[at], several.transl[at], rows, len(observed))
    mean, _ = between_keyframes(several.mean[at], several.transl[at], rows, len(observed))
    precision = torch.zeros(len(observed), 24, dtype=rotmat.dtype, device=rotmat.device)
    precision[rows] = several.precision[at]
    frames = Frames.of(points, rotmat, transl)
    sight = observed.sight(torch.maximum(sigma, sigma * misfit(sight, frames)), ROBUST)
    whole = smooth_views(
        folded,
        sight,
        rotmat,
        transl,
        betas,
        observed.fps,
        priors,
        options.smooth,
        prior_rotmat=mean,
        prior_precision=torch.diag_embed(precision.repeat_interleave(3, dim=1)),
    )
    doubtful = torch.ones(len(observed), dtype=torch.bool, device=rows.device)
    doubtful[rows] = doubt(several, points, chain.chosen, chain.likely)
    return SingleClip(Tracked(whole.rotmat, whole.transl, sight), doubtful)


def doubt(
    several: Hypotheses, points: ShapedPoints, chosen: Int[Tensor, " T"], likely: Float[Tensor, "T M"]
) -> Bool[Tensor, " T"]:
    """Frames in which poses other than the chosen one are not unlikely."""
    frames, count = likely.shape
    posed = points.pose(several.rotmat.flatten(0, 1))
    placed = (posed.positions() - posed.joints[:, :1]).unflatten(0, (frames, count))
    away = (placed - placed[torch.arange(frames, device=chosen.device), chosen][:, None]).norm(dim=-1).amax(dim=-1)
    return (likely * (away > _ELSEWHERE)).sum(1) > _DOUBT


def join_hypotheses(parts: list[Hypotheses]) -> Hypotheses:
    """Of all frames."""
    names = ("rotmat", "transl", "mean", "precision", "cost", "distance")
    return Hypotheses(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def at_origin(observed: Observed) -> Observed:
    """One camera's frame taken for the world."""
    camera = observed.cameras[0]
    local = replace(camera, R_camera_world=torch.eye(3), t_camera_world=torch.zeros(3), up_axis=None)
    return replace(observed, cameras=(local,))
