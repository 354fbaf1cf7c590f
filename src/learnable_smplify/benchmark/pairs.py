"""The pairs that every method of the benchmark is given, and the file they reach its process by."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor

from learnable_smplify.body import Body
from learnable_smplify.evaluation.clips import Pairs
from learnable_smplify.evaluation.pairs import Condition, damaged
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver.frame.priors import load_priors

# What the change prior stands for: motion over about 1/6 s, 5 frames at 30 fps.
_PRIOR_STRIDE = 5
_PELVIS_TURN_RAD = 0.1


@dataclass(frozen=True, eq=False)
class PairBatch:
    """B pairs as a method sees them: never the target pose.

    Args:
        start_pose: (B, 24, 3) rotvec [rad].
        keypoints: (B, 25, 3) BODY_25 of the target [m].
        joints: (B, 24, 3) joint centres of the target [m], with noise of the same size: for methods that take no other
            keypoints.
        betas: (B, 10).
    """

    start_pose: Float[Tensor, "B 24 3"]
    keypoints: Float[Tensor, "B 25 3"]
    joints: Float[Tensor, "B 24 3"]
    betas: Float[Tensor, "B 10"]

    def __len__(self) -> int:
        return len(self.betas)

    def rows(self, first: int, count: int) -> PairBatch:
        """`count` pairs from `first` on, starting over at the end."""
        return self.part((torch.arange(count) + first) % len(self))

    def part(self, index: Tensor | slice) -> PairBatch:
        """Some of the pairs."""
        return PairBatch(*(getattr(self, field.name)[index] for field in fields(self)))

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        save_file({field.name: getattr(self, field.name).contiguous() for field in fields(self)}, path)

    @staticmethod
    def load(path: Path) -> PairBatch:
        """Read what `save` wrote."""
        return PairBatch(**load_file(path))


def as_given(body: Body, pairs: Pairs, condition: Condition) -> PairBatch:
    """The pairs under a condition, the same for every method."""
    keypoints, _ = damaged(body, pairs, condition)
    joints = body.joints(pairs.target_pose, pairs.betas, pairs.target_transl)
    generator = torch.Generator().manual_seed(2)
    joints = joints + condition.noise * torch.randn(joints.shape, generator=generator)
    return PairBatch(pairs.start_pose, keypoints, joints, pairs.betas)


def select(pairs: Pairs, index: Int[Tensor, " M"]) -> Pairs:
    """The pairs at these rows."""
    return Pairs(*(getattr(pairs, field.name)[index] for field in fields(pairs)))


def synthetic_pairs(count: int, stride: int) -> Pairs:
    """Pairs without any motion file: starts drawn from the pose prior, targets from the change prior about them.

    Args:
        count: number of pairs.
        stride: frames at 30 fps between start and target; the change grows with it.
    """
    generator = torch.Generator().manual_seed(0)
    priors = load_priors()
    start = priors.poses_of(torch.randn(count, 69, generator=generator))
    start[:, 0] = rotvec_to_rotmat(torch.randn(count, 1, 3, generator=generator))[:, 0]
    factor = torch.linalg.cholesky(priors.change_precision[3:, 3:])
    noise = torch.randn(count, 69, generator=generator)
    change = torch.linalg.solve_triangular(factor.T, noise.T, upper=True).T
    pelvis = _PELVIS_TURN_RAD * torch.randn(count, 3, generator=generator)
    turn = (stride / _PRIOR_STRIDE) * torch.cat((pelvis, change), dim=1).unflatten(1, (24, 3))
    target = rotvec_to_rotmat(turn) @ start
    transl = torch.randn(count, 3, generator=generator)
    moved = transl + 0.02 * stride * torch.randn(count, 3, generator=generator)
    betas = torch.randn(count, 10, generator=generator)
    return Pairs(rotmat_to_rotvec(start), rotmat_to_rotvec(target), transl, moved, betas)
