"""Who is in a video: MediaPipe's pose models, which come with its package, run over every picture.

MediaPipe finds one person. For further ones, those already found are painted out of the picture and it looks again.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, UInt8

from learnable_smplify.errors import LsmplifyError
from learnable_smplify.formats.detections.sightings import Sighting, tracks_from_sightings
from learnable_smplify.formats.keypoints.source import Asked, Source
from learnable_smplify.track import Track
from learnable_smplify.video.read import VideoInfo, read_pictures

INSTALL = "pip install 'learnable-smplify[video]' && pip install --no-deps 'mediapipe==0.10.21'"
"""Two commands: MediaPipe's wheel says numpy < 2, which other parts of this package are beyond. It runs with both."""

LAYOUT = "mediapipe33"
# A keypoint is believed from this visibility on: below, MediaPipe guesses where it could be.
_VISIBLE = 0.3
# Two finds are one person when most keypoints lie so near, in sizes of the person; or so many on what was painted out.
_SAME, _PAINTED = 0.15, 0.6
# What is painted over: the person's outline, wider by this share of the picture's height.
_WIDER = 0.008
# A video of which less than this can be read breaks off: how many pictures it has is told by its head, about.
_CUT_SHORT = 0.9


@dataclass(frozen=True, eq=False)
class Found:
    """A person in a picture.

    Args:
        table: (33, 3) column, row [px] and visibility.
        world: (33, 3) metres about the hips, see `Track`.
        outline: (H, W) where in the picture they are; None where nobody asked.
    """

    table: Float[np.ndarray, "33 3"]
    world: Float[np.ndarray, "33 3"]
    outline: Bool[np.ndarray, "H W"] | None = None


class OnePersonDetector(Protocol):
    """Finds one person in picture after picture of one video."""

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"]) -> Found | None:
        """The person in the next picture, RGB."""


Opener = Callable[[bool], OnePersonDetector]
"""Makes a detector for a video; whether outlines are needed."""


class MissingDetectorError(LsmplifyError):
    """MediaPipe is not installed; the message is the line to type."""

    def __init__(self) -> None:
        super().__init__(f"Finding people in a video needs MediaPipe (Python up to 3.12). Try: {INSTALL}")


