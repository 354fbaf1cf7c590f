"""Films of a clip: GIF or MP4, chosen by the file's suffix."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from rich import get_console
from rich.progress import track

from learnable_smplify.errors import InputError
from learnable_smplify.render.camera import View
from learnable_smplify.render.clip import Clip, Panel, import_extra
from learnable_smplify.safe_files.atomic import atomic_output

FILM_SUFFIXES = (".gif", ".mp4")

# Delays in a GIF are whole hundredths of a second, and viewers slow down anything shorter than two.
_SHORTEST_DELAY_CS = 2

_MOST_THREADS, _PIXELS_AT_ONCE = 8, 4_000_000


def film(
    clip: Clip,
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    frames: int | None = None,
    view: View = "three-quarter",
    panels: Sequence[Panel] = ("overlay",),
    size: tuple[int, int] | None = None,
    progress: bool = False,
) -> int:
    """Write a film that plays at the clip's true speed. MP4 is streamed; a GIF's frames are held in memory.

    Args:
        clip: what to show.
        path: a `.gif` or `.mp4` file.
        fps: frames a second of the film; None takes 16.7 for GIF (a delay of 6/100 s) and the clip's own, up to 30,
            for MP4. A GIF's rate is rounded to what the format can hold.
        frames: at most this many frames of film, from the start; None for the whole clip.
        view: where the camera stands.
        panels: pictures side by side: "overlay" (keypoints over the body), "body", "keypoints".
        size: (width, height) of one panel in pixels; None takes 352 x 420 for GIF (about 0.5 MB a second) and
            480 x 576 for MP4, which rounds up to even numbers.
        progress: show a progress bar.

    Returns:
        Number of frames written.

    Raises:
        InputError: an unknown suffix, a frame rate that is not positive, or a place that cannot be written to.
        MissingExtraError: pillow (GIF) or imageio-ffmpeg (MP4) is not installed.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in FILM_SUFFIXES:
        raise InputError(f"cannot write a film as '{target.suffix}'", path=target, expected=" or ".join(FILM_SUFFIXES))
    if fps is not None and not 0 < fps <= 240:
        raise InputError(f"the film's frame rate is {fps}", expected="above 0 and at most 240", hint="--fps 25")
    if frames is not None and frames < 1:
        raise InputError(f"the film has {frames} frames", expected="at least 1")
    if not panels:
        raise InputError("the film has no panel", expected="one or more of overlay, body, keypoints")
    width, height = size or ((352, 420) if suffix == ".gif" else (480, 576))
    if suffix == ".gif":
        import_extra("PIL.Image", "pillow", "Writing a GIF")
        delay_cs = max(_SHORTEST_DELAY_CS, round(100 / fps)) if fps else 6
        rate = 100 / delay_cs
    else:
        import_extra("imageio_ffmpeg", "imageio-ffmpeg", "Writing an MP4")
        rate = fps or min(clip.fps, 30.0)
        width, height = width + width % 2, height + height % 2

    # The film keeps time: frame n shows what the clip shows n / rate seconds in.
    total = max(1, round(len(clip) / clip.fps * rate))
    total = total if frames is None else min(total, frames)
    chosen = np.minimum((np.arange(total) / rate * clip.fps).round().astype(int), len(clip) - 1)
    window = max(1, round(0.7 * rate))
    cameras = clip.cameras(chosen, view=view, size=(width, height), window=window)
    floor = clip.floor_height()

    def picture(number: int) -> UInt8[np.ndarray, "H W 3"]:
        shown, camera = chosen[number], cameras[number]
        row = [clip.picture(shown, camera, panel=panel, floor_height=floor, size=(width, height)) for panel in panels]
        return np.concatenate(row, axis=1)

    def pictures() -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        hidden = not (progress and get_console().is_terminal)
        drawn = _in_order(picture, total, threads=_threads(width * height))
        yield from track(drawn, "Drawing frames", total=total, transient=True, disable=hidden)

    with atomic_output(target) as temporary:
        if suffix == ".gif":
            _write_gif(pictures(), temporary, delay_cs)
        else:
            write_mp4(pictures(), temporary, (width * len(panels), height), rate)
    return total


def _threads(pixels: int) -> int:
    """Pictures drawn at once: the machine code leaves other threads alone, large pictures take much memory."""
    return max(1, min(os.cpu_count() or 1, _MOST_THREADS, _PIXELS_AT_ONCE // pixels))


def _in_order(
    draw: Callable[[int], UInt8[np.ndarray, "H W 3"]], count: int, *, threads: int
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The pictures one after the other, the next ones already being drawn."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[UInt8[np.ndarray, "H W 3"]]] = deque()
        try:
            for number in range(count):
                waiting.append(pool.submit(draw, number))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # nobody wants the rest: interrupted, or the encoder stopped
            for picture in waiting:
                picture.cancel()


def _write_gif(pictures: Iterator[UInt8[np.ndarray, "H W 3"]], path: Path, delay_cs: int) -> None:
    from PIL import Image

    frames = list(pictures)
    # One palette for the whole film and a dither pattern that stands still: pixels that do not move stay equal from
    # frame to frame, and only what moves is stored.
    palette = Image.fromarray(_palette_samples(frames)).quantize(colors=256, method=Image.Quantize.MEDIANCUT)
    dither = _dither(frames[0].shape[0], frames[0].shape[1])
    indexed = []
    for picture in frames:
        dithered = np.clip(picture + dither, 0, 255).astype(np.uint8)
        indexed.append(Image.fromarray(dithered).quantize(palette=palette, dither=Image.Dither.NONE))
    indexed[0].save(
        path, format="GIF", save_all=True, append_images=indexed[1:], duration=delay_cs * 10, loop=0, optimize=True
    )


def _palette_samples(frames: Sequence[UInt8[np.ndarray, "H W 3"]]) -> UInt8[np.ndarray, "N 1 3"]:
    """Pixels to choose a palette by: a third coloured, a third dark, a third anything.

    Taken as they come, the background would get nearly every entry and the keypoints none of their own.
    """
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames[:: max(1, len(frames) // 8)]])
    brightest = pixels.max(axis=1)
    coloured = brightest - pixels.min(axis=1) > 50
    rng = np.random.default_rng(0)
    groups = [pixels[coloured], pixels[~coloured & (brightest < 225)], pixels]
    picked = [group[rng.integers(len(group), size=30_000)] for group in groups if len(group)]
    return np.concatenate(picked)[:, None]


def _dither(height: int, width: int) -> Float[np.ndarray, "H W 1"]:
    """A 4 x 4 ordered-dither pattern (Bayer), about one palette step high."""
    pattern = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    tiled = np.tile(pattern, (height // 4 + 1, width // 4 + 1))[:height, :width, None]
    return (tiled / 15 - 0.5) * 2.0


def write_mp4(
    pictures: Iterator[UInt8[np.ndarray, "H W 3"]],
    path: Path,
    size: tuple[int, int],
    fps: float,
    preset: str = "medium",
) -> None:
    """Encode pictures as they come.

    Args:
        pictures: of equal size.
        path: the .mp4.
        size: (width, height), even numbers [px].
        fps: frames a second.
        preset: how much time the encoder takes to save room, as x264 names it.

    Raises:
        InputError: the encoder stops.
    """
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=fps,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-crf", "20", "-preset", preset, "-movflags", "+faststart"],
    )
    try:
        writer.send(None)
        for picture in pictures:
            writer.send(np.ascontiguousarray(picture))
    except OSError as error:
        raise InputError(f"the MP4 encoder stopped ({error})", hint="a .gif file name instead") from error
    finally:
        writer.close()
