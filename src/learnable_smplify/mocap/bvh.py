"""BVH motion capture, as the many programs that write it do: names with spaces, any channels, positions on any joint.

The format was laid down by Biovision; see the description in M. Meredith and S. Maddock, "Motion capture file formats
explained" (University of Sheffield, 2001). A joint's rotation is the product of its channels in the order they are
listed; its position channels, where it has them, stand in place of its OFFSET.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import numpy as np
import roma
import torch
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.source import SourceMotion, rest_places
from learnable_smplify.safe_files.broken_end import broken_line_note, frame_count_notes
from learnable_smplify.safe_files.text import LARGEST, decoded, listed_numbers
from learnable_smplify.safe_files.whole_file import read_bytes
from learnable_smplify.timeline import check_rate, is_rate

# BVH states no unit of length. A person is one to two and a half metres tall, so the rest skeleton tells.
_UNITS = ((5.0, 1.0, "metres"), (100.0, 0.0254, "inches"), (500.0, 0.01, "centimetres"), (5000.0, 0.001, "millimetres"))
_CHANNELS = tuple(f"{axis}{what}" for what in ("position", "rotation") for axis in "xyz")
_EXPECTED = "HIERARCHY and MOTION, one ROOT, and as many frames as stated"
_MOST_JOINTS = 1000
# A joint whose place in its parent varies by more than this share of the skeleton moves on its own.
_MOVES = 0.005
_AT_ZERO = 1e-6
_MIN_RISE_M = 0.4
# Frame times are rounded in the file: 0.0083333 is 120 frames a second.
_RATE_ROUNDING = 1e-4


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    channels: tuple[str, ...] = ()
    ends: list[tuple[float, ...]] = field(default_factory=list)


def read_bvh(path: str | PathLike[str], fps: float | None = None) -> SourceMotion:
    """Read a BVH file.

    Args:
        path: the file.
        fps: the true frames a second, for files whose header is wrong; None takes the header's word. The notes say
            when the two differ.

    Returns:
        Global rotations and root positions in metres. The unit is taken from the size of the skeleton: the format
        states none, and no up axis: see `find_up_axis`. Where joints below the root have positions of their own, their
        middle over the clip is their place; that of a first joint that carries the whole body goes to the root.

    Raises:
        InputError: the file is missing or damaged; names the line.
    """
    path = Path(path)
    check_rate(fps, "--bvh-fps", path)
    content = read_bytes(path)
    try:
        lines = decoded(content, "strict").splitlines()
    except UnicodeDecodeError:
        # Names of older programs; every byte string is valid Latin-1.
        lines = content.decode("latin-1").splitlines()
    joints, at = _read_hierarchy(path, lines)
    values, rate, notes = _read_motion(path, lines, at, sum(len(joint.channels) for joint in joints))
    if fps is not None and abs(fps - rate) > 1e-3 * rate:
        notes.append(f"frame rate {fps:g} as asked; the header says {rate:g}")
    return _to_source(path, joints, torch.from_numpy(values), rate if fps is None else fps, notes)


def _fail(path: Path, problem: str, line: int, expected: str = _EXPECTED) -> InputError:
    return InputError(problem, path=path, where=f"line {line}", expected=expected, hint="export the file again")


def _read_hierarchy(path: Path, lines: list[str]) -> tuple[list[_Joint], int]:
    """The joints, parents first, and the index of the line after MOTION."""
    joints: list[_Joint] = []
    names: set[str] = set()
    # Every block that is open: a joint's index, or -1 for an End Site.
    open_blocks: list[int] = []
    waiting: int | None = None
    for number, line in enumerate(lines, start=1):
        words = line.split()
        keyword = words[0].upper() if words else ""
        if keyword in ("", "HIERARCHY"):
            continue
        if keyword == "MOTION":
            if open_blocks or waiting is not None or not joints:
                raise _fail(path, "MOTION begins inside the skeleton", number, "'}' for every '{' before it")
            return joints, number
        if keyword in ("ROOT", "JOINT"):
            name = " ".join(words[1:]).removesuffix("{").strip()
            if (keyword == "ROOT") != (not joints) or (joints and (not open_blocks or open_blocks[-1] < 0)):
                problem = "a second skeleton begins here" if keyword == "ROOT" else f"JOINT {name} is out of place"
                raise _fail(path, problem, number)
            if not name or name in names:
                raise _fail(path, f"joint '{name}' appears twice", number, "each joint name once")
            if len(joints) >= _MOST_JOINTS:
                raise _fail(path, f"there are more than {_MOST_JOINTS} joints", number, "a person")
            names.add(name)
            waiting = len(joints)
            joints.append(_Joint(name, open_blocks[-1] if open_blocks else -1))
        elif keyword == "END":
            waiting = -1
        elif keyword == "OFFSET" and open_blocks:
            offset = listed_numbers(words[1:], 3)
            if offset is None:
                raise _fail(path, f"cannot read '{' '.join(words[1:])}'", number, "3 finite numbers")
            if open_blocks[-1] >= 0:
                joints[open_blocks[-1]].offset = offset
            elif len(open_blocks) > 1:
                joints[open_blocks[-2]].ends.append(offset)
        elif keyword == "CHANNELS" and open_blocks and open_blocks[-1] >= 0:
            channels = tuple(word.lower() for word in words[2:])
            if words[1:2] != [str(len(channels))] or not set(channels) <= set(_CHANNELS):
                expected = "a count, then that many of Xposition ... Zrotation"
                raise _fail(path, f"cannot read '{line.strip()}'", number, expected)
            joints[open_blocks[-1]].channels = channels
        elif keyword not in ("{", "}"):
            raise _fail(path, f"unexpected '{line.strip()}'", number)
        for brace in (c for c in line if c in "{}"):
            if brace == "{" and waiting is not None:
                open_blocks.append(waiting)
                waiting = None
            elif brace == "}" and open_blocks:
                open_blocks.pop()
            else:
                raise _fail(path, f"'{brace}' is out of place", number)
    raise _fail(path, "there is no MOTION", max(len(lines), 1))


def _read_motion(path: Path, lines: list[str], at: int, width: int) -> tuple[np.ndarray, float, list[str]]:
    """(T, width) float64 channels of all frames, the frames a second, and notes on frames too few or too many.

    A last line that breaks off, as of a program that was stopped, is left out.
    """
    stated: dict[str, float] = {}
    while at < len(lines) and len(stated) < 2:
        at += 1
        key, colon, value = lines[at - 1].partition(":")
        name = " ".join(key.lower().split())
        if not key.strip():
            continue
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not colon or name not in ("frames", "frame time") or not 0 < number < LARGEST:
            raise _fail(path, f"cannot read '{lines[at - 1].strip()}'", at, "'Frames: N' and 'Frame Time: SECONDS'")
        stated[name] = number
    if len(stated) < 2:
        raise _fail(path, "the file ends before its frames", len(lines), "'Frames: N' and 'Frame Time: SECONDS'")
    filled = [(number, words) for number, line in enumerate(lines[at:], start=at + 1) if (words := line.split())]
    notes: list[str] = []
    if len(filled) > 1 and len(filled[-1][1]) < width:
        notes.append(broken_line_note(filled[-1][0]))
        filled.pop()
    rows: list[np.ndarray] = []
    for number, words in filled:
        if len(words) != width:
            if len(rows) >= stated["frames"]:
                break  # something else follows
            raise _fail(path, f"the frame has {len(words)} numbers", number, f"{width}, one a channel")
        try:
            row = np.array([float(word.replace(",", ".")) for word in words])
        except ValueError as error:
            raise _fail(path, str(error), number, "numbers") from error
        if not (np.abs(row) < LARGEST).all():
            raise _fail(path, "the frame holds NaN, infinity or an absurd number", number, "finite numbers")
        rows.append(row)
    if not rows:
        raise _fail(path, "there are no frames", len(lines), "a whole file")
    notes += frame_count_notes(stated["frames"], len(rows))
    rate = 1 / stated["frame time"]
    if abs(rate - round(rate)) < _RATE_ROUNDING * rate:
        rate = float(round(rate))
    if not is_rate(rate):
        raise InputError(f"the frame time in the header is {stated['frame time']:g}", path=path, hint="--bvh-fps 30")
    return np.stack(rows), rate, notes


def _to_source(path: Path, joints: list[_Joint], values: Tensor, fps: float, notes: list[str]) -> SourceMotion:
    parents = [joint.parent for joint in joints]
    offsets = torch.tensor([joint.offset for joint in joints], dtype=torch.float64)
    rotations: list[Tensor] = []
    places: dict[int, Tensor] = {}
    column = 0
    for index, joint in enumerate(joints):
        local = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
        place = offsets[index].repeat(len(values), 1)
        for channel in joint.channels:
            axis = "xyz".index(channel[0])
            if channel.endswith("position"):
                place[:, axis] = values[:, column]
                places[index] = place
            else:
                turn = torch.zeros(len(values), 3, dtype=torch.float64)
                turn[:, axis] = torch.deg2rad(values[:, column])
                local = local @ roma.rotvec_to_rotmat(turn)
            column += 1
        rotations.append(local if joint.parent < 0 else rotations[joint.parent] @ local)
    start = offsets[0].clone()
    root = places.pop(0, start.repeat(len(values), 1))
    offsets[0] = 0.0
    if places:
        root = _settle_places(parents, offsets, places, rotations, root, notes)
    tips = torch.zeros_like(offsets)
    for index, joint in enumerate(joints):
        ends = [offsets[child] for child, parent in enumerate(parents) if parent == index]
        ends += [torch.tensor(end, dtype=torch.float64) for end in joint.ends]
        if ends:
            tips[index] = torch.stack(ends).mean(dim=0)
    scale, unit = _metres_per_unit(float(_extent(parents, offsets, tips)), path)
    if unit != "metres":
        notes.append(f"lengths taken as {unit}")
    source = SourceMotion(
        names=tuple(joint.name for joint in joints),
        parents=tuple(parents),
        offsets=offsets * scale,
        tips=tips * scale,
        rotations=torch.stack(rotations, dim=1),
        root_positions=root * scale,
        fps=fps,
        up_axis=None,
        notes=tuple(notes),
    )
    return _lift_root(source, start * scale)


def _lift_root(source: SourceMotion, start: Tensor) -> SourceMotion:
    """The motion with the root's OFFSET added, for programs that measure the root's positions from it.

    They leave the body about the origin, its feet as far below as the OFFSET lies above; most programs do not.
    """
    up = int(start.abs().argmax())
    lowest = float(source.positions()[..., up].amin(dim=1).quantile(0.05))
    rise = float(start[up])
    if rise < _MIN_RISE_M or abs(lowest + rise) > abs(lowest) - _MIN_RISE_M / 2:
        return source
    note = "the root's positions are measured from its OFFSET, which was added"
    return replace(source, root_positions=source.root_positions + start, notes=(*source.notes, note))


def _settle_places(
    parents: list[int],
    offsets: Tensor,
    places: dict[int, Tensor],
    rotations: list[Tensor],
    root: Tensor,
    notes: list[str],
) -> Tensor:
    """Make one place of every joint's own positions, in `offsets`; returns where the root is then, (T, 3).

    A joint that the whole body hangs on may carry it through the world, below a root that stays behind. Its way goes
    to the root.
    """
    # Above the first fork there is nothing but the way to the body.
    chain = [0]
    while parents.count(chain[-1]) == 1:
        chain.append(parents.index(chain[-1]))
    for joint in chain[1:]:
        if joint in places:
            way = rotations[parents[joint]] @ (places.pop(joint) - offsets[joint]).unsqueeze(-1)
            root = root + way.squeeze(-1)
    middles = {joint: place.median(dim=0).values for joint, place in places.items()}
    if any(float(middle.abs().max()) > _AT_ZERO for middle in middles.values()):
        for joint, middle in middles.items():
            offsets[joint] = middle
    # Else the positions are how far a joint is from its OFFSET, as some programs write them.
    largest = max(float((places[joint] - middles[joint]).abs().max()) for joint in places) if places else 0.0
    moving = largest > _MOVES * float(_extent(parents, offsets, torch.zeros_like(offsets)))
    if moving:
        notes.append("joints below the root move in their parents: bones keep their middle length")
    return root


def _extent(parents: list[int], offsets: Tensor, tips: Tensor) -> Tensor:
    """Largest side of the box around the skeleton's zero pose, in the file's unit."""
    rest = rest_places(parents, offsets)
    positions = torch.cat([rest, rest + tips])
    return (positions.max(dim=0).values - positions.min(dim=0).values).max()


def _metres_per_unit(size: float, path: Path) -> tuple[float, str]:
    for limit, scale, unit in _UNITS:
        if 0.1 < size < limit:
            return scale, unit
    raise InputError(f"the skeleton is {size:g} units large", path=path, expected="the size of a person in m, cm or mm")