def check_detector() -> None:
    """Refuse before any work.

    Raises:
        MissingDetectorError: MediaPipe, or what it needs, is not installed.
    """
    for module in ("mediapipe", "cv2", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            raise MissingDetectorError


def mediapipe_detector(outlines: bool) -> OnePersonDetector:
    """MediaPipe's detector and tracker.

    Raises:
        MissingDetectorError: it is not installed, or without its models, as newer versions are.
    """
    check_detector()
    # Its C++ writes a page of lines that say nothing to the user.
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet_stderr():
        try:
            import mediapipe

            pose = mediapipe.solutions.pose.Pose(model_complexity=1, enable_segmentation=outlines)
            # Its threads go on writing until the first picture is done.
            pose.process(np.zeros((64, 64, 3), np.uint8))
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            raise MissingDetectorError from error

    def find(picture: UInt8[np.ndarray, "H W 3"]) -> Found | None:
        with _quiet_stderr():
            result = pose.process(picture)
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return None
        height, width = picture.shape[:2]
        table = np.array(
            [[mark.x * width, mark.y * height, mark.visibility] for mark in result.pose_landmarks.landmark]
        )
        world = np.array([[mark.x, mark.y, mark.z] for mark in result.pose_world_landmarks.landmark])
        outline = None if result.segmentation_mask is None else np.asarray(result.segmentation_mask) > 0.3
        return Found(table, world, outline)

    return find


def detect_people(
    video: VideoInfo,
    people: int = 1,
    opener: Opener = mediapipe_detector,
    progress: Callable[[int, int], None] | None = None,
    fps: float | None = None,
) -> list[Track]:
    """Everybody in a video, followed over time.

    Args:
        video: which.
        people: how many to look for, at most.
        opener: makes the detectors, one for each person looked for.
        progress: called with (pictures done, pictures in all).
        fps: pictures a second when they were taken; None is what the video is shown at.

    Raises:
        InputError: the video cannot be read, or nobody is in it.
        MissingDetectorError: MediaPipe is not installed.
    """
    detectors = [opener(number + 1 < people) for number in range(people)]
    sightings: list[Sighting] = []
    count = 0
    for picture in read_pictures(video):
        for person in find_people(picture, detectors):
            believed = np.where(person.table[:, 2:] >= _VISIBLE, person.table, np.nan)
            sightings.append(Sighting(count, None, believed, person.world))
        count += 1
        if progress is not None:
            progress(count, max(count, video.frames))
    notes = []
    if count < _CUT_SHORT * video.frames - 1:
        notes.append(f"{video.path.name} breaks off: {count} of about {video.frames} pictures could be read")
    source = Source(video.path, fps=video.fps, notes=tuple(notes))
    return tracks_from_sightings(sightings, count, Asked(LAYOUT, fps), source)


def count_people(video: VideoInfo, opener: Opener = mediapipe_detector, samples: int = 6) -> int:
    """2 where a second person is seen in most of some pictures of a video, else 1.

    Someone much smaller than the first is part of the background.
    """
    step = max(1, video.frames // samples)
    twice, looked = 0, 0
    detectors = [opener(True), opener(False)]
    for number, picture in enumerate(read_pictures(video)):
        if number % step:
            continue
        if looked == samples:
            break
        looked += 1
        found = find_people(picture, detectors)
        twice += len(found) == 2 and _size(found[1].table) > 0.5 * _size(found[0].table)
    return 2 if looked and twice > 0.6 * looked else 1


def find_people(picture: UInt8[np.ndarray, "H W 3"], detectors: list[OnePersonDetector]) -> list[Found]:
    """The people in a picture: each detector looks where those before it saw nobody."""
    found: list[Found] = []
    left = picture
    for number, detector in enumerate(detectors):
        person = detector(left)
        if person is None:
            break
        if any(_same(person, other) for other in found):
            continue
        found.append(person)
        if number + 1 < len(detectors):
            left = _without(left, person)
    return found


def _same(one: Found, other: Found) -> bool:
    away = np.linalg.norm(one.table[:, :2] - other.table[:, :2], axis=1)
    if float(np.median(away)) < _SAME * max(_size(one.table), 1.0):
        return True
    if other.outline is None:
        return False
    height, width = other.outline.shape
    inside = (one.table[:, :2] >= 0).all(axis=1) & (one.table[:, 0] < width) & (one.table[:, 1] < height)
    column, row = one.table[inside, :2].astype(int).T
    return bool(inside.any()) and float(other.outline[row, column].mean()) > _PAINTED


def _size(table: Float[np.ndarray, "33 3"]) -> float:
    return float(np.linalg.norm(np.quantile(table[:, :2], 0.95, axis=0) - np.quantile(table[:, :2], 0.05, axis=0)))


def _without(picture: UInt8[np.ndarray, "H W 3"], person: Found) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with somebody painted over in the colour of what is beside them."""
    height, width = picture.shape[:2]
    low, high = person.table[:, :2].min(axis=0), person.table[:, :2].max(axis=0)
    margin = 0.15 * (high - low).max()
    left, top = np.clip(low - margin, 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(high + margin, 1, [width, height]).astype(int)
    if right <= left or bottom <= top:
        return picture
    part = picture[top:bottom, left:right]
    if person.outline is None:
        covered = np.ones(part.shape[:2], dtype=bool)
    else:
        covered = _widened(person.outline[top:bottom, left:right], max(1, round(_WIDER * height)))
    painted = picture.copy()
    beside = part[~covered]
    painted[top:bottom, left:right][covered] = np.median(beside, axis=0) if len(beside) else 127
    return painted


def _widened(mask: Bool[np.ndarray, "H W"], reach: int) -> Bool[np.ndarray, "H W"]:
    """A mask and what is within `reach` pixels of it along rows and columns."""
    for axis in (0, 1):
        total = np.cumsum(np.pad(mask, [(reach + 1, reach) if axis == side else (0, 0) for side in (0, 1)]), axis=axis)
        span = 2 * reach + 1
        mask = (total[span:] - total[:-span] if axis == 0 else total[:, span:] - total[:, :-span]) > 0
    return mask


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Nothing that C++ writes to the error stream is shown meanwhile."""
    try:
        kept = os.dup(2)
        nothing = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)
