"""From what each camera saw to what there is of each person: the door of this room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.axes import settle_people
from learnable_smplify.formats.keypoints.units import size_of_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.multiview.astray import astray
from learnable_smplify.multiview.nudge import find_nudge
from learnable_smplify.multiview.offsets import find_offsets
from learnable_smplify.multiview.people import match_people
from learnable_smplify.multiview.points import triangulated
from learnable_smplify.multiview.rates import at_one_rate
from learnable_smplify.multiview.rays import Rig, Sightlines, sightlines, steady_keypoints
from learnable_smplify.multiview.readings import lonely_notes, misread, stranger
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.swaps import swap_notes, unswapped
from learnable_smplify.threads import one_thread_per_operation
from learnable_smplify.track import Track
from learnable_smplify.views import View

# Limbs are so many times an adult's, from children to giants.
_SMALLEST, _LARGEST = 0.3, 1.8
# How large people are where translations were taken for another unit: for metres, or (small) for millimetres.
_UNITS = (
    ((300.0, 3000.0), "millimetres", "mm"),
    ((30.0, 300.0), "centimetres", "cm"),
    ((0.03, 0.3), "centimetres, if they were taken for millimetres", "cm"),
    ((3e-4, 0.03), "metres", "m"),
)
# Frames that tell whether the calibration is of these cameras.
_LOOKED_AT = 200


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """One person as all cameras saw them, at the same moments.

    Args:
        name: "0" for whom the cameras saw most.
        views: one for each camera that saw them.
    """

    name: str
    views: tuple[View, ...]

    def with_cameras(self, moved: Callable[[Camera], Camera]) -> SeenPerson:
        """The same person seen by cameras that stand elsewhere."""
        return replace(self, views=tuple(View(view.keypoints, moved(view.camera)) for view in self.views))


@dataclass(frozen=True, eq=False)
class Gathered:
    """The people of a recording.

    Args:
        people: most seen first.
        offsets: frames by which each camera is ahead of the first.
        first_frame: the frame of the first camera's recording with which the people's views begin.
        steps: frames of each camera's own recording from one frame of the views to the next; all else is counted in
            frames of the views, which are those of the fastest camera.
        notes: lines for the user.
    """

    people: tuple[SeenPerson, ...]
    offsets: dict[str, int]
    first_frame: int
    steps: dict[str, float]
    notes: tuple[str, ...]


@one_thread_per_operation()
def gather_people(
    tracks: Mapping[str, Sequence[Track]],
    cameras: Mapping[str, Camera],
    path: Path,
    *,
    offsets: Mapping[str, int] | None = None,
    nudge: bool = True,
    up: str | None = None,
) -> Gathered:
    """Put together what several cameras saw: clocks, people, and which way is up.

    Args:
        tracks: of each camera, everybody it saw.
        cameras: the same cameras, calibrated.
        path: of the calibration, for messages.
        offsets: frames by which cameras are ahead, of the fastest; None finds them.
        nudge: turn cameras by fractions of a degree where their rays meet much better then.
        up: which way is up in the cameras' world, as the user says ("z", "-y", ...); None tells it.

    Raises:
        InputError: cameras of different keypoints; nobody whom two cameras see, or nobody of a size of
            a person: the message says what may be wrong with the calibration.
    """
    names = [name for name in cameras if tracks.get(name)]
    cameras = {name: cameras[name] for name in names}
    layout = _one_layout({name: load_layout(tracks[name][0].keypoints.layout) for name in names})
    timed = at_one_rate({name: tracks[name] for name in names})
    tracks, fps = timed.tracks, timed.fps
    rig = Rig.of(cameras)
    steady = steady_keypoints(layout)
    lines = [
        sightlines(track, cameras[name], (number, index), steady)
        for number, name in enumerate(names)
        for index, track in enumerate(tracks[name])
    ]
    notes = list(timed.notes)
    if offsets is None:
        found = find_offsets(lines, rig, fps) if len(names) > 1 else {}
        ahead = {name: found.get(number, 0) for number, name in enumerate(names)}
        notes += _clock_notes(ahead)
    else:
        ahead = {name: offsets.get(name, 0) for name in names}
    frames = {name: len(tracks[name][0]) for name in names}
    begin, end = _span([(ahead[name], frames[name]) for name in names])
    if offsets is not None:
        _check_running(ahead, frames, begin, end)
    lines = [_cut(line, begin + ahead[names[line.camera]], end - begin) for line in lines]
    matched = match_people(lines, rig, fps)
    seen_by = {camera for pieces in matched for camera, _, _ in pieces}
    if not matched or (len(names) > 2 and (misread(lines, rig) or len(seen_by) < len(names))):
        error = stranger(lines, rig, cameras, path, matched=bool(matched))
        if error is not None:
            raise error
    people = []
    for number, pieces in enumerate(matched):
        views = [
            _view(
                tracks[name],
                cameras[name],
                fps,
                begin + ahead[name],
                end - begin,
                [(track, part) for camera, track, part in pieces if camera == index],
            )
            for index, name in enumerate(names)
        ]
        people.append(SeenPerson(str(number), tuple(view for view in views if view is not None)))
    if len(names) > 1:
        people, more = _put_right(people, path, fps, steady, nudge=nudge, up=up)
        notes += more
        notes += [
            f"person {person.name} is seen by {', '.join(str(view.camera.name) for view in person.views)}"
            for person in people
            if len(person.views) < len(names)
        ]
        notes += lonely_notes(lines, [[(camera, track) for camera, track, _ in one] for one in matched], rig, cameras)
    return Gathered(tuple(people), ahead, begin, timed.steps, tuple(notes))


def _one_layout(layouts: Mapping[str, Layout]) -> Layout:
    """The layout that all cameras' keypoints have."""
    first, layout = next(iter(layouts.items()))
    for name, other in layouts.items():
        if other != layout:
            raise InputError(
                f"camera {name} has {other.name}, {first} {layout.name}",
                expected="the same keypoints in all cameras",
                hint="--layout, where files say nothing or something else",
            )
    return layout


