"""Errors of found poses against true ones, frame by frame; their means over clips; and who follows a measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch
from torch import Tensor

from learnable_smplify import metrics
from learnable_smplify.body import Body

Progress: TypeAlias = Callable[[str], None]
"""Told what is being measured."""

# Frames whose meshes are held at once.
_CHUNK = 256


def silent(_: str) -> None:
    """Nobody follows the measurement."""


def in_chunks(frames: int, errors: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Errors of so many frames by a function of some of their rows, whose meshes fit into memory."""
    parts = [errors(rows) for rows in torch.arange(frames).split(_CHUNK)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def means(found: Iterable[tuple[Tensor, ...]]) -> list[float]:
    """The mean of each error over all frames of all clips."""
    return [float(torch.cat(part).mean()) for part in zip(*found, strict=True)]


def mesh_and_joints(body: Body, pose: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices (N, V, 3) and joint centres (N, 24, 3) [m], without transl."""
    return body.vertices(pose, betas), body.joints(pose, betas)


def mesh_errors(
    found: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor], at: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """PVE, PA-PVE and MPJPE [mm] of every pose, each (N,).

    Args:
        found, true: `mesh_and_joints` of both.
        at: the joint that PVE and MPJPE lay on each other; 0 is the pelvis.
    """
    (vertices, joints), (true_vertices, true_joints) = found, true
    roots = joints[:, at], true_joints[:, at]
    return (
        metrics.pve(vertices, true_vertices, *roots, per_frame=True),
        metrics.pa_pve(vertices, true_vertices, per_frame=True),
        metrics.mpjpe(joints, true_joints, *roots, per_frame=True),
    )
