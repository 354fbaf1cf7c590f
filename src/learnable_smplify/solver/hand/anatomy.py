"""`Anatomy`: how one person's fingers hang together, about which axes they turn, and how far.

A joint's turn is a rotvec whose parts are taken along the joint's own axes: twist about its bone, spread towards the
thumb's side (a thumb's joints: away from the palm), and flexion. Limits are a box of these parts, so that a hand is
within its limits exactly if every number is; and neighbouring fingers may converge no further than side by side.

Everything here is a left hand: a right one is mirrored (x becomes -x) before it is solved, and back afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.fingers import RestHands
from learnable_smplify.hands import FINGERS, mirrored_hand

PARTS: tuple[str, str, str] = ("twist", "spread", "flexion")
THUMB = FINGERS.index("thumb")
# Fingers side by side, the one nearer to the thumb first.
NEIGHBOURS: tuple[tuple[int, int], ...] = tuple(
    (FINGERS.index(first), FINGERS.index(second))
    for first, second in (("index", "middle"), ("middle", "ring"), ("ring", "pinky"))
)
# What anatomy allows [deg], from a straight finger that goes on in the metacarpal's direction: knuckle, middle joint,
# last joint; twist, spread, flexion. Active ranges of healthy adults (American Academy of Orthopaedic Surgeons) and
# some passive extension; what a hinge has besides its flexion is the play of its ligaments.
_FINGER_DEG: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    finger: (((-12, 12), spread, (-35, 95)), ((-5, 5), (-4, 4), (-12, 115)), ((-5, 5), (-4, 4), (-15, 85)))
    for finger, spread in (
        ("index", (-20.0, 28.0)),
        ("middle", (-20.0, 20.0)),
        ("ring", (-26.0, 18.0)),
        ("pinky", (-40.0, 18.0)),
    )
}
# Of the thumb, from the rest pose: its root's saddle, its knuckle, its last joint (the flexion of this from straight).
_THUMB_DEG = (((-35, 35), (-50, 40), (-45, 45)), ((-15, 15), (-18, 18), (-40, 65)), ((-7, 7), (-6, 6), (-30, 85)))
# Neighbours may converge so far beyond parallel [deg]; fingertips of 8 cm long fingers still lie beside each other.
_CONVERGE_DEG = 7.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Two hands of one person, both as left ones; fingers in SMPL-H's order (index, middle, pinky, ring, thumb).

    Args:
        offsets: (2, 5, 4, 3) bones at rest [m]: wrist to first joint, to the second, to the third, to the tip.
        axes: (2, 5, 3, 3, 3) a joint's axes as columns: twist, spread, flexion.
        lower, upper: (2, 5, 9) limits of twist, spread and flexion of the three joints [rad].
        apart: (2, 3) least difference of spread of each of `NEIGHBOURS` [rad].
    """

    offsets: Float[Tensor, "2 5 4 3"]
    axes: Float[Tensor, "2 5 3 3 3"]
    lower: Float[Tensor, "2 5 9"]
    upper: Float[Tensor, "2 5 9"]
    apart: Float[Tensor, "2 3"]

    @staticmethod
    def of(rest: RestHands) -> Anatomy:
        """Of a person's hands in the rest pose."""
        sides = torch.cat((rest.joints, rest.tips), dim=1) * mirroring(rest.joints)[:, None]
        parts = [_hand(hand) for hand in sides.double()]
        offsets, axes, lower, upper, apart = (torch.stack(part).float() for part in zip(*parts, strict=True))
        return Anatomy(offsets, axes, lower, upper, apart)

    def scaled(self, lengths: Float[Tensor, "2 5 4"]) -> Anatomy:
        """Of somebody whose bones are so many times as long."""
        return Anatomy(self.offsets * lengths[..., None], self.axes, self.lower, self.upper, self.apart)

    def pose(self, turns: Float[Tensor, "T 2 5 9"]) -> Float[Tensor, "T 30 3"]:
        """The hands' rotvecs [rad] for parts along the joints' axes."""
        rotvec = (self.axes @ turns.unflatten(-1, (3, 3))[..., None])[..., 0].flatten(2, 3)
        return torch.cat((rotvec[:, 0], mirrored_hand(rotvec[:, 1])), dim=1)

    def turns(self, pose: Float[Tensor, "T 30 3"]) -> Float[Tensor, "T 2 5 9"]:
        """The parts along the joints' axes of rotvecs [rad]: the inverse of `pose`."""
        left, right = pose.unflatten(1, (2, 15)).unbind(1)
        rotvec = torch.stack((left, mirrored_hand(right)), dim=1).unflatten(2, (5, 3))
        return (self.axes.mT @ rotvec[..., None])[..., 0].flatten(-2)

    def within(self, turns: Float[Tensor, "T 2 5 9"]) -> Float[Tensor, "T 2 5 9"]:
        """Turns near these that anatomy allows.

        Neighbours that converge too far give way to each other, each by half; what is left of that between three
        fingers is settled from the middle one outwards, which every hand's limits leave room for.
        """
        turns = torch.minimum(torch.maximum(turns, self.lower), self.upper)
        spread = list(turns[..., 1].unbind(-1))
        for number, (first, second) in enumerate(NEIGHBOURS):
            short = (self.apart[:, number] - (spread[first] - spread[second])).clamp(min=0)
            spread[first], spread[second] = spread[first] + 0.5 * short, spread[second] - 0.5 * short
        spread = [
            torch.minimum(torch.maximum(s, self.lower[:, f, 1]), self.upper[:, f, 1]) for f, s in enumerate(spread)
        ]
        (index, middle), (_, ring), (_, pinky) = NEIGHBOURS
        spread[index] = torch.maximum(spread[index], spread[middle] + self.apart[:, 0])
        spread[ring] = torch.minimum(spread[ring], spread[middle] - self.apart[:, 1])
        spread[pinky] = torch.minimum(spread[pinky], spread[ring] - self.apart[:, 2])
        return torch.cat((turns[..., :1], torch.stack(spread, dim=-1)[..., None], turns[..., 2:]), dim=-1)

    def beyond(self, turns: Float[Tensor, "T 2 5 9"]) -> Float[Tensor, "T 2"]:
        """How far the worst joint of a hand is beyond its limits, or neighbours beyond theirs [rad]; 0 within."""
        over = torch.maximum(self.lower - turns, turns - self.upper).flatten(2).amax(dim=-1)
        for number, (first, second) in enumerate(NEIGHBOURS):
            short = self.apart[:, number] - (turns[:, :, first, 1] - turns[:, :, second, 1])
            over = torch.maximum(over, short)
        return over.clamp(min=0)


