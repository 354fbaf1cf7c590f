"""`Keypoints2D`, keypoints2d.json and OpenPose's folder of JSON files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.formats.detections.keypoints2d_json import read_keypoints2d, write_keypoints2d
from learnable_smplify.keypoints2d import Keypoints2D


def some_pixels(frames: int = 4, count: int = 25, seed: int = 0) -> torch.Tensor:
    return 500 * torch.rand(frames, count, 2, generator=torch.Generator().manual_seed(seed))


def openpose_file(folder: Path, frame: int, *people: list[float]) -> None:
    content = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": row} for row in people]}
    (folder / f"clip_{frame:012d}_keypoints.json").write_text(json.dumps(content))


def flat(pixels: torch.Tensor, confidence: float = 0.9) -> list[float]:
    return torch.nn.functional.pad(pixels, (0, 1), value=confidence).flatten().tolist()


def test_nan_is_missing_and_one_frame_may_come_without_its_axis() -> None:
    pixels = some_pixels()[0]
    pixels[3] = torch.nan
    keypoints = Keypoints2D(pixels, "body25")
    assert keypoints.pixels.shape == (1, 25, 2)
    assert keypoints.confidence[0].tolist() == [0.0 if index == 3 else 1.0 for index in range(25)]
    assert bool(torch.isfinite(keypoints.pixels).all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pixels": torch.zeros(2, 17, 2)}, "expected"),
        ({"pixels": torch.zeros(0, 25, 2)}, "no frames"),
        ({"pixels": torch.full((2, 25, 2), torch.nan)}, "no keypoint is usable"),
        ({"fps": 0.0}, "frame rate"),
        ({"confidence": torch.ones(3, 25)}, "confidence has shape"),
        ({"layout": "body26"}, "body26"),
    ],
)
def test_values_that_do_not_fit_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"(?i){message}"):
        Keypoints2D(**({"pixels": some_pixels(2), "layout": "body25"} | arguments))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pixels = some_pixels(5, 17)
    pixels[2, 4] = torch.nan
    confidence = torch.rand(5, 17, generator=torch.Generator().manual_seed(1))
    keypoints = Keypoints2D(pixels, "coco17", fps=25, confidence=confidence)
    write_keypoints2d(keypoints, tmp_path / "keypoints2d.json")
    again = read_keypoints2d(tmp_path / "keypoints2d.json")
    assert (again.fps, again.notes) == (25, ())
    torch.testing.assert_close(again.pixels, keypoints.pixels, atol=1e-3, rtol=0)
    torch.testing.assert_close(again.confidence, keypoints.confidence, atol=1e-3, rtol=0)


def test_rows_without_confidence_and_null_are_read(tmp_path: Path) -> None:
    frame: list = some_pixels(1, 17)[0].tolist()
    frame[2] = [None, None]
    path = tmp_path / "k.json"
    path.write_text(json.dumps({"keypoints": [frame]}))
    keypoints = read_keypoints2d(path, layout="coco17")
    assert keypoints.confidence[0, :4].tolist() == [1, 1, 0, 1]
    assert any("30 a second" in note for note in keypoints.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"keypoints": []}, "no frames"),
        ({"keypoints": 3}, "no frames"),
        ({"keypoints": [[[1, 2], [3]]]}, "frame 0"),
        ({"keypoints": [[[1, 2]] * 17, [[1, 2]] * 16]}, "frame 1"),
        ({"keypoints": [[[1, 2]] * 17], "layout": 3}, "layout"),
        ({"keypoints": [[[1, 2]] * 17], "layout": "body25"}, "17 keypoints"),
        ({"keypoints": [[[1, 2]] * 17], "layout": "coco17", "fps": "fast"}, "fps"),
        ({"keypoints": [[[None, None]] * 17], "layout": "coco17"}, "nobody is in any frame"),
        ({"positions": []}, "no 2D keypoints"),
        ([1, 2], "no 2D keypoints"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "k.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"k\.json.*{message}"):
        read_keypoints2d(path)


def test_openpose_is_read_with_gaps_between_its_frames(tmp_path: Path) -> None:
    pixels = some_pixels(3)
    for frame, row in zip((7, 8, 10), pixels, strict=True):
        openpose_file(tmp_path, frame, flat(row))
    keypoints = read_keypoints2d(tmp_path, fps=60)
    assert (len(keypoints), keypoints.fps) == (4, 60)
    torch.testing.assert_close(keypoints.pixels[[0, 1, 3]], pixels, atol=1e-3, rtol=0)
    assert float(keypoints.confidence[2].sum()) == 0
    assert any("no file" in note for note in keypoints.notes)


def test_the_person_seen_best_is_followed_through_a_change_of_order(tmp_path: Path) -> None:
    ours, other = some_pixels(1)[0], some_pixels(1, seed=1)[0] + 900
    openpose_file(tmp_path, 0, flat(other, 0.3), flat(ours, 0.9))
    openpose_file(tmp_path, 1, flat(ours + 5, 0.4), flat(other, 0.8))
    openpose_file(tmp_path, 2)
    openpose_file(tmp_path, 3, flat(other, 0.8), flat(ours + 10, 0.4))
    keypoints = read_keypoints2d(tmp_path)
    torch.testing.assert_close(keypoints.pixels[[0, 1, 3]], torch.stack((ours, ours + 5, ours + 10)), atol=1e-3, rtol=0)
    assert any("2 people" in note for note in keypoints.notes)


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    openpose_file(tmp_path, 0)
    openpose_file(tmp_path, 1, [0.0] * 75)
    with pytest.raises(InputError, match="nobody"):
        read_keypoints2d(tmp_path)


def test_openpose_with_another_number_of_keypoints_is_refused(tmp_path: Path) -> None:
    openpose_file(tmp_path, 0, [1.0] * 48)
    with pytest.raises(InputError, match="16 keypoints"):
        read_keypoints2d(tmp_path)
    openpose_file(tmp_path, 1, [1.0] * 55)
    with pytest.raises(InputError, match="55 numbers"):
        read_keypoints2d(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pose_keypoints_2d"]), inner),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["keypoints", "people", "layout", "fps"]), VALUES))
def test_no_file_ends_in_anything_but_keypoints_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, content: dict
) -> None:
    path = tmp_path_factory.getbasetemp() / "any2d.json"
    path.write_text(json.dumps(content))
    try:
        message = "any2d.json" if len(read_keypoints2d(path)) else ""
    except InputError as error:
        message = str(error)
    assert "any2d.json" in message or "layout" in message
