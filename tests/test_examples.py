"""Every example runs without arguments but the folder it may write to, and says what it did."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import learnable_smplify as ls
from learnable_smplify.body import load_body

EXAMPLES = Path(__file__).parents[1] / "examples"
# Example -> arguments that make it short, what it says, the files it writes.
RUNS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "fit_a_file.py": ((), "keypoints are", ("motion.npz",)),
    "joint_angles.py": ((), "left knee: bends", ("joint_angles.csv", "joint_positions.csv")),
    "network_in_numpy.py": ((), "left knee: 5, 10, 15 degrees", ("network.onnx",)),
    "own_layout.py": ((), "13 keypoints", ("thirteen.toml", "motion.npz")),
    "refine_an_estimate.py": ((), "keypoint error", ("motion.npz",)),
    "smooth_to_blender.py": ((), "smooth, feet held", ("motion.npz", "motion.bvh", "motion.glb")),
    "solve_pairs.py": ((), "hybrid (the default)", ()),
    "stream_frames.py": (("--frames", "60"), "frame   30", ()),
    "train_tiny.py": (("--steps", "20"), "toy network", ("run/weights.safetensors",)),
}


def run(name: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_is_run_here_and_is_short() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 80, path.name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "network_in_numpy.py" else name for name in RUNS]
)
def test_an_example_runs_and_writes_its_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "network_in_numpy.py":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    arguments, said, files = RUNS[name]
    run(name, (*arguments, *(("--out", str(tmp_path)) if files else ())), monkeypatch)
    assert said in capsys.readouterr().out
    for file in files:
        assert (tmp_path / file).stat().st_size > 100


def test_the_joint_positions_are_those_of_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    motion = ls.Motion(0.3 * generator.normal(size=(5, 24, 3)), generator.normal(size=(5, 3)), np.ones(10), fps=50)
    ls.write_motion(motion, tmp_path / "motion.npz", pose_layout="smpl")
    run("joint_angles.py", ("--motion", str(tmp_path / "motion.npz"), "--out", str(tmp_path)), monkeypatch)
    table = np.genfromtxt(tmp_path / "joint_positions.csv", delimiter=",", skip_header=1)
    joints = load_body().joints(motion.pose, motion.betas, motion.transl)
    np.testing.assert_allclose(table[:, 1:].reshape(5, 24, 3), joints, atol=1e-5)
    np.testing.assert_allclose(table[:, 0], np.arange(5) / 50, atol=1e-4)
