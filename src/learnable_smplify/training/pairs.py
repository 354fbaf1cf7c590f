"""Training pairs: two moments of one clip, in random order, on a random body (paper, "temporal sampling")."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import roma
import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.network.pose_mlp import START_KINDS
from learnable_smplify.skeleton import JOINT_NAMES, MIRROR
from learnable_smplify.solver.frame.priors import load_priors
from learnable_smplify.splits import Split
from learnable_smplify.training.conventions import Conventions, draw_conventions
from learnable_smplify.training.sharing import Sharing, draw_amounts, share_motion
from learnable_smplify.training.store import MotionStore, pair_starts

# Joints that are exchanged together between two people, by the names they contain.
_LIMBS: tuple[tuple[str, ...], ...] = (
    ("left_hip", "left_knee", "left_ankle", "left_foot"),
    ("right_hip", "right_knee", "right_ankle", "right_foot"),
    ("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    ("right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    ("spine1", "spine2", "spine3", "neck", "head"),
)


@dataclass(frozen=True)
class Sampling:
    """How pairs are drawn. Shares are of pairs.

    Args:
        strides: frames between start and target, drawn evenly.
        any_time_share: pairs whose time apart is anything from `shortest` to `longest`, evenly in its logarithm.
        shortest, longest: see above [s].
        still_share: pairs that do not move at all.
        known_time_share: pairs whose time apart is told.
        reverse_share: pairs in which the later moment is the start.
        mirror_share: pairs seen in the mirror.
        exchange_share: pairs in which some limbs are another pair's.
        blend_share: pairs that are half way to another pair.
        transplant_share: pairs whose motion starts from a pose drawn from the pose prior.
        estimate_share: pairs that are told that the start is an estimator's, and whose start is (see `Corruption`).
        sharing: which of two neighbouring joints moves.
        conventions: constant rotations of joints, the same in start and target.
        betas_sigma: standard deviation of the random betas.
    """

    strides: tuple[int, ...] = (1, 3, 5, 7, 9)
    any_time_share: float = 0.3
    shortest: float = 1 / 240
    longest: float = 1 / 3
    still_share: float = 0.02
    known_time_share: float = 0.7
    reverse_share: float = 0.5
    mirror_share: float = 0.5
    exchange_share: float = 0.25
    blend_share: float = 0.1
    transplant_share: float = 0.1
    estimate_share: float = 0.15
    sharing: Sharing = field(default_factory=Sharing)
    conventions: Conventions = field(default_factory=Conventions)
    betas_sigma: float = 1.0


PLAIN_SAMPLING = Sampling(
    any_time_share=0,
    still_share=0,
    known_time_share=0,
    exchange_share=0,
    blend_share=0,
    transplant_share=0,
    estimate_share=0,
    sharing=Sharing(share=0),
    conventions=Conventions(share=0),
)
"""Pairs as they are in the store, at the paper's strides."""


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Clean pairs.

    Args:
        start_rotmat, target_rotmat: (B, 24, 3, 3) local rotations.
        betas: (B, 10).
        kind: (B,) what will be said of the start: places in `START_KINDS`.
        seconds: (B,) time apart; 0 where it is not told.
    """

    start_rotmat: Float[Tensor, "B 24 3 3"]
    target_rotmat: Float[Tensor, "B 24 3 3"]
    betas: Float[Tensor, "B 10"]
    kind: Int[Tensor, " B"]
    seconds: Float[Tensor, " B"]


class Poses:
    """A store's poses at any time between its frames, on a device."""

    def __init__(self, store: MotionStore, device: torch.device | str) -> None:
        rotvec = torch.tensor(np.asarray(store.rotvec, dtype=np.float32))
        quaternion = roma.rotvec_to_unitquat(rotvec)
        self._quaternion = quaternion.to(device)  # (N, 24, 4)
        self._mirror = torch.tensor(MIRROR, device=device)
        self._reflection = torch.tensor([1.0, -1.0, -1.0, 1.0], device=device)

    def at(self, row: Tensor, mirrored: Tensor) -> Float[Tensor, "B 24 3 3"]:
        """Rotations at rows (B,) float64, in the mirror where `mirrored` (B,) says so."""
        before = row.floor().long()
        part = (row - before).to(torch.float32)[:, None, None]
        after = torch.where(part[:, 0, 0] > 0, before + 1, before)
        first, last = self._quaternion[before], self._quaternion[after]
        quaternion = _between(first, last, part)
        reflected = quaternion[:, self._mirror] * self._reflection
        return roma.unitquat_to_rotmat(torch.where(mirrored[:, None, None], reflected, quaternion))


