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

from learnable_smplify.body.arrays import BodyArrays, HandArrays
from learnable_smplify.errors import InputError
from learnable_smplify.hands import NUM_HAND_JOINTS, NUM_SHARED_JOINTS, POINT_FINGERS, SMPLH_JOINT_NAMES
from learnable_smplify.skeleton import JOINT_INDEX, SIDES


def hand_arrays(
    model: Mapping[str, Any],
    body: BodyArrays,
    regressor: Float[np.ndarray, "J V"],
    weights: Float[np.ndarray, "V J"],
    posedirs: Float[np.ndarray, "V 3 P"] | None,
    known: Mapping[str, int],
) -> HandArrays:
    """The body of an SMPL-H or SMPL-X file with its fingers. Jaw and eyes, of SMPL-X, move with the head.

    Args:
        model: the file's arrays, for the mean hand and the components.
        body: the same body without fingers, for its mesh and shape.
        regressor: of all the file's joints.
        weights: of all the file's joints.
        posedirs: of all the file's joints but the root; None where it has none.
        known: vertices of landmarks ("left_index_tip"), where the mesh is one that the literature knows.
    """
    joints = len(regressor)
    fingers = joints - NUM_HAND_JOINTS
    kept = [*range(NUM_SHARED_JOINTS), *range(fingers, joints)]
    reduced = weights[:, kept].copy()
    reduced[:, JOINT_INDEX["head"]] += weights[:, NUM_SHARED_JOINTS:fingers].sum(axis=1)
    rows = regressor[kept]
    correctives = None
    if posedirs is not None:
        columns = [9 * (joint - 1) + number for joint in kept[1:] for number in range(9)]
        correctives = posedirs[:, :, columns].astype(np.float32)
    return HandArrays(
        v_template=body.v_template,
        shapedirs=body.shapedirs,
        posedirs=correctives,
        j_regressor=rows.astype(np.float32),
        weights=reduced.astype(np.float32),
        faces=body.faces,
        tips=_tips(body.v_template, rows @ body.v_template, reduced, known),
        mean=_of_both_hands(model, "hands_mean", (45,)),
        components=_of_both_hands(model, "hands_components", (45, 45)),
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


def _of_both_hands(model: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Float[np.ndarray, "2 *D"] | None:
    """An array that the file has of each hand; anything else than finite numbers of that shape is as good as none."""
    arrays = [np.squeeze(np.asarray(model.get(f"{name}{side[0]}"))) for side in SIDES]
    if any(array.dtype.kind != "f" or array.shape != shape or not np.isfinite(array).all() for array in arrays):
        return None
    return np.stack(arrays).astype(np.float32)


def _tips(
    template: np.ndarray, joints: Float[np.ndarray, "52 3"], weights: np.ndarray, known: Mapping[str, int]
) -> tuple[int, ...]:
    """The vertices at the fingertips: those known, else the farthest along the last bone of all that move with it."""
    tips = []
    for side in SIDES:
        for finger in POINT_FINGERS:
            tip = f"{side}_{'hand' if finger == 'middle' else finger}_tip"
            last = SMPLH_JOINT_NAMES.index(f"{side}_{finger}3")
            along = (template - joints[last]) @ (joints[last] - joints[last - 1])
            farthest = int(np.argmax(np.where(weights[:, last] > 0.3, along, -np.inf)))
            tips.append(known.get(tip, farthest))
    return tuple(tips)
