"""`Keypoints`: what was measured. The value that enters the solver."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.errors import InputError
from learnable_smplify.hands import HandKeypoints, checked_confidence
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import UpAxis
from learnable_smplify.notebook import facts_html
from learnable_smplify.timeline import check_rate


@dataclass(frozen=True, eq=False)
class Keypoints:
    """3D keypoints of one person over time.

    Args:
        positions: (T, K, 3) float, metres, any frame; a (K, 3) array is taken as one frame. NaN marks a missing
            keypoint (its confidence becomes 0).
        layout: name of a known layout ("body25", ...), path of a layout TOML file, or a `Layout`.
        fps: frames a second.
        confidence: (T, K) or (K,) float in [0, 1], 0 = missing; None means 1 wherever the position is finite.
        up_axis: "y", "z" or "x": which axis of `positions` points up, None when unknown.
        person_id: the name of the person in the file, if it has one.
        start_s: time of the first frame [s] on the recording's own clock.
        notes: what a reader did to the data (units converted, columns ignored), to be shown to the user.
        hands: 21 points of each hand, in the same world and frames; None where no hand was measured.

    Raises:
        InputError: shapes that do not fit, an unknown layout, a frame rate that is not positive, or nothing finite.
    """

    positions: Float[Tensor, "T K 3"]
    layout: Layout | str
    fps: float = 30.0
    confidence: Float[Tensor, "T K"] = None  # type: ignore[assignment]  # filled in below
    up_axis: UpAxis | None = None
    person_id: str | None = None
    start_s: float = 0.0
    notes: tuple[str, ...] = field(default=())
    hands: HandKeypoints | None = None

    def __post_init__(self) -> None:
        layout = load_layout(self.layout)
        positions = as_tensor(self.positions, "keypoints").detach().to(torch.float32)
        if positions.ndim == 2:
            positions = positions[None]
        count = len(layout.keypoint_names)
        if positions.ndim != 3 or positions.shape[1:] != (count, 3):
            raise InputError(
                f"keypoints have shape {tuple(positions.shape)}",
                expected=f"(T, {count}, 3) for layout '{layout.name}'",
                hint="lsmplify fit --help (see --layout)",
            )
        if self.up_axis not in (None, "x", "y", "z"):
            raise InputError(f"unknown up axis '{self.up_axis}'", expected="'x', 'y', 'z' or None")
        if self.hands is not None and len(self.hands) != len(positions):
            raise InputError(
                f"the hands have {len(self.hands)} frames and the body {len(positions)}", expected="as many frames"
            )
        positions, confidence = checked_clip(positions, self.confidence, self.fps)
        object.__setattr__(self, "notes", noted(self.notes, self.confidence))
        object.__setattr__(self, "layout", layout)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "fps", float(self.fps))

    def __len__(self) -> int:
        """Number of frames."""
        return self.positions.shape[0]

    def __repr__(self) -> str:
        """One line: what a notebook shows."""
        assert not isinstance(self.layout, str)
        share = 100 * float((self.confidence > 0).float().mean())
        who = "" if self.person_id is None else f", person {self.person_id!r}"
        seconds = f"{len(self) / self.fps:.1f} s at {self.fps:g} fps"
        hands = "" if self.hands is None else " with hands"
        what = f"layout '{self.layout.name}'{hands}, {share:.0f} % measured"
        return f"Keypoints({len(self)} frames, {seconds}, {what}{who})"

    def _repr_html_(self) -> str:
        assert not isinstance(self.layout, str)
        facts = {
            "frames": f"{len(self)} ({len(self) / self.fps:.1f} s at {self.fps:g} fps)",
            "layout": f"{self.layout.name}, {len(self.layout)} keypoints",
            "measured": f"{100 * float((self.confidence > 0).float().mean()):.0f} %",
            "up": self.up_axis or "unknown",
        }
        person = {} if self.person_id is None else {"person": self.person_id}
        return facts_html("Keypoints", facts | person, self.notes)

    def with_note(self, note: str) -> Keypoints:
        """The same keypoints with one more line for the user."""
        return replace(self, notes=(*self.notes, note))


def noted(notes: tuple[str, ...], confidence: Tensor | None) -> tuple[str, ...]:
    """The notes, with one more where confidence above 1 was cut."""
    largest = 0.0 if confidence is None else float(as_tensor(confidence, "confidence").nan_to_num(posinf=0.0).max())
    text = f"confidence goes up to {largest:.4g}; it is cut at 1"
    return notes if largest <= 1 or any(note.endswith("it is cut at 1") for note in notes) else (*notes, text)


def checked_clip(
    points: Float[Tensor, "T K D"], confidence: Tensor | None, fps: float
) -> tuple[Float[Tensor, "T K D"], Float[Tensor, "T K"]]:
    """Points that are finite everywhere, and the confidence (T, K) that tells which of them were measured.

    Args:
        points: NaN marks a missing keypoint; it becomes zero, and so does its confidence.
        confidence: (T, K) or (K,) in [0, 1]; values outside are cut; None means 1 wherever the point is finite.
        fps: frames a second.

    Raises:
        InputError: no frames, a frame rate that is not positive, confidence of another shape, or nothing usable.
    """
    if points.shape[0] == 0:
        raise InputError("the clip is empty: it has no frames", expected="at least one frame")
    check_rate(as_number(fps, "the frame rate"))
    finite = torch.isfinite(points).all(dim=-1)
    trust = checked_confidence(confidence, finite)
    if not bool((trust > 0).any()):
        raise InputError(
            "no keypoint is usable: every position is NaN or has zero confidence",
            expected="at least one finite keypoint",
        )
    return torch.where(finite[..., None], points, 0.0), trust
