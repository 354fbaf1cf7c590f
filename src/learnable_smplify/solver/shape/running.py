"""Betas of a person who is being watched: better with every second, at a bounded price a frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.solver.frame.levenberg_marquardt import PoseProblem
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import ClipOptions
from learnable_smplify.solver.shape.habit import Unknowns
from learnable_smplify.solver.shape.joint_estimate import refine_betas
from learnable_smplify.solver.shape.limb_lengths import betas_from_lengths, limb_lengths
from learnable_smplify.solver.shape.prior import ShapePrior

# Frames kept; when there are twice as many, every other one is dropped and the spacing doubles.
_KEPT = 12
# Usable frames after which limb lengths are looked at again.
_LENGTHS_AT = (1, 3, 8, 20)
# Usable frames after which a stretch of joint steps of betas and poses begins, one step a frame.
_JOINT_AT = (30, 120, 480)
_JOINT_STEPS = 8


@dataclass(frozen=True, eq=False)
class _Kept:
    target: Float[Tensor, "1 K 3"]
    trust: Float[Tensor, "1 K"]
    rotmat: Float[Tensor, "1 24 3 3"]
    transl: Float[Tensor, "1 3"]


class RunningShape:
    """Betas from a bounded number of frames spread over the time so far.

    Args:
        folded: the layout's keypoints on the body.
        priors: on its device.
        options: what keypoints may be off by, and the weight of the betas' prior.
    """

    def __init__(self, folded: FoldedPoints, priors: Priors, options: ClipOptions) -> None:
        self._folded, self._priors, self._options = folded, priors, options
        self._limbs = limb_lengths(folded, priors)
        self._frames: list[_Kept] = []
        self._spacing, self._count = 1, 0
        self.betas: Float[Tensor, "10"] = torch.zeros_like(self._limbs.by_betas[0])

    def before(self, target: Float[Tensor, "1 K 3"], trust: Float[Tensor, "1 K"]) -> bool:
        """Look at a frame before it is solved: at the first ones, limb lengths say most. True if betas changed."""
        if self._count + 1 not in _LENGTHS_AT:
            return False
        targets = torch.cat([frame.target for frame in self._frames] + [target])
        self.betas = betas_from_lengths(self._limbs, targets, torch.cat([f.trust for f in self._frames] + [trust]))
        return True

    def after(
        self,
        target: Float[Tensor, "1 K 3"],
        trust: Float[Tensor, "1 K"],
        rotmat: Float[Tensor, "1 24 3 3"],
        transl: Float[Tensor, "1 3"],
    ) -> bool:
        """Remember a solved frame, and take a step where one is due. True if betas changed."""
        if self._count % self._spacing == 0:
            self._frames.append(_Kept(target, trust, rotmat, transl))
            if len(self._frames) == 2 * _KEPT:
                self._frames = self._frames[::2]
                self._spacing *= 2
        self._count += 1
        if not any(first <= self._count < first + _JOINT_STEPS for first in _JOINT_AT):
            return False
        kept = self._frames[-_KEPT:]
        rotmats = torch.cat([frame.rotmat for frame in kept])
        transls = torch.cat([frame.transl for frame in kept])
        problem = PoseProblem(
            points=self._folded.shaped(self.betas[None]),
            targets=torch.cat([frame.target for frame in kept]),
            weights=torch.cat([frame.trust for frame in kept]) / self._options.keypoint_sigma**2,
            prior_rotmat=self._priors.mean_facing(rotmats),
            prior_precision=self._priors.pose_precision,
            prior_transl=transls,
            robust_scale=self._options.robust_scale,
        )
        prior = ShapePrior(weight=float(len(rotmats)))
        self.betas = refine_betas(
            Unknowns.of(self._folded, False), problem, rotmats, transls, self.betas, prior, iterations=1
        ).shape
        return True
