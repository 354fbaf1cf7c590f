"""What users give a solver, checked."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from learnable_smplify.body.body import ArrayLike
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.network.pose_mlp import START_KINDS, StartKind
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.hybrid import Start


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


def start_before(start: tuple[ArrayLike, ArrayLike] | None, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Local rotations (1, 24, 3, 3) and transl (1, 3) of a pose (24, 3) and transl (3,) before the first frame.

    Raises:
        InputError: other shapes.
    """
    if start is None:
        return None
    pose, transl = (torch.as_tensor(part).detach().to(device, torch.float32) for part in start)
    if pose.shape != (24, 3) or transl.shape != (3,):
        raise InputError(f"start has shapes {tuple(pose.shape)} and {tuple(transl.shape)}", expected="(24, 3) and (3,)")
    return rotvec_to_rotmat(pose)[None], transl[None]


def checked_start(start: StartKind, seconds: float | None) -> Start:
    """How far start poses can be trusted, and how old they are [s].

    Raises:
        InputError: an unknown kind, or a time that is not positive.
    """
    if start not in START_KINDS:
        raise InputError(f"unknown kind of start '{start}'", expected=f"one of {', '.join(START_KINDS)}")
    if seconds is not None and not 0 < seconds < 1e5:
        raise InputError(f"the time from start to target is {seconds} s", expected="a time above 0")
    return Start(start, seconds or 0.0)


def checked_device(device: torch.device | str) -> torch.device:
    """A device that torch has.

    Raises:
        InputError: it has not.
    """
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"torch cannot use device '{device}' here",
            expected="'cpu', or 'cuda' where torch sees a GPU",
            hint="--device cpu",
        ) from error
    return chosen
