"""A whole recording of one person, step by step:

repair -> body shape -> frame after frame -> (keypoint offsets, once more) -> (smooth) -> gaps filled
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.open_body import CHILD
from learnable_smplify.body.size import RestMesh
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import RepairOptions, check_seen, interpolate_gaps, repair_keypoints, without_held
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.clip.smooth import SmoothOptions, smooth_clip
from learnable_smplify.solver.followed import Followed, measured_on, with_offsets
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import (
    ClipOptions,
    Finder,
    Tracker,
    numeric_follower,
    numeric_searcher,
    track,
)
from learnable_smplify.solver.ground import grounded, with_place_named
from learnable_smplify.solver.hand.recording import with_hands
from learnable_smplify.solver.hybrid import NeuralPairs, neural_follower
from learnable_smplify.solver.shape.estimate import ShapeEstimate, ShapeEstimator, shape_notes
from learnable_smplify.solver.shape.habit import open_priors, with_first_pose, with_habit
from learnable_smplify.solver.shape.lean import lean_deg, lean_note, makes_up_for_lengths
from learnable_smplify.solver.shape.limb_lengths import mean_lengths, scale_of
from learnable_smplify.solver.shape.offsets import Offsets
from learnable_smplify.solver.shape.prior import KnownSize
from learnable_smplify.solver.unseen.absences import eased
from learnable_smplify.solver.unseen.half_layouts import with_both_halves
from learnable_smplify.solver.unseen.invented import Lengths, with_invented
from learnable_smplify.solver.wrists import rested_wrists

Progress = Callable[[int, int], None]
# A scale within this of 1 is what people's sizes explain.
_OWN_SIZE = 0.02
# People whose limbs are shorter than the mean adult's by this much are fitted with a child's body, if the adult's does
# not reach them.
_CHILD_SCALE = 1.2
_SKELETON_NOTE = (
    "the joints are those of another body's skeleton, and are followed where they lie beside the open body's; "
    "joints of SMPL fit SMPL better: --body smpl"
)
# What markers on the skin are off by [m].
_MARKER_SIGMA = 0.004


@dataclass(frozen=True)
class RecordingOptions:
    """What is done to a recording besides following it frame by frame.

    Args:
        repair: remove spikes, exchanged sides, repeated frames; None takes the keypoints as they are.
        smooth: solve the whole clip once more as one problem with an acceleration prior. Needs all frames.
        hold_feet: hold feet still while they touch the ground; implies `smooth`.
        offsets: where this detector's keypoints lie beside the body's, from an earlier calibration.
        calibrate_offsets: find such offsets on this recording.
        scale_to_body: scale the keypoints to the size of the mean body first: for recordings whose scale is unknown.
        ground: give positions that are relative to the hips the way that their feet tell; with `hold_feet`, done too.
        known_size: what is known of the person's height, weight and build; for shapes that are estimated.
    """

    repair: RepairOptions | None = field(default_factory=RepairOptions)
    smooth: bool = False
    hold_feet: bool = False
    offsets: Offsets | None = None
    calibrate_offsets: bool = False
    scale_to_body: bool = False
    ground: bool = False
    known_size: KnownSize = field(default_factory=KnownSize)


@dataclass(frozen=True, eq=False)
class RecordingSolver:
    """The solver's parts that a recording needs.

    Args:
        body: to fit.
        priors: on the device.
        neural: the network's solver; None for the numerical one.
        clip: how frames are followed.
        device: where to compute.
    """

    body: Body
    priors: Priors
    neural: NeuralPairs | None
    clip: ClipOptions
    device: torch.device

    def finder(self, layout: Layout, folded: FoldedPoints, betas: Float[Tensor, "10"]) -> Finder:
        """How a person with these betas is found in frame after frame."""
        points = folded.shaped(betas[None])
        search = numeric_searcher(points, self.priors, self.clip)
        if self.neural is None or self.body.name == CHILD:
            return Finder(numeric_follower(points, self.priors, self.clip), search)
        plain = self.body.folded(layout, self.device)
        body25 = self.body.folded("body25", self.device)
        own = folded if plain is body25 else body25
        return Finder(neural_follower(self.neural, folded, own, layout, betas, self.clip), search)

    def prepared(self, keypoints: Keypoints, options: RecordingOptions) -> Keypoints:
        """The keypoints that the motion will be compared with: scaled, without constants, and put on a floor."""
        folded = self.body.folded(load_layout(keypoints.layout), self.device)
        if options.scale_to_body:
            keypoints = self._scaled(keypoints, folded, options.known_size.height_m)
        if options.repair is not None and options.repair.frozen:
            keypoints = without_held(keypoints)
        return grounded(keypoints, folded) if options.ground or options.hold_feet else with_place_named(keypoints)

    def fit(
        self,
        keypoints: Keypoints,
        options: RecordingOptions,
        betas: Float[Tensor, "10"] | None,
        start: tuple[Tensor, Tensor] | None,
        progress: Progress | None,
    ) -> tuple[Motion, Offsets | None]:
        """The motion, and the keypoint offsets that were used. See `Solver.fit`."""
        if options.offsets is None and not options.calibrate_offsets:  # which are of the layout as it is
            keypoints = with_both_halves(keypoints)
        layout = load_layout(keypoints.layout)
        if layout.markers and (self.neural is not None or self.clip.keypoint_sigma > _MARKER_SIGMA):
            # The network knows joints, not what stands off them; and a laboratory sees sharper than a detector.
            sharper = replace(self.clip, keypoint_sigma=min(self.clip.keypoint_sigma, _MARKER_SIGMA))
            return replace(self, neural=None, clip=sharper).fit(keypoints, options, betas, start, progress)
        points = self.body.folded(layout, self.device)
        measured, repaired, gap = self._repaired(self.prepared(keypoints, options), options.repair)
        told = self._shape(measured, with_offsets(points, options.offsets), options.known_size, betas)
        if betas is None and self._is_child(told, measured, points):
            child = replace(self, body=load_body(CHILD))
            note = (
                f"the person is as small as a child and has a child's body ({CHILD}), whose betas are its own "
                "(--scale-to-body for an adult in units of unknown length)"
            )
            known = replace(options.known_size, average=None)  # which is an adult's
            return child.fit(measured.with_note(note), replace(options, known_size=known), None, start, progress)
        shape = told.betas if betas is None else betas
        notes = () if betas is not None else (*shape_notes(told), *self._contradictions(measured, points, options))
        offsets = options.offsets
        if offsets is None and (layout.markers or (betas is None and layout.is_skeleton)):
            offsets = told.offsets
            if offsets is not None and not layout.markers and self.body.name == "open":
                notes = (*notes, _SKELETON_NOTE)

        keypoints = with_invented(measured, Lengths.of_body(points, told.betas, layout))
        priors = with_habit(self.priors, told.habit)
        used = self._with_priors(priors if start is None else with_first_pose(priors, start[0][0]))
        found = used._followed(keypoints, points, offsets, shape, start, progress)
        if offsets is None and betas is None:
            lean = lean_deg(told, found.clip.rotmat)
            if makes_up_for_lengths(lean):
                found = used._followed(keypoints, points, told.offsets, shape, start, progress)
                notes = (*notes, lean_note(lean, found.beside_body().error_mm()))
        if options.calibrate_offsets:
            found, note = used._calibrated(found, start, progress)
            notes = (*notes, note)
        elif layout.markers and offsets is not None:
            notes = (*notes, found.marker_note())
        if not layout.markers and 0.5 < self._scale(measured, points) < 2:
            beside = replace(found.beside_body(), keypoints=measured)
            notes = (*notes, *beside.misfit_note(self.clip.min_keypoints))

        own = betas is None and told.offsets is None
        smooth = options.smooth or options.hold_feet
        if smooth:
            found = used._smoothed(found, SmoothOptions(hold_feet=options.hold_feet, refine_shape=own, near_start=True))
        confidence = found.measured()[1]
        rotmat = found.clip.rotmat
        if start is None:  # which says how hands are held
            rotmat = rested_wrists(rotmat, points, confidence, trusted=own or betas is not None)
        motion = Motion(
            pose=rotmat_to_rotvec(rotmat.float()).cpu(),
            transl=found.clip.transl.float().cpu(),
            betas=found.betas.float().cpu(),
            fps=keypoints.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=keypoints.up_axis,
            flagged=found.clip.flagged.cpu() | repaired,
            betas_sigma=told.sigma.float().cpu() if betas is None else None,
            uncertainty_deg=None if found.clip.sigma is None else torch.rad2deg(found.clip.sigma).cpu(),
            start_s=keypoints.start_s,
            notes=tuple(dict.fromkeys((*keypoints.notes, *notes))),  # a child's fit goes through all steps again
        )
        if not smooth:  # smoothing has eased and bridged already
            motion = eased(motion, measured)
            gap = gap | ((measured.confidence > 0).sum(dim=1).cpu() < self.clip.min_keypoints)
            if bool(gap.any()) and not bool(gap.all()):
                motion = interpolate_gaps(motion, gap)
        return with_hands(motion, keypoints.hands, self.body, self.priors, smooth), found.offsets

    def _repaired(
        self, keypoints: Keypoints, options: RepairOptions | None
    ) -> tuple[Keypoints, Bool[Tensor, " T"], Bool[Tensor, " T"]]:
        """The keypoints without their faults, which frames had some, and which are gaps."""
        if options is None:
            none = torch.zeros(len(keypoints), dtype=torch.bool)
            return keypoints, none, none
        keypoints, repairs = repair_keypoints(keypoints, options)
        check_seen(keypoints, repairs.gap, options.min_keypoints)
        return keypoints, repairs.flagged.cpu(), repairs.gap

    def _shape(
        self, keypoints: Keypoints, points: FoldedPoints, known: KnownSize, betas: Float[Tensor, "10"] | None
    ) -> ShapeEstimate:
        mesh = RestMesh.of(self.body, self.device)
        estimator = ShapeEstimator(points, load_layout(keypoints.layout), mesh, self.priors, self.clip, known)
        told = estimator.estimate(*measured_on(self.device, keypoints), betas)
        if told.offsets is None or betas is not None:
            return told
        # A detector's half of a body says little of the other half's size: legs are as long as arms let expect.
        whole = with_invented(keypoints)
        if torch.equal(whole.confidence, keypoints.confidence):
            return told
        return estimator.estimate(*measured_on(self.device, whole))

    def _is_child(self, told: ShapeEstimate, keypoints: Keypoints, points: FoldedPoints) -> bool:
        return told.bounded and self.body.name == "open" and self._scale(keypoints, points) > _CHILD_SCALE

    def _with_priors(self, priors: Priors) -> RecordingSolver:
        return replace(self, priors=priors, neural=None if self.neural is None else self.neural.with_priors(priors))

    def _followed(
        self,
        keypoints: Keypoints,
        points: FoldedPoints,
        offsets: Offsets | None,
        shape: Float[Tensor, "10"],
        start: tuple[Tensor, Tensor] | None,
        progress: Progress | None,
    ) -> Followed:
        finder = self.finder(load_layout(keypoints.layout), with_offsets(points, offsets), shape)
        tracker = Tracker(finder, self.clip, keypoints.fps, start)
        clip = track(tracker, *measured_on(self.device, keypoints), progress)
        return Followed(keypoints, points, offsets, shape, clip)

    def _calibrated(
        self, before: Followed, start: tuple[Tensor, Tensor] | None, progress: Progress | None
    ) -> tuple[Followed, str]:
        """The clip with offsets calibrated on it, unless the keypoints then fit worse; and what was done, in words."""

        def again(last: Followed) -> Followed:
            return self._followed(last.keypoints, last.body_points, last.calibrated(), last.betas, start, progress)

        found = again(again(before))
        old, new = before.error_mm(), found.error_mm()
        if not new < old:
            note = f"offsets are not used: with them keypoints are {new:.1f} mm off on average, without {old:.1f}"
            kept = before.calibrated().zeroed() if before.offsets is None else before.offsets
            return replace(before, offsets=kept), note
        before_them = "without" if before.offsets is None else "with those found first"
        note = (
            f"with calibrated offsets keypoints are {new:.1f} mm off on average, {old:.1f} {before_them}; "
            f"{found.beside_body().error_mm():.1f} from the body's own points"
        )
        return found, note

    def _smoothed(self, found: Followed, options: SmoothOptions) -> Followed:
        whole = smooth_clip(
            found.points,
            *found.measured(),
            found.clip.rotmat,
            found.clip.transl,
            found.keypoints.fps,
            self.priors,
            options,
            found.betas,
            shape_priors=open_priors(self.priors),
            up_axis=found.keypoints.up_axis,
        )
        return replace(found, betas=whole.betas, clip=replace(found.clip, rotmat=whole.rotmat, transl=whole.transl))

    def _scaled(self, keypoints: Keypoints, folded: FoldedPoints, height_m: float | None) -> Keypoints:
        scale, whose = self._scale(keypoints, folded), "the mean body's"
        if height_m is not None:
            scale, whose = scale * height_m / self._mean_height(), f"those of somebody of {height_m:.2f} m"
        if abs(scale - 1) < _OWN_SIZE:
            return keypoints
        positions = torch.where((keypoints.confidence > 0)[..., None], keypoints.positions * scale, torch.nan)
        hands = None if keypoints.hands is None else keypoints.hands.moved(scale=scale)
        scaled = replace(keypoints, positions=positions, hands=hands)
        return scaled.with_note(f"positions times {scale:.4g}, so that the limbs are as long as {whose}")

    def _contradictions(self, keypoints: Keypoints, folded: FoldedPoints, options: RecordingOptions) -> tuple[str, ...]:
        known = options.known_size
        if known.height_m is None and known.weight_kg is None:
            return ()
        return known.contradictions(self._mean_height() / self._scale(keypoints, folded))

    def _mean_height(self) -> float:
        return float(RestMesh.of(self.body).height_and_weight(torch.zeros(10))[0])

    def _scale(self, keypoints: Keypoints, folded: FoldedPoints) -> float:
        return scale_of(*mean_lengths(folded, self.priors), *measured_on(self.device, keypoints))
