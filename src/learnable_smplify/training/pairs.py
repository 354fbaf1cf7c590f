"""Training pairs: two moments of one clip, in random order, on a random body (paper, "temporal sampling")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import MIRROR
from learnable_smplify.splits import Split
from learnable_smplify.training.store import MotionStore, pair_starts


@dataclass(frozen=True)
class Sampling:
    """How pairs are drawn.

    Args:
        strides: frames between start and target, drawn evenly.
        reverse_share: pairs in which the later frame is the start.
        mirror_share: pairs seen in the mirror.
        betas_sigma: standard deviation of the random betas.
    """

    strides: tuple[int, ...] = (1, 3, 5, 7, 9)
    reverse_share: float = 0.5
    mirror_share: float = 0.5
    betas_sigma: float = 1.0


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Clean pairs.

    Args:
        start_rotmat, target_rotmat: (B, 24, 3, 3) local rotations.
        betas: (B, 10).
    """

    start_rotmat: Float[Tensor, "B 24 3 3"]
    target_rotmat: Float[Tensor, "B 24 3 3"]
    betas: Float[Tensor, "B 10"]


class PairSampler:
    """Draws batches of pairs from one split of a store. The generator is its whole state, so a run can be resumed.

    Raises:
        InputError: the split has no pair of some stride.
    """

    def __init__(
        self, store: MotionStore, split: Split, sampling: Sampling, device: torch.device | str = "cpu"
    ) -> None:
        self.sampling = sampling
        starts = [pair_starts(store, split, stride) for stride in sampling.strides]
        for stride, found in zip(sampling.strides, starts, strict=True):
            if len(found) == 0:
                raise InputError(f"the {split} split has no pair of frames {stride} apart", expected="longer clips")
        self._starts = [torch.as_tensor(found, device=device) for found in starts]
        self._rotvec = torch.tensor(np.asarray(store.rotvec, dtype=np.float32), device=device)
        self._mirror = torch.tensor(MIRROR, device=device)
        self._reflection = torch.tensor([1.0, -1.0, -1.0], device=device)

    @property
    def device(self) -> torch.device:
        """Where the batches are."""
        return self._rotvec.device

    def draw(self, batch: int, generator: torch.Generator) -> PairBatch:
        """A batch of `batch` pairs."""
        sampling, device = self.sampling, self.device
        which = torch.randint(len(self._starts), (batch,), generator=generator, device=device)
        place = torch.rand(batch, generator=generator, device=device, dtype=torch.float64)
        first = torch.empty(batch, dtype=torch.long, device=device)
        stride = torch.empty(batch, dtype=torch.long, device=device)
        for index, starts in enumerate(self._starts):
            rows = which == index
            first[rows] = starts[(place[rows] * len(starts)).long()]
            stride[rows] = sampling.strides[index]
        last = first + stride
        reverse = torch.rand(batch, generator=generator, device=device) < sampling.reverse_share
        start, target = torch.where(reverse, last, first), torch.where(reverse, first, last)
        pose = self._rotvec[torch.stack((start, target))]  # (2, B, 24, 3)
        mirrored = torch.rand(batch, generator=generator, device=device) < sampling.mirror_share
        reflected = pose[:, :, self._mirror] * self._reflection
        rotmat = rotvec_to_rotmat(torch.where(mirrored[:, None, None], reflected, pose))
        betas = sampling.betas_sigma * torch.randn(batch, 10, generator=generator, device=device)
        return PairBatch(rotmat[0], rotmat[1], betas)
