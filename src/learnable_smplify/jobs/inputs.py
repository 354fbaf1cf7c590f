"""Which recordings a folder holds, and where their motions go."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import SUFFIXES, kind_of_json
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.jobs.task import FitTask

REPORT_NAME = "fit_report.json"


def is_recording(folder: Path) -> bool:
    """Whether a folder is one recording: OpenPose's or EasyMocap's, a JSON file a frame."""
    try:
        return kind_of_json(folder) in ("openpose", "easymocap")
    except InputError:
        return False


def find_recordings(source: Path, out: Path, only: str = "*") -> list[str]:
    """The recordings below a folder, by their paths in it, in order.

    Hidden files, what is in `out`, and folders with the report of another run are passed over.

    Args:
        source: the folder.
        out: folder of the motions.
        only: pattern that a file's name must match ("*.trc").

    Raises:
        InputError: no such folder, nothing in it, or `out` is the same.
        OSError: a folder that cannot be read.
    """
    if not source.is_dir():
        raise InputError("no such folder", path=source, hint=f"ls {source.parent}")
    if source.resolve() == out.resolve():
        raise _among_recordings(out)
    found: list[str] = []
    for place, folders, files in os.walk(source, onerror=_refuse):
        folder = Path(place)
        if folder.resolve() == out.resolve() or (folder != source and REPORT_NAME in files):
            folders.clear()
            continue
        frames = folder != source and is_recording(folder)
        if frames and fnmatch(folder.name, only):
            found.append(folder.relative_to(source).as_posix())
        # What EasyMocap writes beside `keypoints3d` belongs to the same recording.
        folders[:] = [] if frames and "keypoints3d" in folders else sorted(name for name in folders if name[0] != ".")
        for name in files:
            suffix = Path(name).suffix.lower()
            usable = (
                suffix in SUFFIXES and name[0] != "." and name != REPORT_NAME and not (frames and suffix == ".json")
            )
            if usable and fnmatch(name, only) and (folder / name).is_file():
                found.append((folder / name).relative_to(source).as_posix())
    if not found:
        matching = "" if only == "*" else f" that match '{only}'"
        raise InputError(
            f"this folder holds no keypoint files{matching}", path=source, expected="files in " + ", ".join(SUFFIXES)
        )
    return sorted(found)


def plan_tasks(source: Path, out: Path, settings: FitSettings, only: str = "*") -> list[FitTask]:
    """One task a recording, each with an output of its own: the same path below `out`, ending in .npz.

    Of recordings that differ only in their suffix, the motions keep it: `a.trc.npz` and `a.csv.npz`.

    Raises:
        InputError: no such folder, nothing in it, or motions that would be written among the recordings.
        OSError: a folder that cannot be read.
    """
    recordings = find_recordings(source, out, only)
    inputs = {name: (source / name) for name in recordings}
    outputs = output_names({name: _without_suffix(name, path) for name, path in inputs.items()}, source)
    folders = {path.parent.resolve() for path in inputs.values()}
    for output in outputs.values():
        folder = (out / output).parent
        if folder.resolve() in folders:
            raise _among_recordings(folder)
    reserved = _reserved(list(outputs.values()))
    key = settings.key()
    return [
        FitTask(source, name, out, output, tuple(reserved.get(output.casefold(), ())), settings, key)
        for name, output in outputs.items()
    ]


def output_names(stems: Mapping[str, str], source: Path) -> dict[str, str]:
    """The .npz that becomes of each file: its path without the suffix, or with it where files differ only in that.

    Args:
        stems: the files, by their paths in the folder, and these paths without the suffix.
        source: the folder, for messages.

    Raises:
        InputError: two would become one file, also on file systems that do not tell A from a.
    """
    sharing = Counter(stem.casefold() for stem in stems.values())
    outputs = {name: (name if sharing[stem.casefold()] > 1 else stem) + ".npz" for name, stem in stems.items()}
    owners: dict[str, str] = {}
    for name, output in outputs.items():
        if output.casefold() in owners:
            raise InputError(
                f"{name} and {owners[output.casefold()]} would both become {output}", path=source, hint="rename one"
            )
        owners[output.casefold()] = name
    return outputs


def _among_recordings(folder: Path) -> InputError:
    return InputError("the motions would be written among the recordings", path=folder, hint="another -o FOLDER")


def _refuse(error: OSError) -> None:
    raise error


def _without_suffix(name: str, path: Path) -> str:
    return name if path.is_dir() else str(PurePosixPath(name).with_suffix(""))


def _reserved(outputs: list[str]) -> dict[str, list[str]]:
    """For each output, the names in its folder that begin with its name and belong to other recordings."""
    known = {output.casefold() for output in outputs}
    reserved: dict[str, list[str]] = defaultdict(list)
    for output in known:
        path = PurePosixPath(output)
        for end, letter in enumerate(path.stem):
            shorter = str(path.with_name(path.stem[:end] + path.suffix)) if letter == "_" and end else ""
            if shorter in known:
                reserved[shorter].append(path.name)
    return reserved
