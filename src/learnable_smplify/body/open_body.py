"""The open body: an SMPL-format body made from CC0 data, shipped with the package."""

from __future__ import annotations

from importlib import resources
from os import PathLike

import numpy as np

from learnable_smplify.body.arrays import BodyArrays, HandArrays
from learnable_smplify.hands import SMPLH_JOINT_NAMES
from learnable_smplify.skeleton import NUM_JOINTS

# What motions on the two bodies in the package say that they belong to.
CHILD = "open-child"
OPEN_BODIES = ("open", CHILD)
OPEN_BODY_LICENSE = "CC0-1.0 data, Apache-2.0 build; see OPEN_BODY_NOTICE.txt"


def is_open_body(path: str | PathLike[str] | None) -> bool:
    """Whether `load_body` takes one of the bodies in the package for it."""
    return path is None or str(path) in OPEN_BODIES


def read_open_body(child: bool = False) -> BodyArrays:
    """Read the open body from the installed package (a few milliseconds).

    With `child`, the same mesh, joints and landmarks on children: 10 components of unit variance over 3,000 sampled
    ones from birth to 17 years, the first of which is size. Built by `tools/build_open_child.py`.

    6,890 vertices (SMPL's count, so that tools with that number built in accept it; the indices mean other points
    than SMPL's) and 13,776 triangles, watertight and mirror-symmetric to rounding. Rest pose T: arms level along X,
    palms down, elbows bending about Y, legs nearly straight down; the mean body's pelvis joint within 5 mm of the
    origin; Y up, facing +Z, the body's left at +X, metres. No pose correctives.

    Shape: 10 components of unit variance over 3,000 sampled adults of both sexes. A positive beta makes the body
    taller; the first is size (11 cm of stature a unit round a mean of 1.70 m), the second mostly slimness. They are
    not SMPL's betas. Built by `tools/build_open_body.py`.
    """
    arrays = _shipped("open_body.npz")
    shape = _shipped("open_child.npz") if child else arrays
    names = tuple(str(name) for name in arrays["point_names"])
    return BodyArrays(
        name=OPEN_BODIES[child],
        gender=str(arrays["gender"]),
        v_template=shape["v_template"],
        shapedirs=shape["shapedirs"],
        posedirs=None,
        j_regressor=_dense(arrays, "joint", NUM_JOINTS),
        weights=_skin_weights(arrays, NUM_JOINTS),
        faces=arrays["faces"].astype(np.int64),
        point_names=names,
        point_regressor=_dense(arrays, "point", len(names)),
        averages={} if child else {gender: arrays[f"{gender}_betas"] for gender in ("female", "male")},
    )


def read_open_hands() -> HandArrays:
    """Read the open body with fingers: the open body's 22 joints and betas, and 15 joints a hand.

    The skin outside the hands is the open body's, vertex by vertex (numbered otherwise); the hands have as many
    vertices as fingers need that bend. Built by `tools/build_open_hands.py`.
    """
    arrays = _shipped("open_hands.npz")
    joints = len(SMPLH_JOINT_NAMES)
    return HandArrays(
        v_template=arrays["v_template"],
        shapedirs=arrays["shapedirs"],
        posedirs=None,
        j_regressor=_dense(arrays, "joint", joints),
        weights=_skin_weights(arrays, joints),
        faces=arrays["faces"].astype(np.int64),
        tips=tuple(int(vertex) for vertex in arrays["tips"]),
    )


def _shipped(name: str) -> dict[str, np.ndarray]:
    with (resources.files(__package__) / name).open("rb") as file, np.load(file, allow_pickle=False) as data:
        return dict(data)


def _skin_weights(arrays: dict[str, np.ndarray], joints: int) -> np.ndarray:
    """(V, J) float32 from the few joints that the file names of each vertex."""
    weights = np.zeros((len(arrays["v_template"]), joints), dtype=np.float32)
    np.put_along_axis(weights, arrays["weight_joints"].astype(np.int64), arrays["weight_values"], axis=1)
    return weights


def _dense(arrays: dict[str, np.ndarray], name: str, row_count: int) -> np.ndarray:
    """(rows, V) float32 from the stored rows, vertices and values."""
    matrix = np.zeros((row_count, len(arrays["v_template"])), dtype=np.float32)
    matrix[arrays[f"{name}_rows"], arrays[f"{name}_vertices"]] = arrays[f"{name}_values"]
    return matrix
