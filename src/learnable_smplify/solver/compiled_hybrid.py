"""The hybrid on the CPU, compiled: what `NeuralPairs.from_start` does, frame by frame without temporary tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.kernels.usable import has_numba
from learnable_smplify.network.body25_view import Body25View
from learnable_smplify.network.packed import PackedMlp
from learnable_smplify.network.pose_mlp import SOLVED_JOINTS, START_KINDS, StartKind
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.solver.frame.levenberg_marquardt import PoseSolution, packed_sight
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.freedom import freed

if TYPE_CHECKING:
    from learnable_smplify.body.point_kernels import PointTables

# Frames whose prior precisions (17 KB each) lie in memory at once: they stay near the processor.
_BLOCK = 64
# Nothing is known of transl but the keypoints; distances are squared as they are; every step is taken.
_TRANSL_PRECISION, _SQUARES, _NEVER = np.float32(1e-2), np.float32(0), np.float32(0)


@dataclass(frozen=True, eq=False)
class _Frames:
    """What is known of B frames before their Gauss-Newton steps; `local` and `transl` are written.

    Tables of people (`offsets`, `anchor`) may have one row for all.
    """

    start: np.ndarray
    local: np.ndarray
    transl: np.ndarray
    stiffness: np.ndarray
    variance: np.ndarray
    target: np.ndarray
    confidence: np.ndarray
    offsets: np.ndarray
    anchor: np.ndarray

    def rows(self, rows: slice) -> _Frames:
        """Some of them, in the same memory."""
        parts = (getattr(self, field.name) for field in fields(self))
        return _Frames(*(part if len(part) == 1 else part[rows] for part in parts))


@dataclass(frozen=True, eq=False)
class CompiledHybrid:
    """A network and its refinement.

    Args:
        network: packed.
        passes: of the network.
        refine_steps: of Gauss-Newton; 0 returns the network's pose.
        damping: Marquardt damping of the first step.
        priors: for their pose prior.
    """

    network: PackedMlp
    passes: int
    refine_steps: int
    damping: float
    priors: Priors

    def solve(
        self,
        folded: FoldedPoints,
        body25: FoldedPoints,
        view: Body25View,
        betas: Float[Tensor, "B 10"],
        start: Float[Tensor, "B 24 3 3"],
        transl: Float[Tensor, "B 3"],
        keypoints: Float[Tensor, "B K 3"],
        confidence: Float[Tensor, "B K"],
        network_view: tuple[Tensor, Tensor],
        kind: StartKind,
        seconds: float,
        variance_weight: float,
        pose_weight: float,
    ) -> tuple[PoseSolution, Float[Tensor, "B K"]]:
        """See `NeuralPairs.from_start`; of the solution, `strangeness` is told too.

        Args:
            network_view: BODY_25 keypoints (B, 25, 3) and confidence (B, 25).
            kind: of the starts.
            seconds: time between start and target; 0 where nobody knows.
        """
        from learnable_smplify.body.point_kernels import point_tables
        from learnable_smplify.network.kernels import FEATURES, KEYPOINTS, SOLVED, decode_frames, encode_frames

        batch = start.shape[0]
        tables, tables25 = point_tables(folded), point_tables(body25)
        anchor25, offsets = tables25.shaped(betas)
        anchor = anchor25 if folded is body25 else tables.shaped(betas)[0]
        start_array = start.contiguous().numpy()
        local, place = start_array.copy(), transl.numpy().copy()
        target, seen = (part.contiguous().numpy() for part in network_view)
        shape = np.ascontiguousarray(betas.numpy())
        features = np.empty((batch, FEATURES), np.float32)
        reach = np.zeros(batch, np.float32)
        sigma = np.full((batch, NUM_JOINTS), np.nan, np.float32)
        spread, closeness = np.empty((2, batch, KEYPOINTS), np.float32)
        stiffness = np.empty((batch, 3 * SOLVED), np.float32)
        hidden = np.empty((0, self.network.width), np.float32)
        for index in range(self.passes):
            encode_frames(
                local,
                offsets,
                anchor25,
                tables25.anchor_pose,
                tables25.weight,
                target,
                seen,
                shape,
                START_KINDS.index(kind),
                np.float32(seconds),
                reach,
                self.network.trunk,
                index == 0,
                features,
            )
            outputs, hidden = self.network.outputs(features, hidden)
            decode_frames(local, outputs, reach, sigma, spread, stiffness, closeness)
        if not view.is_body25:
            spread, closeness = (view.sigma_of_layout(torch.from_numpy(part)).numpy() for part in (spread, closeness))
            held = torch.from_numpy(stiffness), torch.from_numpy(self.network.error_precision)
            stiffness = freed(*held, folded, body25, view, confidence, self.priors, seconds).numpy()
        distance, strangeness = self._refine(
            _Frames(
                start_array,
                local,
                place,
                stiffness,
                np.square(closeness) * np.float32(variance_weight),
                keypoints.contiguous().numpy(),
                confidence.contiguous().numpy(),
                offsets,
                anchor,
            ),
            tables,
            pose_weight,
            asks_change=kind == "exact" and self.refine_steps > 0,
        )
        found = (local, place, distance, sigma, strangeness, spread)
        rotmat, moved, error, rotmat_sigma, strange, keypoint_sigma = (torch.from_numpy(part) for part in found)
        every = torch.ones(batch, dtype=torch.bool)
        return PoseSolution(rotmat, moved, error, every, error, rotmat_sigma, strange), keypoint_sigma

    def _refine(
        self, whole: _Frames, tables: PointTables, pose_weight: float, asks_change: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gauss-Newton steps, in place; mean keypoint distance (B,) [m], and (B,) how strange the change is."""
        from learnable_smplify.solver.frame.kernels import minimise_frames
        from learnable_smplify.solver.hybrid_kernels import change_frames, prior_frames

        distance, strangeness = np.zeros((2, len(whole.local)), np.float32)
        for first in range(0, len(distance), _BLOCK):
            rows = slice(first, first + _BLOCK)
            frames = whole.rows(rows)
            size = len(frames.local)
            trust = np.empty_like(frames.confidence)
            precision = np.empty((size, 3 * SOLVED_JOINTS, 3 * SOLVED_JOINTS), np.float32)
            prior_frames(
                frames.start,
                frames.local,
                frames.transl,
                frames.stiffness,
                frames.variance,
                frames.offsets,
                frames.anchor,
                tables.anchor_pose,
                tables.weight,
                frames.target,
                frames.confidence,
                self.network.error_precision,
                self.priors.pose_mean.numpy(),
                self.priors.pose_precision.numpy(),
                np.float32(pose_weight),
                self.refine_steps,
                trust,
                precision,
            )
            minimise_frames(
                frames.local,
                frames.transl,
                frames.offsets,
                frames.anchor,
                tables.anchor_pose,
                tables.weight,
                tables.share,
                frames.target,
                trust,
                packed_sight(None, size, trust.shape[1]),
                frames.local.copy(),
                precision,
                frames.transl.copy(),
                _TRANSL_PRECISION,
                _SQUARES,
                SOLVED_JOINTS,
                (self.refine_steps, _NEVER, _NEVER, np.float32(self.damping)),
                np.empty(size, np.float32),
                np.empty(size, np.bool_),
                distance[rows],
            )
            if asks_change:
                change_frames(frames.local, frames.start, self.priors.change_precision.numpy(), strangeness[rows])
        return distance, strangeness


def compiles_first() -> bool:
    """Whether the first solve will have to compile: numba is there, and nothing of ours in its cache."""
    folder = machine_code_folder()
    return has_numba() and (folder is None or not any(folder.glob("hybrid_kernels.prior_frames-*.nbi")))


def machine_code_folder() -> Path | None:
    """Where the solver's machine code is kept; None where every process has to compile it, or without numba."""
    if not has_numba():
        return None
    from learnable_smplify.kernels.jit import kept_in
    from learnable_smplify.solver.hybrid_kernels import prior_frames

    return kept_in(prior_frames)
