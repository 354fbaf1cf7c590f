"""How well a motion explains its keypoints, in numbers a user can judge."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from learnable_smplify.body.body import Body
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.motion import Motion


@dataclass(frozen=True)
class FitSummary:
    """Fit errors: distances between the measured keypoints and those of the fitted body.

    Args:
        frames: frames in the motion.
        flagged: frames the solver does not trust.
        mean_error_mm: over every measured keypoint.
        group_error_mm: the same for head, torso, arms, hands, legs, feet, as far as they were measured.
        worst_keypoint: name of the keypoint with the largest mean error, and that error [mm].
        unobserved: keypoints of the layout that were never measured.
    """

    frames: int
    flagged: int
    mean_error_mm: float
    group_error_mm: dict[str, float]
    worst_keypoint: tuple[str, float]
    unobserved: tuple[str, ...]


def summarise_fit(body: Body, motion: Motion, keypoints: Keypoints) -> FitSummary:
    """Compare a motion with the keypoints it was fitted to.

    Raises:
        InputError: the two have different numbers of frames.
    """
    if len(motion) != len(keypoints):
        raise InputError(
            f"the motion has {len(motion)} frames and the keypoints {len(keypoints)}", expected="the same number"
        )
    layout = keypoints.layout if isinstance(keypoints.layout, Layout) else load_layout(keypoints.layout)
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, layout=layout)
    error = (fitted - keypoints.positions.cpu()).norm(dim=-1) * 1000
    assert keypoints.confidence is not None  # set by the values themselves
    assert motion.flagged is not None
    seen = keypoints.confidence.cpu() > 0
    count = seen.sum(0)
    per_keypoint = (error * seen).sum(0) / count.clamp(min=1)
    measured = [index for index in range(len(layout.keypoint_names)) if int(count[index]) > 0]
    groups: dict[str, list[int]] = {}
    for index in measured:
        groups.setdefault(layout.groups[index], []).append(index)
    worst = max(measured, key=lambda index: float(per_keypoint[index]))
    return FitSummary(
        frames=len(motion),
        flagged=int(motion.flagged.sum()),
        mean_error_mm=float(error[seen].mean()),
        group_error_mm={
            group: float(error[:, indices][seen[:, indices]].mean()) for group, indices in sorted(groups.items())
        },
        worst_keypoint=(layout.keypoint_names[worst], float(per_keypoint[worst])),
        unobserved=tuple(layout.keypoint_names[index] for index in torch.nonzero(count == 0)[:, 0].tolist()),
    )
