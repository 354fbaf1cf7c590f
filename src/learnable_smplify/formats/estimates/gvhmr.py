"""GVHMR's `hmr4d_results.pt`: a torch file with `smpl_params_global` and `smpl_params_incam`, SMPL-X parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.formats.estimates.estimate import Estimate, Frame, cleaned
from learnable_smplify.safe_files.keyed import Keyed

KEYS = "{smpl_params_global, smpl_params_incam: {body_pose, global_orient, transl, betas}}"
_PARTS: dict[Frame, str] = {"world": "smpl_params_global", "camera": "smpl_params_incam"}


def matches(content: Any) -> bool:
    """Whether the content has GVHMR's keys."""
    return isinstance(content, Mapping) and any(part in content for part in _PARTS.values())


def read(content: Any, path: Path, frame: Frame | None) -> list[Estimate]:
    """The one person of a GVHMR result, in its world (Y up) unless `frame` is "camera".

    The parameters are SMPL-X's: 21 body joints, so SMPL's two hand joints are zero, and the betas are SMPL-X's too.

    Raises:
        InputError: a key that is missing or of another shape.
    """
    found = Keyed(path, content, None, "a GVHMR result").inside(_PARTS[frame or "world"])
    body_pose = found.numbers("body_pose", shape=(None, 63), finite=False)
    frames = len(body_pose)
    root = found.numbers("global_orient", shape=(frames, 3), finite=False)
    return [
        cleaned(
            frames=np.arange(frames),
            pose=np.concatenate((root, body_pose), axis=1).reshape(-1, 22, 3),
            betas=found.numbers("betas", shape=(None, 10), finite=False),
            transl=found.numbers("transl", shape=(frames, 3), finite=False),
            source="GVHMR",
            path=path,
            frame=frame or "world",
            body="smplx",
            up_axis="y" if (frame or "world") == "world" else None,
        )
    ]
