"""Soft light without rays: how much of the sky and of a key light each point sees.

The mesh is drawn from every light direction into a small depth map; a point is lit from there when nothing in the
map lies before it. With some tens of directions this gives soft shadows and ambient occlusion (Williams 1978,
"Casting curved shadows on curved surfaces"; the sky as many such lights).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from learnable_smplify.body.normals import area_normals
from learnable_smplify.kernels.usable import has_numba
from learnable_smplify.render.raster import rasterise

# Directions of the sky's light.
_SKY = 40
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class LightRig:
    """Directions toward the light, unit vectors in the world.

    Args:
        key: (3,) the sun of the scene.
        key_cone: (K, 3) directions spread over the key light's disc, for a soft shadow.
        sky: (S, 3) directions spread over the whole sphere.
        rim: (3,) a light from behind that draws the outline.
    """

    key: Float[np.ndarray, "3"]
    key_cone: Float[np.ndarray, "K 3"]
    sky: Float[np.ndarray, "S 3"]
    rim: Float[np.ndarray, "3"]

    @property
    def directions(self) -> Float[np.ndarray, "D 3"]:
        """The lights that cast shadows: the key's cone, then the sky."""
        return np.concatenate([self.key_cone, self.sky])

    def seen_by(
        self, points: Float[np.ndarray, "N 3"], maps: DepthMaps
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "S N"]]:
        """The share of the key light that points see, and which of the sky's; `maps` are of `directions`."""
        seen = maps.visibility(points)
        cone = len(self.key_cone)
        return seen[:cone].mean(axis=0), seen[cone:]


def light_rig(R_camera_world: Float[np.ndarray, "3 3"], up: Float[np.ndarray, "3"]) -> LightRig:
    """Key light over the camera's left shoulder, rim light from behind on the right, sky all around."""
    right = R_camera_world[0]
    back = np.cross(right, up)  # toward the viewer, level
    key = _unit(-0.55 * right + 1.05 * up + 0.62 * back)
    rim = _unit(0.75 * right + 0.45 * up - 0.8 * back)
    side_a = _unit(np.cross(key, right))
    side_b = np.cross(key, side_a)
    index = np.arange(14)
    radius, angle = 0.13 * np.sqrt((index + 0.5) / 14), _GOLDEN * index
    cone = key + radius[:, None] * (np.cos(angle)[:, None] * side_a + np.sin(angle)[:, None] * side_b)
    index = np.arange(_SKY)
    height = 1.0 - 2.0 * (index + 0.5) / _SKY
    angle = _GOLDEN * index
    level = np.sqrt(1.0 - height**2)[:, None]
    sky = level * (np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * back) + height[:, None] * up
    return LightRig(key=key, key_cone=cone / np.linalg.norm(cone, axis=1, keepdims=True), sky=sky, rim=rim)


@dataclass(frozen=True, eq=False)
class DepthMaps:
    """The mesh seen from each light direction.

    Args:
        basis: (D, 3, 3) world to map: two axes across, the third away from the light.
        middle: (3,) world point in the middle of every map.
        reach: half the side of a map, metres.
        size: cells along a map's side.
        depth: (D * size * size,) nearest surface, infinite where there is none.
    """

    basis: Float[np.ndarray, "D 3 3"]
    middle: Float[np.ndarray, "3"]
    reach: float
    size: int
    depth: Float[np.ndarray, "N"]

    @property
    def cell(self) -> float:
        """Side of one map cell, metres: the accuracy of a shadow's edge."""
        return 2.0 * self.reach / self.size

    def visibility(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "D N"]:
        """1 where a point sees the light past the mesh, 0 where it does not, for each direction.

        Points on the mesh should be lifted off it by about one `cell`.
        """
        count = len(self.basis)
        if has_numba():
            from learnable_smplify.render.kernels import see_lights

            out = np.empty((count, len(points)), np.float32)
            depth = self.depth.reshape(count, -1)
            reach, cell = np.float32(self.reach), np.float32(self.cell)
            see_lights(np.ascontiguousarray(points - self.middle), self.basis, reach, cell, self.size, depth, out)
            return out
        wanted = points - self.middle
        seen = (self.basis.reshape(-1, 3) @ wanted.T).astype(np.float32).reshape(count, 3, -1)
        column = ((seen[:, 0] + self.reach) / self.cell).astype(np.int32)
        row = ((seen[:, 1] + self.reach) / self.cell).astype(np.int32)
        inside = (column >= 0) & (column < self.size) & (row >= 0) & (row < self.size)
        row += self.size * np.arange(count, dtype=np.int32)[:, None]
        blocker = self.depth[np.where(inside, row * self.size + column, 0)]
        return np.where(inside & (blocker < seen[:, 2] + (self.reach - self.cell)), 0.0, 1.0).astype(np.float32)


def depth_maps(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    directions: Float[np.ndarray, "D 3"],
    size: int = 144,
) -> DepthMaps:
    """Draw the mesh from each of `directions` (unit, toward the light, world) into maps of `size` by `size` cells."""
    middle = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    centred = vertices - middle
    reach = max(1e-6, float(np.sqrt((centred**2).sum(axis=1).max())) * 1.01)
    helper = np.where(np.abs(directions[:, :1]) < 0.7, np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]))
    axis_a = np.cross(directions, helper)
    axis_a /= np.linalg.norm(axis_a, axis=1, keepdims=True)
    axis_b = np.cross(directions, axis_a)
    basis = np.stack([axis_a, axis_b, -directions], axis=1)

    count = len(directions)
    drawn = (basis.reshape(-1, 3) @ centred.T).astype(np.float32).reshape(count, 3, -1) + np.float32(reach)
    drawn[:, :2] *= 0.5 * size / reach
    # Half the faces of a closed mesh are enough for its shadow, from any side: those turned to the light.
    turned = directions @ area_normals(vertices, faces).T > 0
    depth = np.full(count * size * size, np.inf, dtype=np.float32)
    maps = DepthMaps(basis=basis, middle=middle, reach=reach, size=size, depth=depth)
    if has_numba():
        from learnable_smplify.render.kernels import draw_maps

        views, triangles = np.ascontiguousarray(drawn.transpose(0, 2, 1)), np.ascontiguousarray(faces, np.int64)
        draw_maps(views, triangles, turned, size, depth.reshape(count, -1), np.empty(size * size, np.int64))
        return maps
    # All maps lie below one another in one tall picture, so that one call draws them all.
    drawn[:, 1] += np.float32(size) * np.arange(count, dtype=np.float32)[:, None]
    direction, face = np.nonzero(turned)
    corners = faces[face] + len(vertices) * direction[:, None]
    fragments = rasterise(drawn.transpose(0, 2, 1).reshape(-1, 3), corners, (size, count * size))
    depth[fragments.pixel] = fragments.depth
    return maps


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return vector / np.linalg.norm(vector)
