"""Cameras of different frame rates, brought to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from learnable_smplify.timeline import rate_ratio
from learnable_smplify.track import Track


@dataclass(frozen=True, eq=False)
class OneRate:
    """What cameras saw, at the frame rate of the fastest.

    Args:
        tracks: of each camera, everybody it saw.
        fps: frames a second of all.
        steps: frames of each camera's own recording from one of these to the next.
        notes: lines for the user.
    """

    tracks: dict[str, list[Track]]
    fps: float
    steps: dict[str, float]
    notes: tuple[str, ...]


def at_one_rate(tracks: Mapping[str, Sequence[Track]]) -> OneRate:
    """Bring cameras to the rate of the fastest, by time: no moment that any of them saw is lost.

    A camera whose rate nobody knows has that of the others.
    """
    own = {name: found[0].keypoints for name, found in tracks.items()}
    known = {name: seen.fps for name, seen in own.items() if not seen.fps_guessed}
    fps = max(known.values()) if known else max(seen.fps for seen in own.values())
    steps = {name: rate_ratio(known.get(name, fps), fps) for name in own}
    notes = []
    slow = [f"{name} ({known[name]:g})" for name, step in steps.items() if step != 1]
    if slow:
        notes.append(f"cameras have other frame rates than {fps:g}: {', '.join(slow)} matched by time")
    if known and len(known) < len(own):
        silent = ", ".join(name for name in own if name not in known)
        notes.append(f"{silent}: no frame rate is given, taken to be {fps:g}, as the others'")
    return OneRate(
        {name: [_at_rate(track, steps[name], fps) for track in found] for name, found in tracks.items()},
        fps,
        steps,
        tuple(notes),
    )


def _at_rate(track: Track, step: float, fps: float) -> Track:
    seen = track.keypoints
    if step == 1:
        return track if seen.fps == fps else replace(track, keypoints=replace(seen, fps=fps, fps_guessed=False))
    if not bool((seen.confidence > 0).any()):
        return track
    places = torch.arange(int((len(seen) - 1) / step + 1e-6) + 1, dtype=torch.float64) * step
    return Track(seen.at_frames(places, fps), track.name)
