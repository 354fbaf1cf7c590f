"""Which of an estimator's tracks is which of the recording's people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from learnable_smplify.body.body import Body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.motion import Motion
from learnable_smplify.refine.align import align
from learnable_smplify.refine.shape import known_betas
from learnable_smplify.refine.times import keypoints_at
from learnable_smplify.timeline import evenly

_FRAMES = 200
_LEAST_FRAMES = 3
# What a path that differs by 1 m counts as, next to a pose that differs [m]; paths of cameras are not metric.
_PATH_SHARE, _MOST_PATH = 0.1, 2.0


@dataclass(frozen=True)
class Match:
    """A track and a person of the recording.

    Args:
        estimate, person: indices.
        distance: median distance of the keypoints from the aligned track's, with a share of their paths' [m]; infinite
            where the two have fewer than 3 frames in common.
    """

    estimate: int
    person: int
    distance: float


def match_people(
    body: Body, motions: Sequence[Motion], starts_s: Sequence[float], people: Sequence[Keypoints]
) -> list[Match]:
    """Every track with every person of the recording, the nearest first.

    Args:
        body: to pose the tracks on.
        motions: of the tracks.
        starts_s: the recording's time at each track's first frame [s].
        people: of one recording.
    """
    matches = [
        Match(track, person, _distance(body, motions[track], starts_s[track], people[person]))
        for track in range(len(motions))
        for person in range(len(people))
    ]
    return sorted(matches, key=lambda match: match.distance)


def _distance(body: Body, motion: Motion, start_s: float, person: Keypoints) -> float:
    targets, confidence = keypoints_at(person, start_s + torch.arange(len(motion)) / motion.fps)
    rows = ((confidence > 0).sum(dim=1) >= 3).nonzero()[:, 0]
    if len(rows) < _LEAST_FRAMES:
        return float("inf")
    rows = rows[evenly(len(rows), _FRAMES)]
    known = known_betas(motion, body)
    betas = torch.zeros(10) if known is None else known
    pose, transl = motion.pose[rows], motion.transl[rows]
    model = body.keypoints(pose, betas, transl, layout=person.layout)
    pelvis = body.joints(pose, betas, transl)[:, 0]
    found = align(model, pelvis, targets[rows], confidence[rows], motion.fps, "clip", 1.0)
    turned = (found.rotmat @ (pelvis[..., None]))[..., 0] + found.shift
    seen = confidence[rows] > 0
    middle = torch.where(seen[..., None], targets[rows], torch.nan).nanmedian(dim=1).values
    path = float((middle - turned).norm(dim=-1).median())
    return found.error + _PATH_SHARE * min(path, _MOST_PATH)