def _clock_notes(ahead: Mapping[str, int]) -> list[str]:
    said = ", ".join(f"{name} {frames:+d}" for name, frames in ahead.items() if frames)
    first = next(iter(ahead))
    return [f"clocks: frames by which cameras are ahead of {first}: {said} (--clocks to say otherwise)"] if said else []


def _check_running(ahead: Mapping[str, int], frames: Mapping[str, int], begin: int, end: int) -> None:
    idle = [name for name in ahead if not begin < frames[name] - ahead[name] or not -ahead[name] < end]
    if idle:
        raise InputError(
            f"by --clocks {', '.join(idle)} does not run while two other cameras do (frames {begin} to {end - 1})",
            expected="frames of these recordings",
        )


def _put_right(
    people: list[SeenPerson], path: Path, fps: float, steady: list[int], *, nudge: bool, up: str | None
) -> tuple[list[SeenPerson], list[str]]:
    """What several cameras tell of each other: touched cameras, strangers, exchanged sides; and which way is up."""
    notes: list[str] = []
    if nudge:
        people, notes = _nudged(people)
    # Somebody else's sides are not put right, so that they stay a stranger's.
    cleared = [_without_strays(person, fps, steady) for person in people]
    notes += [note for _, said in cleared for note in said]
    people, side_notes = _righted([person for person, _ in cleared])
    people, up_notes = _settled(people, path, up)
    return people, [*notes, *side_notes, *up_notes]


