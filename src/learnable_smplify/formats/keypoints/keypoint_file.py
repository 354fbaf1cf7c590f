"""Any recording of keypoints: the format is told by the suffix, of JSON by what is in it.

A new format is one file with a `read_x` and a line here.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np

from learnable_smplify.errors import AmbiguousLayoutError, InputError
from learnable_smplify.formats.keypoints.axes import settle_people
from learnable_smplify.formats.keypoints.c3d import read_c3d
from learnable_smplify.formats.keypoints.easymocap import KEYPOINTS_KEY, read_easymocap
from learnable_smplify.formats.keypoints.frame_folder import frame_files, json_files, json_head
from learnable_smplify.formats.keypoints.json_frames import PEOPLE_KEY
from learnable_smplify.formats.keypoints.keypoints_csv import read_keypoints_csv
from learnable_smplify.formats.keypoints.keypoints_npy import read_keypoints_npy
from learnable_smplify.formats.keypoints.keypoints_npz import read_keypoints_npz
from learnable_smplify.formats.keypoints.mediapipe import read_mediapipe
from learnable_smplify.formats.keypoints.ntu_skeleton import read_ntu_skeleton
from learnable_smplify.formats.keypoints.openpose3d import read_openpose3d
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.formats.keypoints.trc import read_trc
from learnable_smplify.formats.other_kinds import other_kind
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout

_READERS = {
    ".npz": read_keypoints_npz,
    ".npy": read_keypoints_npy,
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_keypoints_csv),
    ".trc": read_trc,
    ".c3d": read_c3d,
    ".skeleton": read_ntu_skeleton,
    "mediapipe": read_mediapipe,
    "openpose": read_openpose3d,
    "easymocap": read_easymocap,
}
# Which way is up where neither the file nor the body tells.
_ASSUMED_UP = {".trc": "y", ".c3d": "z", ".skeleton": "y", "mediapipe": "-y"}
# Formats of one JSON file a frame: how it begins (OpenPose's people are in no list), and a key that it has.
_FRAMES = {
    "openpose": (re.compile(rb'\{[^\[]*"people"'), PEOPLE_KEY),
    "easymocap": (re.compile(rb'\[.*"keypoints3d"', re.DOTALL), KEYPOINTS_KEY),
}

SUFFIXES: tuple[str, ...] = (".npz", ".npy", ".csv", ".tsv", ".trc", ".c3d", ".skeleton", ".json")
"""Suffixes of keypoint files; a folder of .json files is a recording too, and so may be a .txt."""


def read_keypoints(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
    up: str | None = None,
    person: str | None = None,
    mirrored: bool | None = None,
) -> Keypoints:
    """Read 3D keypoints of one person from a file of one of the `SUFFIXES`, or a folder of .json files.

    What had to be assumed or converted is in the result's `notes`, for the user to see.

    Args:
        path: the file, or the folder that OpenPose or EasyMocap wrote.
        layout: layout name ("body25"), path of a layout TOML, or `Layout`; None infers it where the file allows.
        fps: frames a second; None takes the file's own, else 30 with a note.
        units: "m", "cm", "mm", "in" or "ft"; None obeys the file and detects millimetres and centimetres.
        up: "x", "y", "z", "-x", "-y" or "-z", which way is up in the file; None tells it (see `axes.settle_people`).
        person: the person's id, where the recording has several.
        mirrored: whether left and right are mirrored; None tells it (see `axes.settle_people`).

    Returns:
        Keypoints in metres, `up_axis` up where it is known; missing ones have confidence 0.

    Raises:
        InputError: missing, damaged or unknown file, or several people and no `person`; the message names the place
            and the remedy.
    """
    people = read_people(path, layout, fps, units, up, mirrored)
    if person is None and len(people) == 1:
        return people[0]
    chosen = [one for one in people if person is not None and one.person_id == person.strip()]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(f"{_name(one)} ({_frames_seen(one)} of {len(one)} frames)" for one in people[:12])
    most = max(people, key=_frames_seen)
    if person is None:
        raise InputError(f"there are {len(people)} people: {listed}", path=path, hint=f"--person {_name(most)}")
    raise InputError(
        f"there is no person '{person}'",
        path=path,
        expected=listed if len(people) > 1 or most.person_id else "no --person: the file holds one, without a name",
    )


def read_people(
    path: str | PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
    units: str | None = None,
    up: str | None = None,
    mirrored: bool | None = None,
) -> list[Keypoints]:
    """Everybody in a recording: one `Keypoints` a person, over the same frames, each with its `person_id`.

    Args:
        (all): as for `read_keypoints`.

    Returns:
        At least one person, in order of first appearance; a person is missing in frames that do not show them.

    Raises:
        InputError: missing, damaged or unknown file; the message names the place and the remedy.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if path.is_dir() or kind == ".json":
        kind = kind_of_json(path)
    elif kind in (".jsonl", ".ndjson"):
        kind = "mediapipe"
    if kind not in _READERS:
        told = other_kind(path) if path.is_file() else None
        what = "" if told is None else f": this is {told[0]}"
        raise InputError(
            f"files ending in '{path.suffix}' are not known to hold keypoints{what}",
            path=path,
            expected="one of " + ", ".join(SUFFIXES) + ", or a folder of .json files",
            hint=None if told is None else told[1],
        )
    if path.is_file() and path.stat().st_size == 0 and kind in (".npz", ".npy", ".c3d"):
        raise InputError("the file is empty", path=path, expected="keypoints")
    # Numbers too large to compute with come out as infinity or NaN, which is to say missing: no warning needed.
    with np.errstate(all="ignore"):
        people = _READERS[kind](path, Asked(layout, fps, units))
        assumed = _ASSUMED_UP.get(kind)
        if kind == "mediapipe" and load_layout(people[0].layout).name != "mediapipe33":
            assumed = None  # lists of numbers of another program
        return settle_people(people, up, assumed=assumed, mirrored=mirrored)


