"""How well a motion explains its keypoints, in numbers a user can judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.body.observed import unobserved_joints
from learnable_smplify.camera import Camera
from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from learnable_smplify.views import View

# Never solved, with any keypoints.
_HANDS = ("left_hand", "right_hand")
# Keypoints so far off a motion [m] are tried as it may have been fitted to them, scaled and moved frame by frame:
# it was, if that leaves less than this share of the distance. A scale this near to 1 is none.
_APART, _LEFT, _SAME_SIZE = 0.15, 0.25, 0.01


@dataclass(frozen=True)
class FitSummary:
    """Fit errors: distances between the measured keypoints and those of the fitted body.

    Args:
        frames: frames in the motion.
        flagged: frames the solver does not trust.
        mean_error_mm: over every measured keypoint.
        group_error_mm: the same for head, torso, arms, hands, legs, feet, as far as they were measured, and for the 21
            points of each hand ("fingers").
        worst_keypoint: name of the keypoint with the largest mean error, and that error [mm].
        unobserved: keypoints of the layout that were never measured.
        prior_joints: joints whose rotation moves no measured keypoint: there the prior speaks alone.
    """

    frames: int
    flagged: int
    mean_error_mm: float
    group_error_mm: dict[str, float]
    worst_keypoint: tuple[str, float]
    unobserved: tuple[str, ...]
    prior_joints: tuple[str, ...]


@dataclass(frozen=True)
class FitSummary2D:
    """Fit errors in the picture: as `FitSummary`, in pixels."""

    frames: int
    flagged: int
    mean_error_px: float
    group_error_px: dict[str, float]
    worst_keypoint: tuple[str, float]
    unobserved: tuple[str, ...]


@dataclass(frozen=True)
class FitSummaryViews:
    """Fit errors in the pictures of several cameras.

    Args:
        frames, flagged: as in `FitSummary`.
        median_error_px: over every keypoint that a camera saw.
        camera_error_px: the same for each camera.
        group_error_px: for head, torso, arms, ...: the mean of its keypoints' medians.
        worst_keypoint: the keypoint with the largest median, and that [px].
        unobserved: keypoints that no camera saw.
    """

    frames: int
    flagged: int
    median_error_px: float
    camera_error_px: dict[str, float]
    group_error_px: dict[str, float]
    worst_keypoint: tuple[str, float]
    unobserved: tuple[str, ...]


def summarise_fit(body: Body, motion: Motion, keypoints: Keypoints) -> FitSummary:
    """Compare a motion with the keypoints it was fitted to.

    Raises:
        InputError: the two have different numbers of frames.
    """
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, layout=keypoints.layout)
    errors = _errors(motion, keypoints, lambda: 1000 * (fitted - keypoints.positions.cpu()).norm(dim=-1))
    if (fingers := finger_errors(body, motion, keypoints)) is not None:
        errors[1]["fingers"] = float(fingers.nanmean())
    alone = unobserved_joints(body.folded(keypoints.layout), keypoints.confidence.cpu())
    return FitSummary(len(motion), _flagged(motion), *errors, tuple(name for name in alone if name not in _HANDS))


def as_fitted(body: Body, motion: Motion, keypoints: Keypoints) -> Keypoints:
    """The keypoints where the motion has them, if they were scaled or put on a floor before it was fitted.

    `Solver.prepared` does that (`--scale-to-body`, `--ground`), and the file of the keypoints does not know of it.

    Args:
        body: of the motion.
        motion: T frames.
        keypoints: those of the file; of another number of frames, they come back as they are.

    Returns:
        the keypoints, with a note if they were moved.
    """
    if len(motion) != len(keypoints):
        return keypoints
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, layout=keypoints.layout).cpu()
    given, seen = keypoints.positions.cpu(), keypoints.confidence.cpu() > 0
    share = seen / seen.sum(dim=1, keepdim=True).clamp(min=1)

    def middle(points: Tensor) -> Tensor:
        return (share[..., None] * points).sum(dim=1, keepdim=True)

    about, about_fitted = given - middle(given), fitted - middle(fitted)
    scale = float((about * about_fitted)[seen].sum() / about.square()[seen].sum().clamp(min=1e-9))
    scale = 1.0 if abs(scale - 1) < _SAME_SIZE else scale
    moved = scale * about + middle(fitted)
    before, after = ((points - fitted).norm(dim=-1)[seen].mean() for points in (given, moved))
    if not before > _APART or not after < _LEFT * before or scale <= 0:
        return keypoints
    if float((scale * given - fitted).norm(dim=-1)[seen].mean()) < _LEFT * before:
        moved = scale * given  # it has a way of its own
    path = (moved - scale * given)[:, 0]
    hands = None if keypoints.hands is None else keypoints.hands.moved(scale=scale, offset=path)
    note = (
        f"keypoints are shown where the motion was fitted to them: {float(before):.2f} m from the file's, and "
        f"{scale:.3g} times as large (--scale-to-body, --ground or --hold-feet)"
    )
    return replace(keypoints, positions=torch.where(seen[..., None], moved, torch.nan), hands=hands).with_note(note)


def finger_errors(body: Body, motion: Motion, keypoints: Keypoints) -> Tensor | None:
    """Distances (T, 2, 21) of the hands' points from the fitted body's [mm], NaN where missing.

    None where no hand was measured, or the body or the motion has no fingers.
    """
    if keypoints.hands is None or motion.hand_pose is None or body.hands is None:
        return None
    seen = keypoints.hands.confidence.cpu() > 0
    if not bool(seen.any()):
        return None
    fitted = body.hands.hand_points(motion.pose, motion.hand_pose, motion.betas[None], motion.transl)
    return torch.where(seen, 1000 * (fitted - keypoints.hands.positions.cpu()).norm(dim=-1), torch.nan)


def summarise_fit_2d(body: Body, motion: Motion, keypoints: Keypoints2D, camera: Camera) -> FitSummary2D:
    """Compare a motion, as the camera sees it, with the keypoints it was fitted to.

    A keypoint that the motion puts behind the camera counts as one at the camera's plane would: very wrong.

    Raises:
        InputError: the two have different numbers of frames.
    """
    fitted = camera.to_camera(body.keypoints(motion.pose, motion.betas, motion.transl, layout=keypoints.layout))
    in_front = torch.cat((fitted[..., :2], fitted[..., 2:].clamp(min=1e-2)), dim=-1)
    errors = _errors(motion, keypoints, lambda: (camera.pixels(in_front) - keypoints.pixels.cpu()).norm(dim=-1))
    return FitSummary2D(len(motion), _flagged(motion), *errors)


def summarise_views(body: Body, motion: Motion, views: Sequence[View]) -> FitSummaryViews:
    """Compare a motion, as several cameras see it, with what they saw.

    Raises:
        InputError: the motion and a view have different numbers of frames.
    """
    by_camera: dict[str, float] = {}
    every: list[Tensor] = []
    away = torch.full((len(views), len(motion), len(load_layout(views[0].keypoints.layout))), torch.nan)
    fitted = body.keypoints(motion.pose, motion.betas, motion.transl, layout=views[0].keypoints.layout)
    for index, view in enumerate(views):
        if len(motion) != len(view.keypoints):
            raise InputError(
                f"the motion has {len(motion)} frames and a view {len(view.keypoints)}", expected="the same number"
            )
        distance = (view.camera.project(fitted) - view.keypoints.pixels.cpu()).norm(dim=-1)
        away[index] = torch.where(view.keypoints.confidence.cpu() > 0, distance, torch.nan)
        known = away[index][torch.isfinite(away[index])]
        if len(known):
            every.append(known)
            by_camera[view.camera.name or f"camera {index + 1}"] = float(known.median())
    layout = load_layout(views[0].keypoints.layout)
    keypoints = {
        name: float(found)
        for name, found in zip(layout.keypoint_names, away.flatten(0, 1).nanmedian(dim=0).values, strict=True)
        if torch.isfinite(found)
    }
    groups: dict[str, list[float]] = {}
    for name, group in zip(layout.keypoint_names, layout.groups, strict=True):
        if name in keypoints:
            groups.setdefault(group, []).append(keypoints[name])
    return FitSummaryViews(
        frames=len(motion),
        flagged=_flagged(motion),
        median_error_px=float(torch.cat(every).median()),
        camera_error_px=by_camera,
        group_error_px={group: sum(values) / len(values) for group, values in sorted(groups.items())},
        worst_keypoint=max(keypoints.items(), key=lambda item: item[1]),
        unobserved=tuple(name for name in layout.keypoint_names if name not in keypoints),
    )


def _flagged(motion: Motion) -> int:
    return int(motion.flagged.sum())


def _errors(
    motion: Motion, keypoints: Keypoints | Keypoints2D, distances: Callable[[], Tensor]
) -> tuple[float, dict[str, float], tuple[str, float], tuple[str, ...]]:
    """Mean error, error by group, the worst keypoint and those never measured, of `distances` (T, K)."""
    if len(motion) != len(keypoints):
        raise InputError(
            f"the motion has {len(motion)} frames and the keypoints {len(keypoints)}", expected="the same number"
        )
    layout = load_layout(keypoints.layout)
    error = distances()
    seen = keypoints.confidence.cpu() > 0
    count = seen.sum(0)
    per_keypoint = (error * seen).sum(0) / count.clamp(min=1)
    measured = [index for index in range(len(layout.keypoint_names)) if int(count[index]) > 0]
    groups: dict[str, list[int]] = {}
    for index in measured:
        groups.setdefault(layout.groups[index], []).append(index)
    worst = max(measured, key=lambda index: float(per_keypoint[index]))
    return (
        float(error[seen].mean()),
        {group: float(error[:, indices][seen[:, indices]].mean()) for group, indices in sorted(groups.items())},
        (layout.keypoint_names[worst], float(per_keypoint[worst])),
        tuple(layout.keypoint_names[index] for index in torch.nonzero(count == 0)[:, 0].tolist()),
    )
