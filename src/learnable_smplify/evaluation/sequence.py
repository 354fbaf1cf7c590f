"""Errors over whole clips, frame after frame, and from nothing."""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.body.observed import placed_joints
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.errors import Progress, in_chunks, means, mesh_and_joints, silent
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.solver import Solver


@dataclass(frozen=True)
class SequenceRow:
    """One way of fitting whole clips.

    Args:
        given: what the solver was told besides the keypoints.
        pve_mm, mpjpe_mm: means over all frames, pelvis joints laid on each other.
        placed_mpjpe_mm: over the joints whose places the keypoints decide; BODY_25's leave out the hands.
        first_quarter_pve_mm, last_quarter_pve_mm: PVE over the first and the last quarter of every clip.
        flagged_share: frames the solver does not trust.
    """

    method: str
    given: str
    clips: int
    frames: int
    pve_mm: float
    mpjpe_mm: float
    placed_mpjpe_mm: float
    first_quarter_pve_mm: float
    last_quarter_pve_mm: float
    flagged_share: float


def evaluate_sequences(
    clips: list[Clip],
    body: Body,
    methods: list[tuple[str, Solver]],
    progress: Progress = silent,
) -> list[SequenceRow]:
    """Fit every clip from clean BODY_25 keypoints, with betas N(0, 1) of a fixed seed for each clip.

    Three rows a method: first pose and betas given, betas given, nothing given.
    """
    generator = torch.Generator().manual_seed(0)
    people = [torch.randn(10, generator=generator) for _ in clips]
    rows = []
    for name, solver in methods:
        for given in ("first pose, betas", "betas", "nothing"):
            found = []
            for clip, betas in zip(clips, people, strict=True):
                progress(f"{name}, given {given}: {clip.name}")
                keypoints = Keypoints(body.keypoints(clip.pose, betas, clip.transl), "body25", clip.fps)
                start = (clip.pose[0], clip.transl[0]) if given.startswith("first pose") else None
                motion = solver.fit(keypoints, None if given == "nothing" else betas, start=start)
                pve, mpjpe, placed = _clip_errors(body, motion.pose, motion.betas, clip.pose, betas)
                quarter = max(len(pve) // 4, 1)
                found.append((pve, mpjpe, placed, pve[:quarter], pve[-quarter:], motion.flagged.float()))
            rows.append(SequenceRow(name, given, len(clips), sum(len(clip.pose) for clip in clips), *means(found)))
    return rows


@dataclass(frozen=True)
class ColdRow:
    """Poses found from single frames of keypoints, with betas known and nothing else."""

    poses: str
    number: int
    solved_share: float
    mean_error_mm: float
    worst_error_mm: float


def evaluate_cold_start(clips: list[Clip], body: Body, solver: Solver, every: int) -> list[ColdRow]:
    """Share of frames solved below 20 mm mean keypoint error: of the clips, and of random poses and facings."""
    generator = torch.Generator().manual_seed(0)
    wild = 0.5 * torch.randn(500, 24, 3, generator=generator)
    facing = torch.nn.functional.normalize(torch.randn(500, 4, generator=generator), dim=-1)
    wild[:, 0] = roma.unitquat_to_rotvec(facing)
    groups = {
        f"every {every}th frame of the clips": torch.cat([clip.pose[::every] for clip in clips]),
        "random: 0.5 rad a joint axis, any facing": wild,
    }
    rows = []
    for name, pose in groups.items():
        betas = torch.randn(len(pose), 10, generator=generator)
        transl = torch.randn(len(pose), 3, generator=generator)
        keypoints = body.keypoints(pose, betas, transl)
        found, found_transl = solver.solve_frames(keypoints, betas)
        error = 1000 * (body.keypoints(found, betas, found_transl) - keypoints).norm(dim=-1).mean(dim=-1)
        share = float((error < 20).float().mean())
        rows.append(ColdRow(name, len(pose), share, float(error.mean()), float(error.max())))
    return rows


def _clip_errors(body: Body, pose: Tensor, betas: Tensor, true_pose: Tensor, true_betas: Tensor) -> tuple[Tensor, ...]:
    """PVE, MPJPE and MPJPE of the joints that BODY_25 places, of every frame [mm]."""
    placed = placed_joints(body.folded("body25"))

    def errors(rows: Tensor) -> tuple[Tensor, ...]:
        vertices, joints = mesh_and_joints(body, pose[rows], betas)
        true_vertices, true_joints = mesh_and_joints(body, true_pose[rows], true_betas)
        roots = joints[:, 0], true_joints[:, 0]
        return (
            metrics.pve(vertices, true_vertices, *roots, per_frame=True),
            metrics.mpjpe(joints, true_joints, *roots, per_frame=True),
            metrics.mpjpe(joints[:, placed], true_joints[:, placed], *roots, per_frame=True),
        )

    return in_chunks(len(pose), errors)
