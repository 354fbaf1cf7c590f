"""Acclaim ASF/AMC motion capture, as the CMU graphics lab publishes it.

An ASF file holds the skeleton: each bone's rest direction in the world, its length, and the frame its angles are
measured in (`axis`). An AMC file holds the angles over time. A bone's rotation is `C M C^-1`, where `M` turns by the
AMC angles in the order of `axis` and `C` is the turn `axis` states; see the format notes of M. Schafer (University of
Wisconsin, 1994) and of J. McDermott (CMU). The files state no frame rate; the lab captured at 120.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import roma
import torch
from torch import Tensor

from learnable_smplify.errors import InputError
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.safe_files.text import listed_numbers
from learnable_smplify.safe_files.whole_file import read_bytes
from learnable_smplify.timeline import check_rate

CMU_FPS = 120.0
_METRES_PER_INCH = 0.0254
_AXES = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
_ROOT_CHANNELS = ("TX", "TY", "TZ", "RX", "RY", "RZ")
_NEXT_STEP = "another copy of the file, or leave it out: `lsmplify import-motion` goes on without it"


@dataclass(frozen=True)
class AsfBone:
    """One bone, or the root with length zero. Angles in radians, lengths in metres."""

    name: str
    parent: int
    direction: tuple[float, float, float]
    length: float
    axis: tuple[float, float, float]
    order: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class AsfSkeleton:
    """The skeleton of an ASF file: bones with the root first and parents before children.

    Args:
        bones: see `AsfBone`.
        metres_per_unit: scale of the positions in the AMC files that go with it.
        degrees: whether those AMC files hold degrees, unless they say otherwise themselves.
        root_position: metres, added to every frame's root position.
    """

    bones: tuple[AsfBone, ...]
    metres_per_unit: float
    degrees: bool
    root_position: tuple[float, float, float]


def read_asf(path: str | PathLike[str]) -> AsfSkeleton:
    """Read a skeleton.

    Raises:
        InputError: the file is missing, cut off, or says something a skeleton cannot be; names file and line.
    """
    return _AsfParser(Path(path)).parse()


def read_amc(path: str | PathLike[str], asf: str | PathLike[str] | AsfSkeleton, fps: float = CMU_FPS) -> SourceMotion:
    """Read a motion on the skeleton `asf`.

    Args:
        path: the AMC file.
        asf: the ASF file, or what `read_asf` made of it.
        fps: frames a second; the format has no place for it.

    Returns:
        Global rotations and root positions [m] in the file's world, which is Y up for CMU's files.

    Raises:
        InputError: a frame lacks a bone, a number is malformed or not finite, frames are missing, or the file is cut
            off; names file and line.
    """
    path = Path(path)
    check_rate(fps, "--asf-fps", path)
    skeleton = asf if isinstance(asf, AsfSkeleton) else read_asf(asf)
    values, degrees = _read_amc_values(path, skeleton)
    return _pose_skeleton(skeleton, values, degrees, fps)


def _fail(problem: str, path: Path, line: int, expected: str | None = None) -> InputError:
    return InputError(problem, path=path, where=f"line {line}", expected=expected, hint=_NEXT_STEP)


class _AsfParser:
    """Walks the lines of one ASF file; kept as an object only to carry path and line into the messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Names of captures hold Latin-1 bytes; every byte string is valid Latin-1.
        self.lines = [line.decode("latin-1").split("#", 1)[0].split() for line in read_bytes(path).splitlines()]
        self.line = 0
        self.metres_per_unit = _METRES_PER_INCH
        self.degrees = True
        self.root: dict[str, list[str]] = {}
        self.bones: dict[str, dict[str, list[str]]] = {}
        self.bone_lines: dict[str, int] = {}
        self.parent_of: dict[str, str] = {}

    def fail(self, problem: str, expected: str | None = None) -> InputError:
        return _fail(problem, self.path, self.line, expected)

    def numbers(self, words: list[str], count: int) -> tuple[float, ...]:
        values = listed_numbers(words, count)
        if values is None:
            raise self.fail(f"cannot read '{' '.join(words)}'", expected=f"{count} finite numbers")
        return values

    def order(self, words: list[str]) -> str:
        order = words[0].upper() if words else "XYZ"
        if order not in _AXES:
            raise self.fail(f"unknown axis order '{order}'", expected=" or ".join(_AXES))
        return order

    def parse(self) -> AsfSkeleton:
        section = ""
        block: dict[str, list[str]] | None = None
        for number, words in enumerate(self.lines, start=1):
            self.line = number
            if not words:
                continue
            if words[0].startswith(":"):
                section = words[0][1:].lower()
            elif section == "units" and words[0] == "length":
                (length,) = self.numbers(words[1:], 1)
                if not (1e-6 < length < 1e6):
                    raise self.fail(f"unit of length is {words[1]}", expected="a number above 0, such as 0.45")
                self.metres_per_unit = _METRES_PER_INCH / length
            elif section == "units" and words[0] == "angle":
                self.degrees = words[1:2] != ["rad"]
            elif section == "root":
                self.root[words[0]] = words[1:]
            elif section == "bonedata":
                if words[0] == "begin":
                    block = {}
                elif words[0] == "end":
                    if not block or not block.get("name"):
                        raise self.fail("a bone ends here that has no name", expected="'name' between begin and end")
                    name = block["name"][0]
                    if name in self.bones or name == "root":
                        raise self.fail(f"bone '{name}' appears twice")
                    self.bones[name], self.bone_lines[name], block = block, self.line, None
                elif block is not None:
                    block.setdefault(words[0], words[1:])
            elif section == "hierarchy" and words[0] not in ("begin", "end"):
                for child in words[1:]:
                    if child in self.parent_of:
                        raise self.fail(f"bone '{child}' has two parents")
                    self.parent_of[child] = words[0]
        if block is not None:
            raise self.fail("the file ends inside a bone", expected="'end'")
        if not self.bones or not self.parent_of:
            raise self.fail("no skeleton found", expected="the sections :bonedata and :hierarchy")
        return self.assemble()

    def assemble(self) -> AsfSkeleton:
        """The skeleton of what `parse` found."""
        root, bones, scale = self.root, self.bones, self.metres_per_unit
        x, y, z = self.numbers(root.get("position", ["0", "0", "0"]), 3)
        axis = self.angles(root.get("orientation", ["0", "0", "0"]))
        channels = tuple(word.upper() for word in root.get("order", list(_ROOT_CHANNELS)))
        if sorted(channels) != sorted(_ROOT_CHANNELS):
            raise self.fail(f"root order is '{' '.join(channels)}'", expected="TX TY TZ RX RY RZ in some order")
        made = [AsfBone("root", -1, (0.0, 0.0, 0.0), 0.0, axis, self.order(root.get("axis", [])), channels)]
        index = {"root": 0}
        children: dict[str, list[str]] = {}
        for child, parent in self.parent_of.items():
            children.setdefault(parent, []).append(child)
        waiting = ["root"]
        while waiting:
            parent = waiting.pop(0)
            for name in children.get(parent, []):
                if name not in bones:
                    raise self.fail(f"the hierarchy names '{name}', which :bonedata does not describe")
                self.line = self.bone_lines[name]
                index[name] = len(made)
                made.append(self.bone(name, index[parent]))
                waiting.append(name)
        missing = sorted(set(bones) - set(index))
        if missing:
            raise self.fail(f"the hierarchy does not reach '{missing[0]}'", expected="every bone to hang on 'root'")
        return AsfSkeleton(tuple(made), scale, self.degrees, (x * scale, y * scale, z * scale))

    def angles(self, words: list[str]) -> tuple[float, float, float]:
        unit = math.radians(1.0) if self.degrees else 1.0
        x, y, z = self.numbers(words, 3)
        return unit * x, unit * y, unit * z

    def bone(self, name: str, parent: int) -> AsfBone:
        block = self.bones[name]
        for key in ("direction", "length", "axis"):
            if key not in block:
                raise self.fail(f"bone '{name}' has no {key}")
        x, y, z = self.numbers(block["direction"], 3)
        norm = math.sqrt(x * x + y * y + z * z)
        length = self.numbers(block["length"], 1)[0] * self.metres_per_unit
        if not (1e-9 < norm < 1e9) or not (0 <= length < 1e6):
            raise self.fail(f"bone '{name}' has no usable direction or length")
        axis = self.angles(block["axis"])
        channels = tuple(word.upper() for word in block.get("dof", []))
        if len(set(channels)) != len(channels) or not set(channels) <= {"RX", "RY", "RZ"}:
            raise self.fail(f"bone '{name}' moves in '{' '.join(channels)}'", expected="some of rx ry rz")
        direction = (x / norm, y / norm, z / norm)
        return AsfBone(name, parent, direction, length, axis, self.order(block["axis"][3:4]), channels)


