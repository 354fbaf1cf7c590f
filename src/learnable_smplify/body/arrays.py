"""`BodyArrays`: a body model as plain arrays, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class BodyArrays:
    """One SMPL-format body on SMPL's 24-joint tree, as float32 arrays in metres, rest pose T, Y up, Z forward.

    Bodies with more joints (SMPL-H, SMPL-X) are reduced to the 24 when they are read: fingers move with the wrist,
    jaw and eyes with the head.

    Args:
        name: "open", "smpl", "smplh" or "smplx".
        gender: "neutral", "male" or "female".
        v_template: (V, 3) mean shape.
        shapedirs: (V, 3, 10) vertex displacement per unit of each beta.
        posedirs: (V, 3, 207) pose correctives for the flattened `R - I` of joints 1..23, None when the body has none.
        j_regressor: (24, V) rest joints from rest vertices.
        weights: (V, 24) skin weights, rows sum to 1.
        faces: (F, 3) triangles.
        point_names: names of the landmark points (see `layouts.points`).
        point_regressor: (P, V) landmark points from vertices, rows sum to 1.
        body25_regressor: (25, V) the field's own BODY_25 keypoints from vertices, where the user has them (EasyMocap's
            `J_regressor_body25.npy`); None makes BODY_25 from joints and landmarks.
        hands: the same body with its fingers, where the file has them (SMPL-H, SMPL-X).
        averages: (10,) betas of the average "female" and "male", where one body is for both.
    """

    name: str
    gender: str
    v_template: Float[np.ndarray, "V 3"]
    shapedirs: Float[np.ndarray, "V 3 10"]
    posedirs: Float[np.ndarray, "V 3 207"] | None
    j_regressor: Float[np.ndarray, "24 V"]
    weights: Float[np.ndarray, "V 24"]
    faces: Int[np.ndarray, "F 3"]
    point_names: tuple[str, ...]
    point_regressor: Float[np.ndarray, "P V"]
    body25_regressor: Float[np.ndarray, "25 V"] | None = None
    hands: HandArrays | None = None
    averages: Mapping[str, Float[np.ndarray, "10"]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class HandArrays:
    """A body with fingers, on SMPL-H's 52 joints (`hands.SMPLH_JOINT_NAMES`): float32, metres, rest pose T, hands flat.

    Its first 22 joints are those of the body it belongs to, for the same betas. Of SMPL-X, jaw and eyes move with the
    head.

    Args:
        v_template: (W, 3) mean shape. W may be more vertices than the body's own.
        shapedirs: (W, 3, 10) vertex displacement per unit of each beta.
        posedirs: (W, 3, 459) pose correctives for the flattened `R - I` of joints 1..51, None when there are none.
        j_regressor: (52, W) rest joints from rest vertices.
        weights: (W, 52) skin weights, rows sum to 1.
        faces: (F, 3) triangles.
        tips: (10,) the vertices at the fingertips: thumb, index, middle, ring, pinky, first of the left hand.
        mean: (2, 45) the model file's relaxed hands, rotvecs of the left's 15 joints and the right's; None without.
        components: (2, 45, 45) its principal components of hand poses, one a row; None without.
    """

    v_template: Float[np.ndarray, "W 3"]
    shapedirs: Float[np.ndarray, "W 3 10"]
    posedirs: Float[np.ndarray, "W 3 459"] | None
    j_regressor: Float[np.ndarray, "52 W"]
    weights: Float[np.ndarray, "W 52"]
    faces: Int[np.ndarray, "F 3"]
    tips: tuple[int, ...]
    mean: Float[np.ndarray, "2 45"] | None = None
    components: Float[np.ndarray, "2 45 45"] | None = None
