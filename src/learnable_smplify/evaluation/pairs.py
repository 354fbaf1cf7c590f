"""Errors on pairs: from the pose a person had to the pose they have now, by stride and by what ails the keypoints."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Clip, Pairs, make_pairs
from learnable_smplify.evaluation.errors import Progress, mesh_and_joints, mesh_errors, silent
from learnable_smplify.solver import Solver

STRIDES = (1, 3, 5, 7, 9)
FPS = 30.0
# What the numerical solver takes clean keypoints to be off by [m]: more precise it is not, in single precision.
_CLEAN_SIGMA = 3e-4


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
    """A way to solve pairs.

    Args:
        name: of its row.
        solver: None copies the start pose.
        knows_sigma: the numerical solver is told how far off the keypoints of a condition are, as a baseline should be
            whose answer depends on it.
    """

    name: str
    solver: Solver | None
    knows_sigma: bool = False

    def under(self, condition: Condition) -> Solver | None:
        """The solver for keypoints in this condition."""
        if self.solver is None or not self.knows_sigma:
            return self.solver
        options = replace(self.solver.pair_options, keypoint_sigma=max(condition.noise, _CLEAN_SIGMA))
        return Solver(self.solver.body, "gauss_newton", self.solver.device, pair_options=options)


@dataclass(frozen=True)
class PairRow:
    """One method under one condition, by stride.

    Args:
        pve_mm, pa_pve_mm, mpjpe_mm: mean errors by stride; PVE and MPJPE with pelvis joints laid on each other.
        ms_a_pair: wall-clock time, batched.
        fallback: share of pairs, by stride, in which the numerical solver stood in for the network.
    """

    method: str
    condition: str
    strides: tuple[int, ...]
    pairs: int
    pve_mm: tuple[float, ...]
    pa_pve_mm: tuple[float, ...]
    mpjpe_mm: tuple[float, ...]
    ms_a_pair: float
    fallback: tuple[float, ...]


def evaluate_pairs(
    clips: list[Clip],
    body: Body,
    methods: list[Method],
    every: int,
    conditions: tuple[Condition, ...] = CONDITIONS,
    strides: tuple[int, ...] = STRIDES,
    progress: Progress = silent,
) -> list[PairRow]:
    """All methods on the same pairs, betas and damaged keypoints.

    Args:
        clips: of the split to evaluate.
        every: pairs start at every `every`-th frame.
        progress: called with what is being evaluated.
    """
    pairs = {stride: make_pairs(clips, stride, every) for stride in strides}
    truth = {stride: mesh_and_joints(body, group.target_pose, group.betas) for stride, group in pairs.items()}
    number = sum(len(group) for group in pairs.values())
    rows = []
    for condition in conditions:
        for method in methods:
            progress(f"{condition.name}: {method.name}")
            solver = method.under(condition)
            errors, fallback, spent = [], [], 0.0
            for stride, group in pairs.items():
                keypoints, confidence = damaged(body, group, condition)
                pose, share = group.start_pose, 0.0
                began = time.perf_counter()
                if solver is not None:
                    answer = solver.answer_pairs(
                        pose, keypoints, group.betas, confidence=confidence, seconds=stride / FPS
                    )
                    pose, share = answer.pose.cpu(), float(answer.fallback.float().mean())
                spent += time.perf_counter() - began
                found = mesh_errors(mesh_and_joints(body, pose, group.betas), truth[stride])
                errors.append(tuple(float(error.mean()) for error in found))
                fallback.append(share)
            pve, pa_pve, mpjpe = zip(*errors, strict=True)
            ms, shares = 1000 * spent / number, tuple(fallback)
            rows.append(PairRow(method.name, condition.name, strides, number, pve, pa_pve, mpjpe, ms, shares))
    return rows


def damaged(body: Body, pairs: Pairs, condition: Condition) -> tuple[Tensor, Tensor]:
    """Target BODY_25 keypoints (N, 25, 3) and confidence (N, 25) under a condition, of a fixed seed."""
    generator = torch.Generator().manual_seed(1)
    keypoints = body.keypoints(pairs.target_pose, pairs.betas, pairs.target_transl)
    keypoints = keypoints + condition.noise * torch.randn(keypoints.shape, generator=generator)
    confidence = (torch.rand(keypoints.shape[:2], generator=generator) >= condition.missing).float()
    return keypoints, confidence
