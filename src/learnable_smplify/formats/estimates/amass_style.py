"""An AMASS-style .npz as an estimate: what `lsmplify fit`, retargeters and converters of estimators write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from learnable_smplify.formats.estimates.estimate import Estimate
from learnable_smplify.formats.motion.amass import RATE_KEYS, motion_of_arrays

KEYS = "{poses, trans, betas, mocap_frame_rate}"


def matches(content: Any) -> bool:
    """Whether the content has AMASS's keys."""
    return isinstance(content, Mapping) and {"poses", "trans"} <= set(content)


def read(content: Any, path: Path) -> list[Estimate]:
    """The one person of an AMASS-style file, in its world.

    Raises:
        InputError: as in `motion_of_arrays`.
    """
    # Without a rate, the video's is asked for, as of every estimator.
    timed = any(key in content for key in RATE_KEYS)
    motion = motion_of_arrays(path, content, default_fps=1.0)
    return [
        Estimate(
            frames=torch.arange(len(motion)),
            pose=motion.pose,
            betas=motion.betas,
            transl=motion.transl,
            source="AMASS",
            path=path,
            fps=motion.fps if timed else None,
            frame="world",
            body=motion.body,
            gender=motion.gender,
            up_axis=motion.up_axis,
            notes=motion.notes,
            hands=None if motion.hand_pose is None else motion.hand_pose.reshape(len(motion), 2, 45),
        )
    ]
