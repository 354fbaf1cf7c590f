"""A whole recording of one person, step by step:

repair -> body shape -> frame after frame -> (keypoint offsets, once more) -> (smooth) -> gaps filled
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body, load_body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.body.open_body import CHILD
from learnable_smplify.body.size import RestMesh
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout, others_as_wide
from learnable_smplify.motion import Motion
from learnable_smplify.repair import RepairOptions, check_seen, interpolate_gaps, repair_keypoints
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.solver.clip.smooth import SmoothOptions, smooth_clip
from learnable_smplify.solver.frame.levenberg_marquardt import fit_error
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import (
    ClipOptions,
    ClipSolution,
    Finder,
    Tracker,
    numeric_follower,
    numeric_searcher,
    track,
)
from learnable_smplify.solver.ground import grounded, with_place_named
from learnable_smplify.solver.hand.recording import with_hands
from learnable_smplify.solver.hybrid import NeuralPairs, neural_follower
from learnable_smplify.solver.invented import Lengths, eased, with_invented
from learnable_smplify.solver.shape.estimate import ShapeEstimate, ShapeEstimator, shape_notes
from learnable_smplify.solver.shape.habit import open_priors, with_habit
from learnable_smplify.solver.shape.limb_lengths import limb_lengths, scale_of
from learnable_smplify.solver.shape.offsets import Offsets, calibrate_offsets
from learnable_smplify.solver.shape.prior import KnownSize
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
# Rounds of "calibrate offsets, fit again".
_OFFSET_ROUNDS = 2


# What markers on the skin are off by [m].
_MARKER_SIGMA = 0.004
# Keypoints that are further off on average [m] are not those of a body.
_NO_BODY = 0.12


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
        """The keypoints that the motion will be fitted to and can be compared with: scaled, and put on a floor."""
        folded = self.body.folded(load_layout(keypoints.layout), self.device)
        if options.scale_to_body:
            keypoints = self._scaled(keypoints, folded, options.known_size.height_m)
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
        layout = load_layout(keypoints.layout)
        if layout.markers and (self.neural is not None or self.clip.keypoint_sigma > _MARKER_SIGMA):
            # The network knows joints, not what stands off them; and a laboratory sees sharper than a detector.
            sharper = replace(self.clip, keypoint_sigma=min(self.clip.keypoint_sigma, _MARKER_SIGMA))
            return replace(self, neural=None, clip=sharper).fit(keypoints, options, betas, start, progress)
        plain = self.body.folded(layout, self.device)
        keypoints = self.prepared(keypoints, options)
        repaired = gap = torch.zeros(len(keypoints), dtype=torch.bool)
        if options.repair is not None:
            keypoints, repairs = repair_keypoints(keypoints, options.repair)
            repaired, gap = repairs.flagged.cpu(), repairs.gap
            check_seen(keypoints, gap, options.repair.min_keypoints)
        measured, offsets = keypoints, options.offsets
        told = self._shape(measured, layout, _with(plain, offsets), options, betas)
        keypoints = with_invented(measured, Lengths.of_body(plain, told.betas, layout))
        targets, confidence = self._measured(keypoints)
        notes = keypoints.notes
        priors = with_habit(self.priors, told.habit)
        used = replace(self, priors=priors, neural=None if self.neural is None else self.neural.with_priors(priors))
        if layout.markers and offsets is None:
            offsets = told.offsets
        shape = told.betas if betas is None else betas
        if betas is None:
            if told.bounded and self.body.name == "open" and self._scale(measured, plain) > _CHILD_SCALE:
                child = replace(self, body=load_body(CHILD))
                note = f"the person is as small as a child and has a child's body ({CHILD}), whose betas are its own"
                known = replace(options.known_size, average=None)  # which is an adult's
                return child.fit(measured.with_note(note), replace(options, known_size=known), None, start, progress)
            notes = (*notes, *shape_notes(told), *self._contradictions(measured, plain, options))
            if told.offsets is not None and offsets is None and _is_skeleton(layout):
                offsets = told.offsets
                if self.body.name == "open":
                    notes = (*notes, _SKELETON_NOTE)
        clip = used._followed(keypoints, layout, _with(plain, offsets), shape, start, progress)
        if options.calibrate_offsets:
            clip, offsets, note = used._calibrated(keypoints, layout, plain, offsets, shape, clip, start, progress)
            notes = (*notes, note)
        elif layout.markers and offsets is not None:
            notes = (*notes, self._marker_note(keypoints, plain, offsets, shape, clip))
        notes = (*notes, *self._misfit_note(measured, plain, shape, clip))
        rotmat, transl = clip.rotmat, clip.transl
        smooth, own = options.smooth or options.hold_feet, betas is None and told.offsets is None
        if smooth:
            whole = smooth_clip(
                _with(plain, offsets),
                targets,
                confidence,
                rotmat,
                transl,
                keypoints.fps,
                priors,
                SmoothOptions(hold_feet=options.hold_feet, refine_shape=own, near_start=True),
                shape,
                shape_priors=open_priors(priors),
                up_axis=keypoints.up_axis,
            )
            rotmat, transl, shape = whole.rotmat, whole.transl, whole.betas
        rotmat = rested_wrists(rotmat, plain, confidence, trusted=own or betas is not None)
        motion = Motion(
            pose=rotmat_to_rotvec(rotmat.float()).cpu(),
            transl=transl.float().cpu(),
            betas=shape.float().cpu(),
            fps=keypoints.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=keypoints.up_axis,
            flagged=clip.flagged.cpu() | repaired,
            betas_sigma=told.sigma.float().cpu() if betas is None else None,
            uncertainty_deg=None if clip.sigma is None else torch.rad2deg(clip.sigma).cpu(),
            start_s=keypoints.start_s,
            notes=tuple(dict.fromkeys(notes)),  # a child's fit goes through all steps again
        )
        if not smooth:
            motion = eased(motion, measured)
        gap = gap | ((measured.confidence > 0).sum(dim=1).cpu() < self.clip.min_keypoints)
        if bool(gap.any()) and not bool(gap.all()) and not smooth:
            motion = interpolate_gaps(motion, gap)  # smoothing has bridged them already
        return with_hands(motion, keypoints.hands, self.body, self.priors, smooth), offsets

    def _shape(
        self,
        keypoints: Keypoints,
        layout: Layout,
        folded: FoldedPoints,
        options: RecordingOptions,
        betas: Float[Tensor, "10"] | None,
    ) -> ShapeEstimate:
        mesh = RestMesh.of(self.body, self.device)
        estimator = ShapeEstimator(folded, layout, mesh, self.priors, self.clip, options.known_size)
        told = estimator.estimate(*self._measured(keypoints), betas)
        if told.offsets is None or betas is not None:
            return told
        # A detector's half of a body says little of the other half's size: legs are as long as arms let expect.
        whole = with_invented(keypoints)
        if torch.equal(whole.confidence, keypoints.confidence):
            return told
        return estimator.estimate(*self._measured(whole))

    def _measured(self, keypoints: Keypoints) -> tuple[Float[Tensor, "T K 3"], Float[Tensor, "T K"]]:
        """Positions [m] and confidence, on the device."""
        return keypoints.positions.to(self.device), keypoints.confidence.to(self.device)

    def _followed(
        self,
        keypoints: Keypoints,
        layout: Layout,
        folded: FoldedPoints,
        shape: Float[Tensor, "10"],
        start: tuple[Tensor, Tensor] | None,
        progress: Progress | None,
    ) -> ClipSolution:
        tracker = Tracker(self.finder(layout, folded, shape), self.clip, keypoints.fps, start)
        return track(tracker, *self._measured(keypoints), progress)

    def _calibrated(
        self,
        keypoints: Keypoints,
        layout: Layout,
        plain: FoldedPoints,
        before: Offsets | None,
        shape: Float[Tensor, "10"],
        clip: ClipSolution,
        start: tuple[Tensor, Tensor] | None,
        progress: Progress | None,
    ) -> tuple[ClipSolution, Offsets, str]:
        """The clip with offsets calibrated on it, unless the keypoints then fit worse; and what was done, in words."""
        offsets, found = before, clip
        for _ in range(_OFFSET_ROUNDS):
            measured = self._measured(keypoints)
            offsets = calibrate_offsets(plain, layout, found.rotmat, found.transl, shape, *measured)
            found = self._followed(keypoints, layout, _with(plain, offsets), shape, start, progress)
        assert offsets is not None
        old = self._error_mm(keypoints, _with(plain, before), shape, clip)
        new = self._error_mm(keypoints, _with(plain, offsets), shape, found)
        if not new < old:
            none = Offsets(layout.name, layout.keypoint_names, offsets.joint, torch.zeros_like(offsets.offset))
            note = f"offsets are not used: with them keypoints are {new:.1f} mm off on average, without {old:.1f}"
            return clip, none if before is None else before, note
        away = self._error_mm(keypoints, plain, shape, found)
        note = (
            f"with calibrated offsets keypoints are {new:.1f} mm off on average, {old:.1f} without; "
            f"{away:.1f} from the body's own points"
        )
        return found, offsets, note

    def _error_mm(self, keypoints: Keypoints, points: FoldedPoints, shape: Tensor, clip: ClipSolution) -> float:
        """What the keypoints are off by on average, over the frames that have some."""
        targets, confidence = self._measured(keypoints)
        error = fit_error(points.shaped(shape[None]), clip.rotmat, clip.transl, targets, confidence)
        return 1000 * float(error[(confidence > 0).any(dim=1)].mean())

    def _marker_note(
        self, keypoints: Keypoints, plain: FoldedPoints, offsets: Offsets, shape: Tensor, clip: ClipSolution
    ) -> str:
        off = self._error_mm(keypoints, _with(plain, offsets), shape, clip)
        away = 1000 * float(offsets.offset.norm(dim=-1).mean())
        return (
            f"markers stand off the body's points by {away:.0f} mm on average, which the keypoint error counts; "
            f"from where they were found to stand they are {off:.1f} mm off"
        )

    def _misfit_note(
        self, keypoints: Keypoints, plain: FoldedPoints, shape: Tensor, clip: ClipSolution
    ) -> tuple[str, ...]:
        """What may be wrong where most frames fit no body, although limbs are as long as a person's."""
        layout = load_layout(keypoints.layout)
        if layout.markers:
            return ()
        targets, confidence = self._measured(keypoints)
        seen = (confidence > 0).sum(dim=1) >= self.clip.min_keypoints
        error = fit_error(plain.shaped(shape[None]), clip.rotmat, clip.transl, targets, confidence)[seen]
        if float((error > _NO_BODY).double().mean()) < 0.5 or not 0.5 < self._scale(keypoints, plain) < 2:
            return ()
        others = others_as_wide(layout)
        instead = f"--layout {' or '.join(others)}" if others else "--layout"
        return (
            f"no body fits in most frames: the keypoints are {1000 * float(error.mean()):.0f} mm off, in another "
            f"order than that of {layout.name} ({instead}), or not of one person",
        )

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
        return scale_of(limb_lengths(folded, self.priors), *self._measured(keypoints))


def _is_skeleton(layout: Layout) -> bool:
    """Whether all keypoints are joints of SMPL's skeleton, as only a body has them."""
    return all(len(row) == 1 and row[0][0] in JOINT_INDEX for row in layout.points)


def _with(folded: FoldedPoints, offsets: Offsets | None) -> FoldedPoints:
    return folded if offsets is None else offsets.apply(folded)