def are_keypoints(path: Path) -> bool:
    """Whether a file or folder, of a kind that may hold other things too, holds 3D keypoints of some layout."""
    try:
        read_people(path)
    except AmbiguousLayoutError:
        return True
    except InputError:
        return False
    return True


def kind_of_json(path: Path) -> str:
    """Which reader a JSON file or a folder of them is for: "mediapipe", "openpose" or "easymocap".

    Raises:
        InputError: no such file or folder, or nothing in it that is a frame of keypoints.
    """
    if path.suffix.lower() in _READERS:
        return path.suffix.lower()  # a folder named like a file: its reader says so
    if (path / "keypoints3d").is_dir():
        return "easymocap"
    parameters, other = False, None
    files = json_files(path)
    for file in files:
        head = json_head(file)
        for kind, (begin, key) in _FRAMES.items():
            if begin.match(head) and frame_files(files, key):
                return kind
        if b'"Rh"' in head and b'"Th"' in head:
            parameters = True
        elif head.split() not in ([b"[]"], [b"[", b"]"]):
            other = other or file
    if parameters:
        raise InputError(
            "these are SMPL parameters, as EasyMocap writes them, and no keypoints",
            path=path,
            expected="the folder keypoints3d beside it",
            hint=f"lsmplify convert {path} -o OUT.npz (or refine {path} KEYPOINTS)",
        )
    if not path.is_dir():
        return "mediapipe"
    if other is not None:
        raise InputError(
            f"{other.name} is neither OpenPose's nor EasyMocap's",
            path=path,
            expected="'people' with 'pose_keypoints_3d' (OpenPose), or a list of 'keypoints3d' (EasyMocap)",
            hint="MediaPipe's world landmarks belong in one .json file",
        )
    return "easymocap"


def _name(person: Keypoints) -> str:
    return person.person_id or "(no name)"


def _frames_seen(person: Keypoints) -> int:
    return int((person.confidence > 0).any(dim=1).sum())
