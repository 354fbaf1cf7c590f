"""Write the open body as an SMPL model file that other programs open."""

from __future__ import annotations

import pickle
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.open_body import OPEN_BODIES, OPEN_BODY_LICENSE
from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS

# SMPL writes the root's parent as -1 in an unsigned array.
_ROOT_PARENT = 2**32 - 1


def export_body(body: BodyArrays, path: str | PathLike[str]) -> None:
    """Write the open body in SMPL's file format, `.pkl` (opens in `smplx.SMPL`) or `.npz`.

    The file has SMPL's keys (`v_template`, `shapedirs`, `posedirs` of zeros, `J_regressor`, `weights`,
    `kintree_table`, `f`, float32, metres) and four more: `point_names` and `point_regressor` (landmarks),
    `lsmplify_body` (the body's name, so that the file is never taken for licensed SMPL) and `license`. It loads back
    without loss. The vertex indices are not SMPL's: what another program keeps for SMPL by vertex index (extra
    keypoints, segmentations, textures) points elsewhere on this body.

    Args:
        body: the open body, as `read_open_body` gives it.
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
    model = _smpl_arrays(body)
    with atomic_output(path) as temporary:
        if suffix == ".pkl":
            with temporary.open("wb") as file:
                pickle.dump(model, file, protocol=2)
        else:
            np.savez_compressed(temporary, **model)


def _smpl_arrays(body: BodyArrays) -> dict[str, Any]:
    vertex_count = len(body.v_template)
    posedirs = body.posedirs
    if posedirs is None:
        posedirs = np.zeros((vertex_count, 3, 9 * (NUM_JOINTS - 1)), dtype=np.float32)
    parents = np.array([_ROOT_PARENT, *PARENTS[1:]], dtype=np.uint32)
    return {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs,
        "posedirs": posedirs,
        "J_regressor": body.j_regressor,
        "weights": body.weights,
        "kintree_table": np.stack([parents, np.arange(NUM_JOINTS, dtype=np.uint32)]),
        "f": body.faces.astype(np.uint32),
        "J": body.j_regressor @ body.v_template,
        "joint_names": np.array(JOINT_NAMES),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
        "point_names": np.array(body.point_names),
        "point_regressor": body.point_regressor,
        "lsmplify_body": body.name,
        "license": OPEN_BODY_LICENSE,
    }
