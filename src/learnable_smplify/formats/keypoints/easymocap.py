"""EasyMocap: a folder `keypoints3d`, one JSON a frame, a list of `{"id": 0, "keypoints3d": [[x, y, z, c], ...]}`."""

from __future__ import annotations

from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.frame_folder import read_frame_folder
from learnable_smplify.formats.keypoints.json_frames import number_table, person_name, read_json_list
from learnable_smplify.formats.keypoints.people import Sight, people_from_sights
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.keypoints import Keypoints

KEYPOINTS_KEY = "keypoints3d"
"""What every file of EasyMocap with somebody in it has."""


def read_easymocap(path: Path, asked: Asked) -> list[Keypoints]:
    """The people in a `keypoints3d` folder of EasyMocap (or in the folder that holds it), or in one file of it.

    25 keypoints are BODY_25, 67 have two hands after it, 118 a face too, which is left out with a note. A keypoint
    without confidence is missing; rows of three numbers have confidence 1. People without an id, with a
    negative one, or with one that two of a frame share are followed by distance.

    Args:
        path: the folder, or one JSON file.
        asked: without a layout, it is told by the number of keypoints; without fps, it is 30 with a note; without
            units, metres, centimetres or millimetres are told by the limbs.

    Raises:
        InputError: no such folder, nobody in it, or a file that is not what EasyMocap writes (named).
    """
    if (path / "keypoints3d").is_dir():
        path = path / "keypoints3d"
    folder = read_frame_folder(path, KEYPOINTS_KEY)
    sights: list[Sight] = []
    for frame, file in folder.files:
        people = read_json_list(file, "this is not a list of people", '[{"id": 0, "keypoints3d": [...]}]')
        for index, person in enumerate(people):
            where = f"person {index}"
            if not isinstance(person, dict) or KEYPOINTS_KEY not in person:
                raise InputError("there is no 'keypoints3d'", path=file, where=where, expected="rows of x, y, z, c")
            name = person_name(person.get("id")) or person_name(person.get("personID"))
            if not person[KEYPOINTS_KEY]:
                continue
            table = number_table(person[KEYPOINTS_KEY], (3, 4), file, f"{where}, 'keypoints3d'")
            sights.append(Sight(frame, name, table[:, :3], table[:, 3] if table.shape[1] == 4 else None))
    return people_from_sights(sights, folder.frames, asked, Source(path, notes=folder.notes), {25: "body25"})
