"""Layouts that have no joint of the legs, or none of the arms: places for what is invented there."""

from __future__ import annotations

from dataclasses import replace

import torch

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.bias import KeypointBias
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.skeleton import sided

_ARMS, _LEGS = sided("shoulder", "elbow", "wrist"), sided("hip", "knee", "ankle")


def with_both_halves(keypoints: Keypoints) -> Keypoints:
    """The recording with joints of the half of the body that its layout lacks, as keypoints that nobody measured.

    Layouts that have both halves, or neither (hands alone), come back as they are.
    """
    layout = load_layout(keypoints.layout)
    has = {name for name in (*_ARMS, *_LEGS) if layout.index_of_point(name) is not None}
    legs, arms = bool(has & {*sided("knee", "ankle")}), bool(has & {*sided("shoulder", "elbow")})
    if layout.markers or legs == arms:
        return keypoints
    lacking = tuple(name for name in (_LEGS if arms else _ARMS) if name not in has)
    whole = replace(
        layout,
        keypoint_names=(*layout.keypoint_names, *(f"{name} (not in the layout)" for name in lacking)),
        points=(*layout.points, *(((name, 1.0),) for name in lacking)),
        bias=(*layout.bias, *(KeypointBias() for _ in lacking)) if layout.bias else (),
        off_body=(),
    )
    count = (len(keypoints), len(lacking))
    nowhere = torch.full((*count, 3), torch.nan).to(keypoints.positions)
    return replace(
        keypoints,
        layout=whole,
        positions=torch.cat((keypoints.positions, nowhere), dim=1),
        confidence=torch.cat((keypoints.confidence, torch.zeros(count).to(keypoints.confidence)), dim=1),
    )
