"""What `Solver.fit` takes for a recording: `Keypoints`, a file, or an array."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from learnable_smplify.body.body import ArrayLike
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout


def as_keypoints(
    given: Keypoints | ArrayLike | str | os.PathLike[str], layout: str | Layout | None, fps: float | None
) -> Keypoints:
    """The recording as `Keypoints`.

    Args:
        given: `Keypoints` as they are; a file, as `read_keypoints` reads it; or positions (T, K, 3) in metres.
        layout: of a file that does not say it, or of an array.
        fps: likewise; None is 30 for an array.

    Raises:
        InputError: a file that cannot be read, an array without a layout, or a layout for `Keypoints`, which have one.
    """
    if isinstance(given, Keypoints):
        if layout is not None or fps is not None:
            raise InputError("Keypoints have a layout and a frame rate of their own", expected="neither layout nor fps")
        return given
    if isinstance(given, str | os.PathLike):
        from learnable_smplify import read_keypoints  # by the package's front: files are no business of the solver

        return read_keypoints(Path(given), layout=layout, fps=fps)
    if layout is None:
        raise InputError(
            "nothing says which keypoints the array holds", expected="a layout", hint='fit(array, layout="body25")'
        )
    return Keypoints(torch.as_tensor(given), layout, fps=30.0 if fps is None else fps)
