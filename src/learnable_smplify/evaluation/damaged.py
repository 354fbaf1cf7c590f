"""Errors on recordings that are damaged the way real ones are: noise, gaps, spikes, a spell of exchanged sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress, means, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.evaluation.protocols import frame_errors
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.repair import repair_keypoints
from learnable_smplify.solver import Solver

LAYOUT = "body25"
# A keypoint that jumped further than this [m] is one that repair ought to find.
_CLEAR_JUMP = 0.3


@dataclass(frozen=True)
class Damage:
    """What a recording suffers.

    Args:
        noise: standard deviation of Gaussian noise on every coordinate [m].
        missing: share of keypoints that are missing, each on its own.
        outliers: share of keypoints that jump, each on its own.
        outlier_size: jumps go anywhere, by a distance uniform in [0, this] [m].
        swap_s: for so long, once in the recording, left and right are exchanged [s]; at most half the recording.
    """

    noise: float = 0.02
    missing: float = 0.10
    outliers: float = 0.01
    outlier_size: float = 1.0
    swap_s: float = 0.5


_NOTHING = Damage(noise=0.0, missing=0.0, outliers=0.0, swap_s=0.0)


@dataclass(frozen=True, eq=False)
class DamagedClip:
    """A damaged recording, and what was done to it.

    Args:
        keypoints: what the solver gets.
        jump: (T, K) how far each keypoint was thrown [m], 0 for most.
        swapped: (T,) frames with exchanged sides.
        noise_alone: (T, K, 3) positions [m] with the noise and nothing else.
    """

    keypoints: Keypoints
    jump: Float[Tensor, "T K"]
    swapped: Bool[Tensor, " T"]
    noise_alone: Float[Tensor, "T K 3"]


def damage_recording(
    positions: Float[Tensor, "T K 3"], layout: Layout, fps: float, damage: Damage, generator: torch.Generator
) -> DamagedClip:
    """Sides exchanged, then noise, jumps and gaps on top."""
    frames, count = positions.shape[:2]
    swapped = torch.zeros(frames, dtype=torch.bool)
    length = min(round(damage.swap_s * fps), frames // 2)
    first = int(torch.randint(frames - length + 1, (), generator=generator))
    swapped[first : first + length] = True
    noise = damage.noise * torch.randn(frames, count, 3, generator=generator)
    way = torch.nn.functional.normalize(torch.randn(frames, count, 3, generator=generator), dim=-1)
    distance = damage.outlier_size * torch.rand(frames, count, generator=generator)
    jump = torch.where(torch.rand(frames, count, generator=generator) < damage.outliers, distance, 0.0)
    missing = torch.rand(frames, count, generator=generator) < damage.missing
    exchanged = torch.where(swapped[:, None, None], positions[:, list(layout.mirror)], positions)
    measured = torch.where(missing[..., None], torch.nan, exchanged + noise + jump[..., None] * way)
    return DamagedClip(Keypoints(measured, layout, fps), jump, swapped, positions + noise)


@dataclass(frozen=True)
class DamagedRow:
    """One way of fitting whole clips from nothing; means over all frames.

    Args:
        keypoints: "clean" or "damaged".
        pve_mm, mpjpe_mm: pelvis joints laid on each other; MPJPE over the 24 joints.
        worst_clip, worst_mpjpe_mm: the clip with the largest mean MPJPE.
        acceleration: mean error of the fitted body's keypoints, in acceleration [m/s^2].
        input_acceleration: the same of what was measured, where three frames in a row were.
        noise_acceleration: the same of the noise alone, without jumps, gaps and exchanged sides.
        flagged_share: frames the solver does not trust; they count in the means as well.
    """

    method: str
    keypoints: str
    clips: int
    frames: int
    pve_mm: float
    mpjpe_mm: float
    worst_clip: str
    worst_mpjpe_mm: float
    acceleration: float
    input_acceleration: float
    noise_acceleration: float
    flagged_share: float


@dataclass(frozen=True)
class RepairRow:
    """What repair found in the damaged recordings, as shares of what there was to find.

    Args:
        jumps_found: keypoints that jumped by more than 0.3 m and were removed.
        good_removed: keypoints that did not jump and were removed.
        swaps_found: exchanged keypoints (of a pair, seen) that were put back.
        wrongly_swapped: the same of keypoints that were right.
    """

    keypoints: str
    jumps_found: float
    good_removed: float
    swaps_found: float
    wrongly_swapped: float


def evaluate_damaged(
    clips: list[Clip],
    body: Body,
    solvers: list[tuple[str, Solver]],
    damage: Damage | None = None,
    progress: Progress = silent,
) -> tuple[list[DamagedRow], list[RepairRow]]:
    """Fit every clip from nothing, clean and damaged, with people whose betas are N(0, 1); all of a fixed seed.

    Args:
        solvers: each with a name; their `recording_options` say how a recording is treated.
    """
    damage, layout = Damage() if damage is None else damage, load_layout(LAYOUT)
    generator = torch.Generator().manual_seed(0)
    people = [torch.randn(10, generator=generator) for _ in clips]
    truth = [body.keypoints(clip.pose, betas, clip.transl, layout) for clip, betas in zip(clips, people, strict=True)]
    given = {
        condition: [
            damage_recording(true, layout, clip.fps, suffered, source) for true, clip in zip(truth, clips, strict=True)
        ]
        for condition, suffered, source in (("clean", _NOTHING, torch.Generator()), ("damaged", damage, generator))
    }
    rows = []
    for name, solver in solvers:
        for condition, recordings in given.items():
            found = []
            for clip, betas, true, recording in zip(clips, people, truth, recordings, strict=True):
                progress(f"{name}, {condition} keypoints: {clip.name}")
                found.append(_errors(body, clip, betas, true, recording, solver.fit(recording.keypoints)))
            rows.append(_row(name, condition, clips, found))
    return rows, [_repair_row(condition, recordings, layout) for condition, recordings in given.items()]


def _errors(
    body: Body, clip: Clip, betas: Tensor, true: Tensor, given: DamagedClip, motion: Motion
) -> tuple[Tensor, ...]:
    """PVE, MPJPE; errors in acceleration of the fit, of the input where it was seen, of its noise alone; flags."""
    pve, _, mpjpe, _ = frame_errors(body, (motion.pose, motion.betas), (clip.pose, betas), "pelvis")
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, LAYOUT)
    seen = given.keypoints.confidence > 0
    acceleration, of_input, of_noise = (
        _acceleration_error(points, true, clip.fps) for points in (fitted, given.keypoints.positions, given.noise_alone)
    )
    of_input = of_input[seen[:-2] & seen[1:-1] & seen[2:]]
    return pve, mpjpe, acceleration.flatten(), of_input, of_noise.flatten(), motion.flagged.float()


def _acceleration_error(
    points: Float[Tensor, "T K 3"], true: Float[Tensor, "T K 3"], fps: float
) -> Float[Tensor, "T-2 K"]:
    """Length [m/s^2] of the difference of second differences along time."""
    error = points - true
    return (error[2:] - 2 * error[1:-1] + error[:-2]).norm(dim=-1) * fps**2


def _row(name: str, condition: str, clips: list[Clip], found: list[tuple[Tensor, ...]]) -> DamagedRow:
    by_clip = [float(mpjpe.mean()) for _, mpjpe, *_ in found]
    worst = max(range(len(clips)), key=lambda index: by_clip[index])
    frames, (pve, mpjpe, *others) = sum(len(clip.pose) for clip in clips), means(found)
    return DamagedRow(name, condition, len(clips), frames, pve, mpjpe, clips[worst].name, by_clip[worst], *others)


def _repair_row(condition: str, inputs: list[DamagedClip], layout: Layout) -> RepairRow:
    mirror = list(layout.mirror)
    paired = torch.tensor(mirror) != torch.arange(len(layout))
    jumped, good, exchanged, right = [], [], [], []
    for given in inputs:
        repaired, _ = repair_keypoints(given.keypoints)
        seen = given.keypoints.confidence > 0
        # Told for each keypoint of the recording, wherever repair has put it.
        moved = paired & (repaired.positions[:, mirror] == given.keypoints.positions).all(dim=-1)
        removed = torch.where(moved, repaired.confidence[:, mirror], repaired.confidence) == 0
        jumped.append(removed[seen & (given.jump > _CLEAR_JUMP)])
        good.append(removed[seen & (given.jump == 0)])
        sided, swapped = seen & paired & ~removed, given.swapped[:, None]
        exchanged.append(moved[sided & swapped])
        right.append(moved[sided & ~swapped])
    return RepairRow(condition, *(_share(part) for part in (jumped, good, exchanged, right)))


def _share(parts: list[Tensor]) -> float:
    """Mean of booleans; NaN where there are none."""
    return float(torch.cat(parts).float().mean())


def damaged_table(rows: Sequence[DamagedRow]) -> str:
    """Errors on damaged recordings."""
    columns: Columns[DamagedRow] = [
        ("method", lambda row: row.method),
        ("keypoints", lambda row: row.keypoints),
        ("MPJPE [mm]", lambda row: f"{row.mpjpe_mm:.1f}"),
        ("worst clip", lambda row: f"{row.worst_mpjpe_mm:.1f} ({row.worst_clip})"),
        ("PVE [mm]", lambda row: f"{row.pve_mm:.1f}"),
        ("acceleration error [m/s²]", lambda row: f"{row.acceleration:.1f}"),
        ("of the input", lambda row: f"{row.input_acceleration:.1f}"),
        ("of its noise alone", lambda row: f"{row.noise_acceleration:.1f}"),
        ("flagged", lambda row: f"{100 * row.flagged_share:.1f} %"),
    ]
    title = f"Whole clips from nothing, betas unknown ({rows[0].clips} clips, {rows[0].frames:,} frames)"
    return table_of(title, rows, columns)


def repair_table(rows: Sequence[RepairRow]) -> str:
    """What repair finds in damaged recordings."""

    def per_cent(share: float) -> str:
        return "" if math.isnan(share) else f"{100 * share:.2f} %"

    columns: Columns[RepairRow] = [
        ("keypoints", lambda row: row.keypoints),
        ("jumps removed", lambda row: per_cent(row.jumps_found)),
        ("good ones removed", lambda row: per_cent(row.good_removed)),
        ("exchanged ones put back", lambda row: per_cent(row.swaps_found)),
        ("right ones exchanged", lambda row: per_cent(row.wrongly_swapped)),
    ]
    return table_of("Repair, shares of the keypoints seen (jumps of more than 0.3 m)", rows, columns)
