"""Joints and landmarks of the open body as sparse, non-negative sums of its vertices."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import JOINT_INDEX, JOINT_NAMES, mirrored_name
from open_body_pose import unit
from open_body_source import Source

# How far round a joint its regressor may look for vertices: any direction, and up or down, metres.
REACH: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("pelvis", "left_hip", "spine1", "spine2", "spine3", "neck", "left_collar"), (0.30, 0.20)),
    "left_shoulder": (0.20, 0.20),
    "left_elbow": (0.15, 0.10),
    "left_knee": (0.20, 0.15),
    "head": (0.16, 0.16),
}
# Landmarks that are inner points, as shares of bone heads ("+" = the bone's tail).
LANDMARK_RECIPE: dict[str, dict[str, float]] = {
    "left_eye": {"eye.L": 1.0},
    "left_index_knuckle": {"finger2-1.L": 1.0},
    "left_pinky_knuckle": {"finger5-1.L": 1.0},
    "left_thumb_knuckle": {"finger1-2.L": 1.0},
    "upper_neck": {"neck02": 0.5, "neck03": 0.5},
}
# Landmarks on the skin nearest to a bone's tail.
LANDMARK_TAIL = {
    "left_big_toe": "toe1-2.L",
    "left_small_toe": "toe5-3.L",
    "left_thumb_tip": "finger1-3.L",
    "left_hand_tip": "finger3-3.L",
}


def skin_landmarks(points: np.ndarray, posed: dict[str, np.ndarray], marks: dict[str, int]) -> dict[str, int]:
    """Landmarks on the skin as vertex indices of the subdivided T-posed mean body (`posed`: bone heads and tails)."""

    def extreme(where: np.ndarray, score: np.ndarray) -> int:
        return int(np.where(where, score, -np.inf).argmax())

    x, y, z = points.T
    middle = np.abs(x) < 1e-4
    eye, head, mouth = posed["eye.L"][0], posed["head"][0], points[marks["left_mouth"]]
    found = dict(marks)
    found["nose"] = extreme(middle & (y < eye[1]) & (y > mouth[1] + 0.005), z)
    found["head_top"] = extreme(middle, y)
    chin_zone = middle & (y < mouth[1] - 0.027) & (y > mouth[1] - 0.06) & (z > head[2])
    found["chin"] = extreme(chin_zone, z)
    collar = posed["clavicle.L"][0]
    found["jugular"] = extreme(middle & (z > 0), -np.abs(y - collar[1] - 0.012))
    face = (y > head[1] - 0.05) & (np.abs(x) < 0.12) & (x > 0)
    ear = points[extreme(face & (np.abs(y - eye[1]) < 0.05), x)]
    # The tragus: the skin just in front of the ear's middle, where the side of the head meets it.
    canal = np.array([ear[0] - 0.016, eye[1] - 0.012, ear[2] + 0.012])
    found["left_ear"] = extreme(x > 0, -np.linalg.norm(points - canal, axis=1))
    ankle = posed["foot.L"][0]
    sole = y.min()
    found["left_heel"] = extreme((x > 0) & (y < sole + 0.025) & (y > sole + 0.005), -z - 0.3 * np.abs(x - ankle[0]))
    for name, bone in LANDMARK_TAIL.items():
        head_of, tail = posed[bone]
        along = unit(tail - head_of)
        beside = points - tail
        height = beside @ along
        spread = np.linalg.norm(beside - height[:, None] * along, axis=1)
        found[name] = extreme((np.abs(height) < 0.02) & (spread < 0.012), height - spread)
    return found


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` of (N, 3) points, each as far from those before it as it can be."""
    picked = [int(np.linalg.norm(points, axis=1).argmin())]
    distance = np.linalg.norm(points - points[picked[0]], axis=1)
    while len(picked) < min(count, len(points)):
        picked.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[picked[-1]], axis=1))
    return np.array(picked)


def fit_row(
    vertices: np.ndarray, target: np.ndarray, reach: tuple[float, float], limit: int, mirror: np.ndarray | None
) -> np.ndarray:
    """(V,) non-negative weights, sum 1, that give `target` (N, 3) from `vertices` (N, V, 3).

    First a fit over 150 spread-out vertices within `reach` (metres: any direction, and up or down), then over fewer
    and fewer, the weakest left out, until `limit` remain. With `mirror`, the target lies on the midline and the row is
    made symmetric.
    """
    offset = vertices.mean(axis=0) - target.mean(axis=0)
    near = (np.linalg.norm(offset, axis=1) < reach[0]) & (np.abs(offset[:, 1]) < reach[1])
    chosen = np.flatnonzero(near if mirror is None else near | near[mirror])
    if mirror is not None:
        chosen = chosen[chosen <= mirror[chosen]]  # one of each pair stands for both
        vertices = 0.5 * (vertices + vertices[:, mirror])
    chosen = chosen[spread_out(offset[chosen], 150)]
    while True:
        columns = (vertices[:, chosen] - target[:, None]).transpose(0, 2, 1).reshape(-1, len(chosen))
        pull = 4e-4 * np.sqrt(len(columns)) * np.eye(len(chosen))
        # The columns are relative to the target, so this row only keeps the sum off zero: its weight sets the scale.
        one = np.full((1, len(chosen)), 0.1 * np.sqrt(len(columns)))
        system = np.vstack([columns, pull, one])
        right = np.append(np.zeros(len(columns) + len(chosen)), one[0, 0])
        values, _ = nnls(system, right)
        keep = values > 1e-3 * values.max()
        chosen, values = chosen[keep], values[keep]
        if len(chosen) <= limit:
            break
        # A few at a time, so that those left can still make up for those dropped.
        strongest = np.argsort(-values, kind="stable")[: max(limit, int(0.85 * len(chosen)))]
        chosen = chosen[strongest]
    row = np.zeros(vertices.shape[1])
    row[chosen] = values
    if mirror is not None:
        row = 0.5 * (row + row[mirror])
    row[row < 1e-3 * row.max()] = 0.0
    return row / row.sum()


def fit_regressors(
    source: Source,
    vertices: np.ndarray,
    joints: np.ndarray,
    bones: np.ndarray,
    marks: dict[str, int],
    mirror: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(24, V) joint regressor and (P, V) landmark regressor; the right side mirrors the left."""
    some = slice(None, None, len(vertices) // 300)
    index = {label: i for i, label in enumerate(source.labels)}
    regressor = np.zeros((len(JOINT_NAMES), vertices.shape[1]))
    for name in JOINT_NAMES:
        if name.startswith("right_"):
            continue
        symmetric = None if name.startswith("left_") else mirror
        reach = REACH.get(name, (0.12, 0.06))
        row = fit_row(
            vertices[some], joints[some, JOINT_INDEX[name]], reach, 20 if symmetric is not None else 32, symmetric
        )
        regressor[JOINT_INDEX[name]] = row
        regressor[JOINT_INDEX[mirrored_name(name)]] = row if mirrored_name(name) == name else row[mirror]
    names = list(LANDMARKS)
    points = np.zeros((len(names), vertices.shape[1]))
    for name in names:
        if name.startswith("right_"):
            continue
        if name in LANDMARK_RECIPE:
            target = sum(share * bones[some, 0, index[bone]] for bone, share in LANDMARK_RECIPE[name].items())
            row = fit_row(vertices[some], target, (0.09, 0.06), 20, None if name.startswith("left_") else mirror)
        else:
            row = np.zeros(vertices.shape[1])
            row[marks[name]] = 1.0
        points[names.index(name)] = row
        points[names.index(mirrored_name(name))] = row if mirrored_name(name) == name else row[mirror]
    return regressor, points
