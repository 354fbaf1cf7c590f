"""A whole recording of one person, seen by one or several cameras, from nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.size import RestMesh
from learnable_smplify.motion import Motion
from learnable_smplify.network.lifter import Lifter
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.sight import in_world
from learnable_smplify.solver.frame.terms import Frames
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.swaps import swap_notes, unswapped
from learnable_smplify.solver.shape.estimate import ShapeEstimator, shape_notes
from learnable_smplify.solver.shape.prior import KnownSize, ShapePrior
from learnable_smplify.solver.view.alone import solve_alone
from learnable_smplify.solver.view.cameras import error_m, solve_cameras
from learnable_smplify.solver.view.single import SeenClip, at_origin, solve_camera
from learnable_smplify.timeline import runs
from learnable_smplify.views import View

Progress = Callable[[int, int], None]

# Triangulated frames start from so many keypoints at least.
_LEAST_PLACED = 8
# Where one of several cameras sees somebody for longer than this [s], depth is a guess.
_ALONE_S = 0.5
# Fewer frames than this are no clip.
_LEAST_CLIP = 3


@dataclass(frozen=True, eq=False)
class ViewSolver:
    """The solver's parts that a recording of cameras needs.

    Args:
        body: to fit.
        priors, lifter: on the device.
        clip: when a frame counts as lost.
        known_size: what is known of the person, for shapes that are estimated.
        device: where to compute.
    """

    body: Body
    priors: Priors
    lifter: Lifter
    clip: ClipOptions
    known_size: KnownSize
    device: torch.device

    def fit(self, views: Sequence[View], betas: Float[Tensor, "10"] | None, progress: Progress | None) -> Motion:
        """See `Solver.fit_views`."""
        observed = Observed.of(views, self.device)
        notes = tuple(dict.fromkeys(note for view in views for note in (*view.keypoints.notes, *view.camera.notes)))
        fit = self._by_one if len(views) == 1 else self._by_several
        found, more = fit(observed, betas)
        if progress is not None:
            progress(len(observed), len(observed))
        return Motion(
            pose=rotmat_to_rotvec(found.rotmat).float().cpu(),
            transl=found.transl.float().cpu(),
            betas=found.betas.float().cpu(),
            fps=observed.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=views[0].camera.up_axis,
            flagged=found.doubtful.cpu(),
            betas_sigma=None if found.betas_sigma is None else found.betas_sigma.float().cpu(),
            notes=(*notes, *more),
        )

    def solve_pictures(
        self, view: View, betas: Float[Tensor, "B 10"]
    ) -> tuple[Float[Tensor, "B 24 3 3"], Float[Tensor, "B 3"], Bool[Tensor, " B"]]:
        """Rotations and places in the world of B people, each in a picture of their own, and which are doubtful."""
        observed = Observed.of([view], self.device)
        points = self.body.folded(observed.layout, self.device).shaped(betas)
        found = solve_alone(at_origin(observed), points, self.lifter, self.priors)
        return *in_world(observed.cameras[0], points, found.rotmat, found.transl), found.doubtful

    def _by_one(self, observed: Observed, betas: Float[Tensor, "10"] | None) -> tuple[SeenClip, list[str]]:
        """The clip in the world, and notes."""
        mesh = RestMesh.of(self.body, self.device)
        prior = ShapePrior(mesh, self.known_size.wants(mesh), average=self.known_size.usual(mesh))
        folded = self.body.folded(observed.layout, self.device)
        local = at_origin(observed)
        if betas is not None and len(observed) < _LEAST_CLIP:
            alone = solve_alone(local, folded.shaped(betas[None]), self.lifter, self.priors)
            found = SeenClip(alone.rotmat, alone.transl, betas, None, alone.doubtful)
        else:
            found = solve_camera(local, folded, betas, prior, self.lifter, self.priors, self.clip.min_keypoints)
        points = folded.shaped(found.betas[None])
        lost = lost_frames(local, Frames.of(points, found.rotmat, found.transl), self.clip)
        rotmat, transl = in_world(observed.cameras[0], points, found.rotmat, found.transl)
        return replace(found, rotmat=rotmat, transl=transl, doubtful=lost | found.doubtful), []

    def _by_several(self, observed: Observed, betas: Float[Tensor, "10"] | None) -> tuple[SeenClip, list[str]]:
        """The clip in the world, and notes."""
        sides = unswapped(observed)
        observed, placed, sure = sides.observed, sides.placed, sides.sure
        notes = swap_notes(sides)
        unsure = int(sides.undecided.sum())
        if unsure:
            notes.append(
                f"in {unsure} of {len(observed)} frames cameras disagree on left and right, and nothing tells who is "
                "right: flagged"
            )
        shape, sigma = betas, None
        folded = self.body.folded(observed.layout, self.device)
        if shape is None:
            mesh = RestMesh.of(self.body, self.device)
            estimator = ShapeEstimator(folded, observed.layout, mesh, self.priors, self.clip, self.known_size)
            found = estimator.estimate(placed, sure)
            shape, sigma = found.betas, found.sigma
            notes += shape_notes(found)
        rotmat, transl = solve_cameras(observed, folded, shape, placed, sure, self.priors, _LEAST_PLACED)
        lost = lost_frames(observed, Frames.of(folded.shaped(shape[None]), rotmat, transl), self.clip)
        return SeenClip(rotmat, transl, shape, sigma, lost | sides.undecided), notes


def lost_frames(observed: Observed, frames: Frames, options: ClipOptions) -> Bool[Tensor, " T"]:
    """Frames of which too little is seen, or that are seen elsewhere; of several cameras, by one for long."""
    error = error_m(observed.sight(), frames)
    seen = observed.confidence > 0
    few = seen.any(1).sum(1) < options.min_keypoints
    if len(observed.cameras) > 1:
        alone = ((seen.sum(2) >= options.min_keypoints).sum(1) < 2).cpu().numpy()
        for first, end in runs(alone):
            if end - first > _ALONE_S * observed.fps:
                few[first:end] = True
    return few | (error > options.lost_error)
