"""A motion at another frame rate, by time rather than by skipping frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.motion import Motion
from learnable_smplify.rotation import rotvec_between
from learnable_smplify.timeline import check_rate

# A motion's last frame may fall this far short of an output frame and still give it: rates such as 120.00004577 are
# rounded measurements, and would otherwise cost a frame.
_END_TOLERANCE_FRAMES = 1e-2


def resample_motion(motion: Motion, fps: float) -> Motion:
    """The same motion, seen at `fps`.

    Output frame k is the motion at time k / fps: each joint's rotation by spherical interpolation between the two
    frames around that time, the short way round, `transl` linearly. The first frame is kept; the clip ends at or
    before its old end. An output frame is flagged when a frame it was made from was, and as
    uncertain as the more uncertain of them.

    Args:
        motion: T frames at `motion.fps`.
        fps: the wanted frames a second.

    Returns:
        About T * fps / motion.fps frames; `motion` itself where the rates are equal.

    Raises:
        InputError: `fps` is not a positive number.
    """
    check_rate(fps)
    if fps == motion.fps:
        return motion
    last = len(motion) - 1
    count = int(last * fps / motion.fps + _END_TOLERANCE_FRAMES) + 1
    where = (torch.arange(count, dtype=torch.float64) * (motion.fps / fps)).clamp(max=last)
    before = where.floor().long()
    after = (before + 1).clamp(max=last)
    step = (where - before).unsqueeze(-1)

    def turned(pose: Float[Tensor, "T J 3"]) -> Float[Tensor, "N J 3"]:
        pose = pose.to(torch.float64)
        between = rotvec_between(pose[before], pose[after], step[..., None])
        return torch.where((step == 0)[..., None], pose[before], between)

    def either(mask: Bool[Tensor, "T *D"]) -> Bool[Tensor, "N *D"]:
        later = (step[:, 0] > 0).reshape(-1, *[1] * (mask.ndim - 1))
        return mask[before] | (mask[after] & later)

    transl = motion.transl.to(torch.float64)
    new_transl = torch.lerp(transl[before], transl[after], step)

    def larger(sigma: Float[Tensor, "T J"] | None) -> Float[Tensor, "N J"] | None:
        return None if sigma is None else torch.maximum(sigma[before], sigma[after])  # NaN stays NaN

    return replace(
        motion,
        pose=turned(motion.pose),
        transl=new_transl,
        fps=fps,
        flagged=either(motion.flagged),
        uncertainty_deg=larger(motion.uncertainty_deg),
        hand_pose=None if motion.hand_pose is None else turned(motion.hand_pose),
        hand_flagged=None if motion.hand_flagged is None else either(motion.hand_flagged),
        hand_uncertainty_deg=larger(motion.hand_uncertainty_deg),
    )
