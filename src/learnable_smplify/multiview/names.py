"""Which file or folder is which camera's: told by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from learnable_smplify.errors import InputError, some

_BETWEEN = re.compile(r"[^a-z0-9]+")
# So many names are written out.
_LISTED = 12


def match_cameras(entries: Sequence[str], cameras: Sequence[str], path: Path) -> dict[str, str]:
    """The entry of each camera that has one: the same name, the camera's name as a part of the entry's
    (`balance_cam01` of `cam01`), or names that end in the same number (`p01` of `cam01`).

    Args:
        entries: names of files without suffix, or of folders.
        cameras: names in the calibration.
        path: the folder of the entries, for messages.

    Returns:
        camera's name -> entry's name, in the calibration's order.

    Raises:
        InputError: an entry of no camera, or two of one: the message has both lists.
    """
    for rule in (_equal, _within, _same_number):
        found = {entry: [camera for camera in cameras if rule(entry, camera)] for entry in entries}
        chosen = [names[0] for names in found.values() if len(names) == 1]
        if len(chosen) == len(entries) == len(set(chosen)):
            by_camera = {names[0]: entry for entry, names in found.items()}
            return {camera: by_camera[camera] for camera in cameras if camera in by_camera}
    there, calibrated = (some(names, _LISTED) or "none" for names in (entries, cameras))
    raise InputError(
        f"the names do not go together: there are {there}; the calibration has {calibrated}",
        path=path,
        expected="one entry a camera, named like it (cam01, cam01_json or clip_cam01.mp4 for camera cam01)",
    )


def _equal(entry: str, camera: str) -> bool:
    return entry.casefold() == camera.casefold()


def _within(entry: str, camera: str) -> bool:
    """All parts of the camera's name, one after another, among the entry's."""
    parts, wanted = (_BETWEEN.sub(" ", name.casefold()).split() for name in (entry, camera))
    count = len(wanted)
    return count > 0 and any(parts[at : at + count] == wanted for at in range(len(parts) - count + 1))


def _same_number(entry: str, camera: str) -> bool:
    numbers = [re.findall(r"\d+", name) for name in (entry, camera)]
    return all(numbers) and int(numbers[0][-1][-15:]) == int(numbers[1][-1][-15:])
