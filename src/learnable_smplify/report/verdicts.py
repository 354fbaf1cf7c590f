"""The report's summary: each number with a verdict and one sentence of plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from learnable_smplify.motion import Motion
from learnable_smplify.report.measures import FitMeasures

Level = Literal["good", "fair", "poor"]

# Where good ends and where poor begins. Rules of thumb from recordings with several cameras, not a standard.
_ERROR_MM = (30.0, 60.0)
# A part of the body that is off by more on average is not followed, whatever the others are.
_PART_MM = 50.0
_FLAGGED_SHARE = (0.0, 0.05)
_VARIATION = (0.03, 0.08)
_MISSING_SHARE = (0.05, 0.25)
_UNCERTAINTY_DEG = (10.0, 20.0)
# Mean acceleration of the joints [m/s^2]. Of 60 clean motion captures at 30 fps (walking, dancing, jumping, climbing)
# three quarters stay below 10, and the liveliest has 20.
_JITTER = (10.0, 25.0)
_LIVELIEST = 20.0
# The body's acceleration over the keypoints': clearly less, and not less at all.
_JITTER_RATIO = (0.5, 1.05)
_HEIGHT_M = (1.4, 2.1)


@dataclass(frozen=True)
class Verdict:
    """One card of the summary."""

    title: str
    value: str
    level: Level
    sentence: str


def judge(
    motion: Motion, fit: FitMeasures | None, joint_jitter: Float[np.ndarray, "T"], height_m: float
) -> list[Verdict]:
    """The verdicts on a motion, those that need keypoints first where there are any."""
    verdicts = [] if fit is None else [_distance(fit)]
    verdicts.append(_flags(motion, fit))
    if fit is not None:
        if fit.bones:
            verdicts.append(_bones(fit))
        verdicts.append(_missing(fit))
    verdicts.append(_smoothness(fit, joint_jitter))
    verdicts.append(_size(fit, height_m))
    if motion.uncertainty_deg is not None and bool(motion.uncertainty_deg.isfinite().any()):
        verdicts.append(_uncertainty(motion))
    return verdicts


def headline(verdicts: list[Verdict]) -> str:
    """The whole summary in one sentence."""
    poor = [verdict.title.lower() for verdict in verdicts if verdict.level == "poor"]
    fair = [verdict.title.lower() for verdict in verdicts if verdict.level == "fair"]
    if not poor and not fair:
        return f"All {len(verdicts)} checks are good."
    parts = [f"{len(verdicts) - len(poor) - len(fair)} of {len(verdicts)} checks are good"]
    if poor:
        parts.append("do not trust the motion before you have looked at: " + ", ".join(poor))
    if fair:
        parts.append(("also " if poor else "") + "worth a look: " + ", ".join(fair))
    return "; ".join(parts) + "."


def _level(value: float, limits: tuple[float, float]) -> Level:
    return "good" if value <= limits[0] else "fair" if value <= limits[1] else "poor"


def _distance(fit: FitMeasures) -> Verdict:
    mean = float(np.nanmean(fit.error_mm)) if fit.seen.any() else float("nan")
    if not fit.seen.any():
        return Verdict("Distance from the keypoints", "none", "poor", "No keypoint belongs to a frame of the motion.")
    level = _level(mean, _ERROR_MM)
    sentence = {
        "good": "The body follows the measured points closely. Some distance always remains, because a detector's "
        "points and a body's joints never mean quite the same places.",
        "fair": "The body follows the measured points, but limbs are off visibly at times; see below where and when.",
        "poor": "Too far to trust. Check that these keypoints belong to this motion, their unit and axes, that the "
        "layout is right, and that left and right are not swapped.",
    }[level]
    if fit.stand_off_mm is not None:
        sentence += (
            f" Markers stand {fit.stand_off_mm:.0f} mm on average from where most people's do, which counts in the "
            "error that 'lsmplify fit' prints; here each is held against where it stands on average over this motion."
        )
    return Verdict("Distance from the keypoints", f"{mean:.1f} mm", level, sentence)


def _flags(motion: Motion, fit: FitMeasures | None) -> Verdict:
    count, frames = int(motion.flagged.sum()), len(motion)
    level = _level(count / frames, _FLAGGED_SHARE)
    off = {} if fit is None else _far_parts(fit)
    if level == "good" and off:
        parts = ", ".join(f"{part} {error:.0f} mm" for part, error in off.items())
        sentence = f"No frame is marked, for the body as a whole fits, but parts of it do not: {parts} off on average."
        return Verdict("Frames not trusted", f"{count} of {frames}", "fair", sentence)
    sentence = {
        "good": "No frame is marked: each had enough keypoints, and a pose that fits them.",
        "fair": "A few frames are marked as not trusted, and shaded in the charts: their keypoints are missing, "
        "were repaired, or fit no pose.",
        "poor": "Many frames are marked as not trusted: their keypoints are missing, were repaired, or fit no pose. "
        "Use only the rest, or record again.",
    }[level]
    share = f" ({100 * count / frames:.1f} %)" if count else ""
    return Verdict("Frames not trusted", f"{count} of {frames}{share}", level, sentence)


def _far_parts(fit: FitMeasures) -> dict[str, float]:
    """Parts of the body that are further from their keypoints than can be trusted, and how far [mm]."""
    errors = {part: float(np.nanmean(error)) for part, error in fit.group_error_mm().items()}
    return {part: error for part, error in errors.items() if error > _PART_MM}


def _bones(fit: FitMeasures) -> Verdict:
    variation = float(np.mean([bone.variation for bone in fit.bones]))
    worst = max(fit.bones, key=lambda bone: bone.variation)
    level = _level(variation, _VARIATION)
    sentence = {
        "good": "Real bones keep their length, and in these keypoints they nearly do, so the recording is steady.",
        "fair": "Real bones keep their length; here they stretch and shrink somewhat, which is error of the recording "
        "and not of the fit.",
        "poor": "Real bones keep their length; here they do not, so the recording itself is bad: check the cameras' "
        "calibration and the confidence of the keypoints.",
    }[level]
    sentence += f" Least steady: {worst.name}, ± {100 * worst.variation:.1f} %."
    return Verdict("Bone lengths in the keypoints", f"± {100 * variation:.1f} %", level, sentence)


def _missing(fit: FitMeasures) -> Verdict:
    measured = np.asarray(fit.seen.any(axis=0))
    missing = 1 - float(fit.seen[:, measured].mean()) if measured.any() else 1.0
    level = _level(missing, _MISSING_SHARE)
    never = [name for name, there in zip(fit.layout.keypoint_names, measured, strict=True) if not there]
    sentence = {
        "good": "Nearly every keypoint is there in nearly every frame.",
        "fair": "Some keypoints are missing at times; those parts are guessed from the others and from what is usual.",
        "poor": "Much is missing; those parts of the body are guessed from the others and from what is usual.",
    }[level]
    if never:
        sentence += f" Never measured: {', '.join(never)}."
    return Verdict("Keypoints seen", f"{100 * (1 - missing):.1f} %", level, sentence)


def _smoothness(fit: FitMeasures | None, joint_jitter: np.ndarray) -> Verdict:
    title = "Jitter"
    if not np.isfinite(joint_jitter).any():
        return Verdict(title, "unknown", "good", "The motion is too short to shake.")
    steady = (
        f"Of clean motion captures three quarters stay below {_JITTER[0]:.0f} m/s²; those of people who jump reach "
        f"{_LIVELIEST:.0f}"
    )
    if fit is None or not np.isfinite(fit.jitter).any() or not np.isfinite(fit.body_jitter).any():
        value = float(np.nanmean(joint_jitter))
        level = _level(value, _JITTER)
        start = f"The joints change their speed by {value:.1f} m/s² on average"
        ratio = 0.0
    else:
        before, value = float(np.nanmean(fit.jitter)), float(np.nanmean(fit.body_jitter))
        ratio = value / max(before, 1e-9)
        level = _level(value, _JITTER)
        if level == "fair" and (ratio <= _JITTER_RATIO[0] and value <= _LIVELIEST):
            level = "good"
        if level == "fair" and ratio > _JITTER_RATIO[1]:
            level = "poor"
        start = f"The measured points change their speed by {before:.1f} m/s² on average, the body by {value:.1f}"
    sentence = {
        "good": f"{start}: it moves steadily.",
        "fair": f"{start}: a lively movement, or some shaking that is left in it. {steady}.",
        "poor": f"{start}: it shakes. {steady}.",
    }[level]
    if level == "poor" and ratio > _JITTER_RATIO[1]:
        sentence += " It shakes more than what was measured; look for jumps in the chart."
    return Verdict(title, f"{value:.1f} m/s²", level, sentence)


def _size(fit: FitMeasures | None, height_m: float) -> Verdict:
    level: Level = "good" if _HEIGHT_M[0] <= height_m <= _HEIGHT_M[1] else "fair"
    sentence = (
        "An adult's height." if level == "good" else "No usual height of an adult: check the unit of the keypoints."
    )
    if fit is not None and fit.bones:
        off = float(np.mean([abs(bone.fitted_m / max(bone.median_m, 1e-6) - 1) for bone in fit.bones]))
        sentence += f" Its bones differ from the measured ones by {100 * off:.1f} % on average"
        sentence += ", which is close." if off <= 0.05 else "."
        if off > 0.1:
            level = "fair"
            sentence += " Detectors and bodies place joints differently, but this is much."
    return Verdict("Height of the body", f"{height_m:.2f} m", level, sentence)


def _uncertainty(motion: Motion) -> Verdict:
    assert motion.uncertainty_deg is not None
    values = motion.uncertainty_deg.cpu().numpy()
    mean = float(np.nanmean(values))
    level = _level(mean, _UNCERTAINTY_DEG)
    sentence = {
        "good": "The network is sure of most rotations.",
        "fair": "The network is unsure of some rotations, usually of those that no keypoint shows.",
        "poor": "The network is unsure of the pose as a whole: too little was measured, or the pose is unusual.",
    }[level]
    sentence += (
        " This is its own estimate of how far a joint may be turned wrongly, before the keypoints had their say."
    )
    return Verdict("Network's uncertainty", f"{mean:.1f}°", level, sentence)
