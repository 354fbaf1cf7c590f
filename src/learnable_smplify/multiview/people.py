"""Who is who in several cameras: tracks of short windows of time are put together where their rays meet.

A window is so short that a track in it is one person; over time a track may pass from one to another, where people
cross. In each window, people are who they were in the one before as long as their rays still meet; what does not is set
free and goes to whom it fits best, and free tracks of several cameras that meet are a new person. A person who comes
back is known by where they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from learnable_smplify.multiview.rays import Rig, Sightlines, median, missed

# The length of a window [s].
_WINDOW_S = 0.2
# Rays of one person miss each other by less, in sizes of the person; of somebody already followed by a little more.
MEET, _STILL_MEET = 0.075, 0.13
# Tracks are exchanged between people where rays miss each other by less than this share of what they did, less so much.
_EXCHANGED, _LEAST_GAIN = 0.7, 0.01
# How fast somebody out of sight may go [m/s], how far off they may be found at once [m], and for how long [s].
_SPEED, _NEAR, _REMEMBERED_S = 2.5, 0.7, 8.0
# Somebody is a person who is seen in this share of the recording, or for so long [s].
_LEAST_SHARE, _LEAST_S = 0.1, 1.0


@dataclass
class _Person:
    """Somebody followed: which track shows them in which camera in which window, and where they were last."""

    tracks: dict[int, dict[int, int]] = field(default_factory=dict)  # window -> camera -> track
    centre: Float[np.ndarray, "3"] | None = None
    window: int = 0


def match_people(lines: Sequence[Sightlines], rig: Rig, fps: float) -> list[list[tuple[int, int, slice]]]:
    """The people seen by several cameras, most seen first.

    Args:
        lines: every track of every camera, over the same frames.
        rig: the cameras.
        fps: frames a second.

    Returns:
        for each person the pieces that show them: camera, track in it, frames. With one camera, each track is a
        person.
    """
    frames = len(lines[0].rays)
    if len({line.camera for line in lines}) == 1:
        return [[(line.camera, line.track, slice(0, frames))] for line in lines]
    step = max(1, round(_WINDOW_S * fps))
    windows = [slice(begin, min(begin + step, frames)) for begin in range(0, frames, step)]
    people: list[_Person] = []
    for number, window in enumerate(windows):
        seen = [line for line in lines if np.isfinite(line.rays[window]).any()]
        costs = window_costs(seen, rig, window)
        groups = _groups(seen, costs, people, number, rig, window, step / fps)
        for person, members in groups:
            person.tracks[number] = {seen[index].camera: seen[index].track for index in members}
            centre = _centre([seen[index] for index in members], rig, window)
            if centre is not None:
                person.centre = centre
            person.window = number
    least = min(_LEAST_S * fps, _LEAST_SHARE * frames) / step
    return [
        [
            (camera, track, windows[number])
            for number, tracks in person.tracks.items()
            for camera, track in tracks.items()
        ]
        for person in sorted(people, key=lambda person: -sum(map(len, person.tracks.values())))
        if len(person.tracks) >= least
    ]


def window_costs(seen: Sequence[Sightlines], rig: Rig, window: slice) -> Float[np.ndarray, "N N"]:
    """How far the tracks of a window miss each other, in sizes of a person; infinite in one camera."""
    costs = np.full((len(seen), len(seen)), np.inf)
    for one, other in itertools.combinations(range(len(seen)), 2):
        first, second = seen[one], seen[other]
        if first.camera == second.camera:
            continue
        essential = rig.essential(first.camera, second.camera)
        seen_there = second.rays[window]
        # A detector may take left for right in one of them: that is still the same person.
        ways = [missed(essential, first.rays[window], rays) for rays in (seen_there, seen_there[:, second.mirror])]
        if np.isfinite(ways[0]).sum() >= 3:
            size = max(0.5 * (first.size + second.size), 1e-6)
            costs[one, other] = costs[other, one] = min(map(median, ways)) / size
    return costs


def _groups(
    seen: Sequence[Sightlines],
    costs: Float[np.ndarray, "N N"],
    people: list[_Person],
    number: int,
    rig: Rig,
    window: slice,
    seconds: float,
) -> list[tuple[_Person, list[int]]]:
    """People of a window with the tracks that show them; new people are added to `people`."""
    free = set(range(len(seen)))
    groups: list[tuple[_Person, list[int]]] = []
    for person in people:
        before = person.tracks.get(number - 1, {})
        members = [index for index in free if before.get(seen[index].camera) == seen[index].track]
        members = _agreeing(members, costs)
        if members:
            groups.append((person, members))
            free -= set(members)
    # Tracks that nobody had go to somebody whom their camera lacks, the best fit first.
    _join(groups, free, seen, costs)
    while True:
        pairs = [(costs[a, b], a, b) for a, b in itertools.combinations(sorted(free), 2) if costs[a, b] < MEET]
        if not pairs:
            break
        _, first, second = min(pairs)
        members = [first, second]
        free -= set(members)
        group = [(_Person(), members)]
        _join(group, free, seen, costs)
        known = {id(person) for person, _ in groups}
        lost = [person for person in people if id(person) not in known]
        again = _known_again(lost, _centre([seen[index] for index in members], rig, window), number, seconds)
        if again is None:
            again = _Person()
            people.append(again)
        groups.append((again, members))
    _exchange([members for _, members in groups], seen, costs)
    return groups


def _agreeing(members: list[int], costs: Float[np.ndarray, "N N"]) -> list[int]:
    """Of the tracks that showed a person, those that still meet: the worst goes until all do."""
    kept = list(members)
    while len(kept) > 1:
        table = costs[np.ix_(kept, kept)].copy()
        np.fill_diagonal(table, np.nan)
        worst = [median(row) for row in table]
        if max(worst) < _STILL_MEET:
            break
        if len(kept) == 2:
            return []  # either may be the wrong one
        kept.pop(int(np.argmax(worst)))
    return kept


def _exchange(groups: Sequence[list[int]], seen: Sequence[Sightlines], costs: Float[np.ndarray, "N N"]) -> None:
    """Exchange what a camera shows of two people where their rays meet much better so; changes the groups.

    People who cross are near each other, and tracks that passed from one to the other still meet well enough.
    """

    def away(index: int, others: list[int]) -> float:
        return float(costs[index, others].mean()) if others else np.inf

    while True:
        best: tuple[float, list[int], list[int], int, int] | None = None
        for first, second in itertools.combinations(groups, 2):
            for one, two in itertools.product(first, second):
                if seen[one].camera != seen[two].camera:
                    continue
                rest, other_rest = ([index for index in group if index not in (one, two)] for group in (first, second))
                now = away(one, rest) + away(two, other_rest)
                then = away(two, rest) + away(one, other_rest)
                if (
                    then < _EXCHANGED * now - _LEAST_GAIN
                    and np.isfinite(now)
                    and (best is None or now - then > best[0])
                ):
                    best = (now - then, first, second, one, two)
        if best is None:
            return
        _, first, second, one, two = best
        first[first.index(one)], second[second.index(two)] = two, one


def _join(
    groups: list[tuple[_Person, list[int]]], free: set[int], seen: Sequence[Sightlines], costs: Float[np.ndarray, "N N"]
) -> None:
    """Give free tracks to groups that lack their camera, best first; changes both."""
    while True:
        best: tuple[float, int, list[int]] | None = None
        for _, members in groups:
            cameras = {seen[index].camera for index in members}
            for index in free:
                cost = median(costs[index, members])
                if seen[index].camera not in cameras and cost < (MEET if best is None else best[0]):
                    best = (cost, index, members)
        if best is None:
            return
        best[2].append(best[1])
        free.remove(best[1])


def _known_again(
    lost: Sequence[_Person], centre: Float[np.ndarray, "3"] | None, number: int, seconds: float
) -> _Person | None:
    """Who of those not seen now may have come to this place."""
    if centre is None:
        return None
    best, nearest = None, np.inf
    for person in lost:
        gone = (number - person.window) * seconds
        if person.centre is None or gone > _REMEMBERED_S:
            continue
        away = float(np.linalg.norm(person.centre - centre))
        if away < min(_NEAR + _SPEED * gone, nearest):
            best, nearest = person, away
    return best


def _centre(group: Sequence[Sightlines], rig: Rig, window: slice) -> Float[np.ndarray, "3"] | None:
    """Where a person's middle is nearest to the rays towards it [m]; None from one camera."""
    normal, right, count = np.zeros((3, 3)), np.zeros(3), 0
    for line in group:
        rays = line.rays[window]
        known = rays[np.isfinite(rays).all(axis=-1)]
        if not len(known):
            continue
        turn = rig.rotations[line.camera]
        ray = turn.T @ np.append(np.median(known, axis=0), 1.0)
        ray /= np.linalg.norm(ray)
        across = np.eye(3) - np.outer(ray, ray)
        normal += across
        right += across @ (-turn.T @ rig.translations[line.camera])
        count += 1
    return np.linalg.solve(normal + 1e-9 * np.eye(3), right) if count > 1 else None
