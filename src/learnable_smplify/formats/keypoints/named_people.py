"""Several people in one table of names: Ann:LKnee and Bob:LKnee, or person1_LKnee and person2_LKnee."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints

_Own = TypeVar("_Own")
_NUMBERED = re.compile(
    r"((?:p|person|subject|sub|skeleton|skel|player|track|id|actor)[ _]?\d+)[_.: ](.+)", re.IGNORECASE
)


def columns_of_people(names: Sequence[str]) -> dict[str, list[int]]:
    """Which columns belong to whom, by what stands in front of the names; "" for columns of nobody."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        found.setdefault(owner(name)[0], []).append(column)
    return found


def owner(name: str) -> tuple[str, str]:
    """The person in front of a name ("" for none), and the name alone."""
    if ":" in name:
        person, _, bare = name.rpartition(":")
        return person, bare
    numbered = _NUMBERED.fullmatch(name)
    return ("", name) if numbered is None else (numbered[1], numbered[2])


def several_people(names: Sequence[str], read: Callable[[str, Sequence[int]], Keypoints]) -> list[Keypoints]:
    """Everybody whose name stands in front of columns; nobody unless they are two or more. `read` as in `everybody`."""
    groups = columns_of_people(names)
    people = everybody(groups, read)[0] if len(groups) > 1 else []
    return people if len(people) > 1 else []


def everybody(
    groups: Mapping[str, _Own], read: Callable[[str, _Own], Keypoints]
) -> tuple[list[Keypoints], InputError | None]:
    """Those of the groups that are people, and what was wrong with the first that is none.

    Args:
        groups: by person, what is theirs: columns, a table.
        read: the keypoints of what is a person's; raises InputError where it is no person's: a ball, a chair.
    """
    people: list[Keypoints] = []
    problem: InputError | None = None
    for name, own in groups.items():
        try:
            people.append(read(name, own))
        except InputError as error:
            problem = problem or error
    return people, problem
