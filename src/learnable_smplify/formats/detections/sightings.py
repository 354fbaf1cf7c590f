"""From people seen in single pictures to one `Track` a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.assemble import matched_layout
from learnable_smplify.formats.keypoints.csv_headings import in_order
from learnable_smplify.formats.keypoints.file_points import file_points, same_count
from learnable_smplify.formats.keypoints.follow import people_by_name
from learnable_smplify.formats.keypoints.named_people import NamedColumns
from learnable_smplify.formats.keypoints.picture import refuse_small
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.formats.keypoints.times import DEFAULT_FPS
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.track import Track

# Numbers of keypoints that several layouts have: these are the detectors'.
_BODY_FIRST = {17: "coco17", 25: "body25"}
_MOST_FRAMES = 2_000_000


@dataclass(frozen=True, eq=False)
class Sighting:
    """One person in one picture.

    Args:
        frame: index of the picture.
        person: who it is, where the file says so; None has them followed by distance.
        table: (K, 3) column, row [px] and confidence; NaN where missing.
        world: (K, 3) metres about the hips, as in `Track`.
    """

    frame: int
    person: str | None
    table: Float[np.ndarray, "K 3"]
    world: Float[np.ndarray, "K 3"] | None = None


def tracks_from_sightings(sightings: Sequence[Sighting], frames: int, asked: Asked, source: Source) -> list[Track]:
    """The people of a recording, each over all its frames.

    Args:
        sightings: in any order.
        frames: T, the length of the recording.
        asked: without a layout, it is told from the number of keypoints; without fps, the file's is taken, else 30
            with a note.
        source: what the file says; its notes are kept with the first track.

    Returns:
        in order of first appearance.

    Raises:
        InputError: nobody in it, shares of the picture for pixels, or a number of keypoints that changes or fits no
            layout.
    """
    path, fps = source.path, source.rate(asked)
    seen = [sighting for sighting in sightings if _trust(sighting.table).any()]
    if not seen:
        raise InputError("nobody is in any frame", path=path, expected="2D keypoints of somebody in some frame")
    if frames > _MOST_FRAMES:
        raise InputError(f"there are {frames} frames", path=path, expected=f"at most {_MOST_FRAMES}")
    count = same_count([(sighting.frame, sighting.person, sighting.table) for sighting in seen], path)
    points = file_points(asked.layout, count, path, _BODY_FIRST)
    chosen = points.layout
    refuse_small(np.stack([_known(sighting.table) for sighting in seen]), path)
    # People are followed in space or in the picture alike: the picture has depth 0.
    people, _, left_out = people_by_name(
        [sighting.frame for sighting in seen],
        [sighting.person for sighting in seen],
        [np.pad(_known(points.body_of(sighting.table)), ((0, 0), (0, 1))) for sighting in seen],
        fps,
    )
    said = [*source.notes, *points.notes]
    if points.hands:
        said.append("hands are not fitted to pictures")
    said += left_out
    if fps is None:
        said.append(f"frame rate not given: {DEFAULT_FPS:g} a second assumed (--fps)")
    tracks: list[Track] = []
    for name, places in people.items():
        table = np.full((frames, len(chosen), 3), np.nan)
        world: np.ndarray | None = None
        for place in places:
            sighting = seen[place]
            table[sighting.frame] = points.body_of(sighting.table)
            if sighting.world is not None:
                world = np.full((frames, len(chosen), 3), np.nan) if world is None else world
                world[sighting.frame] = points.body_of(sighting.world)
        try:
            keypoints = Keypoints2D(
                torch.as_tensor(table[..., :2], dtype=torch.float32),
                chosen,
                DEFAULT_FPS if fps is None else fps,
                torch.as_tensor(np.nan_to_num(table[..., 2]), dtype=torch.float32),
                tuple(said) if not tracks else (),
                fps_guessed=fps is None,
            )
        except InputError as error:
            raise InputError(str(error).rstrip("."), path=path) from error
        tracks.append(Track(keypoints, name, None if world is None else torch.as_tensor(world)))
    return tracks


def named_sightings(
    people: Mapping[str, NamedColumns], path: Path, layout: str | Layout | None
) -> tuple[list[Sighting], str | Layout | None]:
    """Every frame of people whose keypoints have names, or numbers in the order of the layout; and the layout.

    Args:
        people: by name, column and row [px] of their points; one at exactly (0, 0) without a confidence is missing.
        path: for messages.
        layout: name, TOML path or `Layout`; None infers it from the names.

    Raises:
        InputError: the names are of no layout, or of too few of its keypoints.
    """
    names = list(dict.fromkeys(name for points in people.values() for name in points.names))
    numbered = in_order(names)
    if numbered is None:
        layout, places = matched_layout(layout, names, path)
        columns = {name: layout.columns[place] for name, place in places.items()}
        width = layout.width
    else:
        columns, width = {names[column]: place for place, column in enumerate(numbered)}, len(names)
    found = []
    for person, points in people.items():
        trust = ~(points.values == 0).all(axis=-1) if points.confidence is None else points.confidence
        table = np.full((len(points.values), width, 3), np.nan)
        for place, name in enumerate(points.names):
            if name in columns:
                table[:, columns[name]] = np.c_[points.values[:, place], trust[:, place]]
        table[~(table[..., 2] > 0)] = np.nan
        found += [Sighting(frame, person, frame_table) for frame, frame_table in enumerate(table)]
    return found, layout


def _trust(table: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K"]:
    return np.where(np.isfinite(table).all(axis=1), np.nan_to_num(table[:, 2]), 0.0)


def _known(table: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 2"]:
    return np.where((_trust(table) > 0)[:, None], table[:, :2], np.nan)
