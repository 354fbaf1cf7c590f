"""The open body as SMPL-H and SMPL-X model files: real files' arrays, on a mesh whose motion means something.

The body joints, their weights and the first ten shape components are the open body's. Its hands become fifteen joints
each, SMPL-X gets a jaw and eyes, and every vertex that SMPL-based programs know by number (nose, toes, finger tips)
is put where they expect it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.skeleton import JOINT_INDEX
from test_model_files import JOINTS, SHAPES, parents_of, save

KINDS = ("smplh", "smplx")
VERTICES = {"smplh": 6890, "smplx": 10475}
FIRST_FINGER = {"smplh": 22, "smplx": 25}
# In the order of the joints: three a finger.
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
POINTS = {
    "nose": "nose",
    "reye": "right_eye",
    "leye": "left_eye",
    "rear": "right_ear",
    "lear": "left_ear",
    "LBigToe": "left_big_toe",
    "LSmallToe": "left_small_toe",
    "LHeel": "left_heel",
    "RBigToe": "right_big_toe",
    "RSmallToe": "right_small_toe",
    "RHeel": "right_heel",
}
"""Vertices that the smplx package takes for keypoints, by its names and in its order, and what BODY_25 calls them."""
_OWN_NAMES = POINTS | {f"{side[0]}{finger}": f"{side}_{finger}_tip" for side in ("left", "right") for finger in FINGERS}


@functools.cache
def family_model(kind: str, seed: int = 0) -> dict[str, Any]:
    """Every array that `smplx.SMPLH` or `smplx.SMPLX` asks of a file, and no body of theirs."""
    rng = np.random.default_rng(seed)
    body, joints, vertices = read_open_body(), JOINTS[kind], VERTICES[kind]
    order = _vertex_order(body, kind, rng)
    place = np.zeros(len(body.v_template), dtype=np.int64)
    place[order[::-1]] = np.arange(vertices)[::-1]  # where a vertex is there twice, its first place
    joint_rows, weights = _joints(body, kind)
    regressor = np.zeros((joints, vertices), dtype=np.float32)
    regressor[:, place] = joint_rows
    further = rng.normal(scale=0.002, size=(vertices, 3, SHAPES[kind] - 10))  # more betas, and expressions
    parents = np.array(parents_of(kind)).astype(np.uint32)
    model: dict[str, Any] = {
        "v_template": body.v_template[order],
        "f": place[body.faces].astype(np.uint32),
        "weights": weights[order].astype(np.float32),
        "shapedirs": np.concatenate((body.shapedirs[order], further), axis=2).astype(np.float32),
        "posedirs": rng.normal(scale=3e-4, size=(vertices, 3, 9 * (joints - 1))).astype(np.float32),
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(joints, dtype=np.uint32)]),
        "bs_type": np.array("lrotmin"),
        "joint2num": np.array({f"joint{joint}": joint for joint in range(joints)}, dtype=object),
    }
    for side in "lr":
        model[f"hands_mean{side}"] = rng.normal(scale=0.2, size=45)
        model[f"hands_components{side}"] = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    if kind == "smplx":
        model |= {
            "lmk_faces_idx": np.arange(51),
            "lmk_bary_coords": np.full((51, 3), 1 / 3),
            "dynamic_lmk_faces_idx": np.zeros((79, 17), dtype=np.int64),
            "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
        }
    return model


def save_family(kind: str, path: Path) -> Path:
    """Write the body of `family_model`: .npz, or .pkl with a sparse regressor as the older files have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = family_model(kind)
    return save(model if path.suffix == ".npz" else {**model, "joint2num": {}}, path)