def _read_amc_values(path: Path, skeleton: AsfSkeleton) -> tuple[Tensor, bool]:
    """All channels of all frames (T, C), in the order of the skeleton's bones, and whether angles are in degrees."""
    degrees = skeleton.degrees
    slots: dict[bytes, tuple[int, int]] = {}
    width = 0
    for bone in skeleton.bones:
        if bone.channels:
            slots[bone.name.encode("latin-1")] = (width, width + len(bone.channels))
            width += len(bone.channels)
    rows: list[list[float]] = []
    frame_lines: list[int] = []
    row: list[float | None] = []
    first = filled = line = 0

    def close_frame() -> None:
        if frame_lines and filled != width:
            lacking = [name.decode("latin-1") for name, (start, _) in slots.items() if row[start] is None]
            raise _fail(f"frame {len(rows)} lacks {' '.join(lacking)}", path, frame_lines[-1], "a line for every bone")

    for line, text in enumerate(read_bytes(path).splitlines(), start=1):
        words = text.split()
        if not words or words[0].startswith(b"#"):
            continue
        slot = slots.get(words[0])
        if slot is not None and frame_lines:
            start, end = slot
            if len(words) - 1 != end - start:
                name = words[0].decode("latin-1")
                raise _fail(f"'{name}' has {len(words) - 1} numbers", path, line, f"{end - start}")
            if row[start] is not None:
                raise _fail(f"'{words[0].decode('latin-1')}' appears twice in frame {len(rows)}", path, line)
            try:
                row[start:end] = map(float, words[1:])
            except ValueError:
                shown = b" ".join(words[1:]).decode("latin-1")
                raise _fail(f"cannot read '{shown}'", path, line, "numbers") from None
            filled += end - start
        elif words[0].isdigit() and len(words) == 1:
            close_frame()
            if rows and words[0] != b"%d" % (first + len(rows)):
                shown = words[0][:20].decode("latin-1")
                raise _fail(
                    f"frame number {shown} follows {first + len(rows) - 1}", path, line, "one frame after another"
                )
            if not rows:
                first = int(words[0][:18])
            row = [None] * width
            rows.append(row)  # type: ignore[arg-type]  # a frame that is still incomplete ends in close_frame
            frame_lines.append(line)
            filled = 0
        elif words[0].startswith(b":"):
            keyword = words[0].lower()
            degrees = True if keyword == b":degrees" else False if keyword == b":radians" else degrees
        else:
            shown = words[0][:40].decode("latin-1")
            raise _fail(f"unexpected '{shown}'", path, line, "a frame number or a bone of the skeleton")
    close_frame()
    if not rows:
        raise _fail("no frames", path, line, "lines with a frame number, each followed by a line a bone")
    values = torch.tensor(rows, dtype=torch.float64)
    bad = (~torch.isfinite(values) | (values.abs() > 1e7)).any(dim=1)
    if bool(bad.any()):
        frame = int(bad.nonzero()[0])
        raise _fail(
            f"frame {first + frame} holds a number that is not finite or absurdly large", path, frame_lines[frame]
        )
    return values, degrees


