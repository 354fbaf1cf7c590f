"""One camera, and a detector that guesses in space as well: the guess says how limbs lie, the picture where they are.

The guess is put where the picture shows it (`view/lift.py`) and fitted as 3D keypoints, which finds the person's shape
and in which frames left and right are exchanged. Then the whole clip is solved in pixels, near that motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import repair_keypoints
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.clip.smooth import SmoothOptions
from learnable_smplify.solver.clip.views import smooth_views
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.solver.frame.sight import in_world
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.swaps import taken_from
from learnable_smplify.solver.solver import Solver
from learnable_smplify.solver.view.cameras import LEAST_PX, ROBUST, misfit
from learnable_smplify.solver.view.lift import lifted
from learnable_smplify.solver.view.recording import lost_frames
from learnable_smplify.solver.view.single import at_origin
from learnable_smplify.threads import one_thread_per_operation
from learnable_smplify.track import Track
from learnable_smplify.views import View

# Rotations of the motion that the guess gives are off by about this [rad], each joint of its own.
_GUESS_SIGMA = 0.3
_SMOOTH = SmoothOptions(refine_shape=False, max_iterations=6)


def fit_guided(
    solver: Solver,
    track: Track,
    view: View,
    betas: Float[Tensor, "10"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Motion:
    """The motion of a person whom one camera saw, with the detector's guess in space.

    How far away the person is follows from their size, so the distance is as good as the betas.

    Args:
        solver: for the method, the body and what is known of the person's size.
        track: with its `world`.
        view: the same keypoints, and the camera.
        betas: of the person, if known.
        progress: called with (frames done, frames in all).

    Raises:
        InputError: the track has no guess in space, or too few keypoints in all frames.
    """
    if track.world is None:
        raise InputError("the track has no landmarks in space", expected="Solver.fit_views for pixels alone")
    placed = lifted(view.keypoints, track.world, view.camera)
    _, repairs = repair_keypoints(placed)
    start = solver.fit(placed, betas, progress=progress)
    mirror = torch.tensor(load_layout(view.keypoints.layout).mirror)
    view = taken_from(view, torch.where(repairs.swapped, mirror, torch.arange(len(mirror))))
    with one_thread_per_operation():
        observed = at_origin(Observed.of([view]))
        folded = solver.body.folded(observed.layout)
        points = folded.shaped(start.betas[None])
        rotmat, transl = rotvec_to_rotmat(start.pose), start.transl
        sigma = observed.noise_px(LEAST_PX)
        off = misfit(observed.sight(sigma, ROBUST), Frames.of(points, rotmat, transl))
        sight = observed.sight(torch.maximum(sigma, sigma * off), ROBUST)
        sources = [(rotmat, torch.eye(72) / _GUESS_SIGMA**2)]
        solved = smooth_views(
            folded, sight, rotmat, transl, start.betas, observed.fps, load_priors(), _SMOOTH, sources=sources
        )
        lost = lost_frames(observed, Frames.of(points, solved.rotmat, solved.transl), solver.clip_options)
        turned, moved = in_world(view.camera, points, solved.rotmat, solved.transl)
    return replace(
        start,
        pose=rotmat_to_rotvec(turned).float(),
        transl=moved.float(),
        up_axis=view.camera.up_axis,
        flagged=lost,
        uncertainty_deg=None,
        notes=tuple(dict.fromkeys((*view.keypoints.notes, *view.camera.notes, *start.notes))),
    )