class PairSampler:
    """Draws batches of pairs from one split of a store. The generator is its whole state, so a run can be resumed.

    Args:
        store: whose split `split` is drawn from.
        sampling: how.
        device: where the batches are.
        poses: the store's, where they are on the device already.

    Raises:
        InputError: the split has no pair of some stride.
    """

    def __init__(
        self,
        store: MotionStore,
        split: Split,
        sampling: Sampling,
        device: torch.device | str = "cpu",
        poses: Poses | None = None,
    ) -> None:
        self.sampling = sampling
        self.device = torch.device(device)
        self._fps = store.fps
        longest = int(np.ceil(sampling.longest * store.fps)) if sampling.any_time_share > 0 else 1
        self._starts: dict[int, Tensor] = {}
        for stride in sorted({*sampling.strides, *range(1, longest + 1)}):
            found = pair_starts(store, split, stride)
            if len(found) == 0:
                raise InputError(f"the {split} split has no pair of frames {stride} apart", expected="longer clips")
            self._starts[stride] = torch.as_tensor(found, device=device)
        self._poses = Poses(store, device) if poses is None else poses
        self._limbs = torch.tensor([[name in limb for name in JOINT_NAMES] for limb in _LIMBS], device=self.device)
        self._priors = load_priors().to(self.device)

    def draw(self, batch: int, generator: torch.Generator) -> PairBatch:
        """A batch of `batch` pairs."""
        sampling, device = self.sampling, self.device

        def chance(share: float) -> Tensor:
            return torch.rand(batch, generator=generator, device=device) < share

        stride = self._draw_strides(batch, generator)
        rotmat = self._draw_moments(stride, generator)
        if sampling.exchange_share > 0 or sampling.blend_share > 0:
            other = self._draw_moments(stride, generator)
            which = torch.rand(batch, len(_LIMBS), generator=generator, device=device) < 0.5
            joints = ((which & chance(sampling.exchange_share)[:, None])[..., None] & self._limbs).any(1)
            rotmat = torch.where(joints[None, :, :, None, None], other, rotmat)
            part = torch.rand(batch, generator=generator, device=device) * chance(sampling.blend_share)
            rotmat = _blend(rotmat, other, part)
        if sampling.transplant_share > 0:
            noise = torch.randn(batch, 69, generator=generator, device=device)
            base = self._priors.poses_of(0.8 * noise)
            base = torch.cat((rotmat[0][:, :1], base[:, 1:]), dim=1)
            moved = torch.stack((base, base @ rotmat[0].mT @ rotmat[1]))
            rotmat = torch.where(chance(sampling.transplant_share)[None, :, None, None, None], moved, rotmat)
        if sampling.sharing.share > 0:
            rotmat = share_motion(rotmat, rotmat[0], draw_amounts(sampling.sharing, batch, device, generator))
        rotmat = rotmat @ draw_conventions(sampling.conventions, batch, device, generator)
        reverse = chance(sampling.reverse_share)[:, None, None, None]
        start, target = torch.where(reverse, rotmat[1], rotmat[0]), torch.where(reverse, rotmat[0], rotmat[1])
        kind = torch.where(chance(sampling.estimate_share), START_KINDS.index("estimate"), START_KINDS.index("exact"))
        seconds = (stride / self._fps).to(torch.float32) * chance(sampling.known_time_share)
        betas = sampling.betas_sigma * torch.randn(batch, 10, generator=generator, device=device)
        return PairBatch(start, target, betas, kind, seconds)

    def _draw_strides(self, batch: int, generator: torch.Generator) -> Tensor:
        """(B,) frames apart, float64."""
        sampling, device = self.sampling, self.device

        def uniform() -> Tensor:
            return torch.rand(batch, generator=generator, device=device, dtype=torch.float64)

        choices = torch.tensor(sampling.strides, device=device, dtype=torch.float64)
        stride = choices[(uniform() * len(choices)).long()]
        seconds = sampling.shortest * (sampling.longest / sampling.shortest) ** uniform()
        stride = torch.where(uniform() < sampling.any_time_share, seconds * self._fps, stride)
        return torch.where(uniform() < sampling.still_share, 0.0, stride)

    def _draw_moments(self, stride: Tensor, generator: torch.Generator) -> Float[Tensor, "2 B 24 3 3"]:
        """Poses `stride` frames apart."""
        device, batch = self.device, len(stride)
        whole = stride.ceil().long().clamp(min=1)
        place = torch.rand(batch, generator=generator, device=device, dtype=torch.float64)
        first = torch.empty(batch, dtype=torch.float64, device=device)
        for length, starts in self._starts.items():
            rows = whole == length
            first[rows] = starts[(place[rows] * len(starts)).long()].double()
        mirrored = torch.rand(batch, generator=generator, device=device) < self.sampling.mirror_share
        return torch.stack((self._poses.at(first, mirrored), self._poses.at(first + stride, mirrored)))


def _between(first: Tensor, last: Tensor, part: Tensor) -> Tensor:
    """Quaternions (..., 4) on the short way from the one to the other, nearly at even speed."""
    near = torch.where((first * last).sum(-1, keepdim=True) < 0, -last, last)
    return torch.nn.functional.normalize(torch.lerp(first, near, part.expand_as(first)), dim=-1)


def _blend(rotmat: Tensor, other: Tensor, part: Tensor) -> Tensor:
    """Poses (2, B, 24, 3, 3) part (B,) of the way to others; the pelvis stays."""
    rows = (part > 0).nonzero()[:, 0]
    if len(rows) == 0:
        return rotmat
    first, last = (roma.rotmat_to_unitquat(poses[:, rows]) for poses in (rotmat, other))
    blended = roma.unitquat_to_rotmat(_between(first, last, part[rows][:, None, None]))
    result = rotmat.clone()
    result[:, rows, 1:] = blended[:, :, 1:]
    return result
