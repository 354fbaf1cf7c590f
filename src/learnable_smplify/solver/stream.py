"""`PoseStream`: a person solved frame by frame as the keypoints come, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import ArrayLike
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.kernels.convert import fast_rotmat_to_rotvec
from learnable_smplify.repair import RepairStream
from learnable_smplify.solver.frame.pair_input import FARTHEST
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.threads import one_thread_per_operation
from learnable_smplify.solver.frame.tracking import ClipOptions, Finder, Tracker
from learnable_smplify.solver.shape.running import RunningShape


@dataclass(frozen=True, eq=False)
class StreamFrame:
    """One frame of a stream.

    Args:
        frame: its number, from 0.
        pose: (24, 3) rotvec [rad], joint 0 is `global_orient`.
        transl: (3,) metres.
        betas: (10,) the person's shape as known so far.
        flagged: the keypoints were too few, did not fit, or some had to be repaired.
        uncertainty_deg: (24,) standard deviation of each joint's rotation [deg]; NaN where nobody was asked.
    """

    frame: int
    pose: Float[Tensor, "24 3"]
    transl: Float[Tensor, "3"]
    betas: Float[Tensor, "10"]
    flagged: bool
    uncertainty_deg: Float[Tensor, "24"]


class PoseStream:
    """Made by `Solver.stream`. `push` a frame, get its pose: no frame waits for a later one.

    Unknown betas are estimated while the stream runs: from limb lengths at once, then together with the poses, in
    small steps that end after some hundred frames.

    Args:
        folded: the layout's keypoints on the body.
        finder: finds a person with given betas in frame after frame.
        priors, options: of the solver.
        fps: frames a second.
        betas: (10,) the person's shape, or None.
        repair: cleans frames before they are solved, or None.
    """

    def __init__(
        self,
        folded: FoldedPoints,
        finder: Callable[[Float[Tensor, "10"]], Finder],
        priors: Priors,
        options: ClipOptions,
        fps: float,
        betas: Float[Tensor, "10"] | None,
        repair: RepairStream | None,
    ) -> None:
        self._folded, self._finder, self._options = folded, finder, options
        self._shape = RunningShape(folded, priors, options) if betas is None else None
        self._betas = torch.zeros(10, device=folded.weight.device) if betas is None else betas
        self._tracker = Tracker(finder(self._betas), options, fps)
        self._repair = repair
        self._count = 0

    def push(
        self, keypoints: ArrayLike | Float[Tensor, "K 3"], confidence: ArrayLike | Float[Tensor, "K"] | None = None
    ) -> StreamFrame:
        """Solve the next frame.

        Args:
            keypoints: (K, 3) metres; NaN marks a missing one.
            confidence: (K,) in [0, 1], 0 = missing; None trusts every finite keypoint.

        Raises:
            InputError: shapes that do not fit the layout. The stream can go on.
        """
        target, trust = self._checked(keypoints, confidence)
        repaired = False
        if self._repair is not None:
            clean = self._repair.push(target[0].cpu(), trust[0].cpu())
            target, trust = clean.positions.to(target)[None], clean.confidence.to(target)[None]
            repaired = clean.flagged
        with one_thread_per_operation():
            usable = int((trust > 0).sum()) >= self._options.min_keypoints
            if usable and self._shape is not None and self._shape.before(target, trust):
                self._take(self._shape.betas)
            found = self._tracker.step(target, trust)
            learns = usable and not found.flagged and self._shape is not None
            if learns and self._shape is not None and self._shape.after(target, trust, found.rotmat, found.transl):
                self._take(self._shape.betas)
            sigma = torch.full((24,), torch.nan) if found.sigma is None else torch.rad2deg(found.sigma[0]).cpu()
            answer = StreamFrame(
                frame=self._count,
                pose=fast_rotmat_to_rotvec(found.rotmat)[0].cpu(),
                transl=found.transl[0].cpu().clone(),
                betas=self._betas.cpu(),
                flagged=found.flagged or repaired,
                uncertainty_deg=sigma,
            )
        self._count += 1
        return answer

    def _checked(self, keypoints: ArrayLike, confidence: ArrayLike | None) -> tuple[Tensor, Tensor]:
        count, device = self._folded.weight.shape[0], self._folded.weight.device
        target = torch.as_tensor(keypoints).detach().to(device, torch.float32)
        if target.shape != (count, 3):
            raise InputError(f"a frame has shape {tuple(target.shape)}", expected=f"({count}, 3) for this layout")
        trust = torch.ones(count, device=device) if confidence is None else torch.as_tensor(confidence).detach()
        trust = trust.to(device, torch.float32)
        if trust.shape != (count,):
            raise InputError(f"confidence has shape {tuple(trust.shape)}", expected=f"({count},)")
        good = (target.abs() <= FARTHEST).all(dim=-1) & (trust > 0)  # False for NaN too
        return torch.where(good[:, None], target, 0.0)[None], torch.where(good, trust, 0.0).clamp(max=1.0)[None]

    def _take(self, betas: Float[Tensor, "10"]) -> None:
        self._betas = betas
        self._tracker.finder = self._finder(betas)
