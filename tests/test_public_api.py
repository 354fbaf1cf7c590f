"""What other programs may rely on: the public names, and the calls of the README, with NumPy and with torch."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from toy_motion import swinging_poses

PUBLIC_NAMES = [
    "Body",
    "Camera",
    "ClipOptions",
    "InputError",
    "Keypoints",
    "Keypoints2D",
    "Layout",
    "LsmplifyError",
    "MissingExtraError",
    "Motion",
    "RecordingOptions",
    "RepairOptions",
    "SmplifyOptions",
    "Solver",
    "View",
    "joint_angle_table",
    "layout_names",
    "load_body",
    "load_layout",
    "load_network",
    "metrics",
    "read_camera",
    "read_keypoints",
    "read_keypoints2d",
    "read_motion",
    "read_people",
    "refine_by_views",
    "refine_motion",
    "write_motion",
]


def test_the_public_names_are_these() -> None:
    assert sorted(ls.__all__) == PUBLIC_NAMES
    assert all(hasattr(ls, name) for name in PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(ls, name)
    assert inspect.getdoc(value)
    if inspect.isclass(value):
        for member, function in inspect.getmembers(value, inspect.isfunction):
            if not member.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{member}"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (ls.load_body, ["path", "gender"]),
        (ls.Body.vertices, ["self", "pose", "betas", "transl"]),
        (ls.Body.joints, ["self", "pose", "betas", "transl"]),
        (ls.Body.keypoints, ["self", "pose", "betas", "transl", "layout"]),
        (ls.Solver, ["body", "method", "device"]),
        (ls.Solver.solve_pairs, ["self", "start_pose", "keypoints", "betas", "start_transl", "confidence"]),
        (ls.Solver.fit, ["self", "keypoints", "betas"]),
        (ls.read_keypoints, ["path", "layout"]),
        (ls.read_motion, ["path"]),
        (ls.write_motion, ["motion", "path"]),
        (ls.metrics.pve, ["pred_vertices", "true_vertices", "pred_root", "true_root"]),
        (ls.metrics.pa_pve, ["pred_vertices", "true_vertices"]),
        (ls.metrics.mpjpe, ["pred_joints", "true_joints", "pred_root", "true_root"]),
        (ls.metrics.pa_mpjpe, ["pred_joints", "true_joints"]),
    ],
)
def test_arguments_keep_their_names_and_order(function: Callable, arguments: list[str]) -> None:
    assert list(inspect.signature(function).parameters)[: len(arguments)] == arguments


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray], ids=["torch", "numpy"])
def test_the_calls_of_the_readme_work(kind: Callable, tmp_path: Path) -> None:
    poses = swinging_poses(4)
    pose, betas, transl = kind(poses), kind(torch.zeros(4, 10)), kind(torch.zeros(4, 3))

    body = ls.load_body()
    assert body.keypoints(pose, betas, transl=None, layout="body25").shape == (4, 25, 3)
    vertices, joints = body.vertices(pose, betas, transl=None), body.joints(pose, betas, transl)
    assert vertices.shape[::2] == (4, 3)
    assert joints.shape == (4, 24, 3)

    solver = ls.Solver(body=None, method="gauss_newton", device="cpu")
    keypoints = kind(body.keypoints(pose, betas, transl))
    found, found_transl = solver.solve_pairs(pose, keypoints, betas, start_transl=None, confidence=None)
    assert found.dtype == found_transl.dtype == torch.float32
    assert (found.shape, found_transl.shape) == ((4, 24, 3), (4, 3))

    motion = solver.fit(ls.Keypoints(keypoints, layout="body25", fps=30.0, confidence=None), betas=None)
    assert (motion.pose.shape, motion.transl.shape, motion.betas.shape) == ((4, 24, 3), (4, 3), (10,))
    assert motion.fps == 30.0

    built = ls.Motion(pose=pose, transl=transl, betas=kind(torch.zeros(10)), fps=30.0)
    ls.write_motion(built, tmp_path / "motion.npz")
    torch.testing.assert_close(ls.read_motion(tmp_path / "motion.npz").pose, poses, atol=1e-6, rtol=0)
    np.save(tmp_path / "keypoints.npy", np.asarray(keypoints))
    assert len(ls.read_keypoints(tmp_path / "keypoints.npy", layout="body25")) == 4

    for error in (
        ls.metrics.pve(vertices, vertices, joints[:, 0], joints[:, 0]),
        ls.metrics.pa_pve(vertices, vertices),
        ls.metrics.mpjpe(joints, joints, joints[:, 0], joints[:, 0]),
        ls.metrics.pa_mpjpe(joints, joints),
    ):
        assert float(error) < 0.01


def test_importing_the_package_brings_no_optional_package() -> None:
    code = (
        "import sys, learnable_smplify; "
        "print([name for name in ('PIL', 'pybvh', 'scipy', 'smplx', 'imageio_ffmpeg', 'tyro') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
