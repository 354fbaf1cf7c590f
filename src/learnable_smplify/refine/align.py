"""Where the estimator's frame lies in the keypoints' world: a rotation, a place, and a scale where it is needed.

The estimate's own keypoints are laid on the measured ones. Each frame is placed by itself (a median over its keypoints)
while the rotation is looked for, so that a camera's guess of depth does not sway it; random small sets of keypoints
propose rotations, the best of which is polished by robust least squares over the whole recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learnable_smplify.body.body import Body
from learnable_smplify.motion import Motion, UpAxis
from learnable_smplify.rotation import closest_rotmat, rotmat_to_rotvec
from learnable_smplify.timeline import averaged, evenly

AlignMode = Literal["auto", "clip", "frame", "none"]

_PROPOSALS = 256
_KEYPOINTS_EACH = 4
_SCORED_FRAMES = 96
_SCORE_SCALE = 0.1  # [m]
_ROUNDS = 15
_LEAST_SCALE = 0.04  # of the robust polish [m]
# A camera moves smoothly; errors of single frames are averaged over this long [s].
_WINDOW_S = 0.7
# A camera counts as moving when a tenth of the frames are turned by more than this from the common rotation ...
_MOVING_DEG = 15.0
# ... and an estimate's path as drifting when half of the frames are off by more than this [m].
_DRIFTING = 0.10
# A scale is clearly needed where it leaves less than this share of how far the path is off.
_SCALE_HELPS = 0.5
_LEAST_TRAVEL = 0.5  # below it [m], paths do not show their scale
# A keypoint jumps when it is further from where its neighbours in time put it, next to the estimate, than this [m] and
# than so many times what is usual.
_JUMP, _JUMP_RATIO = 0.25, 5.0
_JUMP_FRAMES = 3  # on each side
# A frame says where the camera is if its keypoints are no further off than this [m], or so many times the median.
_FITS, _FITS_RATIO = 0.2, 2.5


@dataclass(frozen=True, eq=False)
class Alignment:
    """pelvis_world = scale * rotmat @ pelvis_estimate + shift.

    Args:
        rotmat: (T, 3, 3) R_world_estimate, the same in every frame unless `moving`.
        scale: of the estimate's path; its body has no scale but betas.
        shift: (T, 3) metres, the same in every frame unless `moving` or `drifting`.
        moving: one rotation does not fit: the estimate is in a moving camera's frame, or turns slowly.
        drifting: one place does not fit: places are measured, smoothed over time.
        error: median distance of a measured keypoint from the aligned estimate's, each frame placed by itself [m].
        notes: lines for the user.
    """

    rotmat: Float[Tensor, "T 3 3"]
    scale: float
    shift: Float[Tensor, "T 3"]
    moving: bool
    drifting: bool
    error: float
    notes: tuple[str, ...] = field(default=())

    @property
    def turn_deg(self) -> float:
        """Angle of the rotation [deg], of a moving one its median."""
        return float(torch.rad2deg(rotmat_to_rotvec(self.rotmat).norm(dim=-1)).median())


def align(
    model: Float[Tensor, "T K 3"],
    pelvis: Float[Tensor, "T 3"],
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    fps: float,
    mode: AlignMode = "auto",
    scale: float | Literal["auto", "fit"] = "auto",
) -> Alignment:
    """Lay an estimate on keypoints.

    Args:
        model: the estimate's own keypoints, in its frame.
        pelvis: its pelvis joint, in its frame.
        targets, confidence: measured, confidence 0 = missing. At least one frame has 3.
        fps: frames a second.
        mode: "clip" finds one rotation and place, "frame" lets both change over time, "auto" takes the first unless
            it clearly does not fit; "none" leaves the estimate where it is (the frames are the same).
        scale: of the path; "fit" finds it, "auto" finds it where 1 clearly does not fit.
    """
    frames, notes = len(model), []
    seen = confidence > 0
    centred = model - pelvis[:, None]
    usable = seen.sum(dim=1) >= 3
    if mode == "none":
        eye = torch.eye(3).to(model).expand(frames, 3, 3)
        error = _error(centred, targets, seen, eye)
        return Alignment(eye, 1.0, torch.zeros_like(pelvis), False, False, error)
    rotation = fit_rotation(centred, targets, confidence)
    rotmat, moving = rotation.expand(frames, 3, 3), mode == "frame"
    if mode in ("auto", "frame"):
        path, fits = _rotation_path(centred, targets, confidence, rotation, usable, fps)
        away = torch.rad2deg(rotmat_to_rotvec(path @ rotation.mT).norm(dim=-1))
        moving = moving or float(away[fits].quantile(0.9)) > _MOVING_DEG
        if moving:
            rotmat, usable = path, fits
            notes.append(
                "one rotation does not fit (a moving camera, or an estimate that turns slowly): the rotation follows "
                f"the trunk over time, up to {float(away[fits].max()):.0f} degrees from the common one"
            )
    place = placed(centred, targets, seen, rotmat)
    turned = (rotmat @ pelvis[..., None])[..., 0]
    factor, off = _scale(turned, place, usable, scale)
    if factor != 1:
        notes.append(f"the estimate's path is scaled by {factor:.3f}")
    common = (place - factor * turned)[usable].median(dim=0).values
    shift = common.expand(frames, 3)
    drifting = mode != "clip" and (moving or off > _DRIFTING)
    if drifting:
        shift = common + averaged(place - factor * turned - common, usable, _reach(fps))
        if not moving:
            notes.append(f"the estimate's path is off by {1000 * off:.0f} mm at the median: places are the keypoints'")
    error = _error(centred, targets, seen, rotmat)
    return Alignment(rotmat, factor, shift, moving, drifting, error, tuple(notes))


def in_world(
    estimate: Motion,
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Tensor,
    betas: Tensor,
    body: Body,
    up_axis: UpAxis | None,
) -> Motion:
    """The estimate with other poses and places, in the world of the keypoints, and with betas of `body`."""
    return replace(
        estimate,
        pose=rotmat_to_rotvec(rotmat).cpu(),
        transl=transl.cpu(),
        betas=betas.cpu(),
        body=body.name,
        gender=body.gender,
        up_axis=up_axis,
    )


def fit_rotation(
    centred: Float[Tensor, "T K 3"], targets: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]
) -> Float[Tensor, "3 3"]:
    """The rotation that lays `centred` on `targets`, each frame shifted by itself; deaf to outliers."""
    rows = ((confidence > 0).sum(dim=1) >= _KEYPOINTS_EACH).nonzero()[:, 0]
    if len(rows) == 0:
        rows = ((confidence > 0).sum(dim=1) >= 3).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(0)
    drawn = rows.cpu()[torch.randint(len(rows), (_PROPOSALS,), generator=generator)]
    number = min(_KEYPOINTS_EACH, int((confidence[rows] > 0).sum(dim=1).min()))
    picks = torch.multinomial((confidence[drawn] > 0).float().cpu(), number, generator=generator)
    some = drawn[:, None].to(rows), picks.to(rows)
    proposals = _kabsch(centred[some], targets[some], torch.ones_like(confidence[some]))
    # What all keypoints of some frames say together is a good proposal where few are wrong.
    scored = rows[evenly(len(rows), _SCORED_FRAMES).to(rows)]
    proposals = torch.cat((proposals, _kabsch(centred[scored], targets[scored], confidence[scored])))
    seen = confidence[scored] > 0
    costs = []
    for some_rotmats in proposals.split(32):
        turned = centred[scored][None] @ some_rotmats.mT[:, None]
        squared = _residual(turned, targets[scored][None], seen[None]).square().sum(-1)
        costs.append((squared / (squared + _SCORE_SCALE**2)).nan_to_num(0).sum(dim=(1, 2)))
    return _polish(centred, targets, confidence, proposals[int(torch.cat(costs).argmin())])


def find_jumps(
    centred: Float[Tensor, "T K 3"], targets: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]
) -> Bool[Tensor, "T K"]:
    """Keypoints that are off as their neighbours in time are not: an error of the estimate would last longer."""
    seen = confidence > 0
    off = torch.where(seen[..., None], targets - centred @ fit_rotation(centred, targets, confidence).mT, torch.nan)
    off = off - off.nanmedian(dim=1, keepdim=True).values
    padding = off.new_full((_JUMP_FRAMES, *off.shape[1:]), torch.nan)
    windows = torch.cat((padding, off, padding)).unfold(0, 2 * _JUMP_FRAMES + 1, 1)
    jump = (off - windows.nanmedian(dim=-1).values).norm(dim=-1)
    return seen & (jump > max(_JUMP, _JUMP_RATIO * float(jump.nanmedian())))


def placed(
    centred: Float[Tensor, "T K 3"], targets: Float[Tensor, "T K 3"], seen: Bool[Tensor, "T K"], rotmat: Tensor
) -> Float[Tensor, "T 3"]:
    """Where each frame's keypoints put the estimate's pelvis (a median); 0 in frames without any."""
    off = torch.where(seen[..., None], targets - centred @ rotmat.mT, torch.nan)
    return off.nanmedian(dim=1).values.nan_to_num(0)


def _residual(turned: Tensor, targets: Tensor, seen: Tensor) -> Tensor:
    """Distances to measured keypoints, each frame placed by itself; NaN for missing ones."""
    off = torch.where(seen[..., None], targets - turned, torch.nan)
    return off - off.nanmedian(dim=-2, keepdim=True).values


def _error(centred: Tensor, targets: Tensor, seen: Tensor, rotmat: Tensor) -> float:
    return float(_residual(centred @ rotmat.mT, targets, seen).norm(dim=-1).nanmedian())


def _kabsch(centred: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Rotations (..., 3, 3) that lay weighted points (..., K, 3) about their centroids on each other."""
    share = (weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9))[..., None]
    model = centred - (share * centred).sum(dim=-2, keepdim=True)
    measured = targets - (share * targets).sum(dim=-2, keepdim=True)
    return closest_rotmat(((share * measured).mT @ model).double()).to(centred)


