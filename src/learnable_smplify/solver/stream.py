"""`PoseStream`: a person solved frame by frame as the keypoints come, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.body.body import ArrayLike, Body
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.hands import NUM_HAND_POINTS, HandKeypoints
from learnable_smplify.kernels.convert import fast_rotmat_to_rotvec
from learnable_smplify.repair import RepairStream
from learnable_smplify.solver.frame.pair_input import FARTHEST
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.frame.tracking import ClipOptions, Finder, TrackedFrame, Tracker
from learnable_smplify.solver.hand.stream import HandStream, StreamedHands
from learnable_smplify.solver.shape.running import RunningShape
from learnable_smplify.threads import one_thread_per_operation
from learnable_smplify.timeline import check_rate


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
        hand_pose: (30, 3) rotvec [rad] of the fingers (`hands.HAND_JOINT_NAMES`), None while no hands were pushed.
        hand_flagged: (2,) left and right hand, whose fingers are guessed; None with `hand_pose`.
    """

    frame: int
    pose: Float[Tensor, "24 3"]
    transl: Float[Tensor, "3"]
    betas: Float[Tensor, "10"]
    flagged: bool
    uncertainty_deg: Float[Tensor, "24"]
    hand_pose: Float[Tensor, "30 3"] | None = None
    hand_flagged: Bool[Tensor, "2"] | None = None


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
        body: whose fingers are solved when hands come; None solves none.
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
        body: Body | None = None,
    ) -> None:
        check_rate(as_number(fps, "the frame rate"))
        self._folded, self._finder, self._options = folded, finder, options
        self._shape = RunningShape(folded, priors, options) if betas is None else None
        self._betas = torch.zeros(10, device=folded.weight.device) if betas is None else betas
        self._tracker = Tracker(finder(self._betas), options, fps)
        self._repair = repair
        self._body, self._priors, self._fps = body, priors, fps
        self._hands: HandStream | None = None
        self._count = 0

    def push(
        self,
        keypoints: ArrayLike | Float[Tensor, "K 3"],
        confidence: ArrayLike | Float[Tensor, "K"] | None = None,
        hands: HandKeypoints | None = None,
    ) -> StreamFrame:
        """Solve the next frame.

        Args:
            keypoints: (K, 3) metres; NaN marks a missing one.
            confidence: (K,) in [0, 1], 0 = missing; None trusts every finite keypoint.
            hands: of this one frame; None shows no hand. Fingers are answered from the first frame that has some.

        Raises:
            InputError: shapes that do not fit the layout, or hands of several frames. The stream can go on.
        """
        if hands is not None and not isinstance(hands, HandKeypoints):
            raise InputError(f"hands are given as a {type(hands).__name__}", expected="HandKeypoints of one frame")
        if hands is not None and len(hands) != 1:
            raise InputError(f"the hands have {len(hands)} frames", expected="the one that is pushed")
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
            fingers = self._fingers(hands, found)
            rotmat = found.rotmat if fingers is None else fingers.rotmat
            answer = StreamFrame(
                frame=self._count,
                pose=fast_rotmat_to_rotvec(rotmat)[0].cpu(),
                transl=found.transl[0].cpu().clone(),
                betas=self._betas.cpu().clone(),
                flagged=found.flagged or repaired,
                uncertainty_deg=sigma,
                hand_pose=None if fingers is None else fingers.hand_pose,
                hand_flagged=None if fingers is None else fingers.flagged,
            )
        self._count += 1
        return answer

    def _fingers(self, hands: HandKeypoints | None, found: TrackedFrame) -> StreamedHands | None:
        if self._hands is None and hands is not None and self._body is not None and self._body.hands is not None:
            self._hands = HandStream(self._body, self._priors.to("cpu"), self._fps)
        if self._hands is None:
            return None
        if hands is None:
            hands = HandKeypoints(torch.full((1, 2, NUM_HAND_POINTS, 3), torch.nan))
        return self._hands.push(hands, found.rotmat.cpu(), found.transl.cpu(), self._betas.cpu())

    def _checked(self, keypoints: ArrayLike, confidence: ArrayLike | None) -> tuple[Tensor, Tensor]:
        count, device = self._folded.weight.shape[0], self._folded.weight.device
        target = as_tensor(keypoints, "the frame").detach().to(device, torch.float32)
        if target.shape != (count, 3):
            raise InputError(f"a frame has shape {tuple(target.shape)}", expected=f"({count}, 3) for this layout")
        trust = torch.ones(count, device=device)
        if confidence is not None:
            trust = as_tensor(confidence, "confidence").detach().to(device, torch.float32)
        if trust.shape != (count,):
            raise InputError(f"confidence has shape {tuple(trust.shape)}", expected=f"({count},)")
        good = (target.abs() <= FARTHEST).all(dim=-1) & (trust > 0)  # False for NaN too
        return torch.where(good[:, None], target, 0.0)[None], torch.where(good, trust, 0.0).clamp(max=1.0)[None]

    def _take(self, betas: Float[Tensor, "10"]) -> None:
        self._betas = betas
        self._tracker.finder = self._finder(betas)
