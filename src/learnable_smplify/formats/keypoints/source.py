"""What is known of a recording beside its points: what the user asks for, and what the file says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from learnable_smplify.layouts.layout import Layout


@dataclass(frozen=True)
class Asked:
    """What the user says of a recording, which goes before what its file says; None leaves it to the file.

    Args:
        layout: layout name, TOML path or `Layout`.
        fps: frames a second.
        units: of the positions: "m", "cm", "mm", "in" or "ft".
    """

    layout: str | Layout | None = None
    fps: float | None = None
    units: str | None = None


@dataclass(frozen=True)
class Source:
    """What the file says; None where it does not.

    Args:
        path: of the file, for messages.
        fps: frames a second.
        units: of the positions, in any spelling.
        up_axis: as in `Keypoints`.
        person_id: as in `Keypoints`.
        start_s: as in `Keypoints`.
        notes: lines for the user so far.
    """

    path: Path
    fps: float | None = None
    units: str | None = None
    up_axis: str | None = None
    person_id: str | None = None
    start_s: float = 0.0
    notes: tuple[str, ...] = ()

    def rate(self, asked: Asked) -> float | None:
        """Frames a second, as far as anybody says."""
        return self.fps if asked.fps is None else asked.fps

    def noted(self, *notes: str) -> Source:
        """The same with more lines for the user."""
        return replace(self, notes=(*self.notes, *notes))
