"""What the JSON formats share: reading one file, and putting the files of a folder in the order of their frames."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import check_file
from learnable_smplify.safe_files.json_file import read_json_file

_LAST_NUMBER = re.compile(r"(\d+)\D*$")
# Frames may be left out of a folder, but numbers that run away are damage and would only fill memory.
_MOST_FRAMES_A_FILE = 20


def read_json(path: str | PathLike[str]) -> Any:
    """The content of a JSON file; numbers come back as floats, however long.

    Raises:
        InputError: missing, too large, not JSON, or nested deeper than any keypoint file.
    """
    return read_json_file(check_file(path), "a complete JSON file", floats=True)


def json_files(path: str | PathLike[str]) -> list[Path]:
    """The JSON files of a folder (or the one file `path`), by the frame number their names end in.

    Raises:
        InputError: no such file or folder, or no JSON in it.
    """
    path = Path(path)
    if not path.is_dir():
        return [check_file(path)]
    files = [file for file in path.iterdir() if file.suffix.lower() == ".json" and file.is_file()]
    if not files:
        raise InputError(
            "there is no .json file in this folder", path=path, expected="one JSON file a frame", hint=f"ls {path}"
        )
    return sorted(files, key=lambda file: (_frame_number(file) or 0, file.name))


def frame_places(files: Sequence[Path], folder: Path) -> tuple[list[int], int, tuple[str, ...]]:
    """Where in the recording each file's frame is: numbers that are left out are frames without people.

    Returns:
        A frame index for every file, the number of frames, and notes for the user.

    Raises:
        InputError: two files with the same frame number.
    """
    numbers = [_frame_number(file) for file in files]
    known = [number for number in numbers if number is not None]
    if len(known) < len(files) or len(files) < 2:
        return list(range(len(files))), len(files), ()
    steps = [after - before for before, after in itertools.pairwise(known)]
    if min(steps) == 0:
        place = steps.index(0)
        raise InputError(
            f"two files are for frame {known[place]}: {files[place].name} and {files[place + 1].name}",
            path=folder,
            expected="the frames of one camera or one recording a folder",
        )
    step = math.gcd(*steps)
    count = (known[-1] - known[0]) // step + 1
    if count > _MOST_FRAMES_A_FILE * len(files):
        return (
            list(range(len(files))),
            len(files),
            ("the numbers in the file names leave long gaps: taken as one after another",),
        )
    notes = []
    if step > 1:
        notes.append(f"the frame numbers go up by {step}: taken as one frame after another")
    if count > len(files):
        notes.append(f"{count - len(files)} of {count} frames have no file: nobody is measured in them")
    return [(number - known[0]) // step for number in known], count, tuple(notes)


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
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        example = f'{{"people": [{{"{key}": [{columns}, ...]}}]}}'
        raise InputError("there is no list 'people'", path=file, expected=example)
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


def _frame_number(file: Path) -> int | None:
    found = _LAST_NUMBER.search(file.stem)
    return None if found is None else int(found[1][-18:])