def _pose_skeleton(skeleton: AsfSkeleton, values: Tensor, degrees: bool, fps: float) -> SourceMotion:
    unit = math.radians(1.0) if degrees else 1.0
    count = len(values)
    rotations: list[Tensor] = []
    offsets = torch.zeros(len(skeleton.bones), 3, dtype=torch.float64)
    tips = torch.zeros_like(offsets)
    root_positions = torch.tensor(skeleton.root_position, dtype=torch.float64).repeat(count, 1)
    column = 0
    for joint, bone in enumerate(skeleton.bones):
        tips[joint] = bone.length * torch.tensor(bone.direction, dtype=torch.float64)
        if bone.parent >= 0:
            offsets[joint] = tips[bone.parent]
        angles = {axis: torch.zeros(count, dtype=torch.float64) for axis in "XYZ"}
        for channel in bone.channels:
            if channel.startswith("T"):
                root_positions[:, "XYZ".index(channel[1])] += skeleton.metres_per_unit * values[:, column]
            else:
                angles[channel[1]] = unit * values[:, column]
            column += 1
        # "XYZ" means: turn about the fixed x axis first, then y, then z, which roma writes in lower case.
        order = bone.order.lower()
        local = roma.euler_to_rotmat(order, [angles[axis] for axis in bone.order])
        stated = {axis: torch.tensor(bone.axis[i], dtype=torch.float64) for i, axis in enumerate("XYZ")}
        frame = roma.euler_to_rotmat(order, [stated[axis] for axis in bone.order])
        local = frame @ local @ frame.mT
        parent = torch.eye(3, dtype=torch.float64) if bone.parent < 0 else rotations[bone.parent]
        rotations.append(parent @ local)
    return SourceMotion(
        names=tuple(bone.name for bone in skeleton.bones),
        parents=tuple(bone.parent for bone in skeleton.bones),
        offsets=offsets,
        tips=tips,
        rotations=torch.stack(rotations, dim=1),
        root_positions=root_positions,
        fps=fps,
        up_axis="y",
    )
