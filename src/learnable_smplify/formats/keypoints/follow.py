"""Who is who from frame to frame, where a file does not say: people are followed by distance."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from learnable_smplify.formats.keypoints.times import DEFAULT_FPS

# A person is at most so far from where they were expected, in body sizes (the 90th percentile of keypoints from the
# body's middle, 0.8 m or so): at once, and for every second out of sight.
_NEAR, _NEAR_A_SECOND = 0.6, 5.0
# People keep their velocity for so long [s] when they are not seen, as when they pass behind each other.
_KEPT_S = 0.5
# The share of the latest step in the velocity.
_FRESH = 0.4
MOST_PEOPLE = 32
# Somebody is where another was within this [body sizes].
_CHANGED = 0.4
_FEWEST_SIGHTS = 2  # that tell whether a name comes back
# What nobody can be matched at.
_NEVER = 1e9
_AT_ONCE = 1_000_000  # keypoints compared


@dataclass
class _Track:
    """A person so far: where each keypoint was last, when, and how fast the body moved [a frame]."""

    frame: int
    points: Float[np.ndarray, "K 3"]
    velocity: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))

    def expected(self, frame: int, kept: float) -> Float[np.ndarray, "K 3"]:
        return self.points + self.velocity * min(frame - self.frame, kept)

    def see(self, frame: int, points: Float[np.ndarray, "K 3"]) -> None:
        step = np.nanmean(points - self.points, axis=0) if _both(points, self.points).any() else np.full(3, np.nan)
        if np.isfinite(step).all():
            self.velocity = (1 - _FRESH) * self.velocity + _FRESH * step / max(frame - self.frame, 1)
        self.points = np.where(np.isfinite(points), points, self.points + np.nan_to_num(step))
        self.frame = frame


def follow_people(
    frames: Sequence[int], points: Sequence[Float[np.ndarray, "K 3"]], fps: float | None, several: bool = False
) -> list[int]:
    """The person (0, 1, ... in order of first appearance) of each sight.

    Every person has a place where they are expected, from where they were and how they moved; the sights of a frame are
    given out so that all together are nearest to those places. Somebody far from every place is a new person.

    Args:
        frames: the frame of each sight; several sights of one frame are different people.
        points: their keypoints in any unit, NaN where missing.
        fps: frames a second; None means 30, and so does what is no rate: that is refused later.
        several: there are several people, though never two at once.
    """
    person = [0] * len(frames)
    order = sorted(range(len(frames)), key=lambda index: frames[index])
    groups = [(frame, list(group)) for frame, group in itertools.groupby(order, key=lambda index: frames[index])]
    if not several and all(len(group) == 1 for _, group in groups):
        return person  # never more than one: the same, wherever they come back
    fps = fps if fps is not None and np.isfinite(fps) and fps > 0 else DEFAULT_FPS
    size = _size(points)
    tracks: list[_Track] = []
    with np.errstate(all="ignore"):
        for frame, group in groups:
            sights = np.stack([points[index] for index in group])
            cost = np.full((len(tracks), len(group)), _NEVER)
            at_once = max(_AT_ONCE // sights[..., 0].size, 1)
            for first in range(0, len(tracks), at_once):
                some = tracks[first : first + at_once]
                away = _distances(np.stack([track.expected(frame, _KEPT_S * fps) for track in some]), sights, size)
                unseen_s = np.array([frame - track.frame for track in some]) / fps
                allowed = size * (_NEAR + _NEAR_A_SECOND * unseen_s)
                cost[first : first + at_once] = np.where(away < allowed[:, None], away, _NEVER)
            for index, given in zip(group, _given_out(cost), strict=True):
                if given is None:
                    tracks.append(_Track(frame, points[index]))
                    person[index] = len(tracks) - 1
                else:
                    tracks[given].see(frame, points[index])
                    person[index] = given
    return person


def people_by_name(
    frames: Sequence[int], stated: Sequence[str | None], points: Sequence[Float[np.ndarray, "K 3"]], fps: float | None
) -> tuple[dict[str, list[int]], int, tuple[str, ...]]:
    """Everybody in a recording, under the file's name, else under a number of those who are followed.

    Names of which none comes back are numbers of sights, and not used.

    Args:
        frames: the frame of each sight.
        stated: its name in the file, None where there is none.
        points: its keypoints, as `follow_people` has them.
        fps: frames a second; None means 30.

    Returns:
        The sights of everybody, in order of first appearance (of many people, those who are seen most); how many people
        are followed; and a note on those who are left out.
    """
    if len(set(stated)) == len(stated) > _FEWEST_SIGHTS and len(set(frames)) > 1:
        stated = [None] * len(stated)
    unnamed = [index for index, name in enumerate(stated) if name is None]
    followed = follow_people([frames[index] for index in unnamed], [points[index] for index in unnamed], fps)
    taken = set(stated)
    numbers = (str(number) for number in itertools.count() if str(number) not in taken)
    number_of = {person: next(numbers) for person in dict.fromkeys(followed)}
    names = [name or "" for name in stated]
    for index, person in zip(unnamed, followed, strict=True):
        names[index] = number_of[person]
    people: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        people.setdefault(name, []).append(index)
    if len(people) <= MOST_PEOPLE:
        return people, len(number_of), ()
    longest = sorted(people, key=lambda name: -len(people[name]))[:MOST_PEOPLE]
    note = f"{len(people) - MOST_PEOPLE} of {len(people)} people are left out: seen in fewest frames"
    return {name: sights for name, sights in people.items() if name in longest}, len(number_of), (note,)


def follow_slots(slots: Sequence[Float[np.ndarray, "T K D"]], fps: float | None) -> Int[np.ndarray, "P T"] | None:
    """Which slot of an array each person is in, -1 where in none; None where every slot is one person already.

    Slots are believed unless somebody comes up in another slot than before, as where detections are listed in any
    order: people who only cross keep theirs.

    Args:
        slots: x, y, z first; NaN, or zeros, where there is nobody.
        fps: frames a second; None means 30.
    """
    points = np.stack([np.asarray(slot[..., :3], dtype=np.float64) for slot in slots])
    points[(points == 0).all(axis=-1) | ~np.isfinite(points).all(axis=-1)] = np.nan
    if len(points) < 2 or not _change_slots(points):
        return None
    seen = np.argwhere(np.isfinite(points).all(axis=-1).sum(axis=-1).T >= 1)  # by frame, then slot
    frames = [int(frame) for frame, _ in seen]
    person = follow_people(frames, [points[slot, frame] for frame, slot in seen], fps, several=True)
    order = np.full((max(person) + 1, points.shape[1]), -1)
    order[person, frames] = seen[:, 1]
    longest = np.argsort(-(order >= 0).sum(axis=1), kind="stable")[:MOST_PEOPLE]
    return order[np.sort(longest)]


def _change_slots(points: Float[np.ndarray, "P T K 3"]) -> bool:
    """Whether somebody is where a person of another slot was a frame before, and both are not where they were."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames without anybody
        middle = np.nanmedian(points, axis=2)
    near = _CHANGED * _size([frame for slot in points for frame in slot[:: max(1, len(slot) // 50)]])
    for here, there in itertools.permutations(range(len(points)), 2):
        to = np.linalg.norm(middle[there, 1:] - middle[here, :-1], axis=-1)
        left = np.linalg.norm(middle[here, 1:] - middle[here, :-1], axis=-1)
        came = np.linalg.norm(middle[there, 1:] - middle[there, :-1], axis=-1)
        moved = [np.isnan(away) | ((away > near) & (away > 2 * to)) for away in (left, came)]
        if bool(((to < near) & moved[0] & moved[1]).any()):
            return True
    return False


def _given_out(cost: Float[np.ndarray, "N M"]) -> list[int | None]:
    """For each column the row given to it, so that all together cost least; None where there is none."""
    from scipy.optimize import linear_sum_assignment

    rows: list[int | None] = [None] * cost.shape[1]
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if cost[row, column] < _NEVER:
            rows[column] = int(row)
    return rows


def _distances(
    expected: Float[np.ndarray, "N K 3"], sights: Float[np.ndarray, "M K 3"], size: float
) -> Float[np.ndarray, "N M"]:
    """Mean distance of the keypoints that both have, of those that jump not all; NaN where they share none."""
    each = np.linalg.norm(sights[None] - expected[:, None], axis=-1)
    each = np.sort(np.where(np.isfinite(each), each, np.nan), axis=-1)  # those that are missing come last
    count = np.isfinite(each).sum(axis=-1, keepdims=True)
    middle = np.concatenate(((count - 1) // 2, count // 2), axis=-1).clip(0, each.shape[-1] - 1)
    median = np.take_along_axis(each, middle, axis=-1).mean(axis=-1, keepdims=True)
    return np.nansum(np.minimum(each, 3 * median + size / 2), axis=-1) / count[..., 0]


def _both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.isfinite(first).all(axis=-1) & np.isfinite(second).all(axis=-1)


def _size(points: Sequence[Float[np.ndarray, "K 3"]]) -> float:
    """The distance of most keypoints from their middle, the median over all sights; infinite where nothing tells."""
    sizes = []
    with np.errstate(all="ignore"):
        for sight in points:
            seen = sight[np.isfinite(sight).all(axis=-1)]
            if len(seen) >= 4:
                sizes.append(float(np.quantile(np.linalg.norm(seen - np.median(seen, axis=0), axis=-1), 0.9)))
    usable = [size for size in sizes if np.isfinite(size) and size > 0]
    return float(np.median(usable)) if usable else np.inf