def mirroring(like: Tensor) -> Float[Tensor, "2 3"]:
    """What places of both hands are multiplied by to make the right one a left one, or a right one again."""
    return like.new_tensor(((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)))


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)


def _hand(points: Float[Tensor, "21 3"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Offsets, axes, limits and least differences of a left hand: wrist, 15 joints, 5 tips."""
    wrist, joints, tips = points[0], points[1:16].unflatten(0, (5, 3)), points[16:]
    chain = torch.cat((wrist.expand(5, 1, 3), joints, tips[:, None]), dim=1)
    offsets = chain[:, 1:] - chain[:, :-1]
    bones = _unit(offsets[:, 1:])
    # To the thumb's side, along the knuckles; forward, along the middle finger's metacarpal; away from the palm.
    forward = _unit(offsets[FINGERS.index("middle"), 0])
    across = joints[FINGERS.index("index"), 0] - joints[FINGERS.index("pinky"), 0]
    across = _unit(across - (across @ forward) * forward)
    back = torch.linalg.cross(across, forward)
    # A finger bends towards the palm, a thumb across it.
    towards = (-back).expand(5, 3, 3).clone()
    towards[THUMB] = -across
    flexion = _unit(torch.linalg.cross(bones, towards))
    axes = torch.stack((bones, torch.linalg.cross(flexion, bones), flexion), dim=-1)

    limits = torch.zeros(5, 3, 3, 2, dtype=points.dtype)
    splay = torch.zeros(5, dtype=points.dtype)
    for index, finger in enumerate(FINGERS):
        degrees = _THUMB_DEG if index == THUMB else _FINGER_DEG[finger]
        limits[index] = torch.tensor(degrees, dtype=points.dtype).deg2rad()
        bent = _angles(bones[index], flexion[index])
        if index == THUMB:
            limits[index, 2, 2] -= bent[1]
            continue
        first = bones[index, 0]
        limits[index, 0, 2] -= torch.atan2(-(first @ back), first @ forward)
        splay[index] = torch.atan2(first @ across, first @ forward)
        limits[index, 0, 1] -= splay[index]
        limits[index, 1, 2] -= bent[0]
        limits[index, 2, 2] -= bent[1]
    apart = [-math.radians(_CONVERGE_DEG) - float(splay[first] - splay[second]) for first, second in NEIGHBOURS]
    lower, upper = limits.flatten(1, 2).unbind(-1)
    return offsets, axes, lower, upper, torch.tensor(apart, dtype=points.dtype)


def _angles(bones: Float[Tensor, "3 3"], flexion: Float[Tensor, "3 3"]) -> Float[Tensor, "2"]:
    """How far the second and third bone are bent against the one before, about the joint's flexion axis [rad]."""
    before, after, axis = bones[:-1], bones[1:], flexion[1:]
    return torch.atan2((torch.linalg.cross(before, after) * axis).sum(-1), (before * after).sum(-1))
