"""A clip of one person of known shape, seen by several cameras.

Keyframes from triangulated keypoints, then all frames in pixels, each by itself, then all as one problem.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints, ShapedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.solver.clip.smooth import SmoothOptions
from learnable_smplify.solver.clip.views import smooth_views
from learnable_smplify.solver.frame.cold_start import cold_start
from learnable_smplify.solver.frame.levenberg_marquardt import LevenbergMarquardt, PoseSolution, join_solutions
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.shape.habit import habit_of, habitless, with_habit
from learnable_smplify.solver.view.sweeps import POSE_WEIGHT, sight_problem, solve_side_by_side, sweep
from learnable_smplify.threads import map_chunks
from learnable_smplify.timeline import between, rotations_between

# Keyframes are so far apart [s].
_KEYFRAMES = 0.2
# Poses are improved afterwards.
_TRY, _FINISH = LevenbergMarquardt(3, initial_damping=1e-2), LevenbergMarquardt(2)
# Frames are so near their best by then that one step does.
_SETTLE = SmoothOptions(refine_shape=False, near_start=True, max_iterations=1)
# Keyframes that a search takes at once.
_SEARCHED = 32
# Triangulated keypoint coordinates may be off by this [m], and lose their pull from there on.
_POINT_SIGMA, _POINT_ROBUST = 0.02, 0.1
# Pixels are off by this at least, and lose their pull at so many times what they are off by.
LEAST_PX, ROBUST = 1.0, 8.0
_FIRST_ROBUST = 20.0
_FIRST = LevenbergMarquardt(6, step_tolerance=1e-3, initial_damping=1e-3)
_BETWEEN = LevenbergMarquardt(3, step_tolerance=1e-3, initial_damping=1e-3)
_AGAIN = LevenbergMarquardt(4, step_tolerance=1e-3, initial_damping=1e-3)


def solve_cameras(
    observed: Observed,
    folded: FoldedPoints,
    betas: Float[Tensor, "10"],
    placed: Float[Tensor, "T K 3"],
    sure: Float[Tensor, "T K"],
    priors: Priors,
    least_keypoints: int,
) -> tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "T 3"]]:
    """Rotations and places of every frame.

    Args:
        placed, sure: triangulated keypoints [m] and their confidence.
        least_keypoints: a keyframe has so many of them.

    Raises:
        InputError: no frame has.
    """
    enough = (sure > 0).sum(1) >= least_keypoints
    if not bool(enough.any()):
        raise InputError(
            f"in no frame do two cameras agree on {least_keypoints} keypoints",
            expected="cameras of one calibration that see one person at the same moments",
        )
    points = folded.shaped(betas[None])
    frames = len(observed)
    apart = max(1, round(_KEYFRAMES * observed.fps))
    keys = keyframes(enough, apart)

    def search(rows: Tensor) -> PoseSolution:
        return cold_start(points, placed[rows], sure[rows] / _POINT_SIGMA**2, priors, _POINT_ROBUST, _TRY, _FINISH)

    found = join_solutions(map_chunks(search, list(keys.split(_SEARCHED)), keys.device))
    sigma = observed.noise_px(LEAST_PX)
    sight = observed.sight(sigma, _FIRST_ROBUST)
    found, priors = _of_their_habit(points, sight.select(keys), found, priors)
    # What is off in all frames alike goes away only slowly where each is held by its neighbours: keyframes hold less.
    seen, rate = sight.select(keys), observed.fps / apart
    turned, placed = sweep(points, seen, found.rotmat, found.transl, priors, rate)
    rotmat, transl = rotations_between(turned, keys, frames), between(placed, keys, frames)
    problem = sight_problem(points, sight, *priors.and_human(rotmat, priors.change_over(_KEYFRAMES)), transl)
    first = solve_side_by_side(problem, rotmat, transl, _BETWEEN)
    rotmat, transl = first.rotmat, first.transl
    sigma = torch.maximum(sigma, sigma * misfit(sight, Frames.of(points, rotmat, transl)))
    sight = observed.sight(sigma, ROBUST)
    whole = smooth_views(folded, sight, rotmat, transl, betas, observed.fps, priors, _SETTLE)
    return whole.rotmat, whole.transl


def _of_their_habit(
    points: ShapedPoints, sight: SightTerm, found: PoseSolution, priors: Priors
) -> tuple[PoseSolution, Priors]:
    """Poses of some frames by their pixels alone, and the pose prior of this person.

    The pose prior is of one program's poses. Another's are off from it in all frames alike, which neighbours in time
    never put right: so each frame is solved without them, first with a prior that leaves habits open.
    """
    mean = priors.mean_facing(found.rotmat)
    problem = sight_problem(points, sight, mean, habitless(priors), found.transl)
    found = solve_side_by_side(problem, found.rotmat, found.transl, _FIRST)
    priors = with_habit(priors, habit_of(priors, found.rotmat))
    mean = priors.mean_facing(found.rotmat)
    problem = sight_problem(points, sight, mean, POSE_WEIGHT * priors.pose_precision, found.transl)
    return solve_side_by_side(problem, found.rotmat, found.transl, _AGAIN), priors


def keyframes(usable: Tensor, apart: int) -> Tensor:
    """The usable frames nearest to every `apart`-th one, the first and the last usable."""
    known = usable.nonzero()[:, 0]
    wanted = torch.arange(0, len(usable) + apart, apart, device=known.device)
    at = torch.searchsorted(known, wanted).clamp(max=len(known) - 1)
    return known[torch.cat((at, at.new_tensor([0, len(known) - 1])))].unique()


def misfit(sight: SightTerm, frames: Frames) -> Float[Tensor, " V"]:
    """What each camera's coordinates are off by, in units of what they were taken to be; outliers do not sway it."""
    away = sight.residual(frames).norm(dim=-1)
    # The median length of a normal vector in the plane is 1.1774 times the deviation of a coordinate.
    values = [away[:, v][sight.weights[:, v] > 0] for v in range(away.shape[1])]
    return torch.stack([value.median() / 1.1774 if len(value) else away.new_tensor(1.0) for value in values])


def error_m(sight: SightTerm, frames: Frames) -> Float[Tensor, " T"]:
    """Mean distance of the keypoints from where cameras see them, at the person's distance [m]: of each the median.

    One camera that takes somebody else for the person, or a keypoint for another, says nothing against the others.
    """
    depth = sight.cameras.local(frames.posed.positions() + frames.transl[:, None])[..., 2]
    away = sight.residual(frames).norm(dim=-1) * depth / sight.cameras.scale[:, :1]
    seen = sight.weights > 0
    each = torch.where(seen, away, torch.nan).nanquantile(0.5, dim=1)
    known = seen.any(1)
    return torch.where(known, each, 0.0).sum(1) / known.sum(1).clamp(min=1)
