"""2D keypoints in CSV: two columns a keypoint and maybe its confidence, DeepLabCut's lines of headings among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.sightings import named_sightings, tracks_from_sightings
from learnable_smplify.formats.keypoints.csv_headings import WORLD, part_of
from learnable_smplify.formats.keypoints.csv_points import points_of_table, tables_of_people
from learnable_smplify.formats.keypoints.csv_table import read_table
from learnable_smplify.formats.keypoints.named_people import NamedColumns, columns_of_people
from learnable_smplify.formats.keypoints.source import Asked
from learnable_smplify.track import Track


def read_pixel_csv(path: Path, asked: Asked) -> list[Track]:
    """The people of a table of pixels; columns and lines as in `formats.keypoints.keypoints_csv`, without z.

    Raises:
        InputError: no headings, no columns of keypoints, names of no layout, or positions in space.
    """
    table = read_table(path)
    if not table.header:
        raise InputError("there are no headings", path=path, expected="a header such as nose_x,nose_y,nose_score,...")
    in_picture = [heading for heading in table.header if not WORLD.search(heading)]
    if any(told[1] == "z" for heading in in_picture if (told := part_of(heading))) or "z" in table.header:
        raise InputError(
            "the columns have x, y and z: these are positions in space",
            path=path,
            where="header",
            expected="2D keypoints in pixels, x and y",
            hint=f"lsmplify fit {path} -o motion.npz",
        )
    people: dict[str, NamedColumns] = {}
    for name, own in tables_of_people(table, path).items():
        points = points_of_table(own, path, "xy")
        for person, columns in columns_of_people(points.names).items():
            people[person or name or "0"] = points.of_person(person, columns)
    sightings, chosen = named_sightings(people, path, asked.layout)
    first = next(iter(people.values()))
    return tracks_from_sightings(sightings, len(first.values), replace(asked, layout=chosen), first.source)
