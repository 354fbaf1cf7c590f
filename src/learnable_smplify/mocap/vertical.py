"""Which way is up in a motion whose file does not say."""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from torch import Tensor

from learnable_smplify.mocap.bone_map import BoneMap
from learnable_smplify.mocap.source import SourceMotion
from learnable_smplify.motion import UpAxis

_AXES: tuple[UpAxis, ...] = ("x", "y", "z")
_USUAL = 1
# Mean cosine, over the clip, between an axis and the way from the ankles to the head: people who stand and walk are
# above the first along the vertical, and below the second along any other axis.
_STANDS = 0.8
_LIES = 0.4
# Somebody who lies on the floor at height 0: the lowest joint and the middle of the hips, metres.
_LOWEST_LYING_M = (-0.1, 0.15)
_HIPS_LYING_M = (0.03, 0.5)


def find_up_axis(source: SourceMotion, bone_map: BoneMap) -> SourceMotion:
    """The motion with its up axis, found from where head, hips and ankles are over all frames.

    Y unless the person stands along another axis in most of the clip; somebody who lies or crawls on a floor at height
    zero of Y does not stand. A world with the person head down, below its floor, is turned over.

    Returns:
        The motion with `up_axis` and a note where up is not +Y.
    """
    at = source.positions()[:, list(bone_map.starts(source.names).values())]
    place = dict(zip(bone_map.bones, at.unbind(dim=1), strict=True))
    hips = (place["left_hip"] + place["right_hip"]) / 2
    ankles = (place["left_ankle"] + place["right_ankle"]) / 2
    shoulders = (place["left_shoulder"] + place["right_shoulder"]) / 2
    rise = place.get("head", shoulders) - ankles
    mean = (rise / rise.norm(dim=-1, keepdim=True).clamp(min=1e-9)).mean(dim=0)

    axis = int(mean.abs().argmax())
    stands = float(mean[axis].abs()) > _STANDS
    if axis == _USUAL:
        turned_over = stands and float(mean[axis]) < 0 and float(hips[:, axis].median()) < 0
    elif stands and float(mean[_USUAL].abs()) < _LIES and not _lies_on_floor(at, hips):
        turned_over = float(mean[axis]) < 0
    else:
        axis, turned_over = _USUAL, False
    if axis == _USUAL and not turned_over:
        return replace(source, up_axis="y")
    name = _AXES[axis]
    note = f"up is {'-' if turned_over else '+'}{name.upper()}, by where head, hips and feet are"
    if not turned_over:
        return replace(source, up_axis=name, notes=(*source.notes, note))
    turn = roma.rotvec_to_rotmat(torch.pi * torch.eye(3, dtype=torch.float64)[(axis + 1) % 3])
    return replace(
        source,
        rotations=turn @ source.rotations,
        root_positions=source.root_positions @ turn.T,
        up_axis=name,
        notes=(*source.notes, f"{note}; the world is turned over"),
    )


def _lies_on_floor(places: Tensor, hips: Tensor) -> bool:
    lowest = float(torch.quantile(places[..., _USUAL].min(dim=1).values, 0.05))
    middle = float(hips[:, _USUAL].median())
    return _LOWEST_LYING_M[0] < lowest < _LOWEST_LYING_M[1] and _HIPS_LYING_M[0] < middle < _HIPS_LYING_M[1]
