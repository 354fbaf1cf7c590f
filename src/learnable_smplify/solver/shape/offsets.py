"""Where a detector's keypoints really sit: one small constant vector per keypoint, in the frame of a bone.

A detector's elbow is not the skeleton's elbow, but it is off in the same way in every frame. The offset is calibrated
from a fitted recording and becomes part of the body's points: keypoint k gains R_j o_k, and the anchors a_kj of
`body.fold` are in the frame of joint j already, so adding o_k to a_kj is exact, derivatives included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.body.carried import hanging_joint
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.errors import InputError
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.safe_files.budget import shown
from learnable_smplify.safe_files.json_file import read_json_file
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, MIRROR, PARENTS

_FORMAT = "learnable-smplify offsets 1"
_MAX_FILE_BYTES = 1_000_000
_ITERATIONS = 10
# The parent's frame is taken only if the offset varies this much less there.
_CLEARLY_STEADIER = 0.9
# Departure [m] at which a frame starts to lose its vote; and what longer offsets are shortened to [m].
_ROBUST_SCALE, _LARGEST = 0.05, 0.12


@dataclass(frozen=True)
class OffsetOptions:
    """How offsets are calibrated.

    Args:
        prior_frames: frames' worth of "the offset is zero" mixed into every mean. Neighbouring frames err
            alike, so this should be about a second of a long recording.
        symmetric: left and right get mirrored offsets, and keypoints in the middle none to the side.
    """

    prior_frames: float = 30.0
    symmetric: bool = True


@dataclass(frozen=True, eq=False)
class Offsets:
    """Offsets of a layout's K keypoints on one person.

    Args:
        layout: name of the layout.
        keypoint_names: (K,) its keypoints.
        joint: (K,) joint in whose frame each offset is constant.
        offset: (K, 3) metres.

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """

    layout: str
    keypoint_names: tuple[str, ...]
    joint: Int[Tensor, " K"]
    offset: Float[Tensor, "K 3"]

    def __post_init__(self) -> None:
        joint = as_tensor(self.joint, "joint").detach().to(torch.int64)
        offset = as_tensor(self.offset, "offset").detach().to(torch.float32)
        count = len(self.keypoint_names)
        if joint.shape != (count,) or offset.shape != (count, 3):
            raise InputError(
                f"offsets have shapes {tuple(joint.shape)} and {tuple(offset.shape)}",
                expected=f"({count},) and ({count}, 3)",
            )
        if not bool(torch.isfinite(offset).all()) or not bool(((joint >= 0) & (joint < len(JOINT_NAMES))).all()):
            raise InputError("offsets hold NaN, infinity or an unknown joint", expected="finite metres, joints 0 to 23")
        object.__setattr__(self, "joint", joint)
        object.__setattr__(self, "offset", offset)

    def apply(self, folded: FoldedPoints) -> FoldedPoints:
        """The same points with the offsets in their anchors.

        Raises:
            InputError: `folded` has another number of keypoints.
        """
        count = folded.weight.shape[0]
        if count != len(self.keypoint_names):
            raise InputError(
                f"the offsets are for {len(self.keypoint_names)} keypoints (layout '{self.layout}')",
                expected=f"offsets for the layout in use, with {count}",
            )
        anchor = folded.anchor.clone()
        anchor[torch.arange(count, device=anchor.device), self.joint.to(anchor.device)] += self.offset.to(anchor)
        return replace(folded, anchor=anchor)

    def zeroed(self) -> Offsets:
        """Keypoints that lie where the body's points are."""
        return replace(self, offset=torch.zeros_like(self.offset))


def calibrate_offsets(
    folded: FoldedPoints,
    layout: Layout,
    rotmat: Float[Tensor, "T 24 3 3"],
    transl: Float[Tensor, "T 3"],
    betas: Float[Tensor, "10"],
    targets: Float[Tensor, "T K 3"],
    confidence: Float[Tensor, "T K"],
    options: OffsetOptions | None = None,
) -> Offsets:
    """Offsets that explain what a fit leaves unexplained: robust means, drawn towards zero.

    The pose has followed the keypoints as far as it could, so a part of every offset hides in it: fit, calibrate and
    fit again a few times, each time with the offsets of `folded` without any.

    Args:
        folded: the layout's points on the body, without offsets.
        layout: of the keypoints.
        rotmat: local rotations of the fit, pelvis in the world.
        transl: of the fit, metres.
        betas: of the fit.
        targets: measured keypoints, metres; anything where confidence is 0.
        confidence: 0 = missing.
        options: None for the defaults.

    Returns:
        offsets in the frame of the joint each keypoint hangs on, or of that joint's parent where they vary less there:
        a detector's hip is fixed to the pelvis rather than to the thigh. Keypoints never seen have none.
    """
    options = OffsetOptions() if options is None else options
    posed = folded.shaped(betas[None]).pose(rotmat)
    error = torch.where((confidence > 0)[..., None], targets - posed.positions() - transl[:, None], 0.0)
    main = hanging_joint(folded)
    parent = torch.tensor(PARENTS, device=main.device)[main].clamp(min=0)
    partner = torch.tensor(layout.mirror, device=main.device)
    mirrored = torch.tensor(MIRROR, device=main.device)
    flip = torch.tensor([-1.0, 1.0, 1.0]).to(error)
    results = []
    for joint in (main, parent):
        local = torch.einsum("tkyx,tky->tkx", posed.world_rotmat[:, joint], error)
        weight = confidence
        if options.symmetric:
            # The partner's frames vote too, mirrored: in the rest pose all joints' frames are the body's, x sideways.
            partner_local = torch.einsum("tkyx,tky->tkx", posed.world_rotmat[:, mirrored[joint]], error[:, partner])
            local = torch.cat((local, partner_local * flip))
            weight = torch.cat((confidence, confidence[:, partner]))
        results.append(_robust_mean(local, weight, options))
    (offset, spread), (parent_offset, parent_spread) = results
    steadier = parent_spread < _CLEARLY_STEADIER * spread
    offset = torch.where(steadier[:, None], parent_offset, offset)
    length = offset.norm(dim=-1, keepdim=True)
    offset = offset * (_LARGEST / length.clamp(min=_LARGEST))
    joint = torch.where(steadier, parent, main)
    return Offsets(layout.name, layout.keypoint_names, joint.cpu(), offset.cpu())


