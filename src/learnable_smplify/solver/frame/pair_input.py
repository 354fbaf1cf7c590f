"""What `solve_pairs` is given, checked and on one device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.betas import all_within, people_betas
from learnable_smplify.body.body import ArrayLike
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.skeleton import NUM_JOINTS

# Keypoints further from the origin than this [m] are no measurements.
FARTHEST = 1e5
# Angles are counted in turns at most; single precision has nothing left of one beyond this [rad].
LARGEST_ANGLE = 1e3


@dataclass(frozen=True, eq=False)
class PairInput:
    """B independent problems; see `Solver.solve_pairs`. `betas` may have one row for all."""

    start_pose: Float[Tensor, "B 24 3"]
    keypoints: Float[Tensor, "B K 3"]
    betas: Float[Tensor, "B 10"]
    start_transl: Float[Tensor, "B 3"] | None
    confidence: Float[Tensor, "B K"]

    def __len__(self) -> int:
        return self.start_pose.shape[0]

    def rows(self, rows: slice | Tensor) -> PairInput:
        """Some of the problems."""
        return PairInput(
            self.start_pose[rows],
            self.keypoints[rows],
            self.betas if self.betas.shape[0] == 1 else self.betas[rows],
            None if self.start_transl is None else self.start_transl[rows],
            self.confidence[rows],
        )

    def chunks(self, size: int) -> list[PairInput]:
        """All of them, so many at once."""
        return [self.rows(slice(first, first + size)) for first in range(0, len(self), size)]


def check_pairs(
    start_pose: ArrayLike,
    keypoints: ArrayLike,
    betas: ArrayLike,
    start_transl: ArrayLike | None,
    confidence: ArrayLike | None,
    layout: Layout,
    device: torch.device,
) -> PairInput:
    """Check shapes and values; keypoints that are not finite or absurdly far away get confidence 0; above 1 it is cut.

    Raises:
        InputError: shapes that do not fit, a start pose, transl or betas that are not finite.
    """

    def tensor(value: ArrayLike, name: str) -> Tensor:
        return as_tensor(value, name).detach().to(device, torch.float32)

    start = tensor(start_pose, "start_pose")
    if start.ndim != 3 or start.shape[1:] != (NUM_JOINTS, 3):
        raise InputError(f"start_pose has shape {tuple(start.shape)}", expected="(B, 24, 3) rotvec")
    batch, count = start.shape[0], len(layout.keypoint_names)
    targets = tensor(keypoints, "keypoints")
    if targets.shape != (batch, count, 3):
        raise InputError(
            f"keypoints have shape {tuple(targets.shape)}",
            expected=f"({batch}, {count}, 3) for layout '{layout.name}'",
        )
    shape = people_betas(betas, batch, device)
    transl = None if start_transl is None else tensor(start_transl, "start_transl")
    if transl is not None and transl.shape != (batch, 3):
        raise InputError(f"start_transl has shape {tuple(transl.shape)}", expected=f"({batch}, 3)")
    if not all_within(start, LARGEST_ANGLE):
        raise InputError("start_pose holds NaN, infinity or angles beyond reason", expected="rotvecs [rad]")
    if transl is not None and not all_within(transl, FARTHEST):
        raise InputError("start_transl holds NaN, infinity or places beyond reason", expected="metres")
    if confidence is None:
        trust = torch.ones(batch, count, device=device)
    else:
        trust = tensor(confidence, "confidence")
        if trust.shape != (batch, count):
            raise InputError(f"confidence has shape {tuple(trust.shape)}", expected=f"({batch}, {count})")
        trust = trust.nan_to_num(0.0, 0.0, 0.0).clamp(0.0, 1.0)
    if not all_within(targets, FARTHEST):
        measured = (targets.abs() <= FARTHEST).all(-1)  # False for NaN too
        targets, trust = torch.where(measured[..., None], targets, 0.0), torch.where(measured, trust, 0.0)
    return PairInput(start, targets, shape, transl, trust)
