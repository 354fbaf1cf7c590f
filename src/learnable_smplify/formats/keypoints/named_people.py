"""Columns with names, of one person or several: Ann:LKnee and Bob:LKnee, or person1_LKnee and person2_LKnee."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.source import Source
from learnable_smplify.keypoints import Keypoints

_Own = TypeVar("_Own")
_NUMBERED = re.compile(
    r"((?:p|person|subject|sub|skeleton|skel|player|track|id|actor)[ _]?\d+)[_.: ](.+)", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class NamedColumns:
    """Points with names, over time.

    Args:
        names: (M,), with the person in front where a file has several side by side.
        values: (T, M, A) along the axes that were asked for, in the file's unit; NaN where missing.
        confidence: (T, M), None where the file states none.
        source: what else the file says.
    """

    names: list[str]
    values: Float[np.ndarray, "T M A"]
    confidence: Float[np.ndarray, "T M"] | None
    source: Source

    def of_person(self, person: str, columns: Sequence[int]) -> NamedColumns:
        """The columns of one person ("" for one without a name), under the names of the points alone."""
        return NamedColumns(
            [owner(self.names[column])[1] for column in columns],
            self.values[:, columns],
            None if self.confidence is None else self.confidence[:, columns],
            replace(self.source, person_id=person or None),
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


def several_people(columns: NamedColumns, read: Callable[[NamedColumns], Keypoints]) -> list[Keypoints]:
    """Everybody whose name stands in front of columns, where they are two or more; else whose all the columns are."""
    groups = columns_of_people(columns.names)
    people = everybody(groups, lambda name, own: read(columns.of_person(name, own)))[0] if len(groups) > 1 else []
    return people if len(people) > 1 else [read(columns)]


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
