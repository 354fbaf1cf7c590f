"""A folder with every file that a command in the documentation names, small, made from the clip in the package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import torch
from rich.console import Console

import learnable_smplify as ls
from calibrated import SIZE, room, write_toml
from crowd import seen, track, walk
from learnable_smplify.body.export import export_body
from learnable_smplify.body.open_body import read_open_body
from learnable_smplify.camera import Camera
from learnable_smplify.cli.demo import demo_keypoints
from learnable_smplify.cli.prepare import PrepareArgs, prepare
from learnable_smplify.formats.detections.detection_arrays import write_detections
from learnable_smplify.formats.detections.keypoints2d_json import write_keypoints2d
from learnable_smplify.keypoints2d import Keypoints2D
from learnable_smplify.network.authors_checkpoint import to_authors_state
from learnable_smplify.network.stgcn import Stgcn, StgcnConfig
from learnable_smplify.render.film import write_mp4
from learnable_smplify.solver.shape.offsets import Offsets, write_offsets
from test_datasets import make_3dpw, make_generic
from test_import_motion import amc_text, asf_text
from test_trc import trc_text
from tiny_store import write_motions
from toy_hands import body_and_hands

_CAMERA = {"fx": 900.0, "fy": 900.0, "cx": 640.0, "cy": 360.0, "R": [[1, 0, 0], [0, -1, 0], [0, 0, -1]], "t": [0, 1, 4]}


def write_inputs(folder: Path) -> Path:
    """Write them all. A whole clip would do; its first second or less is enough."""
    clip, body = demo_keypoints(), ls.load_body()
    names = clip.layout.keypoint_names
    seen = torch.where(clip.confidence[..., None] > 0, clip.positions, torch.nan)[:30].numpy()
    for path in (
        "my_keypoints.trc",
        "range_of_motion.trc",
        "recordings/one.trc",
        "recordings/monday/two.trc",
        "laboratory/walk.trc",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(trc_text(seen, names, fps=30.0))
    header = ",".join(f"{name}_{axis}" for name in names for axis in "xyz")
    z_up = 1000 * seen[..., [0, 2, 1]] * (1, -1, 1)
    np.savetxt(folder / "my_keypoints.csv", z_up.reshape(len(seen), -1), "%.3f", ",", header=header, comments="")
    with (folder / "frames.jsonl").open("w") as file:
        file.writelines(json.dumps({"keypoints": rows.tolist()}).replace("NaN", "null") + "\n" for rows in seen[:5])
    _write_openpose(folder / "openpose_3d", np.nan_to_num(seen[:12]))
    _write_2d(folder, seen[:2])
    _write_holistic(folder / "holistic.json")
    _write_videos(folder)

    motion = ls.Solver(body).fit(ls.Keypoints(seen, "body25", 30.0))
    ls.write_motion(motion, folder / "motion.npz")
    ls.write_motion(motion, folder / "other.npz")
    ls.write_motion(motion, folder / "their_motions" / "walk.npz")
    ls.write_motion(motion, folder / "laboratory" / "walk.mot")
    _write_wham(folder, motion)
    write_offsets(Offsets("body25", names, torch.zeros(25), torch.zeros(25, 3)), folder / "offsets.json")

    write_motions(folder / "motions")
    prepare(PrepareArgs(folder / "motions", output=folder / "store"), Console(quiet=True))
    for source in ("cmu_salsa", "cmu_bvh_06", "cmu_bvh_2s"):
        (folder / "mocap" / source).mkdir(parents=True)
        (folder / "mocap" / source / "07.asf").write_text(asf_text())
        (folder / "mocap" / source / "07_01.amc").write_text(amc_text())
    (folder / "mocap" / "cmu" / "07").mkdir(parents=True)
    (folder / "mocap" / "cmu" / "07" / "07.asf").write_text(asf_text())
    (folder / "mocap" / "cmu" / "07" / "07_01.amc").write_text(amc_text())
    make_3dpw(folder / "3DPW")
    make_generic(folder / "my_dataset")

    for name in ("SMPL_NEUTRAL", "SMPL_FEMALE"):  # the open body under the names of licensed files
        export_body(read_open_body(), folder / "models" / f"{name}.pkl")
    torch.manual_seed(0)
    authors = to_authors_state(Stgcn(StgcnConfig(graph="ntu", mirrored_frame=True)).eval())
    torch.save({"model": authors, "epoch": 1}, folder / "best_ckpt.pth.tar")
    return folder


def _write_openpose(folder: Path, positions: np.ndarray) -> None:
    folder.mkdir()
    for frame, points in enumerate(positions):
        rows = np.pad(points, ((0, 0), (0, 1)), constant_values=0.9)
        people = [{"pose_keypoints_3d": (rows + shift).ravel().tolist()} for shift in (0, (2, 0, 0, 0))]
        (folder / f"clip_{frame:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))


def _write_holistic(path: Path) -> None:
    """MediaPipe's pose and both hands, y down, hands about their own middles."""
    down = np.array([1.0, -1.0, -1.0])
    body, hands = body_and_hands("mediapipe33", 8)
    body, hands = (
        (body - body[:, 23:25].mean(axis=1, keepdims=True)) * down,
        (hands - hands.mean(axis=2, keepdims=True)) * down,
    )
    keys = ("pose_world_landmarks", "left_hand_world_landmarks", "right_hand_world_landmarks")

    def marks(points: np.ndarray) -> list[dict[str, float]]:
        return [dict(zip("xyz", point, strict=True)) for point in points.tolist()]

    frames = [
        dict(zip(keys, map(marks, parts), strict=True)) for parts in zip(body, hands[:, 0], hands[:, 1], strict=True)
    ]
    path.write_text(json.dumps({"fps": 30, "frames": frames}))


