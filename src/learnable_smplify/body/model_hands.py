"""The fingers in SMPL-H and SMPL-X model files, as `HandArrays`, and the hand poses that such files speak of.

A model file holds a relaxed hand (`hands_meanl`, `hands_meanr`) and principal components of hand poses about it
(`hands_componentsl`, `hands_componentsr`). Programs give hand poses in three ways: whole rotations (AMASS, and the
`smplx` package with `flat_hand_mean=True`), rotations to be added to the mean, or a few components. A `Motion` has the
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.body.arrays import HandArrays
from learnable_smplify.errors import InputError
from learnable_smplify.hands import NUM_SHARED_JOINTS, SIDES

_HEAD = 15
_POINT_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_SMPL_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def hand_arrays(
    model: Mapping[str, Any],
    regressor: Float[np.ndarray, "J V"],
    weights: Float[np.ndarray, "V J"],
    posedirs: Float[np.ndarray, "V 3 P"] | None,
    template: Float[np.ndarray, "V 3"],
    shapedirs: Float[np.ndarray, "V 3 10"],
    faces: np.ndarray,
    known_tips: Mapping[str, int],
) -> HandArrays:
    """The body of an SMPL-H or SMPL-X file with its fingers. Jaw and eyes, of SMPL-X, move with the head.

    Args:
        model: the file's arrays, for the mean hand and the components.
        regressor: of all the file's joints.
        weights: of all the file's joints.
        posedirs: of all the file's joints but the root; None where it has none.
        template, shapedirs, faces: as in `BodyArrays`.
        known_tips: vertices at the fingertips ("left_index_tip"), where the mesh is one that the literature knows.
    """
    joints = regressor.shape[0]
    further = tuple(range(NUM_SHARED_JOINTS, joints - 30))
    kept = [*range(NUM_SHARED_JOINTS), *range(joints - 30, joints)]
    reduced = weights[:, kept].copy()
    reduced[:, _HEAD] += weights[:, list(further)].sum(axis=1)
    rows = regressor[kept]
    correctives = None
    if posedirs is not None:
        columns = [9 * (joint - 1) + number for joint in kept[1:] for number in range(9)]
        correctives = posedirs[:, :, columns].astype(np.float32)
    mean = [_vector(model.get(f"hands_mean{side[0]}")) for side in SIDES]
    components = [_components(model.get(f"hands_components{side[0]}")) for side in SIDES]
    return HandArrays(
        v_template=template.astype(np.float32),
        shapedirs=shapedirs,
        posedirs=correctives,
        j_regressor=rows.astype(np.float32),
        weights=reduced.astype(np.float32),
        faces=faces,
        tips=_tips(template, rows @ template, reduced, known_tips),
        mean=None if mean[0] is None or mean[1] is None else np.stack((mean[0], mean[1])),
        components=None if components[0] is None or components[1] is None else np.stack((components[0], components[1])),
    )


def whole_hand_pose(
    given: Float[np.ndarray, "T 2 C"], hands: HandArrays, *, about_mean: bool
) -> Float[np.ndarray, "T 30 3"]:
    """Whole rotations of the fingers from what a program says of them.

    Args:
        given: 45 numbers a hand, rotvecs of its joints, or fewer, components of the model.
        hands: of the model that they were made with.
        about_mean: whether they are to be added to the model's mean hand. Fewer than 45 always are, unless the program
            was told that the mean is the flat hand.

    Raises:
        InputError: the model has no mean hand or not so many components.
    """
    count = given.shape[-1]
    pose = given
    if count < 45:
        if hands.components is None or count > hands.components.shape[1]:
            raise InputError(
                f"the hand pose has {count} components and the body model none for them",
                expected="the SMPL-H or SMPL-X file that it was made with",
                hint="--body FILE",
            )
        pose = np.einsum("tsc,scx->tsx", given, hands.components[:, :count])
    if about_mean:
        if hands.mean is None:
            raise InputError(
                "the hand pose is about the mean hand of a body model, which this one lacks",
                expected="the SMPL-H or SMPL-X file that it was made with",
                hint="--body FILE",
            )
        pose = pose + hands.mean
    return pose.reshape(len(pose), 30, 3)


def _vector(value: Any) -> Float[np.ndarray, "45"] | None:
    """A mean hand; anything else than 45 finite numbers is as good as none."""
    array = np.asarray(value)
    if array.dtype.kind != "f" or array.size != 45 or not np.isfinite(array).all():
        return None
    return array.reshape(45).astype(np.float32)


def _components(value: Any) -> Float[np.ndarray, "45 45"] | None:
    array = np.asarray(value)
    if array.dtype.kind != "f" or array.shape != (45, 45) or not np.isfinite(array).all():
        return None
    return array.astype(np.float32)


def _tips(
    template: np.ndarray, joints: Float[np.ndarray, "52 3"], weights: np.ndarray, known: Mapping[str, int]
) -> tuple[int, ...]:
    """The vertices at the fingertips: those known, else the farthest along the last bone of all that move with it."""
    tips = []
    for number, side in enumerate(SIDES):
        for finger in _POINT_FINGERS:
            name = "hand" if finger == "middle" else finger
            if f"{side}_{name}_tip" in known:
                tips.append(known[f"{side}_{name}_tip"])
                continue
            last = NUM_SHARED_JOINTS + 15 * number + 3 * _SMPL_FINGERS.index(finger) + 2
            along = (template - joints[last]) @ (joints[last] - joints[last - 1])
            tips.append(int(np.argmax(np.where(weights[:, last] > 0.3, along, -np.inf))))
    return tuple(tips)
