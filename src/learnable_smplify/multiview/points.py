"""What several cameras saw of a person as keypoints in space."""

from __future__ import annotations

from collections.abc import Sequence

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.solver.rays.observed import Observed
from learnable_smplify.solver.rays.triangulate import placed_points
from learnable_smplify.views import View


def triangulated(views: Sequence[View]) -> Keypoints:
    """Keypoints in the cameras' world, robustly triangulated; confidence 0 where no two cameras agree.

    Raises:
        InputError: they agree nowhere.
    """
    observed = Observed.of(views)
    positions, sure = placed_points(observed)
    return Keypoints(positions, observed.layout, observed.fps, sure, observed.cameras[0].up_axis)
