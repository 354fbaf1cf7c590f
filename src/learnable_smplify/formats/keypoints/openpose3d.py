"""OpenPose 3D: a folder with one JSON a frame, `people[i].pose_keypoints_3d` flat x, y, z, confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.frame_folder import read_frame_folder
from learnable_smplify.formats.keypoints.json_frames import PEOPLE_KEY, number_list, openpose_people, person_name
from learnable_smplify.formats.keypoints.people import Sight, people_from_sights
from learnable_smplify.formats.keypoints.picture import flat_keypoints
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints

_KEY = "pose_keypoints_3d"
_HAND_KEYS = ("hand_left_keypoints_3d", "hand_right_keypoints_3d")


def read_openpose3d(path: Path, asked: Asked) -> list[Keypoints]:
    """The people in a folder of OpenPose's 3D output, or in one file of it; BODY_25 where there are 25 keypoints.

    Hands are read from `hand_left_keypoints_3d` and `hand_right_keypoints_3d`; the face is left out.

    A keypoint without confidence is missing. Frame numbers that have no file are frames without people. OpenPose does
    not follow people over time: without a `person_id` they are followed by distance.

    Args:
        path: the folder, or one JSON file.
        asked: without a layout, it is told by the number of keypoints; without fps, it is 30 with a note; without
            units, metres, centimetres or millimetres are told by the limbs.

    Raises:
        InputError: no such folder, nobody in it, or a file that is not what OpenPose writes (named).
    """
    folder = read_frame_folder(path, PEOPLE_KEY)
    sights: list[Sight] = []
    flat = False
    for frame, file in folder.files:
        for where, person, table in openpose_people(file, _KEY, "x, y, z, c"):
            if len(table) == 0:
                flat = flat or bool(person.get("pose_keypoints_2d"))
                continue
            name = person_name(person.get("person_id"))
            sights.append(Sight(frame, name, table[:, :3], table[:, 3], _hands(person, file, where)))
    if not sights and flat:
        raise flat_keypoints(path, f": '{_KEY}' is empty")
    return people_from_sights(sights, folder.frames, asked, Source(path, notes=folder.notes), {25: "body25"})


def _hands(person: dict[str, Any], file: Path, where: str) -> np.ndarray | None:
    """(2, 21, 4) of the person's hands, NaN for one that is not there; None without hands."""
    found = np.full((2, 21, 4), np.nan)
    for side, key in enumerate(_HAND_KEYS):
        numbers = person.get(key)
        if numbers:
            row = number_list(numbers, file, f"{where}, '{key}'")
            if len(row) != 84:
                raise InputError(
                    f"there are {len(row)} numbers", path=file, where=f"{where}, '{key}'", expected="84: 21 x, y, z, c"
                )
            found[side] = row.reshape(21, 4)
    return found if np.isfinite(found).any() else None
