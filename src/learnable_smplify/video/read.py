"""The pictures of a video, one after another, through ffmpeg."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from learnable_smplify.errors import InputError
from learnable_smplify.render.clip import import_extra


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    Args:
        path: the file.
        width, height: of its pictures as they are shown, turned upright [px].
        fps: pictures a second.
        frames: about how many there are.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int


def video_info(path: Path) -> VideoInfo:
    """What a video is, from its head.

    Raises:
        InputError: no such file, or no video.
        MissingExtraError: imageio-ffmpeg is not installed.
    """
    pictures = _open(path, None)
    try:
        meta = next(pictures)
    except (OSError, RuntimeError, StopIteration, KeyError) as error:
        raise _unreadable(path, error) from error
    finally:
        pictures.close()
    (width, height), fps, seconds = meta["size"], float(meta["fps"]), float(meta["duration"])
    if not (fps > 0 and width > 0 and height > 0 and np.isfinite(fps)):
        raise InputError("the video does not say its size and frame rate", path=path, expected="a video of a camera")
    frames = max(1, round(seconds * fps)) if np.isfinite(seconds) else 1
    return VideoInfo(path, int(width), int(height), fps, frames)


def read_pictures(
    video: VideoInfo, size: tuple[int, int] | None = None
) -> Generator[UInt8[np.ndarray, "H W 3"], None, None]:
    """Its pictures, RGB, at an even rate: where they were taken unevenly some are left out, or come twice.

    Args:
        video: which.
        size: (width, height) to scale to [px]; None leaves them as they are.

    Raises:
        InputError: the video is damaged before its first picture.
    """
    width, height = size or (video.width, video.height)
    pictures = _open(video.path, size, video.fps)
    try:
        next(pictures)
        for data in pictures:
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
    except (OSError, RuntimeError) as error:
        raise _unreadable(video.path, error) from error
    finally:
        pictures.close()


def _open(path: Path, size: tuple[int, int] | None, fps: float | None = None) -> Generator:
    if not path.is_file():
        raise InputError("there is no such file", path=path, hint=f"ls {path.parent}")
    import_extra("imageio_ffmpeg", "imageio-ffmpeg", "Reading a video")
    import imageio_ffmpeg

    # It warns whenever pictures are scaled, which is what they are asked to be.
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    scale = [] if size is None else ["-vf", f"scale={size[0]}:{size[1]}"]
    # Phones take pictures when they can: at the mean rate, so that each stands for its time.
    even = [] if fps is None else ["-r", f"{fps:.6f}"]
    return imageio_ffmpeg.read_frames(str(path), output_params=[*scale, *even])


def _unreadable(path: Path, error: Exception) -> InputError:
    if "Output file does not contain any stream" in str(error) or (
        "Audio:" in str(error) and "Video:" not in str(error)
    ):
        return InputError("there are no pictures in it, only sound", path=path, expected="a video of a camera")
    detail = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
    return InputError(f"not a readable video ({detail})", path=path, expected="a video, such as .mp4 of a phone")
