"""Write the open body as an SMPL model file that other programs open."""

from __future__ import annotations

import pickle
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.body.arrays import BodyArrays, HandArrays
from learnable_smplify.body.open_body import OPEN_BODIES, OPEN_BODY_LICENSE
from learnable_smplify.errors import InputError
from learnable_smplify.hands import SMPLH_JOINT_NAMES, SMPLH_PARENTS, relaxed_hands
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import JOINT_NAMES, PARENTS

# SMPL writes the root's parent as -1 in an unsigned array.
_ROOT_PARENT = 2**32 - 1


def export_body(body: BodyArrays, path: str | PathLike[str], hands: HandArrays | None = None) -> None:
    """Write the open body in SMPL's file format, `.pkl` (opens in `smplx.SMPL`) or `.npz`.

    With `hands` it is written in SMPL-H's (opens in `smplx.SMPLH`): 52 joints, the relaxed hand as `hands_meanl` and
    `hands_meanr`, and single joints' axes where SMPL-H has principal components, so that 45 of them are the rotvecs.

    The file has SMPL's keys (`v_template`, `shapedirs`, `posedirs` of zeros, `J_regressor`, `weights`,
    `kintree_table`, `f`, float32, metres) and four more: `point_names` and `point_regressor` (landmarks),
    `lsmplify_body` (the body's name, so that the file is never taken for licensed SMPL) and `license`. It loads back
    without loss. The vertex indices are not SMPL's: what another program keeps for SMPL by vertex index (extra
    keypoints, segmentations, textures) points elsewhere on this body.

    Args:
        body: the open body, as `read_open_body` gives it.
        hands: the open body with fingers, as `read_open_hands` gives it; None writes 24 joints.
        path: output, ending in .pkl or .npz.

    Raises:
        InputError: another body than the open one (its licence is not ours to pass on), another suffix, or a folder
            that cannot be written to.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".pkl", ".npz"):
        raise InputError(
            f"a body cannot be written as '{suffix}'",
            path=path,
            expected="a name ending in .pkl or .npz",
            hint="lsmplify export-body -o SMPL_OPEN.pkl",
        )
    if body.name not in OPEN_BODIES:
        raise InputError(
            f"the body '{body.name}' comes from a licensed file and is not written again",
            path=path,
            expected="the open body",
            hint="lsmplify export-body -o SMPL_OPEN.pkl",
        )
    model: dict[str, Any] = {
        **(_arrays(body, PARENTS, JOINT_NAMES) if hands is None else _arrays(hands, SMPLH_PARENTS, SMPLH_JOINT_NAMES)),
        **({"point_regressor": body.point_regressor} if hands is None else _of_hands(body, hands)),
        "point_names": np.array(body.point_names),
        "lsmplify_body": body.name,
        "license": OPEN_BODY_LICENSE,
    }
    with atomic_output(path) as temporary:
        if suffix == ".pkl":
            with temporary.open("wb") as file:
                pickle.dump(model, file, protocol=2)
        else:
            np.savez_compressed(temporary, **model)


def _arrays(body: BodyArrays | HandArrays, parents: tuple[int, ...], names: tuple[str, ...]) -> dict[str, Any]:
    posedirs = body.posedirs
    if posedirs is None:
        posedirs = np.zeros((len(body.v_template), 3, 9 * (len(names) - 1)), dtype=np.float32)
    above = np.array([_ROOT_PARENT, *parents[1:]], dtype=np.uint32)
    return {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": posedirs,
        "J_regressor": body.j_regressor,
        "weights": body.weights,
        "kintree_table": np.stack([above, np.arange(len(names), dtype=np.uint32)]),
        "f": body.faces.astype(np.uint32),
        "J": body.j_regressor @ body.v_template,
        "joint_names": np.array(names),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }


def _of_hands(body: BodyArrays, hands: HandArrays) -> dict[str, Any]:
    # The landmarks are on skin that both meshes have, vertex by vertex: the same numbers, so they can be looked up.
    place = {vertex.tobytes(): index for index, vertex in enumerate(hands.v_template)}
    points = np.zeros((len(body.point_names), len(hands.v_template)), dtype=np.float32)
    for row, vertex in zip(*np.nonzero(body.point_regressor), strict=True):
        points[row, place[body.v_template[vertex].tobytes()]] = body.point_regressor[row, vertex]
    left, right = relaxed_hands().numpy().reshape(2, -1)
    axes = np.eye(len(left), dtype=np.float32)
    return {
        "point_regressor": points,
        "hands_meanl": left,
        "hands_meanr": right,
        "hands_componentsl": axes,
        "hands_componentsr": axes,
    }
