"""`Keypoints`: what it accepts, what it makes of missing values, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import Layout, load_layout

NAN = float("nan")


def positions(frames: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 25, 3))


def test_arrays_become_float32_tensors_and_the_layout_is_loaded() -> None:
    keypoints = Keypoints(positions(), layout="body25", fps=30)  # type: ignore[arg-type]
    assert keypoints.positions.dtype == torch.float32
    assert isinstance(keypoints.layout, Layout)
    assert isinstance(keypoints.fps, float)
    assert len(keypoints) == 3


def test_one_frame_needs_no_time_axis() -> None:
    assert len(Keypoints(positions()[0], layout=load_layout("body25"))) == 1  # type: ignore[arg-type]


def test_everything_finite_is_trusted_unless_said_otherwise() -> None:
    values = positions()
    values[1, 4, 2] = NAN
    values[2, 7] = np.inf
    keypoints = Keypoints(values, layout="body25")  # type: ignore[arg-type]
    missing = (keypoints.confidence == 0).nonzero().tolist()
    assert missing == [[1, 4], [2, 7]]
    assert bool(torch.isfinite(keypoints.positions).all())


def test_nan_positions_and_strange_confidences_count_as_missing() -> None:
    values, confidence = positions(), np.full((3, 25), 0.5)
    values[0, 0] = NAN
    confidence[0, 1], confidence[0, 2] = NAN, -1.0
    keypoints = Keypoints(values, layout="body25", confidence=confidence)  # type: ignore[arg-type]
    assert keypoints.confidence[0, :4].tolist() == [0.0, 0.0, 0.0, 0.5]


def test_one_confidence_a_keypoint_serves_all_frames() -> None:
    confidence = np.linspace(0, 1, 25)
    keypoints = Keypoints(positions(), layout="body25", confidence=confidence)  # type: ignore[arg-type]
    np.testing.assert_allclose(keypoints.confidence, np.tile(confidence, (3, 1)), atol=1e-6)


def test_a_note_is_added_to_the_others_on_a_copy() -> None:
    keypoints = Keypoints(positions(), layout="body25", notes=("first",))  # type: ignore[arg-type]
    assert keypoints.with_note("second").notes == ("first", "second")
    assert keypoints.notes == ("first",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": positions()[:, :24]}, r"\(3, 24, 3\).*\(T, 25, 3\) for layout 'body25'"),
        ({"positions": positions()[..., :2]}, "shape"),
        ({"positions": np.zeros((0, 25, 3))}, "empty"),
        ({"positions": np.full((3, 25, 3), NAN)}, "no keypoint is usable"),
        ({"confidence": np.zeros((3, 25))}, "no keypoint is usable"),
        ({"confidence": np.ones((2, 25))}, "confidence has shape"),
        ({"fps": 0.0}, "frame rate"),
        ({"fps": NAN}, "frame rate"),
        ({"layout": "body26"}, "body26"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    given = {"positions": positions(), "layout": "body25"} | change
    with pytest.raises(InputError, match=message):
        Keypoints(**given)
