"""Mesh steps of the open body: closing the face, one Catmull-Clark step, and a mirror-symmetric decimation.

Everything here is linear in the vertices (each new vertex is a fixed weighted sum of MakeHuman's), so blend shapes and
skin weights follow the geometry through one sparse matrix.
"""

from __future__ import annotations

import heapq

import numpy as np
import scipy.sparse as sp

Polygon = tuple[int, ...]


def boundary_loops(polygons: list[Polygon]) -> list[list[int]]:
    """Closed loops of boundary half-edges, each in the direction its faces run."""
    half_edges = {(a, b) for face in polygons for a, b in zip(face, (*face[1:], face[0]), strict=True)}
    following = {a: b for a, b in sorted(half_edges) if (b, a) not in half_edges}
    loops = []
    while following:
        start = min(following)
        loop = [start]
        vertex = following.pop(start)
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(loop)
    return loops


def cap_fan(loop: list[int], centre: int) -> list[Polygon]:
    """Triangles from a new vertex `centre` to every edge of a boundary loop."""
    return [(b, a, centre) for a, b in zip(loop, (*loop[1:], loop[0]), strict=True)]


def cap_zip(loop: list[int], first: int) -> list[Polygon]:
    """Quads that close a slit (the mouth) whose loop is symmetric about its vertex `first`."""
    start = loop.index(first)
    ring = (loop[start:] + loop[:start])[::-1]  # reversed: a cap runs against the faces it joins
    ring = [ring[-1], *ring[:-1]]
    count = len(ring)
    half = count // 2
    faces: list[Polygon] = []
    for side in (+1, -1):
        path = [ring[(side * k) % count] for k in range(half + 1)]  # from one midline vertex to the other
        for k in range(half // 2):
            quad = (path[k], path[k + 1], path[half - k - 1], path[half - k])
            quad = tuple(dict.fromkeys(quad))
            if len(quad) > 2:
                faces.append(quad if side > 0 else quad[::-1])
    return faces


def catmull_clark(
    polygons: list[Polygon], mirror: np.ndarray
) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray, np.ndarray]:
    """One Catmull-Clark step on a closed mesh.

    Args:
        polygons: faces over vertices 0..V-1, all used.
        mirror: (V,) the vertex on the other side of the body.

    Returns:
        (V', V) matrix of new vertices from old ones, (F, 4) quads, (V',) mirror, (V',) the original vertex a new one
        stems from or -1.
    """
    vertex_count = len(mirror)
    edge_index: dict[tuple[int, int], int] = {}
    edge_faces: list[list[int]] = []
    for number, face in enumerate(polygons):
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            key = (min(a, b), max(a, b))
            if key not in edge_index:
                edge_index[key] = len(edge_faces)
                edge_faces.append([])
            edge_faces[edge_index[key]].append(number)
    if any(len(pair) != 2 for pair in edge_faces):
        raise ValueError("the mesh is not closed")
    face_base, edge_base = vertex_count, vertex_count + len(polygons)
    face_points = sp.csr_matrix(
        (
            np.concatenate([np.full(len(face), 1 / len(face)) for face in polygons]),
            np.concatenate([np.array(face) for face in polygons]),
            np.concatenate([[0], np.cumsum([len(face) for face in polygons])]),
        ),
        shape=(len(polygons), vertex_count),
    )
    ends = np.array(list(edge_index))
    rows = np.repeat(np.arange(len(ends)), 2)
    middles = sp.csr_matrix((np.full(2 * len(ends), 0.5), (rows, ends.ravel())), (len(ends), vertex_count))
    edge_to_face = sp.csr_matrix((np.full(2 * len(ends), 0.5), (rows, np.array(edge_faces).ravel())))
    edge_points = 0.5 * middles + 0.5 * (edge_to_face @ face_points)
    valence = np.bincount(ends.ravel(), minlength=vertex_count).astype(float)
    incidence = sp.csr_matrix((np.ones(2 * len(ends)), (ends.ravel(), rows)), (vertex_count, len(ends)))
    belongs = sp.csr_matrix(
        (np.ones_like(face_points.data), face_points.indices, face_points.indptr), face_points.shape
    )
    per_vertex = sp.diags(1 / valence)
    vertex_points = per_vertex @ (
        per_vertex @ (belongs.T @ face_points)
        + 2 * (per_vertex @ (incidence @ middles))
        + sp.diags(valence - 3) @ sp.identity(vertex_count)
    )
    quads = []
    for number, face in enumerate(polygons):
        for before, vertex, after in zip((face[-1], *face[:-1]), face, (*face[1:], face[0]), strict=True):
            out_edge = edge_base + edge_index[(min(vertex, after), max(vertex, after))]
            in_edge = edge_base + edge_index[(min(before, vertex), max(before, vertex))]
            quads.append((vertex, out_edge, face_base + number, in_edge))
    face_by_set = {frozenset(face): number for number, face in enumerate(polygons)}
    mirrored_faces = [face_base + face_by_set[frozenset(int(mirror[v]) for v in face)] for face in polygons]
    mirrored_edges = [edge_base + edge_index[tuple(sorted((int(mirror[a]), int(mirror[b]))))] for a, b in ends]
    matrix = sp.vstack([vertex_points, face_points, edge_points]).tocsr()
    new_mirror = np.concatenate([mirror, mirrored_faces, mirrored_edges]).astype(int)
    origin = np.concatenate([np.arange(vertex_count), np.full(len(polygons) + len(ends), -1)])
    return matrix, np.array(quads), new_mirror, origin


