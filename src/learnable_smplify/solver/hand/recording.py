"""The hands of a whole recording, put onto the body's motion:

bones measured -> hands frame after frame -> arms that hold them -> what was not seen filled in -> (smooth)
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.kinematics import rest_offsets
from learnable_smplify.hands import HandKeypoints
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import SIDES, WRISTS
from learnable_smplify.solver.frame.priors import Priors
from learnable_smplify.solver.hand.anatomy import Anatomy, mirroring
from learnable_smplify.solver.hand.arm import arms, corrected, correction, with_wrists
from learnable_smplify.solver.hand.follow import HandFollower
from learnable_smplify.solver.hand.over_time import filled, smoothed
from learnable_smplify.solver.hand.prior import HandPrior
from learnable_smplify.solver.hand.problem import POINT_ORDER
from learnable_smplify.solver.hand.sizes import bone_lengths

_WRISTS = list(WRISTS)
# Hands whose bones differ from the body's by less are not worth a word.
_OWN_SIZE = 0.05
# Points that are further from a hand's [m] in the median of their frames are none: in another order, or a guess. Noise
# of 20 mm a coordinate leaves 27 mm; points listed joint by joint and not finger by finger are 36 mm off.
_NO_HAND = 0.03


def with_hands(
    motion: Motion,
    hands: HandKeypoints | None,
    body: Body,
    priors: Priors,
    smooth: bool = False,
) -> Motion:
    """The motion with fingers, wrists and forearms as the hands' points show them.

    Args:
        motion: the body's, T frames; its betas are the person's.
        hands: as many frames; without any point of a hand the motion comes back as it is. Points that are no hand's are
            left out, with a note.
        body: the motion's.
        priors: of poses.
        smooth: smooth fingers, wrists and forearms over time.
    """
    if hands is None or not bool((hands.confidence > 0).any()):
        return motion
    if body.hands is None:
        note = f"hand keypoints are not used: the body '{body.name}' has no fingers"
        return replace(motion, notes=(*motion.notes, note))
    priors = priors.to("cpu")
    anatomy = Anatomy.of(body.hands.rest(motion.betas))
    targets, trust = as_left(hands)
    lengths = bone_lengths(anatomy, targets, trust)
    rotmat = rotvec_to_rotmat(motion.pose)
    offsets = rest_offsets(body.joints(torch.zeros(1, 24, 3), motion.betas[None]))
    arm_turn, arm_place = mirrored(*arms(rotmat, motion.transl, offsets))
    follower = HandFollower(anatomy.scaled(lengths.expand(2, -1, -1)))
    frames = [
        follower.step(targets[t], trust[t], arm_turn[t], arm_place[t], 1 / motion.fps) for t in range(len(motion))
    ]

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(frame.found, name) for frame in frames])

    seen = torch.stack([frame.seen for frame in frames])
    off = torch.where(seen, stacked("distance"), torch.nan).nanmedian(dim=0).values
    wrong = off > _NO_HAND
    if bool(wrong.any()):
        motion = replace(motion, notes=(*motion.notes, *_wrong_notes(off, wrong)))
        return with_hands(motion, replace(hands, confidence=hands.confidence * ~wrong[:, None]), body, priors, smooth)
    joint_variance, wrist_variance = stacked("joint_variance"), stacked("wrist_variance")
    turn, place = mirrored(stacked("turn"), stacked("place"))
    held = with_wrists(rotmat, motion.transl, offsets, turn, place, seen, priors)
    arm = correction(held, rotmat)
    turns = filled(stacked("turns").flatten(2), HandPrior.of(anatomy).mean.flatten(1), seen, motion.fps)
    arm = filled(arm, torch.zeros_like(arm[0]), seen, motion.fps)
    if smooth:
        # Where nothing was seen, what was filled in holds as if it were known to some 20 degrees.
        of_turns = torch.where(seen[..., None], joint_variance.repeat_interleave(3, dim=-1) / 3, 0.1)
        of_arm = torch.where(seen[..., None], wrist_variance[..., :1] / 3, 0.1).expand_as(arm)
        turns, arm = smoothed(turns, of_turns, motion.fps), smoothed(arm, of_arm, motion.fps)
    turns = anatomy.within(turns.unflatten(2, (5, 9)))
    unsure = torch.where(seen[..., None], (joint_variance / 3).sqrt(), torch.nan)
    return replace(
        motion,
        pose=rotmat_to_rotvec(corrected(rotmat, arm)),
        hand_pose=anatomy.pose(turns),
        hand_flagged=torch.stack([frame.flagged for frame in frames]),
        hand_uncertainty_deg=torch.rad2deg(unsure).flatten(1),
        uncertainty_deg=_with_wrists(motion.uncertainty_deg, seen, wrist_variance[..., 0]),
        notes=(*motion.notes, *_notes(seen, lengths)),
    )


def as_left(hands: HandKeypoints) -> tuple[Float[Tensor, "T 2 21 3"], Float[Tensor, "T 2 21"]]:
    """Points [m] and their confidence as the hands' solver takes them: right hands mirrored, SMPL-H's fingers."""
    positions, trust = hands.positions[:, :, list(POINT_ORDER)].cpu(), hands.confidence[:, :, list(POINT_ORDER)].cpu()
    return positions * mirroring(positions)[:, None], trust


def mirrored(turn: Float[Tensor, "*T 2 3 3"], place: Float[Tensor, "*T 2 3"]) -> tuple[Tensor, Tensor]:
    """Rotations and places [m] of both hands, those of the right one mirrored (x becomes -x)."""
    flip = mirroring(place)
    return turn * flip[..., None] * flip[:, None], place * flip


def _with_wrists(
    told: Float[Tensor, "T 24"] | None, seen: Bool[Tensor, "T 2"], variance: Float[Tensor, "T 2"]
) -> Float[Tensor, "T 24"]:
    """Standard deviations [deg] with those of the wrists that hands' points show."""
    sigma = torch.full((len(seen), 24), torch.nan) if told is None else told.clone()
    sigma[:, _WRISTS] = torch.where(seen, torch.rad2deg((variance / 3).sqrt()), sigma[:, _WRISTS])
    return sigma


def _wrong_notes(off: Float[Tensor, "2"], wrong: Bool[Tensor, "2"]) -> tuple[str, ...]:
    return tuple(
        f"the points of the {side} hand fit no hand, {1000 * far:.0f} mm off, in another order or a wild guess: "
        "they are taken as not seen"
        for side, far, is_wrong in zip(SIDES, off.tolist(), wrong.tolist(), strict=True)
        if is_wrong
    )


def _notes(seen: Bool[Tensor, "T 2"], lengths: Float[Tensor, "5 4"]) -> tuple[str, ...]:
    notes = []
    for side, share in zip(SIDES, seen.float().mean(dim=0).tolist(), strict=True):
        if share == 0:
            notes.append(f"the {side} hand is never seen: its fingers rest")
        elif share < 1:
            notes.append(f"the {side} hand is seen in {100 * share:.0f} % of the frames; elsewhere its fingers rest")
    size = float(lengths.log().mean().exp())
    if abs(size - 1) > _OWN_SIZE:
        notes.append(
            f"the hands are {size:.2f} times as long as the body's; their angles are kept, on the body's hands"
        )
    return tuple(notes)
