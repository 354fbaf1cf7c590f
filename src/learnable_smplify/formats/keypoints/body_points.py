"""Places on the measured body, by the canonical points that a layout's keypoints are made of."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout
from learnable_smplify.skeleton import sided

SHOULDERS = frozenset({*sided("shoulder", "collar"), "neck"})
HIPS = frozenset({*sided("hip"), "pelvis"})
FACE = frozenset({*sided("eye", "eye_inner", "eye_outer", "mouth"), "nose", "chin"})
HEAD = FACE | {*sided("ear"), "head", "head_top", "upper_neck"}
TOP = SHOULDERS | HEAD | {"jugular"}
FEET = frozenset(sided("ankle", "foot", "heel", "big_toe", "small_toe"))


def measured(person: Keypoints) -> tuple[Float[np.ndarray, "T K 3"], Layout]:
    """Positions with NaN where missing, and the layout."""
    assert isinstance(person.layout, Layout)
    points = person.positions.detach().cpu().numpy().astype(np.float64)
    return np.where(person.confidence.cpu().numpy()[..., None] > 0, points, np.nan), person.layout


def mean_of(
    points: Float[np.ndarray, "T K 3"], layout: Layout, names: Collection[str], must: Collection[str] = ()
) -> Float[np.ndarray, "T 3"]:
    """Mean of the measured keypoints that are made of the canonical points `names` alone, at least one in `must`."""
    columns = [
        index
        for index, row in enumerate(layout.points)
        if all(name in names for name, _ in row) and (not must or any(name in must for name, _ in row))
    ]
    chosen = points[:, columns]
    there = np.isfinite(chosen).all(axis=-1)
    with np.errstate(invalid="ignore"):
        return (
            np.where(there[..., None], chosen, 0.0).sum(axis=1)
            / np.where(there.any(axis=1), there.sum(axis=1), np.nan)[:, None]
        )


def either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`first` where it is measured, else `second`."""
    return np.where(np.isfinite(first), first, second)


def unit(vectors: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    """Vectors of length 1; NaN for those of length 0."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 1e-9, lengths, np.nan)
