"""`Clip`: everything a contact sheet or a film shows, as arrays; and the pictures of one of its frames."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import ArrayLike

from learnable_smplify.body.clothes import BODY_COLOR
from learnable_smplify.errors import InputError, MissingExtraError
from learnable_smplify.render.camera import Camera, View, follow_cameras, up_vector
from learnable_smplify.render.frame import render_frame
from learnable_smplify.timeline import check_rate

Panel: TypeAlias = Literal["overlay", "body", "keypoints"]
PANELS: tuple[Panel, ...] = ("overlay", "body", "keypoints")


@dataclass(frozen=True, eq=False)
class Clip:
    """A moving body, and the keypoints it should agree with.

    Args:
        vertices: (T, V, 3) world, metres.
        faces: (F, 3) vertex numbers.
        fps: frames a second of `vertices`.
        up_axis: "x", "y" or "z"; None means "y".
        forward: (3,) direction the person faces, for the camera; None means SMPL's rest direction.
        keypoints: (T, K, 3) world, metres, NaN where missing; None when there are none.
        edges: pairs of keypoint numbers to join.
        keypoint_colors: (K, 3) in 0..255.
        keypoint_radii: (K,) metres; None takes the usual one.
        flagged: (T,) frames whose time label is marked as not trusted.
        color: (3,) body colour, or (V, 3) of its vertices, sRGB 0..255.

    Raises:
        InputError: shapes that do not fit or vertices that are not finite.
    """

    vertices: Float[np.ndarray, "T V 3"]
    faces: Int[np.ndarray, "F 3"]
    fps: float = 30.0
    up_axis: str | None = None
    forward: Float[np.ndarray, "3"] | None = None
    keypoints: Float[np.ndarray, "T K 3"] | None = None
    edges: Sequence[tuple[int, int]] = ()
    keypoint_colors: Float[np.ndarray, "K 3"] | None = None
    keypoint_radii: Float[np.ndarray, "K"] | None = None
    flagged: Bool[np.ndarray, "T"] | None = None
    color: ArrayLike = BODY_COLOR

    def __post_init__(self) -> None:
        vertices = np.asarray(self.vertices, dtype=np.float32)
        if vertices.ndim != 3 or vertices.shape[2] != 3 or 0 in vertices.shape:
            raise InputError(f"vertices have shape {vertices.shape}", expected="(T, V, 3) with at least one frame")
        bad = np.flatnonzero(~np.isfinite(vertices).all(axis=(1, 2)))
        if len(bad):
            raise InputError("vertices hold NaN or infinity", where=f"frame {bad[0]}", expected="positions in metres")
        check_rate(self.fps)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", np.asarray(self.faces))
        if self.keypoints is not None:
            keypoints = np.asarray(self.keypoints, dtype=float)
            if keypoints.ndim != 3 or keypoints.shape[2] != 3 or len(keypoints) != len(vertices):
                raise InputError(f"keypoints have shape {keypoints.shape}", expected=f"({len(vertices)}, K, 3)")
            object.__setattr__(self, "keypoints", keypoints)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.vertices)

    def floor_height(self) -> float:
        """Height of the ground: what the lowest vertex reaches, but for the few lowest frames [m]."""
        lowest = (self.vertices @ up_vector(self.up_axis).astype(np.float32)).min(axis=1)
        return float(np.percentile(lowest, 5))

    def cameras(
        self,
        frames: Int[np.ndarray, "N"],
        *,
        view: View,
        size: tuple[int, int],
        follow: bool | None = None,
        window: int = 1,
    ) -> list[Camera]:
        """One camera for each of `frames`; see `camera.follow_cameras`."""
        # Every tenth vertex is enough to frame a body: they lie centimetres apart, the margin is more.
        points = self.vertices[frames][:, :: 10 if self.vertices.shape[1] > 1000 else 1]
        if self.keypoints is not None and np.isfinite(self.keypoints[frames]).any():
            dots = self.keypoints[frames]
            # A missing keypoint must not pull the camera: it stands where the body is.
            dots = np.where(np.isfinite(dots), dots, points.mean(axis=1, keepdims=True))
            points = np.concatenate([points, dots], axis=1)
        return follow_cameras(
            points, up_axis=self.up_axis, forward=self.forward, view=view, size=size, follow=follow, window=window
        )

    def picture(
        self, frame: int, camera: Camera, *, panel: Panel, floor_height: float | None, size: tuple[int, int]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """One frame, with the body, the keypoints or both."""
        if panel not in PANELS:
            raise InputError(f"the panel is '{panel}'", expected="one of " + ", ".join(PANELS))
        return render_frame(
            None if panel == "keypoints" else self.vertices[frame],
            self.faces,
            camera,
            keypoints=None if self.keypoints is None or panel == "body" else self.keypoints[frame],
            edges=self.edges,
            keypoint_colors=self.keypoint_colors,
            keypoint_radii=self.keypoint_radii,
            floor_height=floor_height,
            size=size,
            color=self.color,
        )


def import_extra(module: str, package: str, purpose: str) -> None:
    """Make sure that a module of the `render` extra can be imported.

    Raises:
        MissingExtraError: it cannot.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, "render", purpose) from error
