"""A file given to the wrong command: the message says what it is and what to type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import test_estimates as files
from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.any_motion import read_any_motion
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from test_trc import person, trc_text


@pytest.mark.parametrize(
    ("suffix", "what", "command"),
    [
        (".bvh", "motion capture", "import-motion"),
        (".glb", "motion capture", "import-motion"),
        (".pkl", "estimator", "convert"),
        (".pt", "estimator", "convert"),
        (".mp4", "video", "pose estimator"),
        (".fbx", "animation", ".glb"),
        (".mot", "joint angles", "fit"),
    ],
)
def test_fit_says_what_a_file_of_another_kind_is(tmp_path: Path, suffix: str, what: str, command: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"anything")
    with pytest.raises(InputError) as caught:
        read_keypoints(path)
    assert what in str(caught.value)
    assert command in str(caught.value).split("Try:")[1]


def test_fit_says_that_a_motion_is_a_motion(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"motion already.*lsmplify convert"):
        read_keypoints(files.write_amass_style(tmp_path))
    with pytest.raises(InputError, match=r"motion already.*lsmplify convert"):
        read_keypoints(files.write_smplestx(tmp_path))
    with pytest.raises(InputError, match=r"SMPL parameters.*lsmplify convert"):
        read_keypoints(files.write_easymocap(tmp_path))
    with pytest.raises(InputError, match=r"estimator's result.*lsmplify convert"):
        read_keypoints(files.write_tram(tmp_path))
    np.savez(tmp_path / "other.npz", apples=np.ones(3))
    with pytest.raises(InputError, match="no array 'keypoints'") as caught:
        read_keypoints(tmp_path / "other.npz")
    assert "motion" not in str(caught.value).split(":", 1)[1]


@pytest.mark.parametrize(
    ("name", "command"), [("a.trc", "lsmplify fit"), ("a.csv", "lsmplify fit"), ("a.bvh", "import-motion")]
)
def test_convert_says_what_keypoints_and_mocap_are(tmp_path: Path, name: str, command: str) -> None:
    (tmp_path / name).write_text(trc_text(person()))
    with pytest.raises(InputError, match=command):
        read_any_motion(tmp_path / name, None)
