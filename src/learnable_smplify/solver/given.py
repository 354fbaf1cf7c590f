"""What users give a solver, checked."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

from learnable_smplify.arrays import as_number, as_tensor
from learnable_smplify.betas import all_within
from learnable_smplify.body.body import ArrayLike, Body
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.network.pose_mlp import START_KINDS, StartKind
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.solver.frame.pair_input import FARTHEST, LARGEST_ANGLE
from learnable_smplify.solver.hybrid import Start


def as_keypoints(
    given: Keypoints | ArrayLike | str | os.PathLike[str],
    layout: str | Layout | None = None,
    fps: float | None = None,
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
            "nothing says which keypoints the array holds",
            expected="a layout",
            hint='Keypoints(array, layout="body25")',
        )
    return Keypoints(as_tensor(given, "keypoints"), layout, fps=30.0 if fps is None else fps)


def start_before(start: tuple[ArrayLike, ArrayLike] | None, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Local rotations (1, 24, 3, 3) and transl (1, 3) of a pose (24, 3) and transl (3,) before the first frame.

    Raises:
        InputError: other shapes, or values that are not finite.
    """
    if start is None:
        return None
    if not isinstance(start, tuple | list) or len(start) != 2:
        raise InputError("start is not a pose and a transl", expected="start=(pose, transl)")
    pose, transl = (as_tensor(part, "start").detach().to(device, torch.float32) for part in start)
    if pose.shape != (24, 3) or transl.shape != (3,):
        raise InputError(f"start has shapes {tuple(pose.shape)} and {tuple(transl.shape)}", expected="(24, 3) and (3,)")
    if not all_within(pose, LARGEST_ANGLE) or not all_within(transl, FARTHEST):
        raise InputError("start holds NaN, infinity or values beyond reason", expected="rotvecs [rad] and metres")
    return rotvec_to_rotmat(pose)[None], transl[None]


def checked_start(start: StartKind, seconds: float | None) -> Start:
    """How far start poses can be trusted, and how old they are [s].

    Raises:
        InputError: an unknown kind, or a time that is not positive.
    """
    if start not in START_KINDS:
        raise InputError(f"unknown kind of start '{start}'", expected=f"one of {', '.join(START_KINDS)}")
    if seconds is None:
        return Start(start)
    told = as_number(seconds, "seconds")
    if not 0 < told < 1e5:
        raise InputError(f"the time from start to target is {told:g} s", expected="a time above 0")
    return Start(start, told)


def check_parts(refine_steps: int, passes: int | None, *parts: tuple[object, type]) -> None:
    """Refuse numbers of Gauss-Newton steps and of passes that cannot be, and parts that are something else.

    Args:
        refine_steps, passes: of the hybrid; no passes are as many as its network says.
        parts: each and its type; None stands for a default.

    Raises:
        InputError: no whole numbers, or too small; or a part of another type.
    """
    passes = 1 if passes is None else passes
    whole = isinstance(refine_steps, Integral) and isinstance(passes, Integral)
    if not whole or refine_steps < 0 or passes < 1:
        raise InputError(
            f"refine_steps is {refine_steps!r} and passes {passes!r}", expected="whole numbers, 0 or more and 1 or more"
        )
    check_kinds(*(part for part in parts if part[0] is not None))


def check_kinds(*parts: tuple[object, type]) -> None:
    """Refuse what is of another type than it should be.

    Raises:
        InputError: a part is.
    """
    for value, kind in parts:
        if not isinstance(value, kind):
            hint = "ls.load_body(PATH)" if kind is Body else None
            raise InputError(f"a {type(value).__name__} is given", expected=f"a {kind.__name__}", hint=hint)


def checked_device(device: torch.device | str) -> torch.device:
    """A device that torch has.

    Raises:
        InputError: it has not.
    """
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"torch cannot use device '{device}' here",
            expected="'cpu', or 'cuda' where torch sees a GPU",
            hint="--device cpu",
        ) from error
    return chosen