def _polish(centred: Tensor, targets: Tensor, confidence: Tensor, rotation: Tensor) -> Tensor:
    seen = confidence > 0
    for _ in range(_ROUNDS):
        residual = _residual(centred @ rotation.mT, targets, seen).square().sum(-1)
        squared_scale = max(2 * float(residual.nanmedian()), _LEAST_SCALE**2)
        weights = (confidence / (1 + residual / squared_scale).square()).nan_to_num(0)
        share = (weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-9))[..., None]
        model = centred - (share * centred).sum(dim=1, keepdim=True)
        measured = targets - (share * targets).sum(dim=1, keepdim=True)
        new = closest_rotmat(((weights[..., None] * measured).flatten(0, 1).mT @ model.flatten(0, 1)).double())
        change = (new.to(rotation) - rotation).abs().max()
        rotation = new.to(rotation)
        if float(change) < 1e-6:
            break
    return rotation


def frame_rotations(
    centred: Float[Tensor, "T K 3"], targets: Float[Tensor, "T K 3"], confidence: Float[Tensor, "T K"]
) -> Float[Tensor, "T 3 3"]:
    """The rotation of each frame by itself, robustly; of no use in frames with fewer than 3 keypoints."""
    seen, weights = confidence > 0, confidence
    for _ in range(_ROUNDS // 3):
        rotmat = _kabsch(centred, targets, weights)
        residual = _residual(centred @ rotmat.mT, targets, seen).square().sum(-1)
        squared_scale = (2 * residual.nanmedian(dim=1, keepdim=True).values).clamp(min=_LEAST_SCALE**2)
        weights = (confidence / (1 + residual / squared_scale).square()).nan_to_num(0)
    return rotmat


def _rotation_path(
    centred: Tensor, targets: Tensor, confidence: Tensor, rotation: Tensor, usable: Tensor, fps: float
) -> tuple[Float[Tensor, "T 3 3"], Bool[Tensor, " T"]]:
    """The rotation of every frame, each on its own and then smoothed over time, and the frames that had a say."""
    each = frame_rotations(centred, targets, confidence)
    off = _residual(centred @ each.mT, targets, confidence > 0).norm(dim=-1).nanmedian(dim=1).values
    fits = usable & (off <= max(_FITS, _FITS_RATIO * float(off[usable].median())))
    each = torch.where(usable[:, None, None], each, rotation).flatten(1)
    smooth = averaged(each, fits, _reach(fps)).unflatten(1, (3, 3))
    return closest_rotmat(smooth.double()).to(centred), fits


def _reach(fps: float) -> int:
    """Frames before and after that `_WINDOW_S` averages over."""
    return max(round(_WINDOW_S * fps / 2), 1)


def _scale(turned: Tensor, place: Tensor, usable: Tensor, scale: float | str) -> tuple[float, float]:
    """The scale of the path and how far it leaves the path off [m] (median)."""
    path, goal = turned[usable], place[usable]

    def off(factor: float) -> float:
        left = goal - factor * path
        return float((left - left.median(dim=0).values).norm(dim=-1).median())

    if not isinstance(scale, str):
        return scale, off(scale)
    travel = (goal - goal.median(dim=0).values).norm(dim=-1).quantile(0.9)
    if float(travel) < _LEAST_TRAVEL or (scale == "auto" and off(1.0) < _DRIFTING):
        return 1.0, off(1.0)
    path_about, goal_about = path - path.median(dim=0).values, goal - goal.median(dim=0).values
    factor = float((path_about * goal_about).sum() / path_about.square().sum().clamp(min=1e-9))
    if factor <= 0 or (scale == "auto" and off(factor) > _SCALE_HELPS * off(1.0)):
        return 1.0, off(1.0)
    return factor, off(factor)
