"""Positions relative to the hips are put back on a floor, and scaled ones are compared with what was fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.cli.main import main
from learnable_smplify.fit_summary import as_fitted, summarise_fit
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.jobs.settings import FitSettings
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.solver import RecordingOptions, Solver
from learnable_smplify.solver.ground import grounded, is_root_relative
from toy_recording import squatting_person

CASES = Path(__file__).parents[2] / "shared" / "cases" / "bugs"
HIPS = [23, 24]


def squats(frames: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """MediaPipe's points (T, 33, 3) of two squats on fixed feet, floor at y = 0; the middle of the hips (T, 3)."""
    pose, transl = squatting_person(frames)
    points = load_body().keypoints(pose, torch.zeros(frames, 10), transl, layout="mediapipe33")
    return points, points[:, HIPS].mean(dim=1)


def relative(noise: float = 0.004, **options) -> tuple[Keypoints, torch.Tensor]:
    points, hips = squats()
    points = points + noise * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    positions = points - points[:, HIPS].mean(dim=1, keepdim=True)
    return Keypoints(positions, layout="mediapipe33", fps=30, **options), hips


def test_squats_about_fixed_hips_get_their_way_back():
    keypoints, hips = relative(up_axis="y")
    assert is_root_relative(keypoints)
    moved = grounded(keypoints, load_body().folded("mediapipe33"))
    found = moved.positions[:, HIPS].mean(dim=1)
    assert float((found[:, 1] - hips[:, 1]).abs().max()) < 0.04
    assert float((found - found[:1] - hips + hips[:1]).norm(dim=-1).max()) < 0.08
    assert "the pelvis goes up and down by" in moved.notes[-1]
    assert "jumps can not be told" in moved.notes[-1]
    assert not is_root_relative(moved)


@pytest.mark.parametrize("jumps", [False, True])
def test_backs_and_hands_carry_who_raises_the_legs_and_a_point_that_jumps_carries_nobody(jumps: bool):
    frames = 60
    lift = 0.6 * (1 - torch.cos(torch.linspace(0, 9, frames)))
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = -torch.pi / 2  # on the back, y up
    pose[:, 1:3, 0] = -lift[:, None]
    points = load_body().keypoints(pose, torch.zeros(frames, 10), torch.zeros(frames, 3), layout="mediapipe33")
    points = points - points[:, HIPS].mean(dim=1, keepdim=True)
    if jumps:
        points[::7, 15] -= torch.tensor([0.0, 0.8, 0.0])
    keypoints = Keypoints(points, layout="mediapipe33", fps=30, up_axis="y")
    heights = grounded(keypoints, load_body().folded("mediapipe33")).positions[..., 1]
    hips = heights[:, HIPS].mean(dim=1)
    assert float(hips.max() - hips.min()) < 0.03
    assert 0.02 < float(hips.min()) < 0.2
    assert float(heights[1:7].min()) > -0.03


def test_a_recording_about_its_hips_is_named_and_one_without_hips_is_not(tmp_path: Path):
    pose, transl = squatting_person()
    about_root = load_body().joints(pose, torch.zeros(10), transl)
    about_root = about_root - about_root[:, :1]
    about_root[:, 1:, 1] -= 0.05  # SMPL's hips are as far below its root
    assert is_root_relative(Keypoints(about_root, "smpl24", up_axis="y"))
    said = "positions are relative to the hips: the file holds no path (--ground finds one)"
    keypoints, _ = relative()
    assert said in Solver(method="gauss_newton").fit(keypoints).notes
    arms = [name for name in load_layout("body25").keypoint_names if name.endswith(("Shoulder", "Elbow", "Wrist"))]
    frame = {name: {"x": 0.1 * place, "y": 1.0, "z": 0.0} for place, name in enumerate(arms)}
    (tmp_path / "arms.json").write_text(json.dumps({"frames": [{"keypoints": frame}] * 3}))
    bust = read_keypoints(tmp_path / "arms.json", fps=30)
    assert not is_root_relative(bust)
    assert said not in bust.notes


@pytest.mark.parametrize("why", ["has a way", "no up axis", "no feet"])
def test_what_has_a_way_or_no_feet_stays_where_it_is(why: str):
    keypoints, _ = relative(up_axis=None if why == "no up axis" else "y")
    if why == "has a way":
        keypoints = Keypoints(squats()[0], layout="mediapipe33", fps=30, up_axis="y")
    if why == "no feet":
        seen = keypoints.confidence.clone()
        seen[:, 27:] = 0
        keypoints = Keypoints(keypoints.positions, layout="mediapipe33", fps=30, up_axis="y", confidence=seen)
    after = grounded(keypoints, load_body().folded("mediapipe33"))
    torch.testing.assert_close(after.positions, keypoints.positions)
    assert ("feet are not seen" in " ".join(after.notes)) == (why == "no feet")
    assert ("which way is up is not known" in " ".join(after.notes)) == (why == "no up axis")


