"""Estimators and data sets by the names of their arrays, and the commands that take their files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch

import test_estimates as files
from learnable_smplify.body import load_body
from learnable_smplify.cli.convert import ConvertArgs, convert
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates import read_estimates
from learnable_smplify.formats.motion.motion_file import read_motion

T, POSE, ROTMAT, BETAS, TRANSL = files.T, files.POSE, files.ROTMAT, files.BETAS, files.TRANSL
THETAS = POSE.reshape(T, 72)


def romp(track_ids: bool = True) -> dict[str, Any]:
    content = {"smpl_thetas": THETAS, "smpl_betas": BETAS, "cam_trans": TRANSL, "cam": np.zeros((T, 3))}
    return {**content, "track_ids": np.full(T, 3)} if track_ids else content


def romp_by_frame() -> dict[str, Any]:
    """Two people a frame, the second in another order in every other frame."""
    content = {}
    for frame in range(T):
        order = [0, 1] if frame % 2 else [1, 0]
        both = {
            "smpl_thetas": np.stack((THETAS[frame], THETAS[T - 1 - frame])),
            "smpl_betas": np.stack((BETAS[frame], BETAS[frame])),
            "cam_trans": np.stack((TRANSL[frame], TRANSL[frame] + 1)),
            "track_ids": np.array([5, 8]),
        }
        content[f"frames/{frame:06d}.jpg"] = {key: value[order] for key, value in both.items()}
    return content


def glamr() -> dict[str, Any]:
    person = {
        "smpl_pose": THETAS[:, 3:],
        "smpl_beta": BETAS,
        "smpl_orient_world": THETAS[:, :3],
        "root_trans_world": TRANSL,
        "smpl_orient_cam": THETAS[::-1, :3],
        "root_trans_cam": TRANSL + 9,
        "frames": np.arange(T),
        "scale": None,
    }
    return {"person_data": {0: person}, "cam_pose": np.zeros((T, 4, 4)), "seq_name": "x"}


def prompthmr() -> dict[str, Any]:
    pose = np.zeros((T, 165))
    pose[:, :66] = THETAS[:, :66]
    world = {"pose": pose, "shape": BETAS, "trans": TRANSL}
    camera = {"pose": pose[::-1], "shape": BETAS, "trans": TRANSL + 9}
    person = {"track_id": 4, "frames": np.arange(T), "smplx_world": world, "smplx_cam": camera}
    return {"people": {4: person}, "camera": {"img_focal": 1000.0}}


def vibe() -> dict[Any, Any]:
    return {1: {"pose": THETAS, "betas": BETAS, "frame_ids": np.arange(T), "pred_cam": np.zeros((T, 3))}}


def cliff() -> dict[str, Any]:
    return {"pose": ROTMAT, "shape": BETAS, "global_t": TRANSL, "transl": TRANSL}


def tokenhmr() -> dict[str, Any]:
    params = {"global_orient": ROTMAT[:, :1], "body_pose": ROTMAT[:, 1:], "betas": BETAS}
    return {"pred_smpl_params": {key: torch.from_numpy(value) for key, value in params.items()}}


CONTENTS = {
    "ROMP": romp(),
    "ROMP without tracks": romp(track_ids=False),
    "GLAMR": glamr(),
    "PromptHMR": prompthmr(),
    "VIBE": vibe(),
    "pose and shape": {"pose": POSE, "shape": BETAS, "trans": TRANSL},
    "CLIFF": cliff(),
    "TokenHMR": tokenhmr(),
}


def write(folder: Path, content: Any, how: str) -> Path:
    path = folder / f"result.{how}"
    if how == "npz":
        np.savez(path, results=np.array(content, dtype=object))
    elif how == "joblib":
        joblib.dump(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize("name", list(CONTENTS))
@pytest.mark.parametrize("how", ["pkl", "joblib", "npz"])
def test_the_poses_are_found_under_every_estimators_names(tmp_path: Path, name: str, how: str) -> None:
    if how == "joblib" and name == "TokenHMR":
        pytest.skip("joblib keeps tensors as pickles of torch, which are read from torch's own files")
    if how != "joblib" and name == "TokenHMR":
        CONTENTS[name] = {k: {n: a.numpy() for n, a in part.items()} for k, part in tokenhmr().items()}
    (estimate,) = read_estimates(write(tmp_path, CONTENTS[name], how))
    joints = 22 if name == "PromptHMR" else 24
    assert files.angle_to(estimate.pose[:, :joints], POSE[:, :joints]) < 1e-4
    np.testing.assert_allclose(estimate.betas, np.median(BETAS, axis=0), atol=1e-6)
    if name not in ("VIBE", "TokenHMR"):
        assert estimate.transl is not None
        np.testing.assert_allclose(estimate.transl, TRANSL, atol=1e-6)
    assert estimate.body == ("smplx" if name == "PromptHMR" else "smpl")
    assert estimate.frame == ("world" if name in ("GLAMR", "PromptHMR") else "camera")


@pytest.mark.parametrize("name", ["GLAMR", "PromptHMR"])
def test_the_cameras_frame_can_be_asked_for(tmp_path: Path, name: str) -> None:
    (estimate,) = read_estimates(write(tmp_path, CONTENTS[name], "pkl"), frame="camera")
    assert estimate.transl is not None
    np.testing.assert_allclose(estimate.transl, TRANSL + 9, atol=1e-5)
    with pytest.raises(InputError, match="camera's frame only"):
        read_estimates(write(tmp_path, CONTENTS["ROMP"], "pkl"), frame="world")


def test_people_are_followed_by_their_tracks_through_the_frames(tmp_path: Path) -> None:
    people = {one.person_id: one for one in read_estimates(write(tmp_path, romp_by_frame(), "npz"))}
    assert set(people) == {"5", "8"}
    assert files.angle_to(people["5"].pose, POSE) < 1e-4
    assert files.angle_to(people["8"].pose, POSE[::-1]) < 1e-4


def write_aist(folder: Path) -> Path:
    content = {"smpl_poses": THETAS, "smpl_trans": TRANSL * 93.5, "smpl_scaling": np.array([93.5]), "smpl_loss": 0.1}
    return write(folder, content, "pkl")


def test_aist_is_60_frames_a_second_and_its_path_divided_by_its_scaling(tmp_path: Path) -> None:
    (estimate,) = read_estimates(write_aist(tmp_path))
    assert estimate.transl is not None
    np.testing.assert_allclose(estimate.transl, TRANSL, atol=1e-5)
    assert (estimate.fps, estimate.up_axis, estimate.frame, estimate.source) == (60, "y", "world", "AIST++")
    main(["import-motion", str(tmp_path / "result.pkl"), "-o", str(tmp_path / "out")])
    motion = read_motion(tmp_path / "out" / "result.npz")
    assert (motion.fps, motion.up_axis) == (30, "y")


def test_sam_3d_body_is_named_with_the_way_to_go(tmp_path: Path) -> None:
    content = {"mhr_model_params": np.zeros((T, 204)), "pred_keypoints_3d": np.zeros((T, 70, 3))}
    with pytest.raises(InputError, match=r"SAM 3D Body.*pred_keypoints_3d"):
        read_estimates(write(tmp_path, content, "pkl"))


@pytest.mark.parametrize(
    "content",
    [
        {"smpl_thetas": np.zeros((T, 71))},
        {"smpl_thetas": np.zeros(0), "smpl_betas": np.zeros(0)},
        {"pose": np.zeros((T, 24, 3)), "betas": np.zeros((T + 1, 10))},
        {"pred_thetas": np.zeros((T, 216))},
        {"smpl_poses": THETAS, "smpl_trans": TRANSL[:-1], "smpl_scaling": np.ones(1)},
        {"smpl_poses": THETAS, "smpl_trans": TRANSL, "smpl_scaling": np.zeros(1)},
        {"pose": "text", "shape": None},
        {"results": {"a.jpg": {"smpl_thetas": np.full((1, 72), np.nan)}}},
        {1: {"pose": np.zeros((2, 3)), "frame_ids": np.arange(2)}},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match=r"result\.pkl"):
        read_estimates(write(tmp_path, content, "pkl"))


# --- the commands


@pytest.mark.parametrize("name", [*files.WRITERS, "romp"])
@pytest.mark.parametrize("suffix", ["npz", "bvh"])
def test_convert_takes_every_estimators_file(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(tmp_path, romp(), "npz") if name == "romp" else files.WRITERS[name](tmp_path)
    out = tmp_path / f"out.{suffix}"
    convert(ConvertArgs(path, out, body="open"))
    assert out.stat().st_size > 1000


def test_a_person_of_a_camera_stands_upright_in_what_convert_writes(tmp_path: Path) -> None:
    pose = np.zeros((T, 72))
    pose[:, 0] = np.pi  # y down
    content = {"smpl_thetas": pose, "smpl_betas": np.zeros((T, 10)), "cam_trans": np.tile([0.0, 0.1, 4.0], (T, 1))}
    convert(ConvertArgs(write(tmp_path, content, "pkl"), tmp_path / "out.npz", body="open"))
    motion = read_motion(tmp_path / "out.npz")
    joints = load_body().joints(motion.pose, motion.betas, motion.transl)
    assert motion.up_axis == "y"
    assert bool((joints[:, 12, 1] - joints[:, 0, 1] > 0.4).all())


def test_report_and_render_take_an_estimators_file(tmp_path: Path) -> None:
    path = write(tmp_path, romp(), "npz")
    main(["report", str(path), "-o", str(tmp_path / "a.html"), "--body", "open", "--pictures", "0"])
    assert (tmp_path / "a.html").stat().st_size > 1000
    pytest.importorskip("matplotlib")
    main(["render", str(path), "-o", str(tmp_path / "a.png"), "--frames", "2", "--size", "64"])
    assert (tmp_path / "a.png").stat().st_size > 500


BARE: dict[str, Any] = {
    "a person without a world": lambda: {
        "7": {"pose": THETAS, "trans": TRANSL, "betas": BETAS, "frame_ids": np.arange(T)}
    },
    "AMASS's names in a pickle": lambda: {"poses": THETAS, "trans": TRANSL, "betas": BETAS[0]},
    "shapes a frame": lambda: {"poses": THETAS, "trans": TRANSL, "betas": BETAS},
    "no hands": lambda: {"poses": THETAS[:, :66], "trans": TRANSL, "betas": BETAS[0]},
    "joint by joint": lambda: {"poses": POSE, "trans": TRANSL, "betas": BETAS[0]},
    "fullpose": lambda: {"fullpose": np.pad(THETAS[:, :66], ((0, 0), (0, 99))), "trans": TRANSL, "betas": BETAS},
    "a dictionary a frame": lambda: [
        {"global_orient": THETAS[t, :3], "body_pose": THETAS[t, 3:], "transl": TRANSL[t], "betas": BETAS[t]}
        for t in range(T)
    ],
}


@pytest.mark.parametrize("name", BARE)
def test_parameters_are_read_however_little_is_said_about_them(tmp_path: Path, name: str) -> None:
    content = BARE[name]()
    paths = [tmp_path / "a.pkl", tmp_path / "b.pkl", tmp_path / "c.npz"]
    paths[0].write_bytes(pickle.dumps(content))
    joblib.dump(content, paths[1])
    if isinstance(content, dict) and "7" not in content:
        np.savez(paths[2], **content)
    for path in filter(Path.is_file, paths):
        (estimate,) = read_estimates(path)
        np.testing.assert_allclose(estimate.pose[:, :22], POSE[:, :22], atol=1e-6)
        np.testing.assert_allclose(estimate.transl, TRANSL, atol=1e-6)
        assert len(estimate.to_motion(30)) == T