def write_offsets(offsets: Offsets, path: str | PathLike[str]) -> None:
    """Write offsets as a small JSON file: layout, and joint and vector [m] of every keypoint.

    Raises:
        InputError: the file cannot be written.
    """
    rows = zip(offsets.keypoint_names, offsets.joint.tolist(), offsets.offset.tolist(), strict=True)
    content = {
        "format": _FORMAT,
        "layout": offsets.layout,
        "keypoints": {
            name: {"joint": JOINT_NAMES[joint], "offset": [round(value, 6) for value in vector]}
            for name, joint, vector in rows
        },
    }
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_offsets(path: str | PathLike[str], layout: Layout) -> Offsets:
    """Read offsets for a layout.

    Raises:
        InputError: no such file, not an offsets file, or one for another layout; the message names the place.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > _MAX_FILE_BYTES:
        raise InputError("the file is far too large for offsets", path=path, expected="a file of `write_offsets`")
    content = read_json_file(path, "a file of `write_offsets`")
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError("this is not an offsets file", path=path, expected=f'a JSON object with "format": "{_FORMAT}"')
    rows = content.get("keypoints")
    if not isinstance(rows, dict):
        raise InputError("there are no keypoints", path=path, where="key 'keypoints'", expected="a JSON object")
    if set(rows) != set(layout.keypoint_names):
        raise InputError(
            f"the offsets are for layout {shown(content.get('layout'))}",
            path=path,
            expected=f"the keypoints of '{layout.name}'",
            hint="calibrate them again from a recording in this layout",
        )
    joints, vectors = [], []
    for name in layout.keypoint_names:
        joint, vector = _parse_row(rows[name], path, f"keypoints.{name}")
        joints.append(joint)
        vectors.append(vector)
    return Offsets(layout.name, layout.keypoint_names, torch.tensor(joints), torch.tensor(vectors))


def _robust_mean(
    values: Float[Tensor, "N K 3"], weight: Float[Tensor, "N K"], options: OffsetOptions
) -> tuple[Float[Tensor, "K 3"], Float[Tensor, " K"]]:
    """Mean drawn towards zero in which far values lose their vote (Geman-McClure), and its spread [m]."""
    seen = (weight > 0)[..., None]
    mean = torch.where(seen, values, torch.nan).nanmedian(dim=0).values.nan_to_num()
    for _ in range(_ITERATIONS):
        away = (values - mean).norm(dim=-1)
        vote = weight / (1 + (away / _ROBUST_SCALE).square()).square()
        mean = (vote[..., None] * values).sum(0) / (vote.sum(0) + options.prior_frames)[:, None]
    away = torch.where(seen, (values - mean).abs(), torch.nan).nanmedian(dim=0).values.nan_to_num()
    return mean, away.norm(dim=-1)


def _parse_row(row: Any, path: Path, where: str) -> tuple[int, list[float]]:
    joint = row.get("joint") if isinstance(row, dict) else None
    vector = row.get("offset") if isinstance(row, dict) else None
    if not isinstance(joint, str) or joint not in JOINT_INDEX:
        raise InputError(
            f"unknown joint {shown(joint)}", path=path, where=where, expected="one of " + ", ".join(JOINT_NAMES)
        )
    if (
        not isinstance(vector, list)
        or len(vector) != 3
        or not all(
            # The comparison is exact for integers of any length, which `math.isfinite` would not take.
            isinstance(value, int | float) and not isinstance(value, bool) and -1 <= value <= 1
            for value in vector
        )
    ):
        raise InputError(
            "the offset is not a vector", path=path, where=where, expected="three numbers [m], at most 1 m"
        )
    return JOINT_INDEX[joint], [float(value) for value in vector]
