"""People who cross in front of cameras that stand equally high, while detectors take them for each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrated import Calibrated, room, write_json
from crowd import seen, track, walk
from learnable_smplify.formats.cameras.camera_file import read_cameras
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.multiview.gather import gather_people
from learnable_smplify.multiview.points import triangulated

pytest.importorskip("cv2")
FRAMES = 120
MIRROR = list(load_layout("coco17").mirror)


def equally_high(count: int) -> list[Calibrated]:
    """Cameras whose rays of people of one height nearly meet, wherever these stand."""
    cameras = []
    for index in range(count):
        angle = 2 * np.pi * index / count + 0.4
        ahead = -np.array([np.cos(angle), np.sin(angle), 0.0])
        rotation = np.stack([np.cross(ahead, [0, 0, 1.0]), [0, 0, -1.0], ahead])
        place = np.array([0, 0, 1.0]) - 5 * ahead
        cameras.append(replace(room(1)[0], name=f"cam{index + 1:02d}", rotation=rotation, transl=-rotation @ place))
    return cameras


def crossing() -> list[np.ndarray]:
    """Two who walk past each other."""
    way = np.linspace(-1.4, 1.4, FRAMES)[:, None, None] * np.array([1.0, 0.1, 0.0])
    return [walk(FRAMES, 0) + way, walk(FRAMES, 1, (0.0, 0.25)) - way]


@pytest.mark.parametrize("sides", [False, True])
def test_tracks_that_pass_from_one_to_the_other_are_told_apart(tmp_path: Path, sides: bool) -> None:
    people, cameras = crossing(), equally_high(4)
    tracks = {}
    for number, camera in enumerate(cameras):
        first, second = (seen(camera, person) for person in people)
        if number in (0, 2):  # just before they meet, and just after
            begin = 52 if number == 0 else 66
            first[begin:], second[begin:] = second[begin:].copy(), first[begin:].copy()
        if sides:
            first[10 + 20 * number : 40 + 20 * number] = first[10 + 20 * number : 40 + 20 * number][:, MIRROR]
        tracks[camera.name] = [track(first), track(second, "1")]
    path = write_json(tmp_path / "cameras.json", cameras)
    found = gather_people(tracks, read_cameras(path), path)
    assert len(found.people) == 2
    for person in found.people:
        points = triangulated(person.views)
        known = points.confidence.numpy() > 0
        away = [np.linalg.norm((points.positions.numpy() - one)[known], axis=-1) for one in people]
        nearest = min(away, key=np.median)
        assert float(nearest.mean()) < 0.03
        assert known.mean() > 0.9
