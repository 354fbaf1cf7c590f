"""`Dots`: keypoints at the frames of a motion, coloured by how sure the detector was."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

from learnable_smplify.hands import hand_edges
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.view.heat import ramp

# Confidence 0, 1/2 and 1. The ends differ in brightness too, for colour-blind readers.
_CONFIDENCE_COLORS = ((204, 51, 17), (238, 187, 51), (0, 119, 130))


class Dots:
    """Keypoints and the lines between them, at each of T frames. Positions in the keypoints' own frame, metres.

    Args:
        keypoints: what was measured.
        frames: (T,) the keypoint frame that belongs to each frame shown, -1 for none (see `clock.matching_frames`).
    """

    def __init__(self, keypoints: Keypoints, frames: Int[np.ndarray, "T"]) -> None:
        assert isinstance(keypoints.layout, Layout)
        self.frames = frames
        self._positions = keypoints.positions.cpu().numpy()
        self._confidence = keypoints.confidence.cpu().numpy()
        edges, count = list(keypoints.layout.edges), len(keypoints.layout)
        if keypoints.hands is not None:
            positions, confidence = keypoints.hands.positions.cpu().numpy(), keypoints.hands.confidence.cpu().numpy()
            self._positions = np.concatenate((self._positions, positions.reshape(len(positions), -1, 3)), axis=1)
            self._confidence = np.concatenate((self._confidence, confidence.reshape(len(confidence), -1)), axis=1)
            edges += hand_edges(count)
        self._edges = np.array(edges, dtype=np.int64).reshape(-1, 2)

    def points(self, frame: int) -> tuple[Float[np.ndarray, "N 3"], UInt8[np.ndarray, "N 3"]]:
        """The N keypoints that were seen, and their colours."""
        seen = self._seen(frame)
        source = self.frames[frame]
        return self._positions[source][seen], ramp(self._confidence[source][seen], _CONFIDENCE_COLORS)

    def segments(self, frame: int) -> Float[np.ndarray, "E 2 3"]:
        """The layout's lines, of those keypoints that were seen."""
        seen = self._seen(frame)
        return self._positions[self.frames[frame]][self._edges[seen[self._edges].all(axis=1)]]

    def caption(self, frame: int) -> str:
        """How many keypoints were seen."""
        if self.frames[frame] < 0:
            return "no keypoints: their recording has ended"
        seen = self._seen(frame)
        return f"{int(seen.sum())} of {len(seen)} keypoints seen"

    def _seen(self, frame: int) -> np.ndarray:
        source = self.frames[frame]
        return np.zeros(self._positions.shape[1], dtype=bool) if source < 0 else self._confidence[source] > 0
