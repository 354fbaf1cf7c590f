"""An estimator's motion made better by what cameras saw: the use of the paper, with 2D detections.

    turn and places  ->  levels of error  ->  guesses of the lifting network (one camera)  ->  clip in pixels

Estimate and detections are of the same video, so their frames are the same. The estimate stays in the solve as a
Gaussian on every joint, and pixels weigh what their noise says they are worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.motion import Motion
from learnable_smplify.network.weights import load_lifter
from learnable_smplify.refine.align import in_world
from learnable_smplify.refine.levels import estimate_levels, joint_precision
from learnable_smplify.refine.options import RefineOptions
from learnable_smplify.refine.shape import known_betas, shape_centre
from learnable_smplify.refine.solve import POSE_WEIGHT
from learnable_smplify.refine.turn import drawn_to_rays, find_turn
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.clip.problem import ClipState
from learnable_smplify.solver.clip.smooth import SmoothOptions
from learnable_smplify.solver.clip.views import smooth_views
from learnable_smplify.solver.frame.priors import Priors, load_priors
from learnable_smplify.solver.frame.sight import SightTerm
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.swaps import swap_notes, unswapped
from learnable_smplify.solver.view.cameras import LEAST_PX, ROBUST, error_m
from learnable_smplify.solver.view.place import place_in_view
from learnable_smplify.solver.view.single import SMOOTH, at_origin, chosen_guesses
from learnable_smplify.threads import one_thread_per_operation
from learnable_smplify.timeline import between, evenly, rotations_between
from learnable_smplify.views import View, check_views

if TYPE_CHECKING:
    from learnable_smplify.solver.solver import Solver

# Noise above this at a person's distance [m] is more than the lifting network was trained on.
_LIFTED_BELOW = 0.035
# More cameras than this place joints by themselves; two may face each other. Fewer keypoints in a frame tell no pose.
_LIFTED_CAMERAS, _LEAST_LIFTED = 2, 6
# Frames by which tracks and people are compared.
_COMPARED = 60
# Estimators are off by 4 to 9 degrees a joint: more is another person, or another time.
_STRANGE_DEG = 12.0
# Where pixels are more exact than that, betas run along a narrow valley while poses are still wrong: with pixels that
# are believed less, poses come right first.
_COARSE_PX = 5.0
# What is off in two of three coordinates is all that pictures show of an error.
_SEEN_SHARE = 2 / 3


@dataclass(frozen=True, eq=False)
class ViewRefinement:
    """A refined estimate of T frames.

    Args:
        motion: in the cameras' world.
        aligned: the estimate in the cameras' world, otherwise unchanged.
        kept: (T,) frames in which the detections had no say.
        error_before_m, error_after_m: mean distance of the seen keypoints at the person's distance from the cameras,
            of the aligned estimate and of the result.
        noise_px: what each camera's pixels were taken to be off by.
        estimate_deg: what a joint of the estimate was taken to be off by (root mean square angle).
        notes: lines for the user.
    """

    motion: Motion
    aligned: Motion
    kept: Bool[Tensor, " T"]
    error_before_m: float
    error_after_m: float
    noise_px: tuple[float, ...]
    estimate_deg: float
    notes: tuple[str, ...] = field(default=())


@torch.no_grad()
def refine_by_views(
    solver: Solver, estimate: Motion, views: Sequence[View], options: RefineOptions | None = None
) -> ViewRefinement:
    """Refine an image-based estimator's motion of one person by 2D keypoints of the same frames.

    Args:
        solver: its body is the result's.
        estimate: in any frame of reference; betas count only if they are of the solver's body.
        views: one or several cameras in the world that the result is wanted in, and what they saw.
        options: None for the defaults; what concerns clocks and paths is not used.

    Returns:
        the refined motion and how it came about.

    Raises:
        InputError: views that do not belong together, another number of frames than the estimate's, or no frame with
            enough keypoints.
    """
    check_views(views)
    options = RefineOptions() if options is None else options
    frames = len(views[0].keypoints)
    if frames != len(estimate):
        raise InputError(
            f"the estimate has {len(estimate)} frames and the detections {frames}",
            expected="detections in the frames that the estimator saw",
        )
    with one_thread_per_operation():
        return _refined(solver, estimate, views, options)


@torch.no_grad()
def distance_to_views(body: Body, estimate: Motion, views: Sequence[View]) -> float:
    """How far an estimate is from what cameras saw of somebody: which track is theirs.

    Args:
        body: to pose the estimate on.
        estimate: in any frame of reference.
        views: of the same frames.

    Returns:
        mean distance of the seen keypoints at the person's distance, of the estimate turned and placed as the cameras
        see it best [m]; infinite where too little is seen.
    """
    observed = Observed.of(views)
    seen = (observed.confidence > 0).sum((1, 2)) >= _LEAST_LIFTED
    rows = seen.nonzero()[:, 0]
    if len(rows) == 0:
        return math.inf
    rows = rows[evenly(len(rows), _COMPARED)]
    observed, used = observed.frames(rows), torch.ones(len(rows), dtype=torch.bool)
    known = known_betas(estimate, body)
    points = body.folded(observed.layout, "cpu").shaped(torch.zeros(1, 10) if known is None else known[None])
    rotmat, sight = rotvec_to_rotmat(estimate.pose[rows]), observed.sight(observed.noise_px(LEAST_PX), None)
    with one_thread_per_operation():
        rotmat[:, 0] = find_turn(points, rotmat, sight, used) @ rotmat[:, 0]
    return float(error_m(sight, Frames.of(points, rotmat, _places(points, rotmat, sight, used))).mean())


def _refined(solver: Solver, estimate: Motion, views: Sequence[View], options: RefineOptions) -> ViewRefinement:
    body, device = solver.body, solver.device
    observed, undecided, notes = _told_apart(views, device)
    priors, fps = load_priors().to(device), estimate.fps
    used = (observed.confidence > 0).sum((1, 2)) >= options.min_keypoints
    if not bool(used.any()):
        raise InputError(f"no frame has {options.min_keypoints} keypoints", expected="a person in the pictures")
    known = known_betas(estimate, body)
    if known is None:
        notes.append(f"the estimate's betas are of the body {estimate.body} ({estimate.gender}), and are left out")
    betas = (torch.zeros(10) if known is None else known).to(device)
    folded = body.folded(observed.layout, device)
    points = folded.shaped(betas[None])

    rotmat = rotvec_to_rotmat(estimate.pose.to(device))
    noise = observed.noise_px(LEAST_PX)
    sight = observed.sight(noise, None)
    turn = torch.eye(3, device=device) if options.align == "none" else find_turn(points, rotmat, sight, used)
    rotmat[:, 0] = turn @ rotmat[:, 0]
    transl = _places(points, rotmat, sight, used)
    before = error_m(sight, Frames.of(points, rotmat, transl))[used]
    aligned = in_world(estimate, rotmat, transl, betas, body, views[0].camera.up_axis)
    degrees, stays = _levels(points, rotmat, transl, sight, fps)
    degrees = degrees if options.estimate_deg is None else options.estimate_deg
    precision = joint_precision(degrees, stays)
    if degrees > _STRANGE_DEG:
        notes.append(
            f"the estimate is off by {degrees:.0f} degrees a joint, which is much: is it of the same person and the "
            "same frames as the detections?"
        )
    sources = [(rotmat, precision * torch.eye(72, device=device))]
    start = rotmat, transl
    noise_m = float(_noise_m(points.pose(rotmat).positions() + transl[:, None], sight).median())
    if len(views) <= _LIFTED_CAMERAS and noise_m < _LIFTED_BELOW:
        lifted = _lifted(observed, used, points, rotmat, precision, priors)
        sources += [(mean, weights) for _, mean, weights in lifted]
        if lifted:
            start = lifted[0][0], _places(points, lifted[0][0], sight, used)

    finds_shape = options.shape == "auto" or known is None
    centre = shape_centre(known, transl) if finds_shape else betas
    smooth = SmoothOptions(pose_weight=POSE_WEIGHT, network_weight=1.0, refine_shape=finds_shape)

    def solved(start: tuple[Tensor, Tensor, Tensor], noise_px: Tensor) -> ClipState:
        person, seen = folded.recentred(centre), observed.sight(noise_px, ROBUST)
        return smooth_views(person, seen, *start, fps, priors, smooth, sources=sources)

    begun = (*start, betas - centre)
    if finds_shape and float(noise.min()) < _COARSE_PX:
        coarse = solved(begun, noise.clamp(min=_COARSE_PX))
        begun = coarse.rotmat, coarse.transl, coarse.betas
    found = solved(begun, noise)
    shape = found.betas + centre
    after = error_m(sight, Frames.of(folded.shaped(shape[None]), found.rotmat, found.transl))[used]
    motion = replace(
        in_world(estimate, found.rotmat, found.transl, shape, body, views[0].camera.up_axis),
        flagged=(~used | undecided).cpu() | estimate.flagged.cpu(),
        uncertainty_deg=None,
        betas_sigma=None,
        notes=(*estimate.notes, *notes),
    )
    return ViewRefinement(
        motion=motion,
        aligned=aligned,
        kept=~used.cpu(),
        error_before_m=float(before.mean()),
        error_after_m=float(after.mean()),
        noise_px=tuple(noise.tolist()),
        estimate_deg=degrees,
        notes=tuple(notes),
    )


def _told_apart(views: Sequence[View], device: torch.device) -> tuple[Observed, Bool[Tensor, " T"], list[str]]:
    """What was seen, left and right exchanged where cameras say so, the frames where that stays open, and notes."""
    observed = Observed.of(views, device)
    if len(views) == 1:
        return observed, torch.zeros(len(observed), dtype=torch.bool, device=device), []
    sides = unswapped(observed)
    return sides.observed, sides.undecided, swap_notes(sides)


def _lifted(
    observed: Observed,
    used: Bool[Tensor, " T"],
    points: ShapedPoints,
    rotmat: Float[Tensor, "T 24 3 3"],
    precision: float,
    priors: Priors,
) -> list[tuple[Float[Tensor, "T 24 3 3"], Float[Tensor, "T 24 3 3"], Float[Tensor, "T 72 72"]]]:
    """Of each camera that saw enough, poses near these, what the lifting network guesses, and how precisely it does."""
    found = []
    for number in range(len(observed.cameras)):
        seen = observed.of_cameras(torch.tensor([number]))
        turn = seen.cameras[0].R_camera_world.to(rotmat)
        local = rotmat.clone()
        local[:, 0] = turn @ local[:, 0]
        rows = (used & ((seen.confidence[:, 0] > 0).sum(1) >= _LEAST_LIFTED)).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        lifter = load_lifter().to(rotmat.device)
        best = chosen_guesses(at_origin(seen), rows, points, lifter, priors, (local[rows], precision)).turned(turn.T)
        poses, mean = (rotations_between(part, rows, len(rotmat)) for part in (best.rotmat, best.mean))
        weights = torch.zeros(len(rotmat), 72, 72, dtype=rotmat.dtype, device=rotmat.device)
        weights[rows] = SMOOTH.network_weight * best.whole_precision(points)
        found.append((poses, mean, weights))
    return found


def _places(
    points: ShapedPoints, rotmat: Float[Tensor, "T 24 3 3"], sight: SightTerm, used: Bool[Tensor, " T"]
) -> Float[Tensor, "T 3"]:
    """`transl` that lays every frame's pose on its rays; frames with too few are laid between the others."""
    keys = used.nonzero()[:, 0]
    transl = place_in_view(points.pose(rotmat[keys]).positions(), sight.select(keys))
    return between(transl, keys, len(rotmat))


def _levels(points: ShapedPoints, rotmat: Tensor, transl: Tensor, sight: SightTerm, fps: float) -> tuple[float, float]:
    """What a joint of the aligned estimate is off by [deg], and for how long [s]: where pixels draw its keypoints."""
    placed = points.pose(rotmat).positions() + transl[:, None]
    drawn = drawn_to_rays(placed, sight)
    weight = sight.weights[..., None]
    targets = (weight * drawn).sum(1) / weight.sum(1).clamp(min=1e-9) - transl[:, None]
    seen = sight.weights > 0
    views = seen.sum(1).clamp(min=1).float()[seen.any(1)].mean()
    noise = float(_noise_m(placed, sight).square().mean() / views)
    degrees, stays = estimate_levels(points, rotmat, targets, seen.any(1).to(placed), _SEEN_SHARE * noise, fps)
    return degrees / _SEEN_SHARE**0.5, stays


def _noise_m(placed: Float[Tensor, "T K 3"], sight: SightTerm) -> Float[Tensor, " N"]:
    """What pixels are off by at the distance of the keypoints that are seen [m]."""
    return (sight.cameras.local(placed)[..., 2] / sight.cameras.scale[:, :1])[sight.weights > 0]
