"""WHAM's `wham_output.pkl`: a joblib file, `{person: {pose, trans, pose_world, trans_world, betas, frame_ids}}`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learnable_smplify.formats.estimates.estimate import Estimate, Frame, cleaned
from learnable_smplify.safe_files.keyed import Keyed

KEYS = "{person: {pose, trans, pose_world, trans_world, betas, frame_ids}}"


def matches(content: Any) -> bool:
    """Whether the content has WHAM's keys."""
    return isinstance(content, Mapping) and any(_is_person(value) for value in content.values())


def read(content: Any, path: Path, frame: Frame | None) -> list[Estimate]:
    """The people of a WHAM result, in its world (Y up) where it has one, unless `frame` is "camera".

    Raises:
        InputError: a key that is missing or of another shape.
    """
    return [_person(name, value, path, frame or _frame_of(value)) for name, value in content.items()]


def _frame_of(person: Any) -> Frame:
    """The world, but for files that were made without (`--local`)."""
    return "camera" if isinstance(person, Mapping) and "pose_world" not in person and "pose" in person else "world"


def _person(name: Any, value: Any, path: Path, frame: Frame) -> Estimate:
    found = Keyed(path, value if isinstance(value, Mapping) else {}, f"person {name}", "a WHAM result")
    suffix = "_world" if frame == "world" else ""
    pose = found.numbers(f"pose{suffix}", shape=(None, 72), finite=False)
    return cleaned(
        frames=found.numbers("frame_ids", shape=(len(pose),)),
        pose=pose.reshape(-1, 24, 3),
        betas=found.numbers("betas", shape=(len(pose), 10), finite=False),
        transl=found.numbers(f"trans{suffix}", shape=(len(pose), 3), finite=False),
        source="WHAM",
        path=path,
        person_id=name,
        frame=frame,
        up_axis="y" if frame == "world" else None,
    )


def _is_person(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and "frame_ids" in value
        and bool({"pose", "pose_world"} & set(value))
        and bool({"trans", "trans_world"} & set(value))
    )
