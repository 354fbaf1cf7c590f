"""Errors on pairs: from the pose a person had to the pose they have now, by stride and by what ails the keypoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip, Pairs, make_pairs
from learnable_smplify.solver import Solver

STRIDES = (1, 3, 5, 7, 9)


@dataclass(frozen=True)
class Condition:
    """What the target keypoints suffer: Gaussian noise [m] on every coordinate, and a share of them missing."""

    name: str
    noise: float = 0.0
    missing: float = 0.0


CONDITIONS = (
    Condition("clean"),
    Condition("10 mm noise", noise=0.010),
    Condition("20 mm noise", noise=0.020),
    Condition("30 mm noise", noise=0.030),
    Condition("20 % missing", missing=0.20),
)


@dataclass(frozen=True)
class Method:
    """A way to solve pairs; `solver` None copies the start pose."""

    name: str
    solver: Solver | None


@dataclass(frozen=True)
class PairRow:
    """One method under one condition, by stride.

    Args:
        pve_mm, pa_pve_mm, mpjpe_mm: mean errors by stride; PVE and MPJPE with pelvis joints laid on each other.
        ms_a_pair: wall-clock time, batched.
    """

    method: str
    condition: str
    strides: tuple[int, ...]
    pairs: int
    pve_mm: tuple[float, ...]
    pa_pve_mm: tuple[float, ...]
    mpjpe_mm: tuple[float, ...]
    ms_a_pair: float


def evaluate_pairs(
    clips: list[Clip],
    body: Body,
    methods: list[Method],
    every: int,
    conditions: tuple[Condition, ...] = CONDITIONS,
    strides: tuple[int, ...] = STRIDES,
    progress: Callable[[str], None] | None = None,
) -> list[PairRow]:
    """All methods on the same pairs, betas and damaged keypoints.

    Args:
        clips: of the split to evaluate.
        every: pairs start at every `every`-th frame.
        progress: called with what is being evaluated.
    """
    pairs = {stride: make_pairs(clips, stride, every) for stride in strides}
    truth = {stride: mesh_and_joints(body, group.target_pose, group.betas) for stride, group in pairs.items()}
    rows = []
    for condition in conditions:
        for method in methods:
            if progress is not None:
                progress(f"{condition.name}: {method.name}")
            errors, seconds = [], 0.0
            for stride in strides:
                keypoints, confidence = damaged(body, pairs[stride], condition)
                began = time.perf_counter()
                pose = _solve(method, pairs[stride], keypoints, confidence)
                seconds += time.perf_counter() - began
                found = errors_of_pairs(body, pose, pairs[stride], truth[stride])
                errors.append(tuple(float(error.mean()) for error in found))
            number = sum(len(group) for group in pairs.values())
            pve, pa_pve, mpjpe = zip(*errors, strict=True)
            rows.append(
                PairRow(method.name, condition.name, strides, number, pve, pa_pve, mpjpe, 1000 * seconds / number)
            )
    return rows


def damaged(body: Body, pairs: Pairs, condition: Condition, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Target BODY_25 keypoints (N, 25, 3) and confidence (N, 25) under a condition, of a fixed seed."""
    generator = torch.Generator().manual_seed(seed)
    keypoints = body.keypoints(pairs.target_pose, pairs.betas, pairs.target_transl)
    keypoints = keypoints + condition.noise * torch.randn(keypoints.shape, generator=generator)
    confidence = (torch.rand(keypoints.shape[:2], generator=generator) >= condition.missing).float()
    return keypoints, confidence


def _solve(method: Method, pairs: Pairs, keypoints: Tensor, confidence: Tensor) -> Tensor:
    if method.solver is None:
        return pairs.start_pose
    return method.solver.solve_pairs(pairs.start_pose, keypoints, pairs.betas, confidence=confidence)[0].cpu()


def mesh_and_joints(body: Body, pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices (N, V, 3) and joint centres (N, 24, 3) [m], without transl."""
    return body.vertices(pose, betas), body.joints(pose, betas)


def errors_of_pairs(
    body: Body, pose: Tensor, pairs: Pairs, truth: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """PVE, PA-PVE and MPJPE [mm] of every pair, each (N,); PVE and MPJPE with pelvis joints laid on each other.

    Args:
        body: of `truth`.
        pose: (N, 24, 3) the solutions, rotvec [rad].
        pairs: what was solved.
        truth: `mesh_and_joints` of the target poses.
    """
    vertices, joints = mesh_and_joints(body, pose, pairs.betas)
    true_vertices, true_joints = truth
    roots = joints[:, 0], true_joints[:, 0]
    return (
        metrics.pve(vertices, true_vertices, *roots, per_frame=True),
        metrics.pa_pve(vertices, true_vertices, per_frame=True),
        metrics.mpjpe(joints, true_joints, *roots, per_frame=True),
    )
