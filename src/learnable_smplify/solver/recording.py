"""A whole recording of one person, step by step:

repair -> body shape -> frame after frame -> (keypoint offsets, once more) -> (smooth) -> gaps filled
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import RepairOptions, interpolate_gaps, repair_keypoints
from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.solver.clip.smooth import SmoothOptions, smooth_clip
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
from learnable_smplify.solver.ground import grounded
from learnable_smplify.solver.hybrid import NeuralPairs, neural_follower
from learnable_smplify.solver.invented import with_invented
from learnable_smplify.solver.offsets import Offsets, calibrate_offsets
from learnable_smplify.solver.shape.estimate import estimate_betas
from learnable_smplify.solver.shape.limb_lengths import limb_lengths, scale_of

Progress = Callable[[int, int], None]
# A scale within this of 1 is what people's sizes explain.
_OWN_SIZE = 0.02
# Rounds of "calibrate offsets, fit again".
_OFFSET_ROUNDS = 2


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
    """

    repair: RepairOptions | None = field(default_factory=RepairOptions)
    smooth: bool = False
    hold_feet: bool = False
    offsets: Offsets | None = None
    calibrate_offsets: bool = False
    scale_to_body: bool = False
    ground: bool = False


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
        if self.neural is None:
            return Finder(numeric_follower(points, self.priors, self.clip), search)
        plain = self.body.folded(layout, self.device)
        body25 = self.body.folded("body25", self.device)
        own = folded if plain is body25 else body25
        return Finder(neural_follower(self.neural, folded, own, layout, betas, self.clip), search)

    def prepared(self, keypoints: Keypoints, options: RecordingOptions) -> Keypoints:
        """The keypoints that the motion will be fitted to and can be compared with: scaled, and put on a floor."""
        folded = self.body.folded(load_layout(keypoints.layout), self.device)
        if options.scale_to_body:
            keypoints = self._scaled(keypoints, folded)
        return grounded(keypoints, folded) if options.ground or options.hold_feet else keypoints

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
        plain = self.body.folded(layout, self.device)
        keypoints = self.prepared(keypoints, options)
        repaired, gap = torch.zeros(len(keypoints), dtype=torch.bool), None
        if options.repair is not None:
            keypoints, repairs = repair_keypoints(keypoints, options.repair)
            repaired, gap = repairs.flagged.cpu(), repairs.gap
        keypoints, invented = with_invented(keypoints)
        targets, confidence = keypoints.positions.to(self.device), keypoints.confidence.to(self.device)

        offsets = options.offsets
        clip, shape = self._followed(keypoints, layout, _with(plain, offsets), betas, start, progress)
        if options.calibrate_offsets:
            for _ in range(_OFFSET_ROUNDS):
                offsets = calibrate_offsets(plain, layout, clip.rotmat, clip.transl, shape, targets, confidence)
                clip, shape = self._followed(keypoints, layout, _with(plain, offsets), betas, start, progress)
        rotmat, transl = clip.rotmat, clip.transl
        if options.smooth or options.hold_feet:
            smooth = smooth_clip(
                _with(plain, offsets).shaped(shape[None]),
                targets,
                confidence,
                rotmat,
                transl,
                keypoints.fps,
                self.priors,
                SmoothOptions(hold_feet=options.hold_feet, refine_shape=betas is None),
                shape,
                up_axis=keypoints.up_axis,
            )
            rotmat, transl, shape = smooth.rotmat, smooth.transl, smooth.betas
        motion = Motion(
            pose=rotmat_to_rotvec(rotmat.float()).cpu(),
            transl=transl.float().cpu(),
            betas=shape.float().cpu(),
            fps=keypoints.fps,
            body=self.body.name,
            gender=self.body.gender,
            up_axis=keypoints.up_axis,
            flagged=clip.flagged.cpu() | repaired,
            uncertainty_deg=None if clip.sigma is None else torch.rad2deg(clip.sigma).cpu(),
            notes=(*keypoints.notes, *invented),
        )
        if gap is not None and bool(gap.any()) and not (options.smooth or options.hold_feet):
            motion = interpolate_gaps(motion, gap)  # smoothing has bridged them already
        return motion, offsets

    def _followed(
        self,
        keypoints: Keypoints,
        layout: Layout,
        folded: FoldedPoints,
        betas: Float[Tensor, "10"] | None,
        start: tuple[Tensor, Tensor] | None,
        progress: Progress | None,
    ) -> tuple[ClipSolution, Float[Tensor, "10"]]:
        targets, confidence = keypoints.positions.to(self.device), keypoints.confidence.to(self.device)
        shape = estimate_betas(folded, targets, confidence, self.priors, self.clip) if betas is None else betas
        tracker = Tracker(self.finder(layout, folded, shape), self.clip, keypoints.fps, start)
        return track(tracker, targets, confidence, progress), shape

    def _scaled(self, keypoints: Keypoints, folded: FoldedPoints) -> Keypoints:
        limbs = limb_lengths(folded, self.priors)
        scale = scale_of(limbs, keypoints.positions.to(self.device), keypoints.confidence.to(self.device))
        if abs(scale - 1) < _OWN_SIZE:
            return keypoints
        scaled = replace(keypoints, positions=torch.where(_seen(keypoints), keypoints.positions * scale, torch.nan))
        return scaled.with_note(f"positions times {scale:.4g}, so that the limbs are as long as the mean body's")


def _seen(keypoints: Keypoints) -> Tensor:
    return (keypoints.confidence > 0)[..., None]


def _with(folded: FoldedPoints, offsets: Offsets | None) -> FoldedPoints:
    return folded if offsets is None else offsets.apply(folded)
