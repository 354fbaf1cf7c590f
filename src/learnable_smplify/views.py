"""`View`: what one of several cameras saw of a person. The value that enters `Solver.fit_views`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout


@dataclass(frozen=True, eq=False)
class View:
    """One camera and what was seen in its pictures.

    Args:
        keypoints: the person; confidence 0 where the camera does not see them.
        camera: in the world that all views share.
    """

    keypoints: Keypoints2D
    camera: Camera

    def every(self, step: int) -> View:
        """Every so many frames."""
        seen = self.keypoints
        rows = slice(None, None, step)
        return View(Keypoints2D(seen.pixels[rows], seen.layout, seen.fps / step, seen.confidence[rows]), self.camera)


def check_views(views: Sequence[View]) -> None:
    """Views of one person must be of the same moments and the same keypoints.

    Raises:
        InputError: no view, or views of different lengths, frame rates or layouts.
    """
    if not views:
        raise InputError("there is no view", expected="at least one camera and what it saw")
    first = views[0].keypoints
    for number, view in enumerate(views[1:], start=2):
        other = view.keypoints
        if len(other) != len(first) or abs(other.fps - first.fps) > 1e-3:
            raise InputError(
                f"view {number} has {len(other)} frames at {other.fps:g} fps, view 1 has {len(first)} at {first.fps:g}",
                expected="the same moments in every view; NaN where a camera does not see the person",
            )
        if load_layout(other.layout) != load_layout(first.layout):
            raise InputError(
                f"view {number} has the layout '{load_layout(other.layout).name}', view 1"
                f" '{load_layout(first.layout).name}'",
                expected="one layout",
            )
