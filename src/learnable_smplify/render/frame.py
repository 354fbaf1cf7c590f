"""One picture of bodies and keypoints: arrays in, an 8-bit image out. No display, no GPU, no state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import ArrayLike

from learnable_smplify.body.clothes import BODY_COLOR
from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.errors import InputError
from learnable_smplify.kernels.usable import has_numba
from learnable_smplify.render.camera import Camera
from learnable_smplify.render.ground import pixel_rays, with_ground
from learnable_smplify.render.light import DepthMaps, LightRig, depth_maps, light_rig
from learnable_smplify.render.overlay import draw_keypoints
from learnable_smplify.render.raster import rasterise

_BACKGROUND_TOP = np.array([250.0, 250.0, 251.0]) / 255
_BACKGROUND_BOTTOM = np.array([236.0, 238.0, 241.0]) / 255
_SUPERSAMPLING = 2
_WARM, _COOL = np.array([1.0, 0.975, 0.94]), np.array([0.93, 0.97, 1.0])


def render_frame(
    vertices: ArrayLike | None,
    faces: ArrayLike,
    camera: Camera,
    *,
    keypoints: ArrayLike | None = None,
    edges: Sequence[tuple[int, int]] = (),
    keypoint_colors: ArrayLike | None = None,
    keypoint_radii: ArrayLike | None = None,
    floor_height: float | None = None,
    size: tuple[int, int] = (480, 480),
    color: ArrayLike = BODY_COLOR,
) -> UInt8[np.ndarray, "H W 3"]:
    """A shaded picture of one or several bodies, with keypoints that show through them.

    Args:
        vertices: (V, 3), or (P, V, 3) for P bodies on the same faces; world, metres. None draws keypoints only.
        faces: (F, 3) vertex numbers.
        camera: where from; see `fit_camera`.
        keypoints: (K, 3) world, metres; rows with NaN are missing and not drawn.
        edges: pairs of keypoint numbers joined by a rod.
        keypoint_colors: (K, 3) in 0..255; see `overlay.keypoint_colors`.
        keypoint_radii: (K,) metres; None takes the usual one.
        floor_height: height of the ground along the camera's up, metres; None draws no ground and no shadow on it.
        size: (width, height) of the picture in pixels.
        color: (3,) or (P, 3) body colour, or (V, 3) of one body's vertices, sRGB in 0..255.

    Returns:
        (height, width, 3) uint8, sRGB.

    Raises:
        InputError: vertices that are not finite or shapes that do not fit.
    """
    width, height = size
    if min(size) < 8 or max(size) > 8192:
        raise InputError(f"the picture size is {width} x {height}", expected="8 to 8192 pixels a side")
    triangles = np.asarray(faces)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise InputError(f"faces have shape {triangles.shape}", expected="(F, 3)")
    bodies = _checked_bodies(vertices, triangles)
    people, count = bodies.shape[:2]
    points = bodies.reshape(-1, 3)
    all_faces = (triangles[None] + count * np.arange(people)[:, None, None]).reshape(-1, 3)
    colors = np.asarray(color, float).reshape(-1, 3)
    if len(points) and (people > 1 or len(colors) != count):
        colors = np.repeat(np.broadcast_to(colors, (people, 3)), count, axis=0)
    rig = light_rig(camera.R_camera_world, camera.up)
    # Shadows in a small picture need no finer maps than the picture shows.
    map_size = int(np.clip(0.4 * max(size), 48, 144))
    maps = depth_maps(points, all_faces, rig.directions, map_size) if len(points) else None

    image = _background(size)
    if floor_height is not None:
        image = with_ground(image, points, maps, camera, rig, float(floor_height))

    fine = (width * _SUPERSAMPLING, height * _SUPERSAMPLING)
    layer = np.zeros((fine[1], fine[0], 4), dtype=np.float32)
    depth = np.full((fine[1], fine[0]), np.inf, dtype=np.float32)
    if maps is not None:
        vertex_albedo = (colors / 255.0) ** 2.2
        _draw_mesh(layer, depth, points, all_faces, maps, camera, rig, vertex_albedo, floor_height)
    if keypoints is not None:
        dots = np.asarray(keypoints, float)
        if dots.ndim != 2 or dots.shape[1] != 3:
            raise InputError(f"keypoints have shape {dots.shape}", expected="(K, 3)")
        draw_keypoints(layer, depth, dots, camera, edges=edges, colors=keypoint_colors, radii=keypoint_radii)

    if has_numba():
        from learnable_smplify.render.kernels import put_over

        out = np.empty((height, width, 3), np.uint8)
        put_over(layer, image, out)
        return out
    step = _SUPERSAMPLING
    coarse = np.zeros((height, width, 4), dtype=np.float32)
    for offset in range(step * step):
        coarse += layer[offset // step :: step, offset % step :: step]
    coarse /= step * step
    image = coarse[..., :3] + (1.0 - coarse[..., 3:]) * image
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _checked_bodies(vertices: ArrayLike | None, faces: Int[np.ndarray, "F 3"]) -> Float[np.ndarray, "P V 3"]:
    if vertices is None:
        return np.zeros((0, 0, 3))
    bodies = np.asarray(vertices, dtype=float)
    if bodies.ndim == 2:
        bodies = bodies[None]
    if bodies.ndim != 3 or bodies.shape[2] != 3:
        raise InputError(f"vertices have shape {bodies.shape}", expected="(V, 3) or (P, V, 3)")
    if not np.isfinite(bodies).all():
        raise InputError("vertices hold NaN or infinity", expected="finite positions in metres")
    if faces.size and not (faces.min() >= 0 and faces.max() < bodies.shape[1]):
        raise InputError(f"faces name vertex {faces.max()}", expected=f"numbers from 0 to {bodies.shape[1] - 1}")
    return bodies


def _draw_mesh(
    layer: Float[np.ndarray, "H W 4"],
    depth: Float[np.ndarray, "H W"],
    points: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    maps: DepthMaps,
    camera: Camera,
    rig: LightRig,
    albedo: Float[np.ndarray, "V 3"],
    floor_height: float | None,
) -> None:
    """Shade per vertex what is soft (occlusion, shadow), per pixel what is sharp (normals)."""
    height, width = depth.shape
    projected = camera.project(points, (width, height))
    near = max(0.02, 0.5 * float(projected[:, 2].min()))
    with np.errstate(divide="ignore"):
        inverse = np.where(projected[:, 2] > near * 0.5, 1.0 / projected[:, 2], np.nan)
    projected[:, 2] = 1.0 / near - inverse
    fragments = rasterise(projected, faces, (width, height))
    if not len(fragments.pixel):
        return
    normals = vertex_normals(points, faces)
    lifted = points + 1.2 * maps.cell * normals
    key_seen, sky_seen = rig.seen_by(lifted, maps)
    facing = np.clip(rig.sky @ normals.T, 0, None)
    # Light from below has come off the ground: dimmer, and none at all right above it.
    strength = 0.45 + 0.55 * np.clip(0.5 + 0.5 * (rig.sky @ camera.up), 0, 1)
    facing_open = facing
    if floor_height is not None:
        ground_gap = np.clip((points @ camera.up - floor_height) / 0.35, 0, 1)
        below = np.clip(-(rig.sky @ camera.up), 0, 1)[:, None]
        facing_open = facing * (1.0 - below * (1.0 - ground_gap))
    sky_light = (strength[:, None] * facing_open * sky_seen).sum(axis=0) / np.maximum(facing.sum(axis=0), 1e-6)

    table = np.concatenate([normals, key_seen[:, None], sky_light[:, None], albedo], axis=1).astype(np.float32)
    if has_numba():
        from learnable_smplify.render.kernels import shade_pixels

        shade_pixels(
            fragments.pixel,
            fragments.face,
            fragments.weights,
            fragments.depth,
            np.ascontiguousarray(faces, np.int64),
            inverse,
            table,
            np.ascontiguousarray(camera.R_camera_world),
            camera.focal(height),
            np.stack([rig.key, rig.rim, _WARM, _COOL]),
            near,
            layer,
            depth,
        )
        return
    owners = faces[fragments.face]
    weights = fragments.weights * inverse[owners]
    weights = (weights / (weights @ np.ones((3, 1)))).astype(np.float32)
    view = -pixel_rays(camera, fragments.pixel, (width, height)).astype(np.float32)
    color = _shaded(np.einsum("pc,pcn->pn", weights, table[owners]), view, rig)
    flat_layer, flat_depth = layer.reshape(-1, 4), depth.reshape(-1)
    flat_layer[fragments.pixel, :3] = _to_srgb(color)
    flat_layer[fragments.pixel, 3] = 1.0
    flat_depth[fragments.pixel] = 1.0 / (1.0 / near - fragments.depth)


def _shaded(pixel: Float[np.ndarray, "P 8"], view: Float[np.ndarray, "P 3"], rig: LightRig) -> Float[np.ndarray, "P 3"]:
    """Linear colours of pixels: normal, key light, sky light and albedo of each, and the direction to the eye."""
    normal = pixel[:, :3] / np.sqrt(np.maximum(np.einsum("pi,pi->p", pixel[:, :3], pixel[:, :3]), 1e-12))[:, None]
    key = np.clip(normal @ rig.key.astype(np.float32), 0, 1) * pixel[:, 3]
    sky = pixel[:, 4]
    grazing = 1.0 - np.clip(np.einsum("pi,pi->p", normal, view), 0, 1)
    rim = np.clip(normal @ rig.rim.astype(np.float32), 0, 1) * grazing**2 * sky
    half = rig.key + view
    half /= np.sqrt(np.maximum(np.einsum("pi,pi->p", half, half), 1e-12))[:, None]
    shine = np.clip(np.einsum("pi,pi->p", normal, half), 0, 1) ** 32 * pixel[:, 3]

    light = 0.98 * key[:, None] * _WARM + 0.52 * sky[:, None] * _COOL + 0.5 * rim[:, None]
    return pixel[:, 5:] * light + 0.05 * shine[:, None] + 0.05 * (grazing**4 * sky)[:, None]


def _background(size: tuple[int, int]) -> Float[np.ndarray, "H W 3"]:
    width, height = size
    blend = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = _BACKGROUND_TOP * (1 - blend) + _BACKGROUND_BOTTOM * blend
    return np.broadcast_to(rows, (height, width, 3)).copy()


def _to_srgb(linear: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    # A soft shoulder keeps highlights from clipping flat.
    toned = np.clip(linear, 0, None)
    toned = np.where(toned < 0.7, toned, 0.7 + 0.3 * np.tanh((toned - 0.7) / 0.3))
    return toned ** (1 / 2.2)
