"""`HandStream`: fingers and wrists frame by frame as the points come, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.kinematics import rest_offsets
from learnable_smplify.hands import HandKeypoints
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.hand.anatomy import Anatomy
from learnable_smplify.solver.hand.arm import arms, corrected, correction, with_wrists
from learnable_smplify.solver.hand.follow import FEWEST, HandFollower
from learnable_smplify.solver.hand.over_time import kept_at_rest
from learnable_smplify.solver.hand.recording import as_left, mirrored
from learnable_smplify.solver.hand.sizes import bone_lengths

# Bones are measured on the first frames that show a hand, anew whenever there are twice as many, up to so many.
_MOST_FRAMES = 128


@dataclass(frozen=True, eq=False)
class StreamedHands:
    """One frame of two hands, and the body's pose with the arms that hold them.

    Args:
        rotmat: (1, 24, 3, 3) local rotations of the body.
        hand_pose: (30, 3) rotvec [rad].
        flagged: (2,) hands that are guessed.
    """

    rotmat: Float[Tensor, "1 24 3 3"]
    hand_pose: Float[Tensor, "30 3"]
    flagged: Bool[Tensor, "2"]


class HandStream:
    """Of one person.

    Args:
        body: one with fingers.
        priors: of poses, on the CPU.
        fps: frames a second.
    """

    def __init__(self, body: Body, priors: Priors, fps: float) -> None:
        self._body, self._priors, self._seconds = body, priors, 1 / fps
        self._betas: Tensor | None = None
        self._anatomy: Anatomy | None = None
        self._offsets = torch.zeros(1, 24, 3)
        self._follower: HandFollower | None = None
        self._shown: list[tuple[Tensor, Tensor]] = []
        self._arm = torch.zeros(1, 2, 9)

    def push(
        self,
        hands: HandKeypoints,
        rotmat: Float[Tensor, "1 24 3 3"],
        transl: Float[Tensor, "1 3"],
        betas: Float[Tensor, "10"],
    ) -> StreamedHands:
        """The next frame, all on the CPU.

        Args:
            hands: of one frame; nothing seen is allowed.
            rotmat, transl: the body's local rotations and transl [m].
            betas: the person's as known so far.
        """
        targets, trust = as_left(hands)
        follower, anatomy = self._measured(betas, targets, trust)
        arm_turn, arm_place = mirrored(*arms(rotmat, transl, self._offsets))
        frame = follower.step(targets[0], trust[0], arm_turn[0], arm_place[0], self._seconds)
        turn, place = mirrored(frame.found.turn[None], frame.found.place[None])
        held = with_wrists(rotmat, transl, self._offsets, turn, place, frame.seen[None], self._priors)
        self._arm = torch.where(frame.seen[:, None], correction(held, rotmat), kept_at_rest(self._seconds) * self._arm)
        return StreamedHands(corrected(rotmat, self._arm), anatomy.pose(frame.found.turns[None])[0], frame.flagged)

    def _measured(self, betas: Tensor, targets: Tensor, trust: Tensor) -> tuple[HandFollower, Anatomy]:
        """The follower, on bones measured on what was shown so far; and the person's anatomy."""
        shown = len(self._shown)
        if shown < _MOST_FRAMES and int((trust > 0).sum()) >= FEWEST:
            self._shown.append((targets, trust))
        due = len(self._shown) > shown and len(self._shown) & (len(self._shown) - 1) == 0
        changed = self._betas is None or not torch.equal(betas, self._betas)
        if self._anatomy is None or changed:
            assert self._body.hands is not None
            self._betas, self._anatomy = betas.clone(), Anatomy.of(self._body.hands.rest(betas))
            self._offsets = rest_offsets(self._body.joints(torch.zeros(1, 24, 3), betas[None]))
        if self._follower is None or due or changed:
            measured = self._anatomy
            if self._shown:
                lengths = bone_lengths(measured, *(torch.cat(parts) for parts in zip(*self._shown, strict=True)))
                measured = measured.scaled(lengths.expand(2, -1, -1))
            if self._follower is None:
                self._follower = HandFollower(measured)
            else:
                self._follower.measured(measured)
        return self._follower, self._anatomy
