"""The ground under the bodies: a pale grid, and their soft shadow on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from learnable_smplify.kernels.usable import has_numba
from learnable_smplify.render.camera import Camera
from learnable_smplify.render.light import DepthMaps, LightRig

_GROUND = np.array([226.0, 229.0, 233.0]) / 255
# The shadow is a little blue: the sky still lights it.
_SHADOW = np.array([1.0, 0.96, 0.9])
_GRID_STEP = 0.5  # metres
_CELLS = 100


@dataclass(frozen=True, eq=False)
class _Shade:
    """Brightness of the ground (1 = unshaded) on a grid of samples from `low` to `high`, along the ground's axes."""

    grid: Float[np.ndarray, "A B"]
    low: Float[np.ndarray, "2"]
    high: Float[np.ndarray, "2"]


def with_ground(
    image: Float[np.ndarray, "H W 3"],
    points: Float[np.ndarray, "V 3"],
    maps: DepthMaps | None,
    camera: Camera,
    rig: LightRig,
    floor_height: float,
) -> Float[np.ndarray, "H W 3"]:
    """Lay a pale grid on the ground that fades out around what the camera looks at, and the bodies' soft shadow."""
    axis_a = np.roll(camera.up, 1)  # world axes, so that the grid stands still while the camera moves
    axes = np.stack([axis_a, np.cross(camera.up, axis_a)])
    flat = points @ axes.T
    if len(points):
        centre = 0.5 * (flat.min(axis=0) + flat.max(axis=0))
    else:
        centre = axes @ (camera.position + 5.0 * camera.R_camera_world[2])
    shade = None if maps is None else _ground_shade(points, flat, maps, rig, camera.up, axes, floor_height)
    drop = floor_height - float(camera.position @ camera.up)
    if has_numba():
        from learnable_smplify.render.kernels import lay_ground

        known = _Shade(np.zeros((0, 0)), np.zeros(2), np.ones(2)) if shade is None else shade
        lay_ground(
            image,
            np.ascontiguousarray(camera.R_camera_world),
            axes @ camera.position,
            np.asarray(camera.up, float),
            axes,
            camera.focal(image.shape[0]),
            drop,
            centre,
            known.grid,
            known.low,
            known.high,
            _GRID_STEP,
            np.stack([_GROUND, _SHADOW]),
        )
        return image
    height, width = image.shape[:2]
    pixels = np.arange(width * height)
    rays = pixel_rays(camera, pixels, (width, height))
    down = rays @ camera.up
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = drop / down
    hit = np.flatnonzero(np.isfinite(distance) & (distance > 0) & (distance < 60))
    if not len(hit):
        return image
    plane = (camera.position + rays[hit] * distance[hit, None]) @ axes.T

    # A line's width is 8 mm or one pixel, whichever is more; foreshortening widens the pixel's footprint.
    footprint = distance[hit] / camera.focal(height)
    slant = np.maximum(np.abs(down[hit]), 0.02)
    offset = np.abs(plane / _GRID_STEP - np.round(plane / _GRID_STEP)) * _GRID_STEP
    soft = (footprint / slant**0.5)[:, None]
    line = np.clip((0.004 + soft - offset) / soft, 0, 1) * np.minimum(1.0, 0.012 / soft)
    lines = np.maximum(line[:, 0], line[:, 1])

    fade = np.clip(1.0 - np.hypot(*(plane - centre).T) / 3.4, 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    light = np.ones(len(hit)) if shade is None else _read(shade, plane)

    flat_image = image.reshape(-1, 3)
    base = flat_image[hit]
    base = base + (fade * 0.75)[:, None] * (_GROUND - base)
    base = base * (1.0 - 0.085 * (fade * lines)[:, None])
    base = base * (1.0 - (1.0 - light)[:, None] * _SHADOW)
    flat_image[hit] = base
    return image


def _ground_shade(
    points: Float[np.ndarray, "V 3"],
    flat: Float[np.ndarray, "V 2"],
    maps: DepthMaps,
    rig: LightRig,
    up: Float[np.ndarray, "3"],
    axes: Float[np.ndarray, "2 3"],
    floor_height: float,
) -> _Shade:
    """Samples around the bodies, whose points are `flat` along the ground's axes."""
    # The key light stands about 50 degrees high: a shadow reaches about as far as the body is tall.
    tall = max(0.3, float((points @ up).max()) - floor_height)
    thrown = -tall / float(rig.key @ up) * (axes @ rig.key)
    low = np.minimum(flat.min(axis=0), flat.min(axis=0) + thrown) - 0.8
    high = np.maximum(flat.max(axis=0), flat.max(axis=0) + thrown) + 0.8
    cells = _CELLS
    a, b = np.linspace(low, high, cells, axis=1)
    grid = a[:, None, None] * axes[0] + b[None, :, None] * axes[1] + (floor_height + 1e-3) * up
    samples = grid.reshape(-1, 3)
    key, sky_seen = rig.seen_by(samples, maps)
    weight = np.clip(rig.sky @ up, 0, None)
    sky = weight @ sky_seen / weight.sum()
    # The sky is sampled coarsely: smooth its shadow more than the key light's.
    step = float((high - low).max()) / cells
    shade = 1.0 - 0.34 * (1.0 - _blurred(key.reshape(cells, cells), 0.03 / step))
    shade -= 0.62 * (1.0 - _blurred(sky.reshape(cells, cells), 0.09 / step))
    # A low sky throws long faint shadows past the samples: let them fade before the edge.
    ramp = np.clip(np.minimum(np.arange(cells), np.arange(cells)[::-1]) * step / 0.7, 0, 1)
    shade = 1.0 - (1.0 - shade) * ramp[:, None] * ramp[None, :]
    return _Shade(shade, low, high)


def _read(shade: _Shade, plane: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N"]:
    """The samples, bilinearly, at places along the ground's axes; 1 beyond them."""
    where = (plane - shade.low) / (shade.high - shade.low) * (_CELLS - 1)
    corner = np.floor(where).astype(np.int64)
    inside = ((corner >= 0) & (corner < _CELLS - 1)).all(axis=1)
    corner = np.where(inside[:, None], corner, 0)
    u, v = np.where(inside[:, None], where - corner, 0.0).T
    i, j = corner.T
    read = (shade.grid[i, j] * (1 - u) + shade.grid[i + 1, j] * u) * (1 - v)
    read += (shade.grid[i, j + 1] * (1 - u) + shade.grid[i + 1, j + 1] * u) * v
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


def pixel_rays(camera: Camera, pixels: Int[np.ndarray, "P"], size: tuple[int, int]) -> Float[np.ndarray, "P 3"]:
    """Unit world directions through the centres of flat pixel indices."""
    width, height = size
    row, column = np.divmod(pixels, width)
    focal = camera.focal(height)
    x, y = (column + 0.5 - 0.5 * width) / focal, (row + 0.5 - 0.5 * height) / focal
    rays = np.stack([x, y, np.ones_like(x)], axis=1) @ camera.R_camera_world
    return rays / np.sqrt(x * x + y * y + 1.0)[:, None]