class HalfMesh:
    """The left half of a symmetric closed mesh, thinned by half-edge collapses (kept vertices do not move).

    The cost of removing v into u is the squared edge length (which evens out the spacing) times a density, plus the
    squared distance of u to the planes that v stands for (which keeps the form). Midline vertices slide along the
    midline only, so the mirrored halves still meet.
    """

    def __init__(
        self, points: np.ndarray, faces: np.ndarray, midline: np.ndarray, protected: set[int], density: np.ndarray
    ) -> None:
        self.points = [tuple(p) for p in points.tolist()]
        self.faces: dict[int, tuple[int, int, int]] = {i: tuple(f) for i, f in enumerate(faces.tolist())}
        self.of_vertex: dict[int, set[int]] = {}
        for number, face in self.faces.items():
            for vertex in face:
                self.of_vertex.setdefault(vertex, set()).add(number)
        self.midline = midline.tolist()
        self.protected = protected
        self.density = density.tolist()
        self.form_weight = 60.0
        self.normals = self._vertex_normals()
        self.quadrics = self._plane_quadrics()
        self.stamp = [0] * len(self.points)
        self.heap: list[tuple[float, int, int, int, int]] = []
        for vertex in self.of_vertex:
            for other in self._neighbours(vertex):
                self._push(vertex, other)

    def _plane_quadrics(self) -> list[list[float]]:
        quadrics = [[0.0] * 11 for _ in self.points]
        for face in self.faces.values():
            normal, area = self._normal(*(self.points[v] for v in face))
            a, b, c = normal
            p = self.points[face[0]]
            d = -(a * p[0] + b * p[1] + c * p[2])
            terms = (a * a, a * b, a * c, a * d, b * b, b * c, b * d, c * c, c * d, d * d, 1.0)
            for vertex in face:
                quadric = quadrics[vertex]
                for k, term in enumerate(terms):
                    quadric[k] += area * term
        return quadrics

    def _vertex_normals(self) -> list[tuple[float, float, float]]:
        normals = [[0.0, 0.0, 0.0] for _ in self.points]
        for face in self.faces.values():
            normal, area = self._normal(*(self.points[v] for v in face))
            for vertex in face:
                for k in range(3):
                    normals[vertex][k] += area * normal[k]
        lengths = [sum(x * x for x in n) ** 0.5 or 1.0 for n in normals]
        return [(n[0] / length, n[1] / length, n[2] / length) for n, length in zip(normals, lengths, strict=True)]

    @staticmethod
    def _normal(p: tuple, q: tuple, r: tuple) -> tuple[tuple[float, float, float], float]:
        ux, uy, uz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        vx, vy, vz = r[0] - p[0], r[1] - p[1], r[2] - p[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = (nx * nx + ny * ny + nz * nz) ** 0.5 or 1e-30
        return (nx / length, ny / length, nz / length), 0.5 * length

    @staticmethod
    def _squared(p: tuple, q: tuple) -> float:
        return (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2

    def _neighbours(self, vertex: int) -> set[int]:
        return {v for f in self.of_vertex[vertex] for v in self.faces[f]} - {vertex}

    def _push(self, gone: int, kept: int) -> None:
        if gone in self.protected or (self.midline[gone] and not self.midline[kept]):
            return
        x, y, z = self.points[kept]
        q = self.quadrics[gone]
        off_plane = (
            q[0] * x * x + q[4] * y * y + q[7] * z * z
            + 2 * (q[1] * x * y + q[2] * x * z + q[5] * y * z + q[3] * x + q[6] * y + q[8] * z) + q[9]
        ) / q[10]  # fmt: skip
        density = 0.5 * (self.density[gone] + self.density[kept])
        cost = density * (self._squared(self.points[gone], self.points[kept]) + self.form_weight * max(off_plane, 0.0))
        heapq.heappush(self.heap, (cost, gone, kept, self.stamp[gone], self.stamp[kept]))

    def _allowed(self, gone: int, kept: int) -> bool:
        shared = self.of_vertex[gone] & self.of_vertex[kept]
        on_border = self.midline[gone]
        if len(shared) != (1 if on_border else 2):
            return False
        if len(self._neighbours(gone) & self._neighbours(kept)) != len(shared):
            return False
        target = self.points[kept]
        for number in self.of_vertex[gone] - shared:
            corners = [self.points[v] for v in self.faces[number]]
            moved = [target if v == gone else self.points[v] for v in self.faces[number]]
            before, _ = self._normal(*corners)
            after, area = self._normal(*moved)
            if before[0] * after[0] + before[1] * after[1] + before[2] * after[2] < 0.35:
                return False
            # Steps that each turn a face a little may add up; the surface it started from settles it.
            for vertex in self.faces[number]:
                first = self.normals[kept if vertex == gone else vertex]
                if first[0] * after[0] + first[1] * after[1] + first[2] * after[2] < 0.0:
                    return False
            sides = sum(self._squared(moved[k], moved[k - 1]) for k in range(3))
            if 6.93 * area / sides < 0.2:
                return False
        return True

    def thin(self, full_count: int) -> tuple[np.ndarray, np.ndarray]:
        """Collapse until the mirrored whole has exactly `full_count` vertices; returns kept vertices and faces."""
        left = sum(not self.midline[v] for v in self.of_vertex)
        middle = len(self.of_vertex) - left
        while 2 * left + middle > full_count:
            _, gone, kept, stamp_gone, stamp_kept = heapq.heappop(self.heap)
            if gone not in self.of_vertex or kept not in self.of_vertex:
                continue
            if (stamp_gone, stamp_kept) != (self.stamp[gone], self.stamp[kept]):
                continue
            if not self.midline[gone] and 2 * left + middle == full_count + 1:
                continue
            if not self._allowed(gone, kept):
                continue
            if self.midline[gone]:
                middle -= 1
            else:
                left -= 1
            self._collapse(gone, kept)
        vertices = np.array(sorted(self.of_vertex))
        return vertices, np.array([self.faces[number] for number in sorted(self.faces)])

    def _collapse(self, gone: int, kept: int) -> None:
        for number in self.of_vertex.pop(gone):
            face = self.faces[number]
            if kept in face:
                for vertex in face:
                    if vertex != gone:
                        self.of_vertex[vertex].discard(number)
                del self.faces[number]
            else:
                self.faces[number] = tuple(kept if v == gone else v for v in face)
                self.of_vertex[kept].add(number)
        for k, term in enumerate(self.quadrics[gone]):
            self.quadrics[kept][k] += term
        around = self._neighbours(kept)
        for vertex in (kept, *around):
            self.stamp[vertex] += 1
        for vertex in (kept, *around):
            for other in self._neighbours(vertex):
                self._push(vertex, other)
                if other != kept and other not in around:
                    self._push(other, vertex)


def mirrored_whole(
    vertices: np.ndarray, faces: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join a left half and its mirror image: vertices of the full mesh, faces and mirror over the new numbering."""
    middle = vertices[mirror[vertices] == vertices]
    left = vertices[mirror[vertices] != vertices]
    order = np.concatenate([middle, left, mirror[left]])
    number = {int(v): i for i, v in enumerate(order)}
    left_faces = np.vectorize(number.__getitem__)(faces)
    right_faces = np.vectorize(number.__getitem__)(mirror[faces])[:, ::-1]
    new_mirror = np.array([number[int(mirror[v])] for v in order])
    return order, np.concatenate([left_faces, right_faces]), new_mirror
