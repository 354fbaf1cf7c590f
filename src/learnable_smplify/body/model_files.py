"""Read SMPL, SMPL-H and SMPL-X model files, and our own exported body, into `BodyArrays`.

The arrays are taken from the file by our own readers, which run nothing the file contains. The body-models package
would give the same arrays but reads pickles unsafely; it serves as the independent implementation in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.landmarks import known_vertices, landmark_regressor
from learnable_smplify.body.model_hands import hand_arrays
from learnable_smplify.body.model_search import find_body25_regressor
from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.npz import read_npz
from learnable_smplify.safe_files.safe_pickle import load_pickle, load_pickle_bytes
from learnable_smplify.skeleton import NUM_JOINTS, PARENTS

_NUM_BETAS = 10
# SMPL-H and SMPL-X share SMPL's joints 0..21; 22 and 23 are a finger or the jaw there.
_SHARED_JOINTS = 22
_REQUIRED = ("v_template", "f", "weights", "shapedirs", "J_regressor", "kintree_table")
_OPTIONAL = (
    *("posedirs", "point_names", "point_regressor", "lsmplify_body"),
    *("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr"),
)
# SMPLX_FEMALE.npz, female/model.npz, basicModel_f_lbs_10_207_0_v1.0.0.pkl.
_GENDER_WORD = re.compile(r"(?<![a-z])(neutral|male|female)(?![a-z])|basicmodel_([mf])_lbs")


@dataclass(frozen=True)
class _Family:
    """What is particular to one of the SMPL models: its joints of the hands, by index."""

    name: str
    middle: tuple[int, int]
    knuckles: tuple[tuple[str, int], ...]


def _family(name: str, left_hand: int, right_hand: int) -> _Family:
    # Three joints a finger, in the order index, middle, pinky, ring, thumb.
    fingers = (("index_knuckle", 0), ("pinky_knuckle", 6), ("thumb_knuckle", 13))
    return _Family(
        name,
        (left_hand + 3, right_hand + 3),
        tuple(
            (f"{side}_{finger}", first + offset)
            for side, first in (("left", left_hand), ("right", right_hand))
            for finger, offset in fingers
        ),
    )


_FAMILIES: dict[int, _Family] = {
    NUM_JOINTS: _Family("smpl", (22, 23), ()),
    52: _family("smplh", 22, 37),
    55: _family("smplx", 25, 40),
}


def read_model(path: str | PathLike[str], gender: str = "neutral") -> BodyArrays:
    """The body in an SMPL, SMPL-H or SMPL-X file (.pkl or .npz) or in one that `lsmplify export-body` wrote.

    SMPL-H and SMPL-X are reduced to SMPL's 24 joints: fingers move with the wrist, jaw and eyes with the head, and
    left_hand / right_hand sit at the root of the middle finger and move nothing. The same body with its fingers is in
    `hands`.
    Landmarks come from the file when it has them (our own body), else from `body.landmarks`, with EasyMocap's
    BODY_25 regressor for those it covers when the user has it (`find_body25_regressor`).

    Args:
        path: the file; nothing in it is executed.
        gender: recorded in the result where the file's name tells none (`SMPLX_FEMALE.npz` and `female/model.npz` do;
            our own body's name is not asked).

    Raises:
        InputError: missing, damaged, unsafe, or not such a model; the message names the array.
    """
    path = Path(path)
    model = _read_arrays(path)
    lacking = [key for key in _REQUIRED if key not in model]
    if lacking:
        raise InputError(
            f"not an SMPL-family model: it lacks {', '.join(lacking)}",
            path=path,
            expected="an SMPL, SMPL-H or SMPL-X model file",
            hint="lsmplify doctor (lists the models found)",
        )
    template = _array(model, "v_template", (None, 3), path)
    vertices = len(template)
    tree = _array(model, "kintree_table", (2, None), path)
    joints = tree.shape[1]
    family = _FAMILIES.get(joints)
    if family is None:
        raise InputError(
            f"the model has {joints} joints",
            path=path,
            where="array 'kintree_table'",
            expected="24 (SMPL), 52 (SMPL-H) or 55 (SMPL-X)",
        )
    parents = _parents(tree, family, path)
    faces = _array(model, "f", (None, 3), path)
    if faces.size and (faces.min() < 0 or faces.max() >= vertices):
        raise InputError("a triangle names a vertex that does not exist", path=path, where="array 'f'")
    weights = _array(model, "weights", (vertices, joints), path)
    if np.abs(weights.sum(axis=1) - 1.0).max(initial=0.0) > 1e-2:
        raise InputError("the skin weights of a vertex do not sum to 1", path=path, where="array 'weights'")
    regressor = _array(model, "J_regressor", (joints, vertices), path)

    arrays = BodyArrays(
        name=family.name,
        gender=gender,
        v_template=template.astype(np.float32),
        shapedirs=_shape_directions(model, vertices, path),
        posedirs=_pose_directions(model, vertices, joints, path),
        j_regressor=_reduced_regressor(regressor, family),
        weights=_reduced_weights(weights, parents),
        faces=faces.astype(np.int64),
        point_names=(),
        point_regressor=np.zeros((0, vertices), dtype=np.float32),
    )
    if "lsmplify_body" in model:
        names = tuple(str(name) for name in np.asarray(model.get("point_names", ())).ravel().tolist())
        points = _array(model, "point_regressor", (len(names), vertices), path).astype(np.float32)
        return replace(arrays, name=_text(model["lsmplify_body"]), point_names=names, point_regressor=points)
    if joints > NUM_JOINTS:
        tips = {name: vertex for name, vertex in known_vertices(arrays).items() if name.endswith("_tip")}
        correctives = None if arrays.posedirs is None else _array(model, "posedirs", (vertices, 3, None), path)
        parts = (regressor, weights, correctives, template, arrays.shapedirs, arrays.faces)
        arrays = replace(arrays, hands=hand_arrays(model, *parts, tips))
    arrays = replace(arrays, gender=_named_gender(path) or gender)
    regressor_file = find_body25_regressor(path)
    body25 = None
    if regressor_file is not None and vertices == 6890 and known_vertices(arrays):
        body25 = read_body25_regressor(regressor_file, vertices)
    knuckles = {name: regressor[joint] for name, joint in family.knuckles}
    names, points = landmark_regressor(arrays, body25, knuckles)
    return replace(arrays, point_names=names, point_regressor=points, body25_regressor=body25)


def read_body25_regressor(path: str | PathLike[str], vertices: int) -> Float[np.ndarray, "25 V"]:
    """EasyMocap's BODY_25 keypoints as weights of a mesh's vertices.

    Raises:
        InputError: not a (25, `vertices`) array of finite numbers with rows that sum to 1.
    """
    path = Path(path)
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except Exception as error:  # NumPy reads the header as Python text: damaged bytes raise nearly anything
        raise InputError(f"not a readable .npy file ({reason(error)})", path=path) from error
    if array.shape != (25, vertices) or array.dtype.kind not in "fiu":
        raise InputError(
            f"the regressor has shape {array.shape} of {array.dtype}", path=path, expected=f"numbers, (25, {vertices})"
        )
    regressor = np.asarray(array, dtype=np.float32)
    if not np.isfinite(regressor).all() or np.abs(regressor.sum(axis=1) - 1.0).max() > 1e-2:
        raise InputError("the regressor's rows do not sum to 1", path=path, expected="J_regressor_body25.npy")
    return regressor


def _named_gender(path: Path) -> str | None:
    """No array of these files tells the gender; betas of another one are as good as random, so the name counts."""
    found = _GENDER_WORD.findall((path.parent.name if path.stem == "model" else path.stem).lower())
    if len(found) != 1:
        return None
    word, letter = found[0]
    return word or {"m": "male", "f": "female"}[letter]


def _read_arrays(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".npz":
        return dict(read_npz(path, {*_REQUIRED, *_OPTIONAL}, read_objects=load_pickle_bytes))
    if path.suffix.lower() == ".pkl":
        if not path.exists():
            raise InputError("there is no such file", path=path, hint="lsmplify doctor (lists the models found)")
        model = load_pickle(path)
        if not isinstance(model, dict):
            raise InputError(f"the pickle holds a {type(model).__name__}", path=path, expected="an SMPL model's arrays")
        return model
    raise InputError(
        f"body models do not end in '{path.suffix}'",
        path=path,
        expected="a .pkl or .npz file, or one of smpl, smplh, smplx to search for one",
        hint="lsmplify doctor (lists the models found)",
    )


def _array(model: Mapping[str, Any], key: str, shape: tuple[int | None, ...], path: Path) -> Float[np.ndarray, "..."]:
    """One array as float64, its shape checked; None in `shape` stands for any size."""
    expected = f"numbers of shape ({', '.join('any' if side is None else str(side) for side in shape)})"
    value = np.asarray(model.get(key))
    if value.dtype == object and value.ndim == 0:
        value = np.asarray(value.item())
    if value.dtype.kind not in "fiu":
        raise InputError("the array holds no numbers", path=path, where=f"array '{key}'", expected=expected)
    if value.ndim != len(shape) or any(
        want is not None and want != have for want, have in zip(shape, value.shape, strict=True)
    ):
        raise InputError(f"the array has shape {value.shape}", path=path, where=f"array '{key}'", expected=expected)
    value = value.astype(np.float64)
    if not np.isfinite(value).all():
        raise InputError("the array holds NaN or infinity", path=path, where=f"array '{key}'", expected=expected)
    return value


def _parents(tree: np.ndarray, family: _Family, path: Path) -> list[int]:
    parents = [-1, *(int(parent) for parent in tree[0, 1:])]  # the root's parent is written as -1 or 2**32 - 1
    shared = NUM_JOINTS if family.name == "smpl" else _SHARED_JOINTS
    if tuple(parents[:shared]) != PARENTS[:shared] or any(not 0 <= p < j for j, p in enumerate(parents) if j):
        raise InputError(
            "the joints are not connected as in SMPL", path=path, where="array 'kintree_table'", expected="SMPL's tree"
        )
    return parents


def _shape_directions(model: Mapping[str, Any], vertices: int, path: Path) -> Float[np.ndarray, "V 3 10"]:
    directions = _array(model, "shapedirs", (vertices, 3, None), path)[:, :, :_NUM_BETAS]
    missing = _NUM_BETAS - directions.shape[2]
    return np.pad(directions, ((0, 0), (0, 0), (0, missing))).astype(np.float32)


def _pose_directions(
    model: Mapping[str, Any], vertices: int, joints: int, path: Path
) -> Float[np.ndarray, "V 3 207"] | None:
    if model.get("posedirs") is None:
        return None
    directions = _array(model, "posedirs", (vertices, 3, 9 * (joints - 1)), path)
    if not directions.any():
        return None  # our own exported body carries zeros, for readers that insist on the array
    if joints == NUM_JOINTS:
        return directions.astype(np.float32)
    kept = directions[:, :, : 9 * (_SHARED_JOINTS - 1)]
    return np.pad(kept, ((0, 0), (0, 0), (0, 9 * (NUM_JOINTS - _SHARED_JOINTS)))).astype(np.float32)


def _reduced_regressor(regressor: np.ndarray, family: _Family) -> Float[np.ndarray, "24 V"]:
    return regressor[[*range(_SHARED_JOINTS), *family.middle]].astype(np.float32)


def _reduced_weights(weights: np.ndarray, parents: list[int]) -> Float[np.ndarray, "V 24"]:
    """Weights of joints beyond SMPL's go to their nearest ancestor among SMPL's."""
    joints = weights.shape[1]
    if joints == NUM_JOINTS:
        return weights.astype(np.float32)
    reduced = np.zeros((len(weights), NUM_JOINTS))
    for joint in range(joints):
        ancestor = joint
        while ancestor >= _SHARED_JOINTS:
            ancestor = parents[ancestor]
        reduced[:, ancestor] += weights[:, joint]
    return reduced.astype(np.float32)


def _text(value: Any) -> str:
    value = np.asarray(value).reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
