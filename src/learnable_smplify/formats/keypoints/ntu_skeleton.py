"""NTU RGB+D `.skeleton`: text, the bodies of every frame with 25 joints of a Kinect v2 each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import number_at, read_text
from learnable_smplify.formats.keypoints.people import Sight, people_from_sights
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.safe_files.broken_end import frame_count_notes

_FPS = 30.0
# Of a joint's line: x, y, z [m] in the camera's frame (y up), seven more numbers, and how it was tracked at the end.
_FEWEST_NUMBERS = 3
_CONFIDENCE = {0.0: 0.0, 1.0: 0.5, 2.0: 1.0}  # not tracked, inferred, tracked


def read_ntu_skeleton(path: Path, asked: Asked) -> list[Keypoints]:
    """The people in a .skeleton file, each under its body id; joints that the sensor only inferred count half.

    Args:
        path: the file.
        asked: without a layout, it is ntu25; without fps, it is 30, as NTU RGB+D was recorded; without units, metres,
            centimetres or millimetres are told by the limbs.

    Raises:
        InputError: no such file, or a line that is not what it should be (with its number).
    """
    lines = [
        (number, line.split()) for number, line in enumerate(read_text(path).splitlines(), start=1) if line.strip()
    ]
    place = 0

    def line(what: str, fewest: int = 1) -> tuple[int, list[str]]:
        nonlocal place
        if place >= len(lines):
            raise InputError(f"the file ends where {what} should be", path=path, expected="a complete .skeleton file")
        number, fields = lines[place]
        place += 1
        if len(fields) < fewest:
            raise InputError(f"this is not {what}", path=path, where=f"line {number}", expected=f"{fewest} numbers")
        return number, fields

    def count(what: str) -> int:
        number, fields = line(what)
        if not fields[0].isascii() or not fields[0].isdecimal() or int(fields[0][:9]) > len(lines):
            raise InputError(f"'{fields[0][:40]}' is not {what}", path=path, where=f"line {number}")
        return int(fields[0])

    def bodies(frame: int) -> list[Sight]:
        seen = []
        for _ in range(count("the number of bodies")):
            _, body = line("a body's line")
            rows = []
            for _ in range(count("the number of joints")):
                number, fields = line("a joint's line", _FEWEST_NUMBERS)
                state = number_at(fields[-1], path, number) if len(fields) >= 12 else 2.0
                position = [number_at(field, path, number) for field in fields[:3]]
                rows.append([*position, _CONFIDENCE.get(state, 1.0)])
            table = np.array(rows).reshape(-1, 4)
            seen.append(Sight(frame, body[0], table[:, :3], table[:, 3]))
        return seen

    promised = count("the number of frames")
    frames = promised
    sights: list[Sight] = []
    for frame in range(promised):
        try:
            sights += bodies(frame)
        except InputError:
            if place < len(lines) or not sights:
                raise
            frames = frame
            break
    source = Source(path, fps=_FPS, notes=frame_count_notes(promised, frames))
    return people_from_sights(sights, frames, asked, source, {25: "ntu25"})
