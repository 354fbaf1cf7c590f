"""Tracks as rays of their cameras, and how far two cameras' rays miss each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from learnable_smplify.camera import Camera
from learnable_smplify.layouts.layout import Layout, load_layout
from learnable_smplify.track import Track


@dataclass(frozen=True, eq=False)
class Sightlines:
    """A track in the frame of its camera.

    Args:
        camera: index of the camera.
        track: index of the track in the camera.
        rays: (T, K, 2) x / z and y / z, NaN where not seen.
        size: how large the person is in the picture, as an angle [rad]: the middle over all frames.
        mirror: (K,) the place of each keypoint's partner on the other side.
    """

    camera: int
    track: int
    rays: Float[np.ndarray, "T K 2"]
    size: float
    mirror: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras in a row: (C, 3, 3) rotations and (C, 3) translations from world to camera."""

    names: tuple[str, ...]
    rotations: Float[np.ndarray, "C 3 3"]
    translations: Float[np.ndarray, "C 3"]

    @classmethod
    def of(cls, cameras: Mapping[str, Camera]) -> Rig:
        """The rig of cameras by name."""
        return cls(
            tuple(cameras),
            np.stack([camera.R_camera_world.double().numpy() for camera in cameras.values()]),
            np.stack([camera.t_camera_world.double().numpy() for camera in cameras.values()]),
        )

    def essential(self, first: int, second: int) -> Float[np.ndarray, "3 3"]:
        """The matrix E with r2 E r1 = 0 for rays r1, r2 of one point in two cameras."""
        turn = self.rotations[second] @ self.rotations[first].T
        x, y, z = self.translations[second] - turn @ self.translations[first]
        return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ turn


def sightlines(track: Track, camera: Camera, index: tuple[int, int], keypoints: Sequence[int]) -> Sightlines:
    """A track as rays of its camera.

    Args:
        index: of the camera, and of the track in it.
        keypoints: which of the layout's to take.
    """
    rays = camera.rays(track.keypoints.pixels[:, list(keypoints)]).numpy()
    seen = track.keypoints.confidence[:, list(keypoints)].numpy() > 0
    rays = np.where(seen[..., None], rays, np.nan)
    with np.errstate(all="ignore"):
        low, high = (_quantile(rays, share) for share in (0.05, 0.95))
        spans = np.linalg.norm(high - low, axis=-1)
    known = spans[np.isfinite(spans)]
    place = {keypoint: number for number, keypoint in enumerate(keypoints)}
    mirror = load_layout(track.keypoints.layout).mirror
    partners = tuple(place.get(mirror[keypoint], number) for number, keypoint in enumerate(keypoints))
    return Sightlines(*index, rays, float(np.median(known)) if len(known) else 0.0, partners)


def steady_keypoints(layout: Layout) -> list[int]:
    """Keypoints that detectors place alike from all sides: those of the body's limbs, else all."""
    layout = load_layout(layout)
    wanted = [
        index for index, row in enumerate(layout.points) if all(name.split("_", 1)[-1] in _STEADY for name, _ in row)
    ]
    return wanted if len(wanted) >= 4 else list(range(len(layout)))


_STEADY = {"shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "big_toe", "nose", "neck", "pelvis"}


def missed(
    essential: Float[np.ndarray, "3 3"], first: Float[np.ndarray, "*N 2"], second: Float[np.ndarray, "*N 2"]
) -> Float[np.ndarray, "*N"]:
    """How far rays of two cameras are from meeting, as an angle [rad] in either picture; NaN where one is missing.

    The distance of a ray from the epipolar line of the other, the mean of both.
    """
    one, two = (np.concatenate((rays, np.ones((*rays.shape[:-1], 1))), axis=-1) for rays in (first, second))
    line, back = one @ essential.T, two @ essential
    product = np.abs((two * line).sum(axis=-1))
    with np.errstate(all="ignore"):
        return 0.5 * product * (1 / np.hypot(line[..., 0], line[..., 1]) + 1 / np.hypot(back[..., 0], back[..., 1]))


def median(values: Float[np.ndarray, "..."]) -> float:
    """The median of what is known, infinity where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.inf


def _quantile(rays: Float[np.ndarray, "T K 2"], share: float) -> Float[np.ndarray, "T 2"]:
    """A quantile over the keypoints that are seen; NaN where fewer than four are."""
    ordered = np.sort(rays, axis=1)  # what is missing comes last
    count = np.isfinite(ordered).sum(axis=1)
    place = np.clip(np.round(share * (count - 1)), 0, None).astype(int)
    found = np.take_along_axis(ordered, place[:, None], axis=1)[:, 0]
    return np.where(count >= 4, found, np.nan)
