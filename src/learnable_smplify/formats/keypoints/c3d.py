"""C3D marker files, read through the c3d package."""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from pathlib import Path

import numpy as np

from learnable_smplify.errors import InputError, MissingExtraError, reason
from learnable_smplify.formats.keypoints.assemble import check_file, keypoints_from_markers
from learnable_smplify.formats.keypoints.named_people import NamedColumns, columns_of_people, everybody
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.units import known_unit
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.safe_files.broken_end import frame_count_notes


def read_c3d(path: Path, asked: Asked) -> list[Keypoints]:
    """The people in a C3D file whose points are keypoints of a known layout, as Pose2Sim and OpenCap export them.

    Surface markers of an optical system are not keypoints: a file of them needs a layout of your own. Labels such as
    `ann:LKnee` belong to the person `ann`. Occluded points (negative residual) are missing.

    Args:
        path: the file.
        asked: without a layout, it is inferred from the labels; without fps, the file's POINT:RATE is taken; without
            units, the file's POINT:UNITS are obeyed, unless limb lengths show that they are wrong.

    Raises:
        MissingExtraError: c3d is not installed.
        InputError: not a C3D file, truncated, or its labels fit no layout.
    """
    check_file(path)
    if importlib.util.find_spec("c3d") is None:
        raise MissingExtraError("c3d", "c3d", "Reading C3D")
    import c3d

    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = c3d.Reader(stream)
            count, frames = int(reader.point_used), int(reader.last_frame) - int(reader.first_frame) + 1
            if count == 0:
                raise _no_points(reader, path)
            # The reader takes the header's word for the size of a frame; a point takes 8 bytes at least.
            if count < 1 or frames < 1 or count * 8 > path.stat().st_size:
                raise ValueError(f"it promises {frames} frames of {count} points")
            labels = [str(label).strip() for label in reader.point_labels][:count]
            rate = float(reader.point_rate)
            unit = reader.get("POINT:UNITS")
            up = _up(reader)
            first = int(reader.first_frame) - 1
            rows, broken = _rows(reader, frames)
    except InputError:
        raise
    except Exception as error:  # whatever the parser trips over in a damaged file
        raise _unreadable(reason(error), path) from error
    if not rows:
        raise _unreadable(broken or "no frames", path)
    table = np.stack(rows)
    values = np.where(table[:, :, 3:4] < 0, np.nan, table[:, :, :3].astype(np.float64))
    source = Source(
        path,
        fps=rate if rate > 0 else None,
        units=None if unit is None else known_unit(str(unit.string_value)),  # of another word, the limbs will tell
        up_axis=up,
        start_s=first / rate if first > 0 and rate > 0 else 0.0,
        notes=frame_count_notes(frames, len(rows)),
    )
    columns = NamedColumns(labels, values[:, : len(labels)], None, source)
    people, problem = everybody(
        columns_of_people(labels), lambda name, own: keypoints_from_markers(columns.of_person(name, own), asked)
    )
    if not people:
        raise problem or InputError("the points have no labels", path=path, expected="POINT:LABELS in the file")
    return people


def _rows(reader: object, frames: int) -> tuple[list[np.ndarray], str]:
    """The points of every frame that is whole, and what stopped the reading."""
    rows: list[np.ndarray] = []
    try:
        for _, points, _ in itertools.islice(reader.read_frames(copy=True), frames):  # type: ignore[attr-defined]
            rows.append(points)
    except Exception as error:  # whatever the parser trips over where the file ends too early
        return rows, reason(error)
    return rows, ""


def _unreadable(why: str, path: Path) -> InputError:
    return InputError(f"not a readable C3D file ({why})", path=path, expected="a complete C3D file")


def _no_points(reader: object, path: Path) -> InputError:
    if reader.get("ROTATION") is None:  # type: ignore[attr-defined]
        return InputError("there are no points in the file", path=path, expected="positions of keypoints or markers")
    return InputError(
        "the file holds no points, but poses of segments (ROTATION), as Theia3D writes them",
        path=path,
        expected="positions of joints",
        hint="save FBX in Theia3D, in Blender make .glb or .bvh of it, then lsmplify import-motion",
    )


def _up(reader: object) -> str | None:
    """The axis drawn upward on the screen, where the file says so and it points up."""
    axes = reader.get_screen_axis()  # type: ignore[attr-defined]
    vertical = None if axes is None else str(axes[1]).strip().upper()
    return {"+X": "x", "+Y": "y", "+Z": "z"}.get(vertical or "")