def _fingers(body: BodyArrays, side: str) -> tuple[np.ndarray, dict[str, int]]:
    """Rows (15, V) of the finger joints of one hand, and the vertex at the tip of each finger."""
    points = dict(zip(body.point_names, body.point_regressor.astype(np.float64), strict=True))
    wrist, middle = (body.j_regressor[JOINT_INDEX[f"{side}_{joint}"]].astype(np.float64) for joint in ("wrist", "hand"))
    pinky = points[f"{side}_pinky_knuckle"]
    knuckles = {
        "index": points[f"{side}_index_knuckle"],
        "middle": middle,
        "pinky": pinky,
        "ring": (middle + pinky) / 2,
        "thumb": (wrist + points[f"{side}_thumb_knuckle"]) / 2,
    }
    hand = np.flatnonzero(body.weights[:, [JOINT_INDEX[f"{side}_{joint}"] for joint in ("wrist", "hand")]].sum(1) > 0.9)
    middle_finger = (points[f"{side}_hand_tip"] - middle) @ body.v_template
    rows, tips = [], {}
    for finger in FINGERS:
        root = knuckles[finger]
        end = points[f"{side}_thumb_tip"] if finger == "thumb" else points[f"{side}_hand_tip"]
        target = end @ body.v_template
        if finger not in ("thumb", "middle"):
            target = root @ body.v_template + 0.9 * middle_finger
        tips[finger] = int(hand[np.linalg.norm(body.v_template[hand] - target, axis=1).argmin()])
        tip = np.eye(1, len(body.v_template), tips[finger])[0]
        second = points[f"{side}_thumb_knuckle"] if finger == "thumb" else 0.55 * root + 0.45 * tip
        rows += [root, second, 0.3 * root + 0.7 * tip]
    assert len(set(tips.values())) == len(FINGERS)
    return np.stack(rows), tips


def _joints(body: BodyArrays, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows (J, V) and weights (V, J) of all joints, on the open body's own vertices."""
    first = FIRST_FINGER[kind]
    points = dict(zip(body.point_names, body.point_regressor.astype(np.float64), strict=True))
    rows = np.zeros((JOINTS[kind], len(body.v_template)))
    rows[:22] = body.j_regressor[:22]
    weights = np.zeros((len(body.v_template), JOINTS[kind]))
    weights[:, :22] = body.weights[:, :22]
    for number, side in enumerate(("left", "right")):
        joints = slice(first + 15 * number, first + 15 * (number + 1))
        rows[joints] = _fingers(body, side)[0]
        distance = np.linalg.norm(body.v_template[:, None] - rows[joints] @ body.v_template, axis=2)
        nearest = first + 15 * number + np.argsort(distance, axis=1)[:, :2]
        share = body.weights[:, [JOINT_INDEX[f"{side}_hand"]]] * [0.75, 0.25]
        np.put_along_axis(weights, nearest, share, axis=1)
    if kind == "smplx":
        rows[22] = (points["left_ear"] + points["right_ear"]) / 2
        rows[23], rows[24] = points["left_eye"], points["right_eye"]
        head = weights[:, JOINT_INDEX["head"]].copy()
        mouth, ear = (points[name] @ body.v_template for name in ("left_mouth", "left_ear"))
        below = (body.v_template[:, 1] < mouth[1]) & (body.v_template[:, 2] > ear[2])
        moving = {22: below * 0.6}
        moving |= {
            eye: np.linalg.norm(body.v_template - rows[eye] @ body.v_template, axis=1) < 0.012 for eye in (23, 24)
        }
        for joint, share in moving.items():
            weights[:, joint] = head * share
            weights[:, JOINT_INDEX["head"]] -= weights[:, joint]
    return rows, weights


def _vertex_order(body: BodyArrays, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(V,) the open body's vertex at each place of the new mesh; the vertices it has too few of are there twice."""
    from smplx.vertex_ids import vertex_ids

    wanted = dict(zip(body.point_names, body.point_regressor @ body.v_template, strict=True))
    vertices = {
        f"{side}_{finger}_tip": v for side in ("left", "right") for finger, v in _fingers(body, side)[1].items()
    }
    count = len(body.v_template)
    order = np.concatenate((np.arange(count), rng.choice(count, VERTICES[kind] - count)))
    for name, own in _OWN_NAMES.items():
        vertex = vertices.get(own)
        if vertex is None:
            vertex = int(np.linalg.norm(body.v_template - wanted[own], axis=1).argmin())
        here, there = vertex_ids[kind][name], int(np.flatnonzero(order == vertex)[0])
        order[[here, there]] = order[[there, here]]
    return order
