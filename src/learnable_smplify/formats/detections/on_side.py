"""Films that lie on their side, or stand on their head: told by how people stand in the picture, and only said."""

from __future__ import annotations

import numpy as np

from learnable_smplify.camera import Camera
from learnable_smplify.formats.keypoints.body_points import FEET, HEAD, HIPS, SHOULDERS, either, mean_of, unit
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.layouts.layout import load_layout

# People point that way, within this angle, in this share of the frames that tell.
_WITHIN, _MOSTLY = np.cos(np.deg2rad(50.0)), 0.9
# A camera that looks up or down more steeply [cosine] shows no way that is up.
_LEAST_UP = 0.5
# How people lie: heads to the left of what is up, to the right, or down; and ffmpeg's filter that stands them up.
_WAYS = (
    (np.array([[0, 1], [-1, 0]]), "people lie in the picture, heads to the left,", "transpose=1"),
    (np.array([[0, -1], [1, 0]]), "people lie in the picture, heads to the right,", "transpose=2"),
    (np.array([[-1, 0], [0, -1]]), "people are upside down in the picture", "hflip,vflip"),
)


def on_side_notes(keypoints: Keypoints2D, camera: Camera) -> tuple[str, ...]:
    """What is said of pictures in which people never stand.

    Args:
        keypoints: of one person.
        camera: that saw them; which way is up in its pictures, level ones where nothing is known.
    """
    up = np.array([0.0, -1.0])
    if camera.up_axis is not None:
        up = camera.R_camera_world[:2, "xyz".index(camera.up_axis)].double().numpy()
        if np.linalg.norm(up) < _LEAST_UP:
            return ()
        up = up / np.linalg.norm(up)
    points = np.where(keypoints.confidence.numpy()[..., None] > 0, keypoints.pixels.numpy(), np.nan)
    layout = load_layout(keypoints.layout)
    hips = mean_of(points, layout, HIPS)
    top = either(mean_of(points, layout, SHOULDERS), mean_of(points, layout, HEAD))
    # The trunk and the legs: who bends over has one of them upright.
    parts = [unit(top - hips), unit(hips - mean_of(points, layout, FEET))]
    parts = [part[np.isfinite(part).all(axis=-1)] for part in parts]
    parts = [part for part in parts if len(part)]
    for turn, what, upright in _WAYS:
        shares = [float((part @ (turn @ up) > _WITHIN).mean()) for part in parts]
        if shares and min(shares) > _MOSTLY:
            return (
                f"{what} in {100 * min(shares):.0f} % of frames: a film that is turned has to be stood up before "
                f"people are looked for (ffmpeg -i CLIP.mp4 -vf {upright} upright.mp4)",
            )
    return ()
