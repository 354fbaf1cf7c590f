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
from learnable_smplify.multiview.rays import Rig, Sightlines, median

# Frames that tell whether the calibration is of these cameras.
_LOOKED_AT = 200
# How much better another reading of a calibration must be to be named.
_MUCH_BETTER = 0.5
# Cameras that miss each other by this much, in sizes of a person, see different people, or are misread.
_CHANCE = 0.15
# Somebody whom one camera sees in this share of the recording is worth a word.
_LONG = 0.1
# Pixels as they would be elsewhere, from pixels, the picture's size and its principal point.
_Change = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# All orders of so many cameras are tried; of more, only two of them are exchanged.
_ORDERED = 6
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
    others = _other_poses(rig)
    stand = -turned(rig.rotations.transpose(0, 2, 1), rig.translations)
    for first, second in itertools.combinations(range(3), 2):
        order = list(range(3))
        order[first], order[second] = second, first
        others[f"if {'xyz'[first]} and {'xyz'[second]} of where cameras stand were exchanged"] = replace(
            rig, translations=-turned(rig.rotations, stand[:, order])
        )
    for axis in range(3):
        signs = np.where(np.arange(3) == axis, -1.0, 1.0)
        others[f"if {'xyz'[axis]} of where cameras stand had the other sign"] = replace(
            rig, translations=-turned(rig.rotations, stand * signs)
        )
    fits = {what: _fit(lines, other) for what, other in others.items()}
    for what, pictures in _other_pictures(lines, [cameras[rig.names[line.camera]] for line in lines]).items():
        fits[what] = _fit(pictures, rig)
    fits |= _other_orders(lines, rig)
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
            fits = {what: _fit([*others, *seen], rig, number) for what, seen in pictures.items()}
            fits |= {what: _fit([*others, *own], other, number) for what, other in _other_poses(rig, number).items()}
            what = min(fits, key=lambda what: fits[what])
            if fits[what] < min(MEET, _MUCH_BETTER * _fit([*others, *own], rig, number)):
                note += f"; it would see the same people as they do {what}"
        notes.append(note)
    return notes


def _other_poses(rig: Rig, of: int | None = None) -> dict[str, Rig]:
    """Rigs whose matrices are read in other ways, by what these are.

    Args:
        of: only those of this camera.
    """
    read = other_readings(rig.rotations, rig.translations)
    read["if its rotations were transposed"] = rig.rotations.transpose(0, 2, 1), rig.translations
    others = np.array([of in (None, number) for number in range(len(rig.names))])
    return {
        what: Rig(
            rig.names,
            np.where(others[:, None, None], rotations, rig.rotations),
            np.where(others[:, None], translations, rig.translations),
        )
        for what, (rotations, translations) in read.items()
    }


def _other_orders(lines: Sequence[Sightlines], rig: Rig) -> dict[str, float]:
    """How well cameras would fit if they had each other's places: the best order of all but the given one."""
    count = len(rig.names)
    if count <= _ORDERED:
        orders = np.array(list(itertools.permutations(range(count)))[1:])
    else:
        orders = np.tile(np.arange(count), (count * (count - 1) // 2, 1))
        for order, (one, two) in zip(orders, itertools.combinations(range(count), 2), strict=True):
            order[[one, two]] = two, one
    pairs = list(itertools.combinations(sorted({line.camera for line in lines}), 2))
    costs = np.full((count, count, count, count), np.nan)
    for first, second in pairs:
        both = [line for line in lines if line.camera in (first, second)]
        for one, two in itertools.permutations(range(count), 2):
            order = np.arange(count)
            order[[first, second]] = one, two
            known = _fit(both, Rig(rig.names, rig.rotations[order], rig.translations[order]))
            costs[first, second, one, two] = known if np.isfinite(known) else np.nan
    if not np.isfinite(costs).any():
        return {}
    each = np.stack([costs[first, second, orders[:, first], orders[:, second]] for first, second in pairs], axis=1)
    with np.errstate(all="ignore"):
        fits = np.nanmedian(each, axis=1)
    best = int(np.nanargmin(fits))
    moved = [number for number in range(count) if orders[best, number] != number]
    if len(moved) == 2:
        return {f"if {rig.names[moved[0]]} and {rig.names[moved[1]]} were exchanged": float(fits[best])}
    said = ", ".join(f"{rig.names[number]} were {rig.names[orders[best, number]]}" for number in moved)
    return {f"if {said}": float(fits[best])}


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
        costs[np.ix_(cameras == one, cameras == two)].min()
        for one, two in itertools.combinations(sorted(set(cameras.tolist())), 2)
        if of in (None, one, two)
    ]
    return median(np.array(best))


def _other_pictures(lines: Sequence[Sightlines], cameras: Sequence[Camera]) -> dict[str, list[Sightlines]]:
    """What cameras would have seen in pictures like those of the calibration, by how theirs would differ from them.

    Args:
        lines: tracks.
        cameras: of each.
    """
    changes = {
        f"if its pictures were {what} as the calibration's": _resized(factor) for what, factor in _SCALES.items()
    }
    changes |= {
        "if its pictures were turned clockwise": lambda pixels, size, _: np.stack(
            (pixels[..., 1], size[1] - pixels[..., 0]), axis=-1
        ),
        "if its pictures were turned counterclockwise": lambda pixels, size, _: np.stack(
            (size[0] - pixels[..., 1], pixels[..., 0]), axis=-1
        ),
        "if its pictures stood on their head": lambda pixels, size, _: size - pixels,
        "if its pictures were mirrored": lambda pixels, size, _: np.stack(
            (size[0] - pixels[..., 0], pixels[..., 1]), axis=-1
        ),
        "if its focal lengths were twice as long": lambda pixels, _, centre: centre + (pixels - centre) / 2,
        "if its focal lengths were half as long": lambda pixels, _, centre: centre + (pixels - centre) * 2,
        "if its cx and cy were exchanged": lambda pixels, _, centre: pixels + centre - centre[::-1],
        "if its cx and cy were the middle of the picture": lambda pixels, size, centre: pixels + centre - size / 2,
    }
    return {
        what: [_repictured(line, camera, change) for line, camera in zip(lines, cameras, strict=True)]
        for what, change in changes.items()
    }


def _resized(factor: float) -> _Change:
    return lambda pixels, _, __: pixels / factor


def _repictured(line: Sightlines, camera: Camera, change: _Change) -> Sightlines:
    """A track whose pixels are others; the lens counts as straight."""
    focal, centre = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    size = np.array([camera.width or 2 * camera.cx, camera.height or 2 * camera.cy])
    rays = (change(focal * line.rays + centre, size, centre) - centre) / focal
    grown = float(np.abs(change(np.ones(2), size, centre) - change(np.zeros(2), size, centre)).max())
    return replace(line, rays=rays, size=line.size * grown)