def test_a_fit_on_a_floor_keeps_feet_there_and_is_compared_with_the_moved_keypoints():
    keypoints, hips = relative(up_axis="y")
    solver = Solver(method="gauss_newton", recording_options=RecordingOptions(ground=True))
    prepared = solver.prepared(keypoints)
    motion = solver.fit(prepared)
    joints = solver.body.joints(motion.pose, motion.betas, motion.transl)
    assert float(np.ptp(joints[:, 0, 1].numpy())) == pytest.approx(float(hips[:, 1].max() - hips[:, 1].min()), abs=0.04)
    assert float(joints[:, [7, 8], 1].std(dim=0).max()) < 0.02
    assert summarise_fit(solver.body, motion, prepared).mean_error_mm < 15


def test_scaled_keypoints_are_those_the_summary_compares_with():
    points, _ = squats(20)
    keypoints = Keypoints(3 * points, layout="mediapipe33", fps=30, up_axis="y")
    settings = FitSettings(method="gauss_newton", scale_to_body=True)
    solver = settings.solver_for(settings.open_solver(), keypoints)
    prepared = solver.prepared(keypoints)
    motion = solver.fit(prepared)
    assert summarise_fit(solver.body, motion, prepared).mean_error_mm < 10
    assert not bool(motion.flagged.any())
    assert "positions times 0.33" in motion.notes[0]
    unscaled = Solver(method="gauss_newton").fit(keypoints)
    assert bool(unscaled.flagged.all())
    assert "--scale-to-body" in " ".join(unscaled.notes)


def test_the_shared_squats_go_down_by_half_a_metre():
    if not (CASES / "07-mediapipe-hips-fixed").is_dir():
        pytest.skip("the shared cases are not here")
    keypoints = read_keypoints(CASES / "07-mediapipe-hips-fixed" / "14.json", fps=30)
    solver = Solver(recording_options=RecordingOptions(hold_feet=True))
    motion = solver.fit(keypoints)
    pelvis = solver.body.joints(motion.pose, motion.betas, motion.transl)[:, 0, 1]
    lowest = solver.body.vertices(motion.pose, motion.betas, motion.transl)[..., 1].amin(dim=1)
    assert float(pelvis.max() - pelvis.min()) == pytest.approx(0.54, abs=0.03)
    assert float(lowest.abs().max()) < 0.04


def test_the_shared_recording_of_another_scale_is_compared_as_it_was_scaled():
    if not (CASES / "06-scale-to-body-report").is_dir():
        pytest.skip("the shared cases are not here")
    keypoints = read_keypoints(CASES / "06-scale-to-body-report" / "17.npy", layout="body25", fps=30)
    assert "--scale-to-body" in " ".join(Solver(method="gauss_newton").fit(keypoints).notes)
    solver = Solver(recording_options=RecordingOptions(scale_to_body=True))
    prepared = solver.prepared(keypoints)
    assert summarise_fit(solver.body, solver.fit(prepared), prepared).mean_error_mm < 8


@pytest.mark.parametrize("options", [["--ground"], ["--scale-to-body"], ["--scale-to-body", "--hold-feet"]])
def test_report_and_pictures_compare_with_the_keypoints_as_they_were_fitted(tmp_path: Path, options: list[str]):
    keypoints, _ = relative()
    scale = 0.6 if "--scale-to-body" in options else 1.0
    np.save(tmp_path / "a.npy", scale * keypoints.positions.numpy())
    motion_file, page, picture = tmp_path / "m.npz", tmp_path / "m.html", tmp_path / "m.png"
    main(["fit", str(tmp_path / "a.npy"), "--fps", "30", "-o", str(motion_file), "--quiet", *options])
    raw = read_keypoints(tmp_path / "a.npy", fps=30)
    motion, body = read_motion(motion_file), load_body()
    assert summarise_fit(body, motion, raw).mean_error_mm > 200
    laid = as_fitted(body, motion, raw)
    assert summarise_fit(body, motion, laid).mean_error_mm < 30
    assert as_fitted(body, motion, laid) is laid
    main(["report", str(motion_file), str(tmp_path / "a.npy"), "-o", str(page), "--pictures", "0"])
    said = page.read_text()
    assert "keypoints are shown where the motion was fitted to them" in said
    assert ("the supporting foot stays on a floor" in said) == (options != ["--scale-to-body"])
    assert ("positions times" in said) == (scale != 1.0)
    main(["render", str(motion_file), str(tmp_path / "a.npy"), "-o", str(picture), "--frames", "1", "--size", "64"])
    assert picture.is_file()
