"""Read SMPL, SMPL-H and SMPL-X model files, and our own exported body, into `BodyArrays`.

The arrays are taken from the file by our own readers, which run nothing the file contains. The body-models package
would give the same arrays but reads pickles unsafely; it serves as the independent implementation in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from learnable_smplify.betas import NUM_BETAS
from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.landmarks import known_vertices, landmark_regressor
from learnable_smplify.body.model_hands import hand_arrays
from learnable_smplify.body.model_search import find_body25_regressor
from learnable_smplify.errors import InputError, reason
from learnable_smplify.hands import HAND_JOINT_NAMES, NUM_SHARED_JOINTS, SMPLH_JOINT_NAMES
from learnable_smplify.safe_files.npz import read_npz
from learnable_smplify.safe_files.safe_pickle import load_pickle, load_pickle_bytes
from learnable_smplify.skeleton import JOINT_NAMES, NUM_JOINTS, PARENTS, SIDES

# The SMPL models by their number of joints: name, and names of the joints.
_FAMILIES: dict[int, tuple[str, tuple[str, ...]]] = {
    NUM_JOINTS: ("smpl", JOINT_NAMES),
    52: ("smplh", SMPLH_JOINT_NAMES),
    55: ("smplx", (*JOINT_NAMES[:NUM_SHARED_JOINTS], "jaw", "left_eyeball", "right_eyeball", *HAND_JOINT_NAMES)),
}
# The joints of the fingers that are landmarks; a thumb's first is at its root.
_KNUCKLES = {
    f"{side}_{finger}_knuckle": f"{side}_{joint}"
    for side in SIDES
    for finger, joint in (("index", "index1"), ("pinky", "pinky1"), ("thumb", "thumb2"))
}
_REQUIRED = ("v_template", "f", "weights", "shapedirs", "J_regressor", "kintree_table")
_OPTIONAL = (
    *("posedirs", "point_names", "point_regressor", "lsmplify_body"),
    *("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr"),
)
# SMPLX_FEMALE.npz, female/model.npz, basicModel_f_lbs_10_207_0_v1.0.0.pkl.
_GENDER_WORD = re.compile(r"(?<![a-z])(neutral|male|female)(?![a-z])|basicmodel_([mf])_lbs")


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
    if joints not in _FAMILIES:
        raise InputError(
            f"the model has {joints} joints",
            path=path,
            where="array 'kintree_table'",
            expected="24 (SMPL), 52 (SMPL-H) or 55 (SMPL-X)",
        )
    family, names = _FAMILIES[joints]
    # SMPL-H and SMPL-X share SMPL's joints 0..21; 22 and 23 are a finger or the jaw there.
    shared = NUM_JOINTS if joints == NUM_JOINTS else NUM_SHARED_JOINTS
    parents = _parents(tree, shared, path)
    faces = _array(model, "f", (None, 3), path)
    if faces.size and (faces.min() < 0 or faces.max() >= vertices):
        raise InputError("a triangle names a vertex that does not exist", path=path, where="array 'f'")
    weights = _array(model, "weights", (vertices, joints), path)
    if np.abs(weights.sum(axis=1) - 1.0).max(initial=0.0) > 1e-2:
        raise InputError("the skin weights of a vertex do not sum to 1", path=path, where="array 'weights'")
    regressor = _array(model, "J_regressor", (joints, vertices), path)
    correctives = _pose_directions(model, vertices, joints, path)
    middle = [names.index(f"{side}_middle1") for side in SIDES if shared < joints]
    arrays = BodyArrays(
        name=family,
        gender=gender,
        v_template=template.astype(np.float32),
        shapedirs=_shape_directions(model, vertices, path),
        posedirs=None if correctives is None else _reduced_pose_directions(correctives, shared),
        j_regressor=regressor[[*range(shared), *middle]].astype(np.float32),
        weights=_reduced_weights(weights, parents, shared),
        faces=faces.astype(np.int64),
        point_names=(),
        point_regressor=np.zeros((0, vertices), dtype=np.float32),
    )
    if "lsmplify_body" in model:
        own = tuple(str(name) for name in np.asarray(model.get("point_names", ())).ravel().tolist())
        points = _array(model, "point_regressor", (len(own), vertices), path).astype(np.float32)
        return replace(arrays, name=_text(model["lsmplify_body"]), point_names=own, point_regressor=points)
    if shared < joints:
        hands = hand_arrays(model, arrays, regressor, weights, correctives, known_vertices(arrays))
        arrays = replace(arrays, hands=hands)
    arrays = replace(arrays, gender=_named_gender(path) or gender)
    regressor_file = find_body25_regressor(path)
    body25 = None
    if regressor_file is not None and vertices == 6890 and known_vertices(arrays):
        body25 = read_body25_regressor(regressor_file, vertices)
    knuckles = {point: regressor[names.index(joint)] for point, joint in _KNUCKLES.items() if joint in names}
    landmarks, points = landmark_regressor(arrays, body25, knuckles)
    return replace(arrays, point_names=landmarks, point_regressor=points, body25_regressor=body25)


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
    value = np.asarray(model.get(key))
    if value.dtype == object and value.ndim == 0:
        value = np.asarray(value.item())
    sides = tuple(have if want is None else want for want, have in zip(shape, value.shape, strict=False))
    if value.dtype.kind not in "fiu":
        problem = "the array holds no numbers"
    elif value.ndim != len(shape) or value.shape != sides:
        problem = f"the array has shape {value.shape}"
    elif not np.isfinite(value).all():
        problem = "the array holds NaN or infinity"
    else:
        return value.astype(np.float64)
    expected = f"numbers of shape ({', '.join('any' if side is None else str(side) for side in shape)})"
    raise InputError(problem, path=path, where=f"array '{key}'", expected=expected)


def _parents(tree: np.ndarray, shared: int, path: Path) -> list[int]:
    parents = [-1, *(int(parent) for parent in tree[0, 1:])]  # the root's parent is written as -1 or 2**32 - 1
    if tuple(parents[:shared]) != PARENTS[:shared] or any(not 0 <= p < j for j, p in enumerate(parents) if j):
        raise InputError(
            "the joints are not connected as in SMPL", path=path, where="array 'kintree_table'", expected="SMPL's tree"
        )
    return parents


def _shape_directions(model: Mapping[str, Any], vertices: int, path: Path) -> Float[np.ndarray, "V 3 10"]:
    directions = _array(model, "shapedirs", (vertices, 3, None), path)[:, :, :NUM_BETAS]
    missing = NUM_BETAS - directions.shape[2]
    return np.pad(directions, ((0, 0), (0, 0), (0, missing))).astype(np.float32)


def _pose_directions(
    model: Mapping[str, Any], vertices: int, joints: int, path: Path
) -> Float[np.ndarray, "V 3 P"] | None:
    if model.get("posedirs") is None:
        return None
    directions = _array(model, "posedirs", (vertices, 3, 9 * (joints - 1)), path)
    # Our own exported body carries zeros, for readers that insist on the array.
    return directions if directions.any() else None


def _reduced_pose_directions(directions: Float[np.ndarray, "V 3 P"], shared: int) -> Float[np.ndarray, "V 3 207"]:
    kept = directions[:, :, : 9 * (shared - 1)]
    return np.pad(kept, ((0, 0), (0, 0), (0, 9 * (NUM_JOINTS - shared)))).astype(np.float32)


def _reduced_weights(weights: np.ndarray, parents: list[int], shared: int) -> Float[np.ndarray, "V 24"]:
    """Weights of joints beyond SMPL's go to their nearest ancestor among SMPL's."""
    reduced = np.zeros((len(weights), NUM_JOINTS))
    for joint in range(weights.shape[1]):
        ancestor = joint
        while ancestor >= shared:
            ancestor = parents[ancestor]
        reduced[:, ancestor] += weights[:, joint]
    return reduced.astype(np.float32)


def _text(value: Any) -> str:
    value = np.asarray(value).reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
