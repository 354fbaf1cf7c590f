"""A folder with one JSON file a frame: which files are frames, and where in the recording each is."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import check_file
from learnable_smplify.formats.keypoints.times import Places, every_frame, places_of_numbers

_NUMBER = re.compile(r"\d+")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")
# JSON formats are told by the keys in the first part of a file.
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class FrameFolder:
    """The files of a recording that has one a frame.

    Args:
        files: in order, each with its frame; frames without a file are frames without people.
        frames: T, how many frames there are.
        notes: lines for the user.
    """

    files: tuple[tuple[int, Path], ...]
    frames: int
    notes: tuple[str, ...]


def read_frame_folder(path: str | PathLike[str], key: str) -> FrameFolder:
    """The frames of a folder, or the one frame of a file.

    JSON of another kind that lies beside them (a calibration, a description) is left out with a note: files are of
    another kind that differ from the frames by more than numbers in their names, and of which none holds `key`.

    Args:
        path: the folder or file.
        key: which every frame of the format has, where somebody is in it.

    Raises:
        InputError: no such file or folder, no JSON in it, or two files with one frame number.
    """
    path = Path(path)
    there = json_files(path)
    files = frame_files(there, key) or there
    places = _frame_places(files, path)
    notes = places.notes
    if len(files) < len(there):
        notes = (left_out(set(there) - set(files)), *notes)
    return FrameFolder(tuple(zip(places.at, files, strict=True)), places.frames, notes)


def json_files(path: Path) -> list[Path]:
    """The JSON files of a folder (or the one file `path`), by the frame number their names end in; no hidden ones.

    Raises:
        InputError: no such file or folder, or no JSON in it.
    """
    if not path.is_dir():
        return [check_file(path)]
    files = [
        file for file in path.iterdir() if file.suffix.lower() == ".json" and file.name[0] != "." and file.is_file()
    ]
    if not files:
        raise InputError(
            "there is no .json file in this folder", path=path, expected="one JSON file a frame", hint=f"ls {path}"
        )
    return sorted(files, key=lambda file: (_frame_number(file) or 0, file.name))


def frame_files(files: Sequence[Path], key: str) -> list[Path]:
    """Those of the files that are frames; none where none has `key`, or most are of another kind.

    Args:
        files: in order.
        key: as for `read_frame_folder`.

    Raises:
        InputError: a file that cannot be read.
    """
    alike: dict[str, list[Path]] = {}
    for file in files:
        alike.setdefault(_NUMBER.sub("#", file.stem), []).append(file)
    frames = {
        file for group in alike.values() if any(has_key(json_head(file), key) for file in group) for file in group
    }
    return [file for file in files if file in frames] if 2 * len(frames) >= len(files) else []


def has_key(head: bytes, key: str) -> bool:
    """Whether the beginning of a JSON file has a key."""
    return f'"{key}"'.encode() in head


def left_out(files: Collection[Path]) -> str:
    """A note on files that lie beside a recording."""
    names = sorted(file.name for file in files)
    return f"left out, as no part of the recording: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"


def json_head(file: Path) -> bytes:
    """The beginning of a JSON file, without the space in front.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(_HEAD_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise InputError(f"cannot read the file ({error.strerror})", path=file) from error


def _frame_places(files: Sequence[Path], folder: Path) -> Places:
    """Where in the recording each file's frame is: numbers that are left out are frames without people.

    Raises:
        InputError: two files with the same frame number.
    """
    numbers = [_frame_number(file) for file in files]
    known = [number for number in numbers if number is not None]
    if len(known) < len(files) or len(files) < 2:
        return every_frame(len(files))
    steps = [after - before for before, after in itertools.pairwise(known)]
    if min(steps) == 0:
        place = steps.index(0)
        raise InputError(
            f"two files are for frame {known[place]}: {files[place].name} and {files[place + 1].name}",
            path=folder,
            expected="the frames of one camera or one recording a folder",
        )
    return places_of_numbers(known, "file")


def _frame_number(file: Path) -> int | None:
    found = _LAST_NUMBER.search(file.stem)
    return None if found is None else int(found[1][-18:])
