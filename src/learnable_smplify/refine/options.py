"""How an estimate is refined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from learnable_smplify.arrays import check_above_zero
from learnable_smplify.refine.align import AlignMode

ShapeSource = Literal["auto", "estimate"]


@dataclass(frozen=True)
class RefineOptions:
    """How an estimate is refined. The numbers were chosen on clips of the train split.

    Args:
        align: "clip" finds one rotation and place, "frame" lets them change over time (moving cameras), "auto" takes
            the first unless it clearly does not fit, "none" when estimate and keypoints share a frame.
        scale: of the estimate's path: a number; "fit"; or "auto", which finds one where 1 clearly does not fit.
        offset_s: what to add to the estimate's times to get the keypoints' [s]; None searches.
        search_s: offsets up to this are searched [s].
        shape: "auto" lets keypoints change betas as far as they can tell, "estimate" keeps the estimate's.
        smooth: solve the recording as a whole, as people move; else frame by frame.
        min_confidence: keypoints below it are left out.
        min_keypoints: a frame with fewer keeps the estimate.
        most_noise: recordings noisier than this (a coordinate, [m]) change nothing.
        keypoint_sigma: what a keypoint coordinate is off by [m]; None measures it.
        estimate_deg: what a joint of the estimate is off by (root mean square angle, [deg]); None measures it.
    """

    align: AlignMode = "auto"
    scale: float | Literal["auto", "fit"] = "auto"
    offset_s: float | None = None
    search_s: float = 1.0
    shape: ShapeSource = "auto"
    smooth: bool = True
    min_confidence: float = 0.05
    min_keypoints: int = 4
    most_noise: float = 0.15
    keypoint_sigma: float | None = None
    estimate_deg: float | None = None

    def __post_init__(self) -> None:
        check_above_zero(
            keypoint_sigma=self.keypoint_sigma,
            estimate_deg=self.estimate_deg,
            scale=None if isinstance(self.scale, str) else self.scale,
        )
