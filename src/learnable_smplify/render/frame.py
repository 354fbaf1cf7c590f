"""One picture of bodies and keypoints: arrays in, an 8-bit image out. No display, no GPU, no state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import ArrayLike

from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.errors import InputError
from learnable_smplify.render.camera import Camera
from learnable_smplify.render.light import DepthMaps, LightRig, depth_maps, light_rig
from learnable_smplify.render.overlay import draw_keypoints
from learnable_smplify.render.raster import rasterise

BODY_COLOR = (176, 190, 205)
_BACKGROUND_TOP = np.array([250.0, 250.0, 251.0]) / 255
_BACKGROUND_BOTTOM = np.array([236.0, 238.0, 241.0]) / 255
_GROUND = np.array([226.0, 229.0, 233.0]) / 255
_GRID_STEP = 0.5  # metres
_SUPERSAMPLING = 2


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
    if people != 1 or len(colors) != count:
        colors = np.repeat(np.broadcast_to(colors, (people, 3)), count, axis=0)
    rig = light_rig(camera.R_camera_world, camera.up)
    # Shadows in a small picture need no finer maps than the picture shows.
    map_size = int(np.clip(0.4 * max(size), 48, 144))
    maps = depth_maps(points, all_faces, rig.directions, map_size) if len(points) else None

    image = _background(size)
    if floor_height is not None:
        image = _with_ground(image, points, maps, camera, rig, float(floor_height))

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
        dot_colors = None if keypoint_colors is None else np.asarray(keypoint_colors, float)
        sizes = {} if keypoint_radii is None else {"radius": np.asarray(keypoint_radii, float)}
        draw_keypoints(layer, depth, dots, camera, edges=edges, colors=dot_colors, **sizes)

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
    owners = faces[fragments.face]
    weights = fragments.weights * inverse[owners]
    weights = (weights / (weights @ np.ones((3, 1)))).astype(np.float32)

    normals = vertex_normals(points, faces)
    lifted = points + 1.2 * maps.cell * normals
    key_seen = maps.visibility(lifted, rig.key_part).mean(axis=0)
    facing = np.clip(rig.sky @ normals.T, 0, None)
    # Light from below has come off the ground: dimmer, and none at all right above it.
    strength = 0.45 + 0.55 * np.clip(0.5 + 0.5 * (rig.sky @ camera.up), 0, 1)
    if floor_height is not None:
        ground_gap = np.clip((points @ camera.up - floor_height) / 0.35, 0, 1)
        below = np.clip(-(rig.sky @ camera.up), 0, 1)[:, None]
        facing_open = facing * (1.0 - below * (1.0 - ground_gap))
    else:
        facing_open = facing
    seen = maps.visibility(lifted, rig.sky_part)
    sky_light = (strength[:, None] * facing_open * seen).sum(axis=0) / np.maximum(facing.sum(axis=0), 1e-6)

    table = np.concatenate([normals, key_seen[:, None], sky_light[:, None], albedo], axis=1).astype(np.float32)
    pixel = np.einsum("pc,pcn->pn", weights, table[owners])
    normal = pixel[:, :3] / np.sqrt(np.maximum(np.einsum("pi,pi->p", pixel[:, :3], pixel[:, :3]), 1e-12))[:, None]
    view = -_pixel_rays(camera, fragments.pixel, (width, height)).astype(np.float32)
    key = np.clip(normal @ rig.key.astype(np.float32), 0, 1) * pixel[:, 3]
    sky = pixel[:, 4]
    grazing = 1.0 - np.clip(np.einsum("pi,pi->p", normal, view), 0, 1)
    rim = np.clip(normal @ rig.rim.astype(np.float32), 0, 1) * grazing**2 * sky
    half = rig.key + view
    half /= np.sqrt(np.maximum(np.einsum("pi,pi->p", half, half), 1e-12))[:, None]
    shine = np.clip(np.einsum("pi,pi->p", normal, half), 0, 1) ** 32 * pixel[:, 3]

    warm, cool = np.array([1.0, 0.975, 0.94]), np.array([0.93, 0.97, 1.0])
    light = 0.98 * key[:, None] * warm + 0.52 * sky[:, None] * cool + 0.5 * rim[:, None]
    color = pixel[:, 5:] * light + 0.05 * shine[:, None] + 0.05 * (grazing**4 * sky)[:, None]
    flat_layer, flat_depth = layer.reshape(-1, 4), depth.reshape(-1)
    flat_layer[fragments.pixel, :3] = _to_srgb(color)
    flat_layer[fragments.pixel, 3] = 1.0
    flat_depth[fragments.pixel] = 1.0 / (1.0 / near - fragments.depth)


def _background(size: tuple[int, int]) -> Float[np.ndarray, "H W 3"]:
    width, height = size
    blend = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    rows = _BACKGROUND_TOP * (1 - blend) + _BACKGROUND_BOTTOM * blend
    return np.broadcast_to(rows, (height, width, 3)).copy()


def _with_ground(
    image: Float[np.ndarray, "H W 3"],
    points: Float[np.ndarray, "V 3"],
    maps: DepthMaps | None,
    camera: Camera,
    rig: LightRig,
    floor_height: float,
) -> Float[np.ndarray, "H W 3"]:
    """Lay a pale grid on the ground that fades out around what the camera looks at, and the bodies' soft shadow."""
    height, width = image.shape[:2]
    pixels = np.arange(width * height)
    rays = _pixel_rays(camera, pixels, (width, height))
    down = rays @ camera.up
    drop = floor_height - float(camera.position @ camera.up)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = drop / down
    hit = np.flatnonzero(np.isfinite(distance) & (distance > 0) & (distance < 60))
    if not len(hit):
        return image
    ground = camera.position + rays[hit] * distance[hit, None]
    axis_a = np.roll(camera.up, 1)  # world axes, so that the grid stands still while the camera moves
    axis_b = np.cross(camera.up, axis_a)
    plane = np.stack([ground @ axis_a, ground @ axis_b], axis=1)

    # A line's width is 8 mm or one pixel, whichever is more; foreshortening widens the pixel's footprint.
    footprint = distance[hit] / camera.focal(height)
    slant = np.maximum(np.abs(down[hit]), 0.02)
    offset = np.abs(plane / _GRID_STEP - np.round(plane / _GRID_STEP)) * _GRID_STEP
    soft = (footprint / slant**0.5)[:, None]
    line = np.clip((0.004 + soft - offset) / soft, 0, 1) * np.minimum(1.0, 0.012 / soft)
    lines = np.maximum(line[:, 0], line[:, 1])

    look = camera.position + camera.R_camera_world[2] * _ground_reach(camera, points)
    centre = np.array([look @ axis_a, look @ axis_b])
    if len(points):
        flat = np.stack([points @ axis_a, points @ axis_b], axis=1)
        centre = 0.5 * (flat.min(axis=0) + flat.max(axis=0))
    fade = np.clip(1.0 - np.hypot(*(plane - centre).T) / 3.4, 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    shade = np.ones(len(hit))
    if maps is not None:
        shade = _ground_shade(plane, points, maps, rig, camera.up, axis_a, axis_b, floor_height)

    flat_image = image.reshape(-1, 3)
    base = flat_image[hit]
    base = base + (fade * 0.75)[:, None] * (_GROUND - base)
    base = base * (1.0 - 0.085 * (fade * lines)[:, None])
    # The shadow is a little blue: the sky still lights it.
    base = base * (1.0 - (1.0 - shade)[:, None] * np.array([1.0, 0.96, 0.9]))
    flat_image[hit] = base
    return image


def _ground_reach(camera: Camera, points: Float[np.ndarray, "V 3"]) -> float:
    return float(camera.to_camera(points)[:, 2].mean()) if len(points) else 5.0


def _ground_shade(
    plane: Float[np.ndarray, "N 2"],
    points: Float[np.ndarray, "V 3"],
    maps: DepthMaps,
    rig: LightRig,
    up: Float[np.ndarray, "3"],
    axis_a: Float[np.ndarray, "3"],
    axis_b: Float[np.ndarray, "3"],
    floor_height: float,
) -> Float[np.ndarray, "N"]:
    """Brightness of the ground (1 = unshaded) from a grid of samples around the bodies, read bilinearly."""
    flat = np.stack([points @ axis_a, points @ axis_b], axis=1)
    # The key light stands about 50 degrees high: a shadow reaches about as far as the body is tall.
    tall = max(0.3, float((points @ up).max()) - floor_height)
    thrown = -tall / float(rig.key @ up) * np.array([rig.key @ axis_a, rig.key @ axis_b])
    low = np.minimum(flat.min(axis=0), flat.min(axis=0) + thrown) - 0.8
    high = np.maximum(flat.max(axis=0), flat.max(axis=0) + thrown) + 0.8
    cells = 100
    a, b = (np.linspace(low[axis], high[axis], cells) for axis in range(2))
    grid = a[:, None, None] * axis_a + b[None, :, None] * axis_b + (floor_height + 1e-3) * up
    samples = grid.reshape(-1, 3)
    key = maps.visibility(samples, rig.key_part).mean(axis=0)
    weight = np.clip(rig.sky @ up, 0, None)
    sky = weight @ maps.visibility(samples, rig.sky_part) / weight.sum()
    # The sky is sampled coarsely: smooth its shadow more than the key light's.
    step = float((high - low).max()) / cells
    shade = 1.0 - 0.34 * (1.0 - _blurred(key.reshape(cells, cells), 0.03 / step))
    shade -= 0.62 * (1.0 - _blurred(sky.reshape(cells, cells), 0.09 / step))
    # A low sky throws long faint shadows past the samples: let them fade before the edge.
    ramp = np.clip(np.minimum(np.arange(cells), np.arange(cells)[::-1]) * step / 0.7, 0, 1)
    shade = 1.0 - (1.0 - shade) * ramp[:, None] * ramp[None, :]

    where = (plane - low) / (high - low) * (cells - 1)
    corner = np.floor(where).astype(np.int64)
    inside = ((corner >= 0) & (corner < cells - 1)).all(axis=1)
    corner = np.where(inside[:, None], corner, 0)
    u, v = np.where(inside[:, None], where - corner, 0.0).T
    i, j = corner.T
    read = (shade[i, j] * (1 - u) + shade[i + 1, j] * u) * (1 - v)
    read += (shade[i, j + 1] * (1 - u) + shade[i + 1, j + 1] * u) * v
    return np.where(inside, read, 1.0)


def _blurred(grid: Float[np.ndarray, "A B"], sigma: float) -> Float[np.ndarray, "A B"]:
    """Gaussian blur, `sigma` in cells, edges held."""
    half = int(np.ceil(2.5 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in range(2):
        padded = np.pad(grid, [(half, half) if axis == side else (0, 0) for side in range(2)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=axis)
        grid = windows @ kernel
    return grid


def _pixel_rays(camera: Camera, pixels: Int[np.ndarray, "P"], size: tuple[int, int]) -> Float[np.ndarray, "P 3"]:
    """Unit world directions through the centres of flat pixel indices."""
    width, height = size
    row, column = np.divmod(pixels, width)
    focal = camera.focal(height)
    x, y = (column + 0.5 - 0.5 * width) / focal, (row + 0.5 - 0.5 * height) / focal
    rays = np.stack([x, y, np.ones_like(x)], axis=1) @ camera.R_camera_world
    return rays / np.sqrt(x * x + y * y + 1.0)[:, None]


def _to_srgb(linear: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    # A soft shoulder keeps highlights from clipping flat.
    toned = np.clip(linear, 0, None)
    toned = np.where(toned < 0.7, toned, 0.7 + 0.3 * np.tanh((toned - 0.7) / 0.3))
    return toned ** (1 / 2.2)