def _span(recordings: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Frames of the first camera's clock in which two cameras run (or the one)."""
    begins = sorted(-ahead for ahead, _ in recordings)
    ends = sorted((length - ahead for ahead, length in recordings), reverse=True)
    needed = min(2, len(recordings)) - 1
    begin, end = begins[needed], ends[needed]
    if end <= begin:
        raise InputError("no two cameras run at the same time", expected="smaller --clocks")
    return begin, end


def _cut(line: Sightlines, begin: int, count: int) -> Sightlines:
    rays = np.full((count, *line.rays.shape[1:]), np.nan)
    low, high = max(begin, 0), min(begin + count, len(line.rays))
    if high > low:
        rays[low - begin : high - begin] = line.rays[low:high]
    return replace(line, rays=rays)


def _view(
    tracks: Sequence[Track], camera: Camera, fps: float, begin: int, count: int, pieces: Sequence[tuple[int, slice]]
) -> View | None:
    """What a camera saw of a person: pieces of its tracks, on the common time axis."""
    first = tracks[0].keypoints
    pixels = torch.full((count, *first.pixels.shape[1:]), torch.nan)
    trust = torch.zeros(count, first.pixels.shape[1])
    for track, part in pieces:
        low, high = max(part.start + begin, 0), min(part.stop + begin, len(tracks[track]))
        if high > low:
            pixels[low - begin : high - begin] = tracks[track].keypoints.pixels[low:high]
            trust[low - begin : high - begin] = tracks[track].keypoints.confidence[low:high]
    if not bool((trust > 0).any()):
        return None
    return View(Keypoints2D(pixels, first.layout, fps, trust, fps_guessed=first.fps_guessed), camera)


def _righted(people: list[SeenPerson]) -> tuple[list[SeenPerson], list[str]]:
    """The people with sides that no camera exchanges, as is needed wherever their keypoints are asked for in space."""
    righted, notes = [], []
    for person in people:
        if len(person.views) > 1:
            sides = unswapped(Observed.of(person.views))
            said = swap_notes(sides)
            notes += said if len(people) == 1 else [f"person {person.name}: {note}" for note in said]
            person = replace(person, views=sides.views(person.views))
        righted.append(person)
    return righted, notes


def _nudged(people: list[SeenPerson]) -> tuple[list[SeenPerson], list[str]]:
    """The people seen by cameras that are turned until their rays of whom they saw most meet."""
    views = people[0].views
    found = find_nudge(_righted(people[:1])[0][0].views)
    if found is None:
        return people, []
    place = {view.camera.name: index for index, view in enumerate(views)}

    def nudged(camera: Camera) -> Camera:
        return found.apply(camera, place[camera.name]) if camera.name in place else camera

    by = ", ".join(f"{view.camera.name} {angle:.2f}" for view, angle in zip(views, found.degrees(), strict=True))
    note = (
        f"the calibration is a little off: cameras are turned by {by} degrees, which takes keypoints from "
        f"{found.before:.1f} to {found.after:.1f} px (--trust-cameras to leave them)"
    )
    return [person.with_cameras(nudged) for person in people], [note]


def _without_strays(person: SeenPerson, fps: float, steady: Sequence[int]) -> tuple[SeenPerson, list[str]]:
    """The person without what a camera took for them while the others agreed on something else."""
    rig = Rig.of({str(view.camera.name): view.camera for view in person.views})
    lines = [
        sightlines(Track(view.keypoints), view.camera, (number, 0), steady) for number, view in enumerate(person.views)
    ]
    views, notes = [], []
    for view, out in zip(person.views, astray(lines, rig, fps), strict=True):
        trust = torch.where(torch.as_tensor(out)[:, None], 0.0, view.keypoints.confidence)
        if bool((trust > 0).any()):
            views.append(View(replace(view.keypoints, confidence=trust), view.camera))
        if out.any():
            who = f"person {person.name}: {view.camera.name} follows somebody else, or nobody"
            notes.append(f"{who}, in {100 * out.mean():.0f} % of frames: left out there")
    return replace(person, views=tuple(views)), notes


def _settled(people: list[SeenPerson], path: Path, up: str | None) -> tuple[list[SeenPerson], list[str]]:
    """The people in a world whose up axis is known, where bodies tell it; and of the size of people."""
    placed: list[Keypoints] = []
    for person in people:
        if len(person.views) > 1:
            points = triangulated(_some(person.views))
            size = size_of_body(
                torch.where(points.confidence[..., None] > 0, points.positions, torch.nan).numpy(),
                load_layout(points.layout),
            )
            if size is not None and not _SMALLEST <= size <= _LARGEST:
                unit, short = next(
                    ((word, short) for (low, high), word, short in _UNITS if low < size < high), ("", None)
                )
                what = f", so the translations may be {unit}" if unit else ""
                raise InputError(
                    f"people are {size:.3g} times as large as an adult in this calibration{what}",
                    path=path,
                    expected="translations of the unit that the format or --camera-units says",
                    hint=short and f"--camera-units {short}",
                )
            placed.append(points)
    if not placed:
        return people, []
    stated = people[0].views[0].camera.up_axis
    unknown = [replace(points, up_axis=None) for points in placed]
    settled = settle_people(unknown, up, assumed=stated, mirrored=False)
    changes = [after.positions - before.positions for before, after in zip(placed, settled, strict=True)]
    moved = torch.cat([change.abs().flatten(0, 1) for change in changes]).amax(dim=0) > 1e-6
    turn = torch.where(moved, -1.0, 1.0)
    axis = settled[0].up_axis

    def placed_camera(camera: Camera) -> Camera:
        return replace(camera, R_camera_world=camera.R_camera_world * turn, up_axis=axis)

    people = [person.with_cameras(placed_camera) for person in people]
    said = [note for note in settled[0].notes if note not in placed[0].notes]
    return people, [note.replace("in the file", "in the calibration") for note in said]


def _some(views: Sequence[View]) -> list[View]:
    """Frames enough to see how people stand."""
    some = [view.every(max(1, len(views[0].keypoints) // _LOOKED_AT)) for view in views]
    return [view for view in some if bool((view.keypoints.confidence > 0).any())]
