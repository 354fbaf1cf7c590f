"""A layout's keypoints with a detector's constant errors as further unknowns of the shape.

The error of keypoint k is a vector o_k in the frame of a joint, so it adds to an anchor of `body.fold`, and is as
linear there as betas are: with o = mean + spread * z and z standard normal, z are simply more betas.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.body.carried import error_joints, moved_by
from learnable_smplify.body.fold import FoldedPoints
from learnable_smplify.layouts.bias import KeypointBias
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.solver.shape.offsets import Offsets

# Where keypoints are the body's own, they are so to this [m].
_OWN_SPREAD = 0.0015


def own_points(folded: FoldedPoints, layout: Layout) -> FoldedPoints:
    """Keypoints that someone made from the body itself: hardly any error."""
    return _with_errors(folded, layout, (KeypointBias(spread=_OWN_SPREAD),) * len(layout))


def detected_points(folded: FoldedPoints, layout: Layout) -> FoldedPoints:
    """Keypoints of the layout's detectors. Markers are on the body where their bias has them already."""
    biases = layout.bias or (KeypointBias(),) * len(layout)
    return _with_errors(folded if layout.markers else moved_by(folded, biases), layout, biases)


def errors_of(plain: FoldedPoints, biased: FoldedPoints, layout: Layout, shape: Float[Tensor, " S"]) -> Offsets:
    """The errors that the unknowns beyond the body's own betas stand for."""
    number = plain.anchor_shape.shape[-1]
    anchor = biased.anchor - plain.anchor + biased.anchor_shape[..., number:] @ shape[number:]
    return Offsets(layout.name, layout.keypoint_names, error_joints(plain).cpu(), anchor.sum(dim=1).cpu())


def _with_errors(folded: FoldedPoints, layout: Layout, biases: tuple[KeypointBias, ...]) -> FoldedPoints:
    """Errors of their spread: left and right err as mirror images, and keypoints in the middle not to the side."""
    joints, columns = error_joints(folded).tolist(), []
    for keypoint, partner in enumerate(layout.mirror):
        bias = biases[keypoint]
        if partner < keypoint:
            continue
        for axis in range(3):
            if partner == keypoint and axis == 0:
                continue
            column = torch.zeros_like(folded.anchor)
            column[partner, joints[partner], axis] = -bias.spread if axis == 0 else bias.spread
            column[keypoint, joints[keypoint], axis] = bias.spread
            columns.append(column)
    more = torch.stack(columns, dim=-1)
    still = folded.rest_joints_shape.new_zeros(*folded.rest_joints_shape.shape[:2], more.shape[-1])
    return replace(
        folded,
        anchor_shape=torch.cat((folded.anchor_shape, more), dim=-1),
        rest_joints_shape=torch.cat((folded.rest_joints_shape, still), dim=-1),
    )
