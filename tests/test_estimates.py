"""Estimators' results: files with the real keys and types, made here, become the poses they were made from."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from learnable_smplify.body.body import Body
from learnable_smplify.errors import InputError
from learnable_smplify.formats.estimates import FORMATS, Estimate, read_estimates
from learnable_smplify.formats.motion.amass import write_amass
from toy_body import toy_arrays
from toy_motion import drifting_transl, swinging_poses

T = 6
RNG = np.random.default_rng(0)
POSE = swinging_poses(T).numpy()
POSE[:, 0] = RNG.normal(scale=0.5, size=(T, 3))
TRANSL = drifting_transl(T).numpy()
BETAS = RNG.normal(size=(T, 10))
ROTMAT = Rotation.from_rotvec(POSE.reshape(-1, 3)).as_matrix().reshape(T, 24, 3, 3)


def wham_content(frames: np.ndarray | None = None) -> dict[int, dict[str, Any]]:
    frames = np.arange(T) + 3 if frames is None else frames
    person = {
        "pose": np.zeros((T, 72), np.float32),
        "trans": np.ones((T, 3), np.float32),
        "pose_world": POSE.reshape(T, 72).astype(np.float32),
        "trans_world": TRANSL.astype(np.float32),
        "betas": BETAS.astype(np.float32),
        "verts": np.zeros((T, 20, 3), np.float32),
        "frame_ids": frames,
    }
    return {0: person, 4: {**person, "pose_world": person["pose_world"][::-1].copy()}}


def write_wham(folder: Path) -> Path:
    joblib.dump(wham_content(), folder / "wham_output.pkl")
    return folder / "wham_output.pkl"


def write_gvhmr(folder: Path) -> Path:
    part = {
        "body_pose": torch.from_numpy(POSE[:, 1:22].reshape(T, 63)),
        "global_orient": torch.from_numpy(POSE[:, 0]),
        "transl": torch.from_numpy(TRANSL),
        "betas": torch.from_numpy(BETAS).float(),
    }
    camera = {**part, "transl": part["transl"] + 1}
    content = {"smpl_params_global": part, "smpl_params_incam": camera, "K_fullimg": torch.eye(3), "net_outputs": {}}
    torch.save(content, folder / "hmr4d_results.pt")
    return folder / "hmr4d_results.pt"


def write_tram(folder: Path) -> Path:
    content = {
        "pred_cam": torch.zeros(T, 3),
        "pred_pose": torch.zeros(T, 144),
        "pred_shape": torch.from_numpy(BETAS).float(),
        "pred_rotmat": torch.from_numpy(ROTMAT).float(),
        "pred_trans": torch.from_numpy(TRANSL)[:, None],
        "frame": torch.arange(T),
    }
    np.save(folder / "hps_track_0.npy", content)  # type: ignore[arg-type]
    return folder / "hps_track_0.npy"


def phalp_content() -> dict[str, dict[str, Any]]:
    """Track 1 in all frames but the third; track 2 appears late and is only remembered in the last frame."""
    content = {}
    for time in range(T):
        tracks = ([] if time == 2 else [1]) + ([2] if time >= 3 else [])
        smpl = {"global_orient": ROTMAT[time, :1], "body_pose": ROTMAT[time, 1:], "betas": BETAS[time]}
        content[f"outputs/img/{time:06d}.jpg"] = {
            "time": time,
            "shot": 0,
            "frame_path": f"outputs/img/{time:06d}.jpg",
            "tid": tracks,
            "tracked_ids": tracks,
            "tracked_time": [2 if track == 2 and time == T - 1 else 0 for track in tracks],
            "smpl": [{key: value.astype(np.float32) for key, value in smpl.items()} for _ in tracks],
            "camera": [TRANSL[time].astype(np.float32) for _ in tracks],
            "3d_joints": [np.zeros((45, 3), np.float32) for _ in tracks],
            "mask": [{"size": [2, 2], "counts": b"04"} for _ in tracks],
            "conf": [np.float32(0.9) for _ in tracks],
        }
    return content


def write_hmr2(folder: Path) -> Path:
    joblib.dump(phalp_content(), folder / "demo_x.pkl", compress=3)
    return folder / "demo_x.pkl"


def write_smplestx(folder: Path) -> Path:
    np.savez(
        folder / "smplx.npz",
        global_orient=POSE[:, 0],
        body_pose=POSE[:, 1:22].reshape(T, 63),
        betas=BETAS,
        transl=TRANSL,
        left_hand_pose=np.zeros((T, 45)),
    )
    return folder / "smplx.npz"


def write_easymocap(folder: Path) -> Path:
    for frame in range(T):
        person = {
            "id": 7,
            "Rh": POSE[frame, :1].tolist(),
            "Th": TRANSL[frame : frame + 1].tolist(),
            "poses": [[0.0] * 3 + POSE[frame, 1:].reshape(-1).tolist()],
            "shapes": BETAS[frame : frame + 1].tolist(),
        }
        (folder / "smpl").mkdir(exist_ok=True)
        content = {"annots": [person]} if frame % 2 else [person]
        (folder / "smpl" / f"{frame:06d}.json").write_text(json.dumps(content))
    return folder / "smpl"


def write_amass_style(folder: Path) -> Path:
    estimate = read_estimates(write_wham(folder))[0]
    write_amass(estimate.to_motion(30), folder / "motion.npz", "smpl")
    return folder / "motion.npz"


def write_arrays(folder: Path) -> Path:
    content = {"pred_thetas": list(ROTMAT.reshape(T, 216)), "pred_betas": list(BETAS), "transl": list(TRANSL)}
    (folder / "res.pk").write_bytes(pickle.dumps({**content, "img_path": ["a.jpg"] * T, "height": [1080] * T}))
    return folder / "res.pk"


WRITERS = {
    "wham": write_wham,
    "gvhmr": write_gvhmr,
    "tram": write_tram,
    "hmr2": write_hmr2,
    "smplestx": write_smplestx,
    "easymocap": write_easymocap,
    "amass": write_amass_style,
    "arrays": write_arrays,
}


def angle_to(pose: torch.Tensor, true: np.ndarray) -> float:
    turn = Rotation.from_rotvec(pose.double().numpy().reshape(-1, 3)).inv()
    return float((turn * Rotation.from_rotvec(true.reshape(-1, 3))).magnitude().max())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("given_format", [True, False])
def test_every_format_gives_the_poses_it_was_made_from(tmp_path: Path, name: str, given_format: bool) -> None:
    path = WRITERS[name](tmp_path)
    estimate = read_estimates(path, format=name if given_format else None)[0]  # type: ignore[arg-type]
    smplx = name in ("gvhmr", "smplestx")
    true, at = POSE.copy(), estimate.frames - (3 if name == "wham" else 0)
    if smplx:
        true[:, 22:] = 0
    assert angle_to(estimate.pose, true[at]) < 1e-4
    assert estimate.transl is not None
    np.testing.assert_allclose(estimate.transl, TRANSL[at], atol=1e-6)
    np.testing.assert_allclose(estimate.betas, np.median(BETAS[at], axis=0), atol=1e-6)
    assert estimate.body == ("smplx" if smplx else "smpl")
    assert estimate.frame == ("camera" if name in ("tram", "hmr2", "smplestx", "arrays") else "world")
    if name != "easymocap":
        motion = estimate.to_motion(25.0)
        assert motion.fps == 25.0
        assert len(motion) == T


def test_every_writer_here_has_a_format() -> None:
    assert set(WRITERS) == set(FORMATS)


def test_wham_and_gvhmr_have_a_camera_frame_too(tmp_path: Path) -> None:
    wham = read_estimates(write_wham(tmp_path), frame="camera")[0]
    assert (wham.frame, wham.up_axis) == ("camera", None)
    assert wham.transl is not None
    assert bool((wham.transl == 1).all())
    gvhmr = read_estimates(write_gvhmr(tmp_path), frame="camera")[0]
    assert gvhmr.transl is not None
    np.testing.assert_allclose(gvhmr.transl, TRANSL + 1, atol=1e-6)
    for name in ("tram", "hmr2", "smplestx"):
        with pytest.raises(InputError, match="frame"):
            read_estimates(WRITERS[name](tmp_path), frame="world")


def test_people_are_told_apart_and_chosen(tmp_path: Path) -> None:
    path = write_wham(tmp_path)
    assert [estimate.person_id for estimate in read_estimates(path)] == ["0", "4"]
    assert angle_to(read_estimates(path, person=4)[0].pose, POSE[::-1]) < 1e-4
    with pytest.raises(InputError, match=r"no person 2.*0 \(6 frames\), 4 \(6 frames\)"):
        read_estimates(path, person="2")


def test_phalp_tracks_have_gaps_and_ghosts_are_left_out(tmp_path: Path) -> None:
    one, two = read_estimates(write_hmr2(tmp_path))
    assert one.frames.tolist() == [0, 1, 3, 4, 5]
    assert two.frames.tolist() == [3, 4]
    assert one.transl is not None
    assert any("focal" in note for note in one.notes)


def test_gaps_are_filled_by_slerp_and_flagged(tmp_path: Path) -> None:
    estimate = read_estimates(write_hmr2(tmp_path), person=1)[0]
    motion = estimate.to_motion(30)
    assert motion.flagged.tolist() == [False, False, True, False, False, False]
    for joint in range(24):
        slerp = Slerp([1, 3], Rotation.from_rotvec(POSE[[1, 3], joint]))
        assert angle_to(motion.pose[2, joint], slerp(2).as_rotvec()) < 1e-4
    np.testing.assert_allclose(motion.transl[2], (TRANSL[1] + TRANSL[3]) / 2, atol=1e-6)
    assert angle_to(motion.pose[estimate.frames], POSE[estimate.frames]) < 1e-4
    assert any("1 of 6 frames" in note for note in motion.notes)


def test_a_motion_needs_a_frame_rate_and_one_track(tmp_path: Path) -> None:
    estimate = read_estimates(write_wham(tmp_path))[0]
    with pytest.raises(InputError, match="frames a second"):
        estimate.to_motion()
    joblib.dump(wham_content(frames=np.arange(T) * 10**9), tmp_path / "far.pkl")
    with pytest.raises(InputError, match="one track"):
        read_estimates(tmp_path / "far.pkl")[0].to_motion(30)


def test_easymocap_turns_about_the_origin(tmp_path: Path) -> None:
    """Against the definition: R(Rh) times the unturned body, plus Th."""
    body = Body(toy_arrays())
    estimate = read_estimates(write_easymocap(tmp_path))[0]
    with pytest.raises(InputError, match="origin"):
        estimate.to_motion(30)
    motion = estimate.to_motion(30, body)
    unturned = torch.from_numpy(POSE).clone()
    unturned[:, 0] = 0
    flat = body.vertices(unturned, estimate.betas)
    turn = torch.from_numpy(ROTMAT[:, 0]).float()
    true = flat @ turn.mT + torch.from_numpy(TRANSL)[:, None]
    torch.testing.assert_close(body.vertices(motion.pose, motion.betas, motion.transl), true, atol=1e-4, rtol=0)
    assert estimate.person_id == "7"


def test_a_folder_of_tram_tracks_is_one_estimate_a_track(tmp_path: Path) -> None:
    source = write_tram(tmp_path)
    (tmp_path / "hps_track_10.npy").write_bytes(source.read_bytes())
    (tmp_path / "hps_track_2.npy").write_bytes(source.read_bytes())
    assert [estimate.person_id for estimate in read_estimates(tmp_path)] == ["0", "2", "10"]


def test_smplx_parameters_come_in_other_shapes_too(tmp_path: Path) -> None:
    root, body = np.stack([POSE[:, 0]] * 2), np.stack([POSE[:, 1:22].reshape(T, 63)] * 2)
    root[1, 2] = np.nan
    np.savez(tmp_path / "n.npz", betas=BETAS[:2], global_orient=root, body_poses=body, transl=np.stack([TRANSL] * 2))
    people = read_estimates(tmp_path / "n.npz")
    assert [estimate.frames.tolist() for estimate in people] == [[0, 1, 2, 3, 4, 5], [0, 1, 3, 4, 5]]
    np.testing.assert_allclose(people[1].betas, BETAS[1], atol=1e-6)
    assert any("NaN" in note for note in people[1].notes)
    (tmp_path / "frames").mkdir()
    for frame in range(T):
        np.savez(
            tmp_path / "frames" / f"{frame + 1:06d}_0.npz",
            smplx_root_pose=POSE[frame, 0],
            smplx_body_pose=POSE[frame, 1:].reshape(69),
            smplx_shape=BETAS[frame],
            cam_trans=TRANSL[frame],
        )
    estimate = read_estimates(tmp_path / "frames")[0]
    assert estimate.frames.tolist() == [1, 2, 3, 4, 5, 6]
    assert angle_to(estimate.pose, POSE) < 1e-4
    assert estimate.body == "smpl"


def test_a_file_of_no_known_format_names_what_it_holds_and_what_was_looked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", apples=np.ones(3), pears=np.ones(3))
    with pytest.raises(InputError, match=r"apples, pears") as error:
        read_estimates(tmp_path / "x.npz")
    assert all(name in str(error.value) for name in FORMATS)
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match=r"array of shape \(3, 2\)"):
        read_estimates(tmp_path / "x.npy")
    with pytest.raises(InputError, match="unknown format"):
        read_estimates(tmp_path / "x.npz", format="maybe")  # type: ignore[arg-type]
    for missing in ("none.pkl", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            read_estimates(tmp_path / missing)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "amass"])
def test_read_as_the_wrong_format_it_names_the_missing_key(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", apples=np.ones((2, 3)))
    with pytest.raises(InputError):
        read_estimates(tmp_path / "x.npz", format=name)  # type: ignore[arg-type]


def test_a_missing_or_misshapen_key_is_named_with_the_keys_that_are_there(tmp_path: Path) -> None:
    content = wham_content()
    content[4]["trans_wrld"] = content[4].pop("trans_world")
    joblib.dump(content, tmp_path / "w.pkl")
    with pytest.raises(InputError, match=r"w\.pkl, person 4: the key 'trans_world' .* trans_wrld"):
        read_estimates(tmp_path / "w.pkl")
    content = wham_content()
    content[0]["betas"] = np.zeros((2, 10))
    joblib.dump(content, tmp_path / "w.pkl")
    with pytest.raises(InputError, match=r"person 0: 'betas' has shape \(2, 10\)"):
        read_estimates(tmp_path / "w.pkl")
    phalp = phalp_content()
    del phalp["outputs/img/000001.jpg"]["smpl"][0]["betas"]
    joblib.dump(phalp, tmp_path / "p.pkl")
    with pytest.raises(InputError, match=r"000001\.jpg.*'betas'"):
        read_estimates(tmp_path / "p.pkl")


def test_matrices_that_do_not_rotate_are_refused(tmp_path: Path) -> None:
    content = phalp_content()
    content["outputs/img/000000.jpg"]["smpl"][0]["body_pose"] *= -1
    joblib.dump(content, tmp_path / "p.pkl")
    with pytest.raises(InputError, match="no rotation"):
        read_estimates(tmp_path / "p.pkl")


class Command:
    """Pickles as a call of the shell."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("kind", ["joblib", "compressed", "inside an array", "npy", "torch", "pickle"])
