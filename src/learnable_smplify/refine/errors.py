"""What refinement changed: keypoint errors before and after, and how far the parts of the body moved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.skeleton import JOINT_NAMES

_JOINT_GROUPS: dict[str, tuple[str, ...]] = {
    "torso": ("pelvis", "spine1", "spine2", "spine3"),
    "head": ("neck", "head"),
    "arms": ("collar", "shoulder", "elbow"),
    "hands": ("wrist", "hand"),
    "legs": ("hip", "knee"),
    "feet": ("ankle", "foot"),
}


@dataclass(frozen=True, eq=False)
class MotionErrors:
    """Distances from the measured keypoints [mm], over keypoints that were believed, and what moved.

    Args:
        before_mm, after_mm: (T,) mean of each frame, of the aligned estimate and of the result; NaN without keypoints.
        group_before_mm, group_after_mm: means over the recording by group of keypoints ("legs", ...).
        turned_deg: mean angle by which joints were turned relative to their parents, by group of joints.
        moved_mm: mean distance by which the pelvis was moved.
        betas_change: length of the change of betas.
    """

    before_mm: Float[Tensor, " T"]
    after_mm: Float[Tensor, " T"]
    group_before_mm: dict[str, float]
    group_after_mm: dict[str, float]
    turned_deg: dict[str, float]
    moved_mm: float
    betas_change: float

    @property
    def mean_before_mm(self) -> float:
        """Over the frames that have keypoints."""
        return float(self.before_mm.nanmean())

    @property
    def mean_after_mm(self) -> float:
        """Over the frames that have keypoints."""
        return float(self.after_mm.nanmean())


def compare(
    body: Body,
    layout: Layout,
    before: Motion,
    after: Motion,
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
) -> MotionErrors:
    """Both motions against the keypoints whose confidence is not 0."""
    seen = confidence > 0
    distances = [
        torch.where(
            seen,
            1000 * (body.keypoints(motion.pose, motion.betas, motion.transl, layout=layout) - targets).norm(dim=-1),
            torch.nan,
        )
        for motion in (before, after)
    ]
    groups: dict[str, list[int]] = {}
    for index, group in enumerate(layout.groups):
        if bool(seen[:, index].any()):
            groups.setdefault(group, []).append(index)
    by_group = [{name: float(part[:, rows].nanmean()) for name, rows in groups.items()} for part in distances]
    turn = rotvec_to_rotmat(after.pose) @ rotvec_to_rotmat(before.pose).mT
    angle = torch.rad2deg(rotmat_to_rotvec(turn).norm(dim=-1)).mean(dim=0)
    plain = [name.removeprefix("left_").removeprefix("right_") for name in JOINT_NAMES]
    turned = {
        group: float(angle[[index for index, name in enumerate(plain) if name in names]].mean())
        for group, names in _JOINT_GROUPS.items()
    }
    pelvis = [body.joints(motion.pose, motion.betas, motion.transl)[:, 0] for motion in (before, after)]
    return MotionErrors(
        before_mm=distances[0].nanmean(dim=1),
        after_mm=distances[1].nanmean(dim=1),
        group_before_mm=by_group[0],
        group_after_mm=by_group[1],
        turned_deg=turned,
        moved_mm=1000 * float((pelvis[1] - pelvis[0]).norm(dim=-1).mean()),
        betas_change=float((after.betas - before.betas).norm()),
    )
