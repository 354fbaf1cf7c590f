"""The tables of cameras: scenes are what they say, errors are counted as they say, and the command prints them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.main import main
from learnable_smplify.evaluation.cameras import camera_table, evaluate_views, in_pixels, scene, triangulated
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.refinement2d import evaluate_view_refinement, view_refine_table
from learnable_smplify.evaluation.rig import Damage
from tiny_store import write_motions
from toy_motion import drifting_transl, swinging_poses

FRAMES = 24


@pytest.fixture(scope="module")
def solver() -> ls.Solver:
    return ls.Solver(ls.load_body())


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [Clip("walks", swinging_poses(FRAMES), drifting_transl(FRAMES), 30.0)]


def test_four_cameras_see_what_is_said_of_them(solver: ls.Solver, clips: list[Clip]) -> None:
    true, clean = scene(clips[0], solver.body, 4, Damage(), torch.Generator().manual_seed(3))
    _, damaged = scene(clips[0], solver.body, 4, Damage(5.0, 0.1, (2,)), torch.Generator().manual_seed(3))
    expected = clean[0].camera.project(solver.body.keypoints(true.pose, true.betas, true.transl))
    torch.testing.assert_close(clean[0].keypoints.pixels, expected)
    for number, (one, other) in enumerate(zip(clean, damaged, strict=True)):
        width, height = one.camera.width, one.camera.height
        inside = (one.keypoints.pixels >= 0) & (one.keypoints.pixels < torch.tensor([width, height]))
        assert bool(inside.all())
        off = other.keypoints.pixels - one.keypoints.pixels
        there = other.keypoints.confidence > 0
        assert float(there.float().mean()) == pytest.approx(0.9, abs=0.04)
        assert (float(off[there].std()) > 8) == (number == 2)


def test_errors_flips_and_flags_are_counted(solver: ls.Solver, clips: list[Clip]) -> None:
    true, _ = scene(clips[0], solver.body, 4, Damage(), torch.Generator().manual_seed(0))
    wrong = true.pose.clone()
    wrong[:18, 1:3] += 1.5  # for longer than half a second
    wrong[20:23, 1:3] += 1.5  # not so long
    moved = replace(true, transl=true.transl + torch.tensor([0.0, 0.3, 0.4]))
    told = replace(true, pose=wrong, flagged=torch.arange(FRAMES) < 6)
    ways = [("there", lambda *_: true), ("moved", lambda *_: moved), ("wrong", lambda *_: told)]
    there, away, flipped = evaluate_views(clips, solver.body, ways, 4, [("clean", Damage())])
    assert there.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert (there.flips, there.flagged_share) == (0, 0.0)
    assert away.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert away.place_mm == pytest.approx(500, abs=0.1)
    assert (flipped.flips, flipped.flagged_share) == (1, 0.25)


def test_solving_in_pixels_beats_triangulating_first_where_sides_are_exchanged(
    solver: ls.Solver, clips: list[Clip]
) -> None:
    damages = [("all", Damage(5.0, 0.1, (3,)))]
    ways = [("triangulated", triangulated(solver)), ("in pixels", in_pixels(solver))]
    first, mine = evaluate_views(clips, solver.body, ways, 4, damages)
    assert mine.mpjpe_mm < first.mpjpe_mm
    assert mine.mpjpe_mm < 15
    text = camera_table([first, mine], "Four cameras")
    assert "Four cameras (24 frames)" in text
    assert "| in pixels | all |" in text


def test_refinement_by_two_cameras_is_counted_against_the_aligned_estimate(
    solver: ls.Solver, clips: list[Clip]
) -> None:
    rows = evaluate_view_refinement(clips, solver, ((2, 0.0),))
    assert rows[0].pve_mm < 0.5 * rows[0].pve_aligned_mm
    assert rows[0].pve_aligned_mm < rows[0].pve_before_mm
    assert rows[0].worse_share == 0
    assert "| 2 | 0 px |" in view_refine_table(rows, "toy")


def test_the_command_prints_and_writes_the_tables_of_cameras(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    motions = write_motions(tmp_path / "motions")
    main(["evaluate", str(motions), "--parts", "cameras", "--clip-step", "4", "-o", str(tmp_path / "out")])
    assert "four cameras, own import (60 frames)" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {row["method"] for row in found["cameras: own import"]} >= {"triangulate, then fit", "in pixels"}
    assert "four cameras, own import" in (tmp_path / "out" / "evaluation.md").read_text()
