"""Errors between a prediction and the truth, in millimetres. Names as in the field.

Every function averages over points and over all leading dimensions and returns a scalar; with `per_frame=True` it
averages over points only.
"""

from __future__ import annotations

import numpy as np
import roma
from jaxtyping import Float
from torch import Tensor

from learnable_smplify.arrays import as_tensor
from learnable_smplify.errors import InputError

_MM = 1000.0


def pve(
    pred_vertices: Float[Tensor, "*B V 3"] | np.ndarray,
    true_vertices: Float[Tensor, "*B V 3"] | np.ndarray,
    pred_root: Float[Tensor, "*B 3"] | np.ndarray | None = None,
    true_root: Float[Tensor, "*B 3"] | np.ndarray | None = None,
    *,
    per_frame: bool = False,
) -> Tensor:
    """Per-vertex error [mm]: mean distance of corresponding vertices after moving each root to the origin.

    Args:
        pred_vertices, true_vertices: (..., V, 3) metres.
        pred_root, true_root: (..., 3) metres, the pelvis joints that are laid on each other; both None compares in
            the world, without alignment.
        per_frame: return (...) instead of the mean.

    Raises:
        InputError: shapes that differ, or only one root.
    """
    pred, true = _checked(pred_vertices, true_vertices)
    if (pred_root is None) != (true_root is None):
        raise InputError("only one of pred_root and true_root is given", expected="both roots or neither")
    if pred_root is not None and true_root is not None:
        pred = pred - as_tensor(pred_root, "pred_root").to(pred)[..., None, :]
        true = true - as_tensor(true_root, "true_root").to(true)[..., None, :]
    return _mean_distance_mm(pred, true, per_frame)


def pa_pve(
    pred_vertices: Float[Tensor, "*B V 3"] | np.ndarray,
    true_vertices: Float[Tensor, "*B V 3"] | np.ndarray,
    *,
    per_frame: bool = False,
) -> Tensor:
    """`pve` after the best rotation, translation and scale of each frame (Procrustes alignment)."""
    pred, true = _checked(pred_vertices, true_vertices)
    return _mean_distance_mm(_procrustes(pred, true), true, per_frame)


def mpjpe(
    pred_joints: Float[Tensor, "*B J 3"] | np.ndarray,
    true_joints: Float[Tensor, "*B J 3"] | np.ndarray,
    pred_root: Float[Tensor, "*B 3"] | np.ndarray | None = None,
    true_root: Float[Tensor, "*B 3"] | np.ndarray | None = None,
    *,
    per_frame: bool = False,
) -> Tensor:
    """Mean per-joint position error [mm]; roots as in `pve` (both None: no alignment)."""
    return pve(pred_joints, true_joints, pred_root, true_root, per_frame=per_frame)


def pa_mpjpe(
    pred_joints: Float[Tensor, "*B J 3"] | np.ndarray,
    true_joints: Float[Tensor, "*B J 3"] | np.ndarray,
    *,
    per_frame: bool = False,
) -> Tensor:
    """`mpjpe` after Procrustes alignment of each frame."""
    return pa_pve(pred_joints, true_joints, per_frame=per_frame)


def _checked(pred: Tensor | np.ndarray, true: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
    pred_points, true_points = as_tensor(pred, "the prediction"), as_tensor(true, "the truth")
    if pred_points.shape != true_points.shape or pred_points.ndim < 2 or pred_points.shape[-1] != 3:
        raise InputError(
            f"points of shapes {tuple(pred_points.shape)} and {tuple(true_points.shape)} cannot be compared",
            expected="two arrays of the same shape (..., N, 3)",
        )
    return pred_points, true_points.to(pred_points)


def _mean_distance_mm(pred: Tensor, true: Tensor, per_frame: bool) -> Tensor:
    distance = (pred - true).norm(dim=-1).mean(dim=-1) * _MM
    return distance if per_frame else distance.mean()


def _procrustes(pred: Tensor, true: Tensor) -> Tensor:
    flat_pred, flat_true = pred.reshape(-1, *pred.shape[-2:]), true.reshape(-1, *true.shape[-2:])
    rotation, transl, scale = roma.rigid_points_registration(flat_pred, flat_true, compute_scaling=True)
    moved = scale[:, None, None] * flat_pred @ rotation.transpose(-1, -2) + transl[:, None]
    return moved.reshape(pred.shape)
