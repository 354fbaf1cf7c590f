"""A file given to the wrong command: the message says what it is and what to type."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import test_estimates as files
from learnable_smplify.cli.main import main
from learnable_smplify.cli.rig import read_2d
from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates.any_motion import read_any_motion
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.jobs.settings import FitSettings
from test_trc import person, trc_text
from toy_files import save_npz


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
        (".xlsx", "spreadsheet", ".csv"),
        (".mvnx", "Xsens", ".bvh"),
        (".tak", "Motive", ".c3d"),
        (".h5", "container", ".npz"),
        (".gz", "archive", "unpack"),
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


def test_keypoints_for_a_motion_are_called_so_whatever_file_they_are_in(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", person(2))
    np.save(tmp_path / "a.npy", person(2))
    (tmp_path / "a.json").write_text(json.dumps(person(2).tolist()))
    for name in ("a.npz", "a.npy", "a.json"):
        with pytest.raises(InputError, match=r"these are keypoints.*lsmplify fit"):
            read_any_motion(tmp_path / name, None)


WRONG = {
    "refine with its files exchanged": (("refine", "a.trc", "m.npz"), "recording of keypoints"),
    "refine of a video": (("refine", "a.mp4", "a.trc"), "this is a video.*lsmplify video a.mp4"),
    "import of keypoints": (("import-motion", "a.trc", "-o", "out"), "recording of keypoints.*lsmplify fit a.trc"),
    "a video that is not there": (("video", "none.mp4"), "there is no such video"),
    "keypoints for a video": (("video", "a.trc"), "recording of keypoints.*lsmplify fit a.trc"),
    "an empty folder to one file": (("fit", "empty", "-o", "x.npz"), "empty: this folder holds no keypoint files"),
    "an empty array": (("fit", "a.npy"), "the file is empty"),
    "centimetres for a height": (("fit", "a.trc", "--height", "180"), "Try: --height 1.80"),
    "3D keypoints for a picture": (("fit", "a.trc", "--image-size", "640x480"), "Expected px"),
    "bone names for angles": (("convert", "m.npz", "-o", "x.mot", "--skeleton", "mixamo"), "leave --skeleton out"),
    "betas for a skeleton": (("convert", "m.npz", "-o", "x.bvh", "--betas-for", "smpl"), "leave --betas-for out"),
    "an up axis for angles": (("convert", "m.npz", "-o", "x.csv", "--up", "z"), "leave --up out"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_is_one_message_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.trc").write_text(trc_text(person()))
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "a.npy").write_bytes(b"")
    files.write_amass_style(tmp_path).rename(tmp_path / "m.npz")
    arguments, message = WRONG[case]
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("error: ")
    assert re.search(message, said), said


@pytest.mark.parametrize("name", ["a.npy", "alphapose.json", "several.npy"])
def test_other_programs_detections_are_fitted_from_one_camera(tmp_path: Path, name: str) -> None:
    count = 17
    pixels = np.concatenate((100 + 200 * person(2)[:, :count, :2], np.ones((2, count, 1))), axis=2)
    if name.endswith("json"):
        rows = [
            {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": points.ravel().tolist(), "score": 1.0}
            for frame, points in enumerate(pixels)
        ]
        (tmp_path / name).write_text(json.dumps(rows))
    else:
        np.save(tmp_path / name, np.stack((pixels, pixels), axis=1) if name == "several.npy" else pixels)
    for wanted in (None, "1") if name == "several.npy" else (None,):
        keypoints = read_2d(tmp_path / name, FitSettings(layout="coco17", person=wanted))
        np.testing.assert_allclose(keypoints.pixels, pixels[..., :2], atol=1e-3)
    with pytest.raises(InputError, match="there is no person '9'"):
        read_2d(tmp_path / name, FitSettings(layout="coco17", person="9"))
