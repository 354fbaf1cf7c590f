"""What the JSON formats share: reading one file, and the numbers in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import check_file
from learnable_smplify.safe_files.json_file import read_json_file

PEOPLE_KEY = "people"
"""What every file of OpenPose has."""
# Larger ids are damage.
_LARGEST_ID = 1e18


def read_json(path: str | PathLike[str]) -> Any:
    """The content of a JSON file; numbers come back as floats, however long.

    Raises:
        InputError: missing, too large, not JSON, or nested deeper than any keypoint file.
    """
    return read_json_file(check_file(path), "a complete JSON file", floats=True)


def read_json_list(path: Path, problem: str, expected: str) -> list[Any]:
    """The content of a JSON file that holds a list; `problem` and `expected` are said of any other.

    Raises:
        InputError: as `read_json`, or no list.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(problem, path=path, expected=expected)
    return content


def openpose_people(file: Path, key: str, columns: str) -> list[tuple[str, dict[str, Any], np.ndarray]]:
    """Everybody in a file of OpenPose: the place for messages, all that is said of them, and their rows of numbers.

    Args:
        file: of one frame.
        key: of the flat list of numbers; (0, C) where somebody has none.
        columns: what stands for each keypoint, such as "x, y, c".

    Raises:
        InputError: not such a file; the message says where.
    """
    content = read_json(file)
    people = content.get(PEOPLE_KEY) if isinstance(content, dict) else None
    if not isinstance(people, list):
        example = f'{{"{PEOPLE_KEY}": [{{"{key}": [{columns}, ...]}}]}}'
        raise InputError(f"there is no list '{PEOPLE_KEY}'", path=file, expected=example)
    found = []
    for index, person in enumerate(people):
        where = f"person {index}"
        if not isinstance(person, dict):
            raise InputError("this is not a person", path=file, where=where, expected=f"an object with '{key}'")
        where = f"{where}, '{key}'"
        row, width = number_list(person.get(key) or [], file, where), columns.count(",") + 1
        if len(row) % width:
            raise InputError(f"there are {len(row)} numbers", path=file, where=where, expected=f"{columns} of each")
        found.append((f"person {index}", person, row.reshape(-1, width)))
    return found


def person_name(value: Any) -> str | None:
    """Who somebody is, from what JSON has for their id, maybe in lists; None where it does not say.

    Negative numbers are what trackers write before they know.
    """
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, float):
        if not 0 <= value < _LARGEST_ID:
            return None
        return str(int(value)) if value == int(value) else f"{value:g}"
    return value if isinstance(value, str) and value else None


def number_table(value: Any, columns: Sequence[int], path: Path, where: str) -> np.ndarray:
    """A list of rows of numbers as an array (K, columns); null is NaN.

    Raises:
        InputError: anything else; the message says where.
    """
    widths = " or ".join(map(str, columns))
    rows: list[Any] = value if isinstance(value, list) else []
    if not rows or not all(isinstance(row, list) and len(row) in columns and len(row) == len(rows[0]) for row in rows):
        raise InputError(
            "these are no rows of numbers", path=path, where=where, expected=f"a list of rows of {widths} numbers"
        )
    return number_list([number for row in rows for number in row], path, where).reshape(len(rows), -1)


def number_list(value: Any, path: Path, where: str) -> np.ndarray:
    """A list of numbers as an array; null is NaN.

    Raises:
        InputError: anything else; the message says where.
    """
    if not isinstance(value, list) or not all(number is None or isinstance(number, float) for number in value):
        raise InputError("these are not numbers", path=path, where=where, expected="a list of numbers")
    return np.array([math.nan if number is None else number for number in value], dtype=np.float64)
