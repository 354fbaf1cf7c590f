"""An estimator's motion made better by keypoints that know better.

    times  ->  alignment  ->  betas  ->  levels of error  ->  solve  ->  guard

The estimate stays in the solve as a Gaussian prior on every joint, and both sources weigh what their measured errors
say they are worth: bad keypoints correct little. Where they are no person at all, the estimate stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool
from torch import Tensor

from learnable_smplify.arrays import as_number
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import Motion
from learnable_smplify.refine.align import Alignment, align, find_jumps, frame_rotations, in_world, placed
from learnable_smplify.refine.errors import MotionErrors, compare
from learnable_smplify.refine.levels import MEDIAN_LENGTH, Levels, estimate_levels, keypoint_levels
from learnable_smplify.refine.options import RefineOptions
from learnable_smplify.refine.shape import first_betas, known_betas, shape_centre
from learnable_smplify.refine.solve import People, rest_pelvis, solve_together
from learnable_smplify.refine.times import Offset, find_offset, keypoints_at
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.priors import Priors, load_priors
from learnable_smplify.solver.given import check_kinds
from learnable_smplify.threads import one_thread_per_operation

if TYPE_CHECKING:
    from learnable_smplify.solver.solver import Solver

# Keypoints this far from every pose of the body, at the median of a frame [m], are no person, unless others of the
# recording are as noisy.
_NO_PERSON, _NO_PERSON_RATIO = 0.10, 2.0
# Aligned as well as can be, keypoints this far off at the median [m] show something else than the estimate.
_UNLIKE = 0.35
_STRANGE = 0.20


@dataclass(frozen=True, eq=False)
class RefineResult:
    """A refined estimate of T frames.

    Args:
        motion: in the keypoints' world, at the estimate's frames; the estimate itself where the guard kept it whole.
        aligned: the estimate in the keypoints' world, otherwise unchanged; None where no alignment was found.
        kept: (T,) frames in which the keypoints had no say.
        kept_whole: why the whole estimate was kept; None where it was not.
        errors: keypoint errors before (the aligned estimate) and after, and what moved; None with `aligned`.
        alignment: the estimate's frame in the keypoints' world, None with `aligned`.
        levels: what both were taken to be off by; None where `kept_whole` came first.
        offset: between the clocks.
        notes: lines for the user.
    """

    motion: Motion
    aligned: Motion | None
    kept: Bool[Tensor, " T"]
    kept_whole: str | None
    errors: MotionErrors | None
    alignment: Alignment | None
    levels: Levels | None
    offset: Offset
    notes: tuple[str, ...] = field(default=())


@torch.no_grad()
def refine_motion(
    solver: Solver,
    estimate: Motion,
    keypoints: Keypoints,
    options: RefineOptions | None = None,
    *,
    start_s: float = 0.0,
) -> RefineResult:
    """Refine an image-based estimator's motion of one person by keypoints of the same person.

    Args:
        solver: its body is the result's, its `solve_pairs` finds the first pose of every frame from the estimate's.
        estimate: in any frame of reference; betas count only if they are of the solver's body.
        keypoints: in the world the result is wanted in, metres.
        options: None for the defaults.
        start_s: the recording's time at the estimate's first frame, if both clocks agree [s].

    Returns:
        the refined motion and how it came about.

    Raises:
        InputError: the two have no time in common, or no frame has three keypoints.
    """
    options = RefineOptions() if options is None else options
    check_kinds((estimate, Motion), (keypoints, Keypoints), (options, RefineOptions))
    if not math.isfinite(as_number(start_s, "start_s")):
        raise InputError(f"start_s is {start_s}", expected="seconds")
    with one_thread_per_operation():
        return _Refinement(solver, estimate, keypoints, options, start_s).run()


class _Refinement:
    """One call's values, and the steps in their order."""

    def __init__(
        self, solver: Solver, estimate: Motion, keypoints: Keypoints, options: RefineOptions, start_s: float
    ) -> None:
        assert isinstance(keypoints.layout, Layout)
        self.solver, self.body, self.options, self.estimate = solver, solver.body, options, estimate
        self.layout, self.device, self.fps = keypoints.layout, solver.device, estimate.fps
        trusted = torch.where(keypoints.confidence >= options.min_confidence, keypoints.confidence, 0.0)
        if not bool((trusted > 0).any()):
            raise InputError(
                f"every keypoint's confidence is below {options.min_confidence:g}",
                expected="a recording with surer keypoints, or a smaller min_confidence",
            )
        self.recording = replace(
            keypoints, positions=keypoints.positions.to(self.device), confidence=trusted.to(self.device)
        )
        self.start_s = start_s
        self.notes: list[str] = []
        self.priors: Priors = load_priors().to(self.device)
        self.pose = estimate.pose.to(self.device)
        self.known_betas = known_betas(estimate, self.body)
        self.betas = self._betas_of_this_body()

    def run(self) -> RefineResult:
        model, pelvis = self._posed(self.pose, self.betas, self.estimate.transl.to(self.device))
        offset = self._offset(model)
        targets, confidence = self._targets(offset)
        centred = model - pelvis[:, None]
        folded = self.body.folded(self.layout, self.device)
        confidence = self._without_jumps(centred, targets, confidence)
        met, transl, used = self._start(centred, targets, confidence)
        confidence = confidence * used[:, None]
        if not bool(used.any()):
            return self._kept_whole("the keypoints fit no pose of the body", offset)

        found = align(model, pelvis, targets, confidence, self.fps, self.options.align, self.options.scale)
        self.notes += found.notes
        if found.error > _UNLIKE:
            reason = f"no alignment: the keypoints are {1000 * found.error:.0f} mm from the estimate at the median"
            return self._kept_whole(reason, offset)
        aligned = self._aligned(found, pelvis, folded)
        rotmat = rotvec_to_rotmat(aligned.pose.to(self.device))
        pelvis = aligned.transl.to(self.device) + rest_pelvis(folded, self.betas)

        off = targets - centred @ found.rotmat.mT - placed(centred, targets, confidence > 0, found.rotmat)[:, None]
        sigma, noise, slow = keypoint_levels(folded, self.priors, targets, confidence, off, self.fps)
        spread = (noise**2 + slow**2) ** 0.5
        if spread > self.options.most_noise:
            return self._kept_whole(f"the keypoints are too noisy: off by {1000 * spread:.0f} mm a coordinate", offset)
        if found.error > _STRANGE and spread < 0.5 * _STRANGE:
            self.notes.append(
                f"estimate and keypoints are {1000 * found.error:.0f} mm apart at the median: another person, or "
                "another time? (--person, --offset-s)"
            )
        centre, betas = shape_centre(self.known_betas, targets), self.betas
        finds_shape = self.options.shape == "auto" or self.known_betas is None
        if finds_shape:
            betas = first_betas(folded, centre, self.priors, targets, confidence, noise)
        levels = self._levels(betas, rotmat, targets, confidence, (sigma, noise, slow))
        start = People(
            torch.where(used[:, None, None, None], met, rotmat),
            torch.where(used[:, None], transl + rest_pelvis(folded, self.betas), pelvis),
            betas,
        )
        people = solve_together(
            folded,
            self.priors,
            People(rotmat, pelvis, self.betas),
            start,
            targets,
            confidence,
            used,
            levels,
            self.fps,
            shape_centre=centre if finds_shape else None,
            smooth=self.options.smooth,
        )
        motion = replace(
            self._in_world(people.rotmat, people.transl(folded), people.betas),
            flagged=~used.cpu() | self.estimate.flagged.cpu(),
            uncertainty_deg=None,
            betas_sigma=None,
            start_s=0.0,
            notes=(*self.estimate.notes, *self.recording.notes, *self.notes),
        )
        errors = compare(self.body, self.layout, aligned, motion, targets.cpu(), confidence.cpu())
        return RefineResult(motion, aligned, ~used.cpu(), None, errors, found, levels, offset, tuple(self.notes))

    def _betas_of_this_body(self) -> Tensor:
        if self.known_betas is not None:
            return self.known_betas.to(self.device)
        self.notes.append(
            f"the estimate's betas are of the body {self.estimate.body} ({self.estimate.gender}), not of "
            f"{self.body.name} ({self.body.gender}): the keypoints alone tell the shape"
        )
        return torch.zeros(10, device=self.device)

    def _posed(self, pose: Tensor, betas: Tensor, transl: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (T, K, 3) and pelvis (T, 3)."""
        keypoints = self.body.keypoints(pose, betas, transl, layout=self.layout)
        return keypoints, self.body.joints(pose, betas, transl)[:, 0]

    def _offset(self, model: Tensor) -> Offset:
        if self.options.offset_s is not None:
            return Offset(self.options.offset_s)
        offset = find_offset(model, self.fps, self.recording, self.start_s, self.options.search_s)
        if offset.found:
            self.notes.append(
                f"the keypoints' clock is {offset.seconds:+.3f} s from the estimate's: there, {100 * offset.share:.0f} "
                "% of their disagreement is left"
            )
        return offset

    def _targets(self, offset: Offset) -> tuple[Tensor, Tensor]:
        frames = len(self.estimate)
        times = self.start_s + offset.seconds + torch.arange(frames, device=self.device, dtype=torch.float64) / self.fps
        targets, confidence = keypoints_at(self.recording, times)
        seen = (confidence > 0).sum(dim=1)
        if int(seen.max()) < 3:
            raise InputError(
                f"the keypoints (0 to {(len(self.recording) - 1) / self.recording.fps:.2f} s) and the estimate "
                f"({float(times[0]):.2f} to {float(times[-1]):.2f} s of them) have no frame with 3 keypoints in common",
                expected="recordings that overlap in time",
                hint="--offset-s SECONDS, --fps RATE of the video",
            )
        missing = int((seen < self.options.min_keypoints).sum())
        if missing:
            self.notes.append(f"{missing} of {frames} frames have too few keypoints: the estimate stays there")
        return targets, confidence

    def _aligned(self, found: Alignment, pelvis: Tensor, folded: FoldedPoints) -> Motion:
        rotmat = rotvec_to_rotmat(self.pose)
        rotmat[:, 0] = found.rotmat @ rotmat[:, 0]
        place = (found.scale * found.rotmat @ pelvis[..., None])[..., 0] + found.shift
        return self._in_world(rotmat, place - rest_pelvis(folded, self.betas), self.betas)

    def _in_world(self, rotmat: Tensor, transl: Tensor, betas: Tensor) -> Motion:
        return in_world(self.estimate, rotmat, transl, betas, self.body, self.recording.up_axis)

    def _without_jumps(self, centred: Tensor, targets: Tensor, confidence: Tensor) -> Tensor:
        jumps = find_jumps(centred, targets, confidence)
        if bool(jumps.any()):
            self.notes.append(f"{int(jumps.sum())} of {int((confidence > 0).sum())} keypoints jump and are left out")
        return torch.where(jumps, 0.0, confidence)

    def _start(self, centred: Tensor, targets: Tensor, confidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Local rotations and transl that meet the keypoints, and the frames in which they do.

        Each frame is solved from the estimate's pose by itself, turned as a whole onto its keypoints.
        """
        enough = (confidence > 0).sum(dim=1) >= max(self.options.min_keypoints, 3)
        rotmat = rotvec_to_rotmat(self.pose)
        rotmat[:, 0] = frame_rotations(centred, targets, confidence) @ rotmat[:, 0]
        rotmat = torch.where(enough[:, None, None, None], rotmat, rotvec_to_rotmat(self.pose))
        pose, transl = self.solver.solve_pairs(
            rotmat_to_rotvec(rotmat), targets, self.betas, confidence=confidence, layout=self.layout
        )
        fitted = self.body.keypoints(pose, self.betas, transl, layout=self.layout)
        off = torch.where(confidence > 0, (fitted - targets).norm(dim=-1), torch.nan).nanmedian(dim=1).values
        used = enough & (off <= MEDIAN_LENGTH * self.options.most_noise)
        if bool(used.any()):
            used &= off <= max(_NO_PERSON, _NO_PERSON_RATIO * float(off[used].median()))
        wrong = int((enough & ~used).sum())
        if wrong:
            self.notes.append(
                f"in {wrong} of {len(used)} frames the keypoints fit no pose of the body: the estimate stays there"
            )
        return rotvec_to_rotmat(pose), transl, used

    def _levels(
        self,
        betas: Tensor,
        rotmat: Tensor,
        targets: Tensor,
        confidence: Tensor,
        keypoint: tuple[float, float, float],
    ) -> Levels:
        sigma, noise, slow = keypoint
        points = self.body.folded(self.layout, self.device).shaped(betas[None])
        degrees, stays = estimate_levels(points, rotmat, targets, confidence, noise**2 + slow**2, self.fps)
        options = self.options
        return Levels(
            keypoint_sigma=sigma if options.keypoint_sigma is None else options.keypoint_sigma,
            noise=noise,
            slow=slow,
            estimate_deg=degrees if options.estimate_deg is None else options.estimate_deg,
            estimate_s=stays,
        )

    def _kept_whole(self, reason: str, offset: Offset) -> RefineResult:
        self.notes.append(f"{reason}: the estimate stays as it is")
        motion = replace(self.estimate, notes=(*self.estimate.notes, *self.notes))
        kept = torch.ones(len(motion), dtype=torch.bool)
        return RefineResult(motion, None, kept, reason, None, None, None, offset, tuple(self.notes))
