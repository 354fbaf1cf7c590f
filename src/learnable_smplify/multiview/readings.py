"""What a calibration or pictures would have to be for the cameras to see one person: said where they do not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.formats.cameras.placed import other_readings, turned
from learnable_smplify.multiview.people import MEET, window_costs
from learnable_smplify.multiview.rays import Rig, Sightlines

# Frames that tell whether the calibration is of these cameras.
_LOOKED_AT = 200
# How much better another reading of a calibration must be to be named.
_MUCH_BETTER = 0.5
# Cameras that miss each other by this much, in sizes of a person, see different people, or are misread.
_CHANCE = 0.15
# Somebody whom one camera sees in this share of the recording is worth a word.
_LONG = 0.1
_Change = Callable[[np.ndarray, np.ndarray], np.ndarray]
# By what factors pictures are made smaller or larger, as a rule.
_SCALES = {"half as large": 0.5, "twice as large": 2.0, "two thirds as large": 2 / 3, "1.5 times as large": 1.5}


def misread(lines: Sequence[Sightlines], rig: Rig) -> bool:
    """Whether the rays of most cameras miss each other by so much that people who were matched may be chance."""
    return _CHANCE < _fit(lines, rig) < np.inf


def stranger(
    lines: Sequence[Sightlines], rig: Rig, cameras: Mapping[str, Camera], path: Path, matched: bool = False
) -> InputError | None:
    """Why nobody is seen by two cameras: the calibration read another way that would fit, where there is one.

    Args:
        lines: everybody in every camera.
        rig: the cameras.
        cameras: the same by name.
        path: of the calibration.
        matched: whether somebody was found all the same: None is the answer then, unless another reading fits.
    """
    now = _fit(lines, rig)
    if not np.isfinite(now):
        return InputError(
            "no two cameras see anybody at the same time", path=path, expected="the cameras of one recording"
        )
    others = {what: Rig(rig.names, *read) for what, read in other_readings(rig.rotations, rig.translations).items()}
    others["if its rotations were transposed"] = Rig(rig.names, rig.rotations.transpose(0, 2, 1), rig.translations)
    for one, two in itertools.combinations(range(len(rig.names)), 2):
        order = list(range(len(rig.names)))
        order[one], order[two] = two, one
        others[f"if {rig.names[one]} and {rig.names[two]} were exchanged"] = Rig(
            rig.names, rig.rotations[order], rig.translations[order]
        )
    stand = -turned(rig.rotations.transpose(0, 2, 1), rig.translations)
    for first, second in itertools.combinations(range(3), 2):
        order = list(range(3))
        order[first], order[second] = second, first
        others[f"if {'xyz'[first]} and {'xyz'[second]} of where cameras stand were exchanged"] = Rig(
            rig.names, rig.rotations, -turned(rig.rotations, stand[:, order])
        )
    for axis in range(3):
        signs = np.where(np.arange(3) == axis, -1.0, 1.0)
        others[f"if {'xyz'[axis]} of where cameras stand had the other sign"] = Rig(
            rig.names, rig.rotations, -turned(rig.rotations, stand * signs)
        )
    fits = {what: _fit(lines, other) for what, other in others.items()}
    for change, pictures in _other_pictures(lines, [cameras[rig.names[line.camera]] for line in lines]).items():
        fits[f"if pictures {change}"] = _fit(pictures, rig)
    what = min(fits, key=lambda what: fits[what])
    missed = f"rays of the cameras miss each other by {100 * now:.0f} % of a person's size"
    if fits[what] < min(MEET, _MUCH_BETTER * now):
        return InputError(
            f"no two cameras see the same person: {missed}; the calibration would fit {what}",
            path=path,
            expected="rotations and translations from world to camera in OpenCV's axes, under the cameras' names, and "
            "pictures as they were when it was made",
        )
    if matched:
        return None
    return InputError(
        f"no two cameras see the same person: {missed}",
        path=path,
        expected="a calibration of these cameras, not moved since, and clocks that agree (--clocks)",
    )


def lonely_notes(
    lines: Sequence[Sightlines], matched: Sequence[Sequence[tuple[int, int]]], rig: Rig, cameras: Mapping[str, Camera]
) -> list[str]:
    """What is said of people whom one camera alone sees, and who are left out.

    Args:
        lines: everybody in every camera.
        matched: of each person found, camera and track of the pieces that show them.
        rig: the cameras.
        cameras: the same by name.
    """
    used = {piece for person in matched for piece in person}
    notes = []
    for number, name in enumerate(rig.names):
        own = [line for line in lines if line.camera == number]
        alone = [line for line in own if (number, line.track) not in used and _share(line) >= _LONG]
        if not alone:
            continue
        who = "somebody" if len(alone) == 1 else f"{len(alone)} people"
        note = f"{name} sees {who} whom no other camera sees: left out"
        if len(alone) == len(own):
            others = [line for line in lines if (line.camera, line.track) in used]
            pictures = _other_pictures(own, [cameras[name]] * len(own))
            fits = {change: _fit([*others, *seen], rig, number) for change, seen in pictures.items()}
            change = min(fits, key=lambda change: fits[change])
            if fits[change] < min(MEET, _MUCH_BETTER * _fit([*others, *own], rig, number)):
                note += f"; it would see the same people as they do if its pictures {change}"
        notes.append(note)
    return notes


def _share(line: Sightlines) -> float:
    return float(np.isfinite(line.rays).all(axis=-1).any(axis=-1).mean())


def _fit(lines: Sequence[Sightlines], rig: Rig, of: int | None = None) -> float:
    """How far the best tracks of each pair of cameras miss each other, in sizes of a person: the median of pairs.

    Args:
        of: only pairs with this camera.
    """
    frames = len(lines[0].rays)
    window = slice(0, frames, max(1, frames // _LOOKED_AT))
    costs = window_costs(lines, rig, window)
    cameras = np.array([line.camera for line in lines])
    best = [
        float(costs[np.ix_(cameras == one, cameras == two)].min())
        for one, two in itertools.combinations(sorted(set(cameras.tolist())), 2)
        if of in (None, one, two)
    ]
    known = [cost for cost in best if np.isfinite(cost)]
    return float(np.median(known)) if known else np.inf


def _other_pictures(lines: Sequence[Sightlines], cameras: Sequence[Camera]) -> dict[str, list[Sightlines]]:
    """What cameras would have seen in pictures like those of the calibration, by how theirs would differ from them.

    Args:
        lines: tracks.
        cameras: of each.
    """
    changes = {f"were {what} as the calibration's": _resized(factor) for what, factor in _SCALES.items()}
    changes |= {
        "were turned clockwise": lambda pixels, size: np.stack((pixels[..., 1], size[1] - pixels[..., 0]), axis=-1),
        "were turned counterclockwise": lambda pixels, size: np.stack(
            (size[0] - pixels[..., 1], pixels[..., 0]), axis=-1
        ),
        "stood on their head": lambda pixels, size: size - pixels,
        "were mirrored": lambda pixels, size: np.stack((size[0] - pixels[..., 0], pixels[..., 1]), axis=-1),
    }
    return {
        what: [_repictured(line, camera, change) for line, camera in zip(lines, cameras, strict=True)]
        for what, change in changes.items()
    }


def _resized(factor: float) -> _Change:
    return lambda pixels, _: pixels / factor


def _repictured(line: Sightlines, camera: Camera, change: _Change) -> Sightlines:
    """A track whose pixels are others; the lens counts as straight."""
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    size = np.array([camera.width or 2 * camera.cx, camera.height or 2 * camera.cy])
    rays = (change(focal * line.rays + centre, size) - centre) / focal
    grown = float(np.abs(change(np.ones(2), size) - change(np.zeros(2), size)).max())
    return replace(line, rays=rays, size=line.size * grown)