def _write_2d(folder: Path, positions: np.ndarray) -> None:
    (folder / "camera.json").write_text(json.dumps(_CAMERA))
    intrinsics = {key: float(_CAMERA[key]) for key in ("fx", "fy", "cx", "cy")}  # type: ignore[arg-type]
    rotmat, shift = torch.tensor(_CAMERA["R"]).float(), torch.tensor(_CAMERA["t"]).float()
    camera = Camera(**intrinsics, R_camera_world=rotmat, t_camera_world=shift)
    pixels = camera.project(torch.from_numpy(positions).float())
    write_keypoints2d(Keypoints2D(pixels, "body25", 30.0), folder / "keypoints2d.json")


def _write_videos(folder: Path) -> None:
    """Grey videos of two cameras, their calibration, what a detector saw in each; one video alone."""
    person, cameras = walk(12), room(2)
    named = [replace(camera, name=name) for camera, name in zip(cameras, ("left", "right"), strict=True)]
    write_toml(folder / "calib.toml", named)
    (folder / "detections").mkdir()
    for camera, name in zip(cameras, ("left", "right"), strict=True):
        write_detections([track(seen(camera, person))], folder / "detections" / f"{name}.npz")
    alone = Camera.guessed(*SIZE)
    shown = alone.project(torch.as_tensor(person - [0, 4, 1])[..., [0, 2, 1]].float() * torch.tensor([-1.0, 1, 1]))
    write_detections([track(shown.numpy())], folder / "clip.npz")
    grey = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
    for name in ("left", "right", "clip"):
        write_mp4(iter([grey] * len(person)), folder / f"{name}.mp4", SIZE, 30.0, preset="ultrafast")


def _write_wham(folder: Path, motion: ls.Motion) -> None:
    pose, transl = motion.pose.reshape(len(motion), 72).numpy(), motion.transl.numpy()
    person = {"pose": pose, "trans": transl, "pose_world": pose + 0.05, "trans_world": transl + 0.2}
    person |= {"betas": np.zeros((len(motion), 10), np.float32), "frame_ids": np.arange(len(motion))}
    joblib.dump({0: person}, folder / "wham_output.pkl")
