"""A whole recording of one person, seen by one or several cameras, from nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import ShapedPoints
from learnable_smplify.body.size import RestMesh
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.shape.estimate import ShapeEstimate, ShapeEstimator, shape_notes
from learnable_smplify.solver.shape.prior import KnownSize
from learnable_smplify.solver.view.cameras import Tracked, error_m, solve_cameras
from learnable_smplify.solver.view.observed import Observed
from learnable_smplify.solver.view.swaps import unswapped
from learnable_smplify.solver.view.sweeps import SweepOptions
from learnable_smplify.solver.view.triangulate import placed_points
from learnable_smplify.views import View

Progress = Callable[[int, int], None]

# A frame whose sides had to be exchanged back in a camera is told of when that was so in this share of frames at least.
_OFTEN = 0.02
# Triangulated frames start from so many keypoints at least.
_LEAST_PLACED = 8


@dataclass(frozen=True, eq=False)
class ViewSolver:
    """The solver's parts that a recording of cameras needs.

    Args:
        body: to fit.
        priors: on the device.
        clip: when a frame counts as lost.
        known_size: what is known of the person, for shapes that are estimated.
        device: where to compute.
    """

    body: Body
    priors: Priors
    clip: ClipOptions
    known_size: KnownSize
    device: torch.device

    def fit(self, views: Sequence[View], betas: Float[Tensor, "10"] | None, progress: Progress | None) -> Motion:
        """See `Solver.fit_views`."""
        observed = Observed.of(views, self.device)
        placed, sure = placed_points(observed)
        observed, swapped = unswapped(observed, placed, sure)
        notes = [*views[0].keypoints.notes, *views[0].camera.notes, *_swap_notes(observed, swapped)]
        found: ShapeEstimate | None = None
        folded = self.body.folded(observed.layout, self.device)
        if betas is not None:
            shape = betas
        else:
            mesh = RestMesh.of(self.body, self.device)
            estimator = ShapeEstimator(folded, observed.layout, mesh, self.priors, self.clip, self.known_size)
            found = estimator.estimate(placed, sure)
            shape = found.betas
            notes += shape_notes(found)
        points = folded.shaped(shape[None])
        tracked = solve_cameras(observed, points, placed, sure, self.priors, _LEAST_PLACED, SweepOptions())
        if progress is not None:
            progress(len(observed), len(observed))
        return Motion(
            pose=rotmat_to_rotvec(tracked.rotmat).cpu(),
            transl=tracked.transl.cpu(),
            betas=shape.float().cpu(),
            fps=observed.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=views[0].camera.up_axis,
            flagged=self._lost(observed, points, tracked).cpu(),
            betas_sigma=None if found is None else found.sigma.float().cpu(),
            notes=tuple(notes),
        )

    def _lost(self, observed: Observed, points: ShapedPoints, tracked: Tracked) -> Bool[Tensor, " T"]:
        """Frames of which too little is seen, or that are seen elsewhere."""
        error = error_m(tracked.sight, Frames.of(points, tracked.rotmat, tracked.transl))
        few = (observed.confidence > 0).any(1).sum(1) < self.clip.min_keypoints
        return few | (error > self.clip.lost_error)


def _swap_notes(observed: Observed, swapped: Bool[Tensor, "T V"]) -> list[str]:
    notes = []
    for camera, share in zip(observed.cameras, swapped.float().mean(0).tolist(), strict=True):
        if share >= _OFTEN:
            name = camera.name or "a camera"
            notes.append(
                f"{name}: left and right exchanged back in {100 * share:.0f} % of frames, as the others see it"
            )
    return notes
