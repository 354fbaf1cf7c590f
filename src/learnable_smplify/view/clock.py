"""Time in the viewer: which frame is shown now, and which frames of two recordings belong together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from learnable_smplify.timeline import runs


@dataclass(eq=False)
class Clock:
    """The frame to show, moved on by the time that passes while it plays; past the last frame comes the first.

    Args:
        frames: number of frames, at least one.
        fps: frames a second at speed 1.
        playing: whether time runs.
        speed: how fast it runs, 1 is true to life.
    """

    frames: int
    fps: float
    playing: bool = False
    speed: float = 1.0
    _position: float = field(default=0.0, init=False)
    _last: float | None = field(default=None, init=False)

    @property
    def frame(self) -> int:
        """The frame to show."""
        return min(int(self._position), self.frames - 1)

    def tick(self, now: float) -> int:
        """Move on to the time `now` [s, any origin, never falling] and return the frame to show."""
        if self.playing and self._last is not None:
            self._position = (self._position + (now - self._last) * self.fps * self.speed) % self.frames
        self._last = now
        return self.frame

    def seek(self, frame: int) -> None:
        """Go to a frame; one outside the clip is moved to its nearer end."""
        self._position = float(min(max(frame, 0), self.frames - 1))

    def step(self, count: int) -> None:
        """Stop, and go `count` frames on (or back), round the ends."""
        self.playing = False
        self._position = float((self.frame + count) % self.frames)


def matching_frames(frames: int, fps: float, other_frames: int, other_fps: float) -> Int[np.ndarray, "T"]:
    """For each of `frames` the frame of another recording that belongs to it, -1 past the other's end.

    Recordings of as many frames go frame by frame, others by time from a common start.
    """
    if frames == other_frames:
        return np.arange(frames)
    nearest = np.floor(np.arange(frames) / fps * other_fps + 0.5).astype(np.int64)
    return np.where(nearest < other_frames, nearest, -1)


def next_run(flags: Bool[np.ndarray, "T"], frame: int) -> int | None:
    """The first frame of the next run after `frame`, round the end; None where there is none."""
    starts = [first for first, _ in runs(flags)]
    return next((first for first in starts if first > frame), starts[0] if starts else None)
