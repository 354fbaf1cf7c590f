"""The simulated estimator of `evaluation.refinement`, refined by what one camera or two saw."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from learnable_smplify.evaluation.cameras import LONGEST
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress, means, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.evaluation.refinement import changes, clip_errors, simulated_estimate
from learnable_smplify.evaluation.rig import Damage, ring, seen
from learnable_smplify.motion import Motion
from learnable_smplify.refine import refine_by_views
from learnable_smplify.solver import Solver

# Cameras and noise of every coordinate [px].
CONDITIONS = ((1, 0.0), (1, 5.0), (1, 40.0), (2, 0.0), (2, 5.0), (2, 40.0))


@dataclass(frozen=True)
class ViewRefineRow:
    """Errors before and after, means over all frames of all clips, in the cameras' world.

    Args:
        pve_before_mm: the estimate as it is, pelvis joints laid on each other; its turn about the vertical counts.
        pve_aligned_mm: turned into the cameras' world, with the estimate's poses and betas.
        pve_mm: after refinement.
        worse_share: clips whose PVE is above that of the aligned estimate.
    """

    cameras: int
    noise_px: float
    clips: int
    frames: int
    pve_before_mm: float
    pve_aligned_mm: float
    pve_mm: float
    worse_share: float
    ms_a_frame: float


def evaluate_view_refinement(
    clips: Sequence[Clip],
    solver: Solver,
    conditions: Sequence[tuple[int, float]] = CONDITIONS,
    progress: Progress = silent,
) -> list[ViewRefineRow]:
    """Refine the simulated estimate of the start of every clip by BODY_25 keypoints, of a fixed seed for each clip."""
    rows, body = [], solver.body
    for cameras, noise in conditions:
        errors, frames, worse, seconds = [], 0, 0, 0.0
        for index, clip in enumerate(clips):
            progress(f"refine by {cameras} cameras, {noise:g} px: {clip.name}")
            generator = torch.Generator().manual_seed(index)
            betas = torch.randn(10, generator=generator)
            true = Motion(clip.pose[:LONGEST], clip.transl[:LONGEST], betas, clip.fps)
            estimate = simulated_estimate(body, true, generator)
            angle = math.tau * float(torch.rand((), generator=generator))
            rig = ring(body.joints(true.pose, betas, true.transl), cameras, angle)
            keypoints = body.keypoints(true.pose, betas, true.transl)
            views = seen(rig, keypoints, clip.fps, Damage(noise), generator)
            began = time.perf_counter()
            result = refine_by_views(solver, estimate, views)
            seconds += time.perf_counter() - began
            found = [clip_errors(body, motion, true)[0] for motion in (estimate, result.aligned, result.motion)]
            worse += bool(found[2].mean() > found[1].mean())
            errors.append(tuple(found))
            frames += len(true)
        before, aligned, after = means(errors)
        worse_share, ms = worse / len(clips), 1000 * seconds / frames
        rows.append(ViewRefineRow(cameras, noise, len(clips), frames, before, aligned, after, worse_share, ms))
    return rows


def view_refine_table(rows: Sequence[ViewRefineRow], source: str) -> str:
    """Before and after, by cameras and noise."""
    columns: Columns[ViewRefineRow] = [
        ("cameras", lambda row: str(row.cameras)),
        ("noise", lambda row: f"{row.noise_px:g} px"),
        ("PVE before [mm]", lambda row: f"{row.pve_before_mm:.1f}"),
        ("aligned", lambda row: f"{row.pve_aligned_mm:.1f}"),
        ("refined", lambda row: f"{row.pve_mm:.1f}"),
        ("change, against aligned", lambda row: changes(row.pve_mm, row.pve_before_mm, row.pve_aligned_mm)),
        ("worse", lambda row: f"{100 * row.worse_share:.0f} %"),
        ("ms a frame", lambda row: f"{row.ms_a_frame:.0f}"),
    ]
    title = (
        f"Refinement of the simulated estimator by 2D keypoints, betas not known, {source} ({rows[0].clips} "
        f"clips, {rows[0].frames:,} frames); clips made worse than the estimate that is only turned into the "
        "cameras' world"
    )
    return table_of(title, rows, columns)
