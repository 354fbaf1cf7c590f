"""Normals of a mesh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def vertex_normals(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "V 3"]:
    """Unit outward normals, each face counted by its area; a vertex without faces gets zeros."""
    spread = np.repeat(area_normals(vertices, faces), 3, axis=0)
    summed = [np.bincount(faces.ravel(), weights=spread[:, axis], minlength=len(vertices)) for axis in range(3)]
    normals = np.stack(summed, axis=1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def area_normals(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "F 3"]:
    """Outward normals as long as twice the face's area."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normals = np.cross(b - a, c - a)
    # A closed mesh wound the other way round has a negative volume.
    return -normals if float(np.einsum("fi,fi->", a - vertices.mean(axis=0), normals)) < 0 else normals
