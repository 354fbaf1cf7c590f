"""A simulated image-based estimator on clips of motion, and what refinement by keypoints makes of it.

The estimator: each clip's person has betas N(0, 1). Every joint is turned by random rotations of 8 degrees (root mean
square), white noise averaged over 5 frames; the pelvis is misplaced by 40 mm (root mean square), averaged alike; every
beta is off by one unit, up or down; and its world is turned about the vertical by a constant random angle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress, in_chunks, means, silent
from learnable_smplify.evaluation.markdown import Columns, table_of
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.refine import refine_motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver import Solver

JOINT_ERROR_DEG = 8.0
ROOT_ERROR_M = 0.040
BETAS_ERROR = 1.0
_WINDOW = 5
_UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class RefineCondition:
    """What the keypoints suffer: Gaussian noise on every coordinate [m], as a mean over `window` frames it wanders."""

    name: str
    noise: float
    window: int = 1


CONDITIONS = (
    RefineCondition("clean", 0.0),
    RefineCondition("20 mm noise", 0.020),
    RefineCondition("80 mm noise", 0.080),
    RefineCondition("80 mm wandering", 0.080, 21),
    RefineCondition("500 mm noise", 0.500),
)


@dataclass(frozen=True)
class RefineRow:
    """Errors before and after, means over all frames of all clips, in the keypoints' world.

    Args:
        pve_before_mm: the estimate as it is, pelvis joints laid on each other; its turn about the vertical counts.
        pve_aligned_mm: after the rigid alignment alone, with the estimate's betas.
        pve_mm: after refinement.
        root_before_mm, root_aligned_mm, root_mm: distance of the pelvis from the true one.
        worse_share: clips whose PVE is above that after the rigid alignment alone (of the estimate, where no alignment
            was found).
        kept_share: frames in which the estimate stayed.
    """

    condition: str
    clips: int
    frames: int
    pve_before_mm: float
    pve_aligned_mm: float
    pve_mm: float
    root_before_mm: float
    root_aligned_mm: float
    root_mm: float
    worse_share: float
    kept_share: float


def evaluate_refinement(
    clips: Sequence[Clip],
    solver: Solver,
    conditions: Sequence[RefineCondition] = CONDITIONS,
    progress: Progress = silent,
) -> list[RefineRow]:
    """Refine every clip's simulated estimate by BODY_25 keypoints of the true motion, of a fixed seed for each clip."""
    rows, body = [], solver.body
    for condition in conditions:
        errors: list[tuple[Tensor, ...]] = []
        worse = 0
        for index, clip in enumerate(clips):
            progress(f"refine, {condition.name}: {clip.name}")
            generator = torch.Generator().manual_seed(index)
            true = Motion(clip.pose, clip.transl, torch.randn(10, generator=generator), clip.fps)
            estimate = simulated_estimate(body, true, generator)
            clean = body.keypoints(true.pose, true.betas, true.transl)
            noise = _smooth_noise(clean.shape, condition.window, generator)
            keypoints = Keypoints(clean + condition.noise * noise, "body25", clip.fps)
            result = refine_motion(solver, estimate, keypoints)
            motions = (estimate, result.aligned or estimate, result.motion)
            pves, roots = zip(*(clip_errors(body, motion, true) for motion in motions), strict=True)
            worse += bool(pves[2].mean() > pves[1].mean())
            errors.append((*pves, *roots, result.kept.float()))
        before, aligned, after, root_before, root_aligned, root_after, kept = means(errors)
        found_mm = before, aligned, after, root_before, root_aligned, root_after
        frames = sum(len(clip.pose) for clip in clips)
        rows.append(RefineRow(condition.name, len(clips), frames, *found_mm, worse / len(clips), kept))
    return rows


def simulated_estimate(body: Body, true: Motion, generator: torch.Generator) -> Motion:
    """What the simulated estimator says of a motion."""
    frames = len(true)
    turn = math.radians(JOINT_ERROR_DEG) / 3**0.5 * _smooth_noise((frames, 24, 3), _WINDOW, generator)
    rotmat = rotvec_to_rotmat(turn) @ rotvec_to_rotmat(true.pose)
    angle = math.tau * torch.rand((), generator=generator)
    world = rotvec_to_rotmat(angle * torch.tensor(_UP))
    rotmat[:, 0] = world @ rotmat[:, 0]
    step = ROOT_ERROR_M / 3**0.5 * _smooth_noise((frames, 3), _WINDOW, generator)
    betas = true.betas + BETAS_ERROR * torch.randn(10, generator=generator).sign()
    # The person turns about the world's origin, the body about its pelvis.
    pelvis = body.joints(true.pose[:1], true.betas)[0, 0]
    transl = (true.transl + step + pelvis) @ world.mT - body.joints(true.pose[:1], betas)[0, 0]
    return Motion(rotmat_to_rotvec(rotmat), transl, betas, true.fps, true.body, true.gender)


def refine_table(rows: Sequence[RefineRow]) -> str:
    """Before and after, by the keypoints' noise."""
    columns: Columns[RefineRow] = [
        ("keypoints", lambda row: row.condition),
        ("PVE before", lambda row: f"{row.pve_before_mm:.1f}"),
        ("aligned", lambda row: f"{row.pve_aligned_mm:.1f}"),
        ("refined", lambda row: f"{row.pve_mm:.1f}"),
        ("change", lambda row: changes(row.pve_mm, row.pve_before_mm, row.pve_aligned_mm)),
        ("root aligned", lambda row: f"{row.root_aligned_mm:.1f}"),
        ("refined", lambda row: f"{row.root_mm:.1f}"),
        ("worse", lambda row: f"{100 * row.worse_share:.0f} %"),
        ("kept", lambda row: f"{100 * row.kept_share:.0f} %"),
    ]
    title = (
        f"Refinement of a simulated estimator: {JOINT_ERROR_DEG:g} degrees a joint, {1000 * ROOT_ERROR_M:g} mm root, "
        f"a constant turn, betas off by {BETAS_ERROR:g} ({rows[0].clips} clips, {rows[0].frames:,} frames). PVE and "
        "root position [mm]; change against before and against the rigid alignment alone; clips made worse than by the "
        "alignment alone; frames in which the estimate stayed"
    )
    return table_of(title, rows, columns)


def changes(value: float, *before: float) -> str:
    """What a value is more or less than each of some others, in per cent."""
    return ", ".join(f"{100 * (value / other - 1):+.0f} %" for other in before)


def _smooth_noise(shape: Sequence[int], window: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise, averaged over so many frames (the first dimension) and scaled back to variance 1."""
    white = torch.randn((shape[0] + window - 1, *shape[1:]), generator=generator)
    return white.unfold(0, window, 1).mean(dim=-1) * window**0.5


def clip_errors(body: Body, motion: Motion, true: Motion) -> tuple[Tensor, ...]:
    """Pelvis-aligned PVE and the pelvis's distance from the true one, of every frame [mm]."""

    def errors(rows: Tensor) -> tuple[Tensor, ...]:
        both = [(one.pose[rows], one.betas, one.transl[rows]) for one in (motion, true)]
        roots = [body.joints(*posed)[:, 0] for posed in both]
        pve = metrics.pve(*(body.vertices(*posed) for posed in both), *roots, per_frame=True)
        return pve, 1000 * (roots[0] - roots[1]).norm(dim=-1)

    return in_chunks(len(true), errors)
