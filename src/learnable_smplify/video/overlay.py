"""Bodies drawn over the videos they were found in: one film, several cameras side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from learnable_smplify.body.body import Body
from learnable_smplify.body.normals import vertex_normals
from learnable_smplify.camera import Camera
from learnable_smplify.motion import Motion
from learnable_smplify.render.film import write_mp4
from learnable_smplify.render.raster import rasterise
from learnable_smplify.safe_files.atomic import atomic_output
from learnable_smplify.video.read import VideoInfo, read_pictures

# Colours of Okabe and Ito's set, one a person.
_COLORS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))
# How much of a body covers the picture.
_OPAQUE = 0.72
# Height of a picture [px]: alone, and where there are several.
_ALONE, _AMONG = 960, 540
# Vertices are posed for so many frames at once.
_CHUNK = 64
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Shown:
    """A video to draw over.

    Args:
        video: which.
        camera: that took it, in the motions' world.
        first: its frame that shows the motions' first.
        step: its frames from one of the motions to the next.
    """

    video: VideoInfo
    camera: Camera
    first: float = 0.0
    step: float = 1.0


def write_overlay(
    shown: Sequence[Shown],
    motions: Sequence[Motion],
    body: Body,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a film of the videos side by side with the bodies over them, a picture for every frame of the motions.

    Args:
        shown: videos of the same moments.
        motions: of everybody, of equal length.
        body: that the motions are of.
        path: an .mp4.
        progress: called with (frames done, frames in all).

    Returns:
        frames written.

    Raises:
        InputError: a video that cannot be read, or a place that cannot be written to.
    """
    height = _ALONE if len(shown) == 1 else _AMONG
    sizes = [_size(item.video, height) for item in shown]
    columns = len(shown) if len(shown) < 4 else -(-len(shown) // 2)
    count = 0

    def pictures() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        nonlocal count
        faces = body.faces.numpy()
        streams = [_frames(item, size) for item, size in zip(shown, sizes, strict=True)]
        for vertices in _posed(motions, body):
            row = []
            for item, size, stream in zip(shown, sizes, streams, strict=True):
                picture = next(stream, None)
                if picture is None:
                    picture = np.zeros((size[1], size[0], 3), np.uint8)
                row.append(draw_bodies(picture, vertices, faces, item.camera, item.video))
            count += 1
            if progress is not None:
                progress(count, len(motions[0]))
            yield _sheet(row, columns)

    sheet = _sheet([np.zeros((size[1], size[0], 3), np.uint8) for size in sizes], columns)
    with atomic_output(path) as temporary:
        write_mp4(
            pictures(),
            temporary,
            (sheet.shape[1], sheet.shape[0]),
            shown[0].video.fps / shown[0].step,
            preset="veryfast",
        )
    return count


def draw_bodies(
    picture: UInt8[np.ndarray, "H W 3"],
    vertices: Float[np.ndarray, "P V 3"],
    faces: Int[np.ndarray, "F 3"],
    camera: Camera,
    video: VideoInfo,
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of the video, scaled to any size, with shaded bodies over it.

    Args:
        vertices: (P, V, 3) world, metres.
        faces: of each.
        camera: that took the video, for pictures of the video's size.
        video: for its size.
    """
    height, width = picture.shape[:2]
    scale = np.array([width / video.width, height / video.height])
    people, count = vertices.shape[:2]
    local = camera.to_camera(torch.as_tensor(vertices.reshape(-1, 3)))
    depth = local[:, 2].numpy()
    pixels = camera.pixels(torch.cat((local[:, :2], local[:, 2:].clamp(min=_NEAR)), dim=1)).numpy() * scale
    # The rasteriser interpolates depth linearly on the screen, as the inverse of a perspective one is.
    inverse = np.where(depth > _NEAR, 1 / _NEAR - 1 / np.maximum(depth, _NEAR), np.nan)
    every = (faces[None] + count * np.arange(people)[:, None, None]).reshape(-1, 3)
    fragments = rasterise(np.column_stack([pixels, inverse]), every, (width, height))
    if not len(fragments.pixel):
        return picture
    normals = np.concatenate([vertex_normals(one, faces) for one in vertices])
    normals = normals @ camera.R_camera_world.double().numpy().T
    # Lit from the camera and a little from above.
    light = 0.35 + 0.55 * np.clip(-normals[:, 2], 0, 1) + 0.2 * np.clip(-normals[:, 1], 0, 1)
    corners = every[fragments.face]
    shade = (light[corners] * fragments.weights).sum(axis=1)
    color = np.array([_COLORS[person % len(_COLORS)] for person in range(people)], dtype=float)
    painted = np.clip(color[corners[:, 0] // count] * shade[:, None], 0, 255)
    drawn = picture.reshape(-1, 3).copy()
    drawn[fragments.pixel] = (_OPAQUE * painted + (1 - _OPAQUE) * drawn[fragments.pixel]).astype(np.uint8)
    return drawn.reshape(picture.shape)


def _posed(motions: Sequence[Motion], body: Body) -> Iterator[Float[np.ndarray, "P V 3"]]:
    frames = min(map(len, motions))
    for begin in range(0, frames, _CHUNK):
        rows = slice(begin, min(begin + _CHUNK, frames))
        parts = [body.vertices(motion.pose[rows], motion.betas, motion.transl[rows]).numpy() for motion in motions]
        yield from np.stack(parts, axis=1)


def _frames(item: Shown, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """A video's pictures from the motions' first frame on; black where it has not begun."""
    wanted = (round(item.first + item.step * frame) for frame in itertools.count())
    number = next(wanted)
    while number < 0:
        yield np.zeros((size[1], size[0], 3), np.uint8)
        number = next(wanted)
    for place, picture in enumerate(read_pictures(item.video, size)):
        while place == number:
            yield picture
            number = next(wanted)


def _size(video: VideoInfo, height: int) -> tuple[int, int]:
    """Of a picture at most so high, in even numbers, as encoders want them."""
    scale = min(1.0, height / video.height)
    return 2 * round(video.width * scale / 2), 2 * round(video.height * scale / 2)


def _sheet(pictures: Sequence[UInt8[np.ndarray, "H W 3"]], columns: int) -> UInt8[np.ndarray, "H W 3"]:
    width, height = (max(picture.shape[axis] for picture in pictures) for axis in (1, 0))
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * height, column * width
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet
