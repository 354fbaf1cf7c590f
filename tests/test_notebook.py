"""Values as one uses them in a notebook: what they show, what they can do, and what the solver takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.demo import demo_keypoints
from toy_motion import swinging_poses

NOTEBOOK = Path(__file__).parents[1] / "examples/notebook.ipynb"


@pytest.fixture
def motion() -> ls.Motion:
    return ls.Motion(swinging_poses(6), torch.rand(6, 3), torch.ones(10), fps=30.0, up_axis="y", notes=("<b>note</b>",))


@pytest.fixture(scope="module")
def solver() -> ls.Solver:
    return ls.Solver(method="gauss_newton")


def test_a_motion_shows_itself_as_a_table_without_markup_of_strangers(motion: ls.Motion) -> None:
    shown = motion._repr_html_()
    assert "6 (0.2 s at 30 fps)" in shown
    assert "&lt;b&gt;note" in shown


def test_keypoints_show_themselves_too() -> None:
    shown = replace(demo_keypoints(), person_id="<script>")._repr_html_()
    assert "body25, 25 keypoints" in shown
    assert "&lt;script&gt;" in shown


def test_a_motion_poses_its_own_body_and_saves_itself(motion: ls.Motion, tmp_path: Path) -> None:
    body = ls.load_body()
    assert torch.equal(motion.vertices(), body.vertices(motion.pose, motion.betas, motion.transl))
    assert torch.equal(motion.joints(body), body.joints(motion.pose, motion.betas, motion.transl))
    assert motion.joints().numpy().shape == (6, 24, 3)
    motion.save(tmp_path / "motion.npz")
    torch.testing.assert_close(ls.read_motion(tmp_path / "motion.npz").pose, motion.pose, atol=1e-5, rtol=0)
    motion.save(tmp_path / "motion.bvh")
    assert (tmp_path / "motion.bvh").is_file()
    replace(motion, body="smplx").save(tmp_path / "licensed.npz")  # needs no body


def test_joint_angles_are_those_that_are_written(motion: ls.Motion, tmp_path: Path) -> None:
    table = ls.joint_angle_table(motion, ls.load_body())
    motion.save(tmp_path / "angles.csv")
    written = np.genfromtxt(tmp_path / "angles.csv", delimiter=",", names=True)
    assert list(written.dtype.names) == list(table)
    np.testing.assert_allclose(written["knee_angle_r"], table["knee_angle_r"], rtol=1e-6)


def test_joint_angles_are_a_pandas_table(motion: ls.Motion) -> None:
    pytest.importorskip("pandas")
    table = motion.joint_angles()
    assert len(table) == 6
    np.testing.assert_allclose(table["time"], np.arange(6) / 30)


def test_a_fit_takes_a_file_or_an_array_as_well(solver: ls.Solver, tmp_path: Path) -> None:
    keypoints = demo_keypoints()
    positions = keypoints.positions[:3]
    expected = solver.fit(ls.Keypoints(positions, "body25", fps=25.0))
    np.save(tmp_path / "keypoints.npy", positions.numpy())
    for given in (positions, positions.numpy(), tmp_path / "keypoints.npy", str(tmp_path / "keypoints.npy")):
        found = solver.fit(given, layout="body25", fps=25.0)
        assert torch.equal(found.pose, expected.pose)
        assert found.fps == 25.0


def test_an_array_without_a_layout_and_keypoints_with_another_are_refused(solver: ls.Solver) -> None:
    keypoints = demo_keypoints()
    with pytest.raises(ls.InputError, match="which keypoints the array holds"):
        solver.fit(keypoints.positions)
    with pytest.raises(ls.InputError, match="of their own"):
        solver.fit(keypoints, fps=25.0)


def test_answers_are_numpy_on_request(solver: ls.Solver) -> None:
    pose = swinging_poses(3)
    keypoints = ls.load_body().keypoints(pose, torch.zeros(10))
    answer = solver.solve_pairs(pose.numpy(), keypoints.numpy(), np.zeros(10, np.float32))
    found, transl = answer.numpy()
    assert isinstance(found, np.ndarray)
    assert (found.shape, transl.shape) == ((3, 24, 3), (3, 3))
    np.testing.assert_array_equal(found, answer.pose)
    assert solver.solve_frames(keypoints, torch.zeros(10)).numpy()[0].shape == (3, 24, 3)


def test_the_notebook_runs_and_is_kept_without_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert (tmp_path / "motion.npz").is_file()
