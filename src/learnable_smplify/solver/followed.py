"""A recording whose frames were followed: what was measured, who was found in it, and how well the two fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout, others_as_wide
from learnable_smplify.solver.frame.levenberg_marquardt import fit_error
from learnable_smplify.solver.frame.tracking import ClipSolution
from learnable_smplify.solver.shape.offsets import Offsets, calibrate_offsets

# Keypoints that are further off on average [m] are not those of a body.
_NO_BODY = 0.12


@dataclass(frozen=True, eq=False)
class Followed:
    """T frames of one person.

    Args:
        keypoints: what was measured.
        body_points: where the layout's keypoints are on the body.
        offsets: where the detector's lie beside them, if that is known.
        betas: (10,) of the person.
        clip: the person's poses.
    """

    keypoints: Keypoints
    body_points: FoldedPoints
    offsets: Offsets | None
    betas: Float[Tensor, "10"]
    clip: ClipSolution

    @property
    def points(self) -> FoldedPoints:
        """Where the keypoints are expected to be measured."""
        return with_offsets(self.body_points, self.offsets)

    def measured(self) -> tuple[Float[Tensor, "T K 3"], Float[Tensor, "T K"]]:
        """Positions [m] and confidence, on the device of the poses."""
        return measured_on(self.clip.rotmat.device, self.keypoints)

    def errors(self) -> Float[Tensor, " T"]:
        """What each frame's keypoints are off by on average [m]; 0 where there are none."""
        return fit_error(self.points.shaped(self.betas[None]), self.clip.rotmat, self.clip.transl, *self.measured())

    def error_mm(self) -> float:
        """What the keypoints are off by on average, over the frames that have some [mm]."""
        seen = (self.measured()[1] > 0).any(dim=1)
        return 1000 * float(self.errors()[seen].mean())

    def beside_body(self) -> Followed:
        """The same, held against the body's own points."""
        return replace(self, offsets=None)

    def calibrated(self) -> Offsets:
        """Where this recording's keypoints lie beside the body's points, in the mean over its frames."""
        layout = load_layout(self.keypoints.layout)
        rotmat, transl = self.clip.rotmat, self.clip.transl
        return calibrate_offsets(self.body_points, layout, rotmat, transl, self.betas, *self.measured())

    def marker_note(self) -> str:
        """How far this person's markers stand from where the layout has them, and how far they are off then."""
        assert self.offsets is not None
        away = 1000 * float(self.offsets.offset.norm(dim=-1).mean())
        return (
            f"this person's markers stand {away:.0f} mm on average from where most people's do, which the keypoint "
            f"error counts; from where they were found to stand they are {self.error_mm():.1f} mm off"
        )

    def misfit_note(self, min_keypoints: int) -> tuple[str, ...]:
        """What may be wrong where most frames that have so many keypoints fit no body; nothing where they do."""
        error = self.errors()[(self.measured()[1] > 0).sum(dim=1) >= min_keypoints]
        if not float((error > _NO_BODY).double().mean()) >= 0.5:
            return ()
        layout = load_layout(self.keypoints.layout)
        others = others_as_wide(layout)
        instead = f"--layout {' or '.join(others)}" if others else "--layout"
        return (
            f"no body fits in most frames: the keypoints are {1000 * float(error.mean()):.0f} mm off, in another "
            f"order than that of {layout.name} ({instead}), or not of one person",
        )


def with_offsets(points: FoldedPoints, offsets: Offsets | None) -> FoldedPoints:
    """A body's points, moved to where a detector's keypoints lie, if that is known."""
    return points if offsets is None else offsets.apply(points)


def measured_on(device: torch.device, keypoints: Keypoints) -> tuple[Float[Tensor, "T K 3"], Float[Tensor, "T K"]]:
    """Positions [m] and confidence of keypoints, on a device."""
    return keypoints.positions.to(device), keypoints.confidence.to(device)
