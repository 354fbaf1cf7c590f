"""Landmarks on bodies that bring none: which vertices of an SMPL-family mesh are the nose, the toes, ...

For SMPL's and SMPL-X's own meshes the face, feet and finger tips are the vertices that the literature uses; the other
points, and all points of any other mesh, follow from simple rules on the rest pose (T-pose, Y up, Z forward, X to the
body's left). Eyes are points on the skin here, not the centres of the eyeballs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from learnable_smplify.body.arrays import BodyArrays
from learnable_smplify.layouts.points import LANDMARKS
from learnable_smplify.skeleton import JOINT_INDEX

# Landmarks that the literature knows by number: their vertices on SMPL's and on SMPL-X's mesh, which SMPL-based methods
# have in common (they place OpenPose's keypoints on the mesh), and their rows in a BODY_25 regressor.
_NUMBERED: tuple[tuple[str, int, int, int | None], ...] = (
    ("nose", 332, 9120, 0),
    ("right_eye", 6260, 9929, 15),
    ("left_eye", 2800, 9448, 16),
    ("right_ear", 4071, 616, 17),
    ("left_ear", 583, 6, 18),
    ("left_big_toe", 3216, 5770, 19),
    ("left_small_toe", 3226, 5780, 20),
    ("left_heel", 3387, 8846, 21),
    ("right_big_toe", 6617, 8463, 22),
    ("right_small_toe", 6624, 8474, 23),
    ("right_heel", 6787, 8635, 24),
    ("left_thumb_tip", 2746, 5361, None),
    ("left_index_tip", 2319, 4933, None),
    ("left_hand_tip", 2445, 5058, None),
    ("left_ring_tip", 2556, 5169, None),
    ("left_pinky_tip", 2673, 5286, None),
    ("right_thumb_tip", 6191, 8079, None),
    ("right_index_tip", 5782, 7669, None),
    ("right_hand_tip", 5905, 7794, None),
    ("right_ring_tip", 6016, 7905, None),
    ("right_pinky_tip", 6133, 8022, None),
)
_VERTICES: dict[int, dict[str, int]] = {
    6890: {name: vertex for name, vertex, _, _ in _NUMBERED},
    10475: {name: vertex for name, _, vertex, _ in _NUMBERED},
}
_BODY25_ROWS: dict[str, int] = {name: row for name, _, _, row in _NUMBERED if row is not None}

# How far along the straight line from wrist to finger tip the knuckle lies (hand proportions of adults).
_KNUCKLES = {"index": 0.53, "pinky": 0.53, "thumb": 0.58}


def landmark_regressor(
    arrays: BodyArrays,
    regressor25: Float[np.ndarray, "25 V"] | None = None,
    knuckles: Mapping[str, Float[np.ndarray, "V"]] | None = None,
) -> tuple[tuple[str, ...], Float[np.ndarray, "P V"]]:
    """Every landmark of `layouts.points` as weights of a body's vertices.

    Args:
        arrays: a body whose own points are empty or to be replaced.
        regressor25: BODY_25 keypoints from vertices; its face and foot rows are taken as they are.
        knuckles: rows for some of the finger knuckles (SMPL-H and SMPL-X have joints there).

    Returns:
        The names and their rows, each summing to 1.
    """
    rows = _Rules(arrays).rows()
    rows |= {name: np.asarray(row, dtype=np.float64) for name, row in (knuckles or {}).items()}
    if regressor25 is not None:
        rows |= {name: np.asarray(regressor25[row], dtype=np.float64) for name, row in _BODY25_ROWS.items()}
    return tuple(LANDMARKS), np.stack([rows[name] for name in LANDMARKS]).astype(np.float32)


def known_vertices(arrays: BodyArrays) -> dict[str, int]:
    """The literature's vertex numbers, if this is SMPL's or SMPL-X's own mesh; empty otherwise.

    The number of vertices alone does not tell: the open body has as many as SMPL. So each vertex must also move with
    the part of the body it is said to be on.
    """
    known = _VERTICES.get(len(arrays.v_template), {})
    for name, vertex in known.items():
        side = name.split("_", 1)[0]
        joints: tuple[str, ...] = ("head",)
        if "toe" in name or "heel" in name:
            joints = (f"{side}_ankle", f"{side}_foot")
        elif "tip" in name:
            joints = (f"{side}_wrist", f"{side}_hand")
        if arrays.weights[vertex, [JOINT_INDEX[joint] for joint in joints]].sum() <= 0.5:
            return {}
    return known


class _Rules:
    """The geometric rules, on one body's rest mesh."""

    def __init__(self, arrays: BodyArrays) -> None:
        self._vertices = arrays.v_template.astype(np.float64)
        self._weights = arrays.weights
        self._joint_rows = arrays.j_regressor.astype(np.float64)
        self._joints = self._joint_rows @ self._vertices
        self._known = known_vertices(arrays)

    def rows(self) -> dict[str, np.ndarray]:
        rows = self._head()
        for side, sign in (("left", 1.0), ("right", -1.0)):
            rows |= self._face_side(side, sign, rows)
            rows |= self._foot(side, sign)
            rows |= self._hand(side, sign)
        return rows

    def _head(self) -> dict[str, np.ndarray]:
        head = self._part("head")
        neck = self._part("neck", "head", "spine3")
        middle = self._joints[JOINT_INDEX["head"], 0]
        off_middle = np.abs(self._vertices[:, 0] - middle)
        _, y, z = self._vertices.T
        top = self._farthest(head, y - 2.0 * off_middle)
        # Forward and down: the nose is farther forward than the chin, but by less than it is higher.
        chin = self._farthest(head, z - y - 3.0 * off_middle)
        chin_y = self._at(chin)[1]
        nose = self._row("nose", self._farthest(head, z - 0.2 * np.abs(y - chin_y) - 2.0 * off_middle))
        neck_z = self._joints[[JOINT_INDEX["neck"], JOINT_INDEX["head"]], 2].mean()
        sides = [self._nearest(neck, (middle + sign * 0.06, chin_y, neck_z)) for sign in (1.0, -1.0)]
        collar_y = self._joints[[JOINT_INDEX["left_collar"], JOINT_INDEX["right_collar"]], 1].mean()
        notch_y = 0.7 * collar_y + 0.3 * self._joints[JOINT_INDEX["neck"], 1]
        jugular = self._farthest(neck, z - 3.0 * np.abs(y - notch_y) - 3.0 * off_middle)
        return {
            "head_top": top,
            "chin": chin,
            "nose": nose,
            "upper_neck": 0.5 * (sides[0] + sides[1]),
            "jugular": jugular,
        }

    def _face_side(self, side: str, sign: float, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Eye, its corners, ear and corner of the mouth, by proportions of the head's height."""
        head = self._part("head")
        nose = self._at(rows["nose"])
        height = self._at(rows["head_top"])[1] - self._at(rows["chin"])[1]

        def place(outward: float, up: float, forward: float) -> np.ndarray:
            return self._nearest(head, nose + height * np.array([sign * outward, up, forward]))

        eye = self._row(f"{side}_eye", place(0.14, 0.15, -0.14))
        at_eye = self._at(eye)
        along_lid = height * np.array([sign * 0.065, 0.0, 0.0])
        return {
            f"{side}_eye": eye,
            f"{side}_eye_inner": self._nearest(head, at_eye - along_lid),
            f"{side}_eye_outer": self._nearest(head, at_eye + along_lid - [0.0, 0.0, 0.05 * height]),
            f"{side}_ear": self._row(f"{side}_ear", place(0.33, 0.06, -0.53)),
            f"{side}_mouth": place(0.11, -0.20, -0.12),
        }

    def _foot(self, side: str, sign: float) -> dict[str, np.ndarray]:
        foot = self._part(f"{side}_ankle", f"{side}_foot")
        x, y, z = self._vertices.T
        outward = sign * x
        return {
            f"{side}_big_toe": self._row(f"{side}_big_toe", self._farthest(foot, z - 0.4 * outward)),
            f"{side}_small_toe": self._row(f"{side}_small_toe", self._farthest(foot, z + 1.5 * outward)),
            f"{side}_heel": self._row(f"{side}_heel", self._farthest(foot, -z - 0.5 * y)),
        }

    def _hand(self, side: str, sign: float) -> dict[str, np.ndarray]:
        hand = self._part(f"{side}_wrist", f"{side}_hand")
        wrist_row = self._joint_rows[JOINT_INDEX[f"{side}_wrist"]]
        x, _, z = self._vertices.T
        outward = sign * x
        tips = {
            "index": self._row(f"{side}_index_tip", self._farthest(hand, outward + 0.7 * z)),
            "pinky": self._row(f"{side}_pinky_tip", self._farthest(hand, outward - 1.2 * z)),
            "thumb": self._row(f"{side}_thumb_tip", self._farthest(hand, 1.5 * z + 0.3 * outward)),
        }
        # Fingers are straight and rigid here, so a knuckle is a point on the line from the wrist to the tip.
        rows = {
            f"{side}_{finger}_knuckle": (1.0 - share) * wrist_row + share * tips[finger]
            for finger, share in _KNUCKLES.items()
        }
        reach = np.linalg.norm(self._vertices - self._joints[JOINT_INDEX[f"{side}_wrist"]], axis=1)
        rows[f"{side}_thumb_tip"] = tips["thumb"]
        rows[f"{side}_hand_tip"] = self._row(f"{side}_hand_tip", self._farthest(hand, reach))
        return rows

    def _part(self, *joints: str) -> np.ndarray:
        """Indices of the vertices that move mostly with these joints; all vertices when there are none."""
        share = self._weights[:, [JOINT_INDEX[joint] for joint in joints]].sum(axis=1)
        chosen = np.flatnonzero(share > 0.5)
        return chosen if len(chosen) else np.arange(len(self._vertices))

    def _row(self, known_as: str, otherwise: np.ndarray) -> np.ndarray:
        return self._one(self._known[known_as]) if known_as in self._known else otherwise

    def _one(self, vertex: int) -> np.ndarray:
        row = np.zeros(len(self._vertices))
        row[vertex] = 1.0
        return row

    def _farthest(self, part: np.ndarray, score: np.ndarray) -> np.ndarray:
        return self._one(int(part[np.argmax(score[part])]))

    def _nearest(self, part: np.ndarray, target: np.ndarray | tuple[float, float, float]) -> np.ndarray:
        return self._farthest(part, -np.linalg.norm(self._vertices - np.asarray(target), axis=1))

    def _at(self, row: np.ndarray) -> np.ndarray:
        return row @ self._vertices