def test_code_in_a_file_is_refused_by_name_and_never_run(tmp_path: Path, kind: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pkl"
    content: Any = {0: {"pose": np.ones((2, 72)), "frame_ids": np.arange(2), "verts": Command(marker)}}
    if kind == "joblib":
        joblib.dump(content, path)
    elif kind == "compressed":
        joblib.dump(content, path, compress=("gzip", 3))
    elif kind == "inside an array":
        joblib.dump({0: np.array([Command(marker)], dtype=object), 1: np.ones(3)}, path)
    elif kind == "npy":
        path = tmp_path / "x.npy"
        np.save(path, content)
    elif kind == "torch":
        path = tmp_path / "x.pt"
        torch.save({"smpl_params_global": Command(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"system.*nothing was run.*Try: ") as error:
        read_estimates(path)
    assert str(path) in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["wham", "hmr2", "tram", "gvhmr", "smplestx"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=3)), max_size=3),
)
def test_no_damage_gives_anything_but_estimates_or_an_input_error(
    tmp_path: Path, name: str, cut: float, edits: list[tuple[float, bytes]]
) -> None:
    path = WRITERS[name](tmp_path)
    data = bytearray(path.read_bytes())
    for at, replacement in edits:
        start = int(at * len(data))
        data[start : start + len(replacement)] = replacement
    path.write_bytes(bytes(data) if edits else bytes(data[: int(cut * len(data))]))
    with contextlib.suppress(InputError):
        assert all(isinstance(estimate, Estimate) for estimate in read_estimates(path))
