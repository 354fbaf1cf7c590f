"""Refinement: alignment with outliers, every estimator's format, the guard, clocks, people and the command."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

import test_estimates as files
from learnable_smplify.body import Body, load_body
from learnable_smplify.cli.main import main
from learnable_smplify.errors import InputError
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.refinement import (
    RefineCondition,
    evaluate_refinement,
    refine_table,
    simulated_estimate,
)
from learnable_smplify.formats.estimates import FORMATS, read_estimates
from learnable_smplify.formats.keypoints.keypoints_npz import write_keypoints_npz
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.metrics import pve
from learnable_smplify.motion import Motion
from learnable_smplify.refine import RefineOptions, RefineResult, match_people, refine_motion
from learnable_smplify.refine.align import align, find_jumps
from learnable_smplify.refine.times import find_offset, keypoints_at
from learnable_smplify.rotation import rotmat_to_rotvec, rotvec_to_rotmat
from learnable_smplify.solver import Solver
from toy_motion import drifting_transl, swinging_poses

FRAMES = 60
TURN = rotvec_to_rotmat(torch.tensor([0.1, 1.9, -0.2]))


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def solver(body: Body) -> Solver:
    return Solver(body)


@pytest.fixture(scope="module")
def true() -> Motion:
    betas = torch.randn(10, generator=torch.Generator().manual_seed(3))
    return Motion(swinging_poses(FRAMES), drifting_transl(FRAMES), betas)


@pytest.fixture(scope="module")
def estimate(body: Body, true: Motion) -> Motion:
    return simulated_estimate(body, true, torch.Generator().manual_seed(4))


def measured(body: Body, true: Motion, noise: float = 0.0, seed: int = 5) -> Keypoints:
    positions = body.keypoints(true.pose, true.betas, true.transl)
    generator = torch.Generator().manual_seed(seed)
    return Keypoints(positions + noise * torch.randn(positions.shape, generator=generator), "body25", true.fps)


def posed(body: Body, motion: Motion) -> tuple[Tensor, Tensor]:
    keypoints = body.keypoints(motion.pose, motion.betas, motion.transl)
    return keypoints, body.joints(motion.pose, motion.betas, motion.transl)[:, 0]


def error_mm(body: Body, motion: Motion, true: Motion) -> float:
    """PVE, pelvis joints laid on each other."""
    people = [(body.vertices(one.pose, one.betas), body.joints(one.pose, one.betas)[:, 0]) for one in (motion, true)]
    return float(pve(people[0][0], people[1][0], people[0][1], people[1][1]))


def angle_deg(rotmat: Tensor, other: Tensor) -> Tensor:
    return torch.rad2deg(rotmat_to_rotvec(rotmat @ other.mT).norm(dim=-1))


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_a_known_similarity_is_found_with_20_percent_outliers(body: Body, true: Motion, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    far = replace(true, transl=true.transl + torch.linspace(0, 4, FRAMES)[:, None] * torch.tensor([1.0, 0.0, 0.5]))
    model, pelvis = posed(body, far)
    place = scale * pelvis @ TURN.mT + torch.tensor([3.0, -1.0, 0.5])
    targets = (model - pelvis[:, None]) @ TURN.mT + place[:, None]
    wrong = torch.rand(targets.shape[:2], generator=generator) < 0.2
    targets = torch.where(wrong[..., None], targets + torch.randn(targets.shape, generator=generator), targets)
    found = align(model, pelvis, targets, torch.ones_like(wrong).float(), 30.0)
    assert not found.moving
    assert not found.drifting
    assert float(angle_deg(found.rotmat[0], TURN)) < 0.1
    assert found.scale == pytest.approx(scale, abs=0.01)
    moved = found.scale * pelvis @ found.rotmat[0].mT + found.shift
    assert float((moved - place).norm(dim=-1).max()) < 0.02
    assert found.error < 0.005
    # Some wrong keypoints are wrong by little; a right one may stand beside wrong ones at the end of the recording.
    jumps = find_jumps(model - pelvis[:, None], targets, torch.ones_like(wrong).float())
    assert float(jumps[~wrong].float().mean()) < 0.01
    assert float(jumps[wrong].float().mean()) > 0.9


def test_a_moving_camera_is_followed_and_said(body: Body, true: Motion) -> None:
    targets, _ = posed(body, true)
    angle = torch.linspace(0, 1.5, FRAMES)[:, None]
    camera = rotvec_to_rotmat(angle * torch.tensor([0.2, 1.0, 0.0]))
    rotmat = rotvec_to_rotmat(true.pose)
    rotmat[:, 0] = camera @ rotmat[:, 0]
    seen = replace(true, pose=rotmat_to_rotvec(rotmat), transl=true.transl + 2 * angle)
    model, pelvis = posed(body, seen)
    found = align(model, pelvis, targets, torch.ones(targets.shape[:2]), 30.0)
    assert found.moving
    assert any("moving camera" in note for note in found.notes)
    middle = slice(10, -10)
    assert float(angle_deg(found.rotmat[middle], camera[middle].mT).max()) < 3
    rigid = align(model, pelvis, targets, torch.ones(targets.shape[:2]), 30.0, "clip")
    assert not rigid.moving
    assert rigid.error > 5 * found.error


def test_align_none_moves_nothing(body: Body, true: Motion) -> None:
    model, pelvis = posed(body, true)
    found = align(model, pelvis, model + 0.1, torch.ones(model.shape[:2]), 30.0, "none")
    torch.testing.assert_close(found.rotmat, torch.eye(3).expand(FRAMES, 3, 3))
    assert float(found.shift.abs().max()) == 0
    assert found.scale == 1


@pytest.mark.parametrize(("noise", "left"), [(0.0, 0.2), (0.02, 0.55), (0.08, 1.0)])
def test_refinement_beats_the_rigid_alignment(
    body: Body, solver: Solver, true: Motion, estimate: Motion, noise: float, left: float
) -> None:
    result = refine_motion(solver, estimate, measured(body, true, noise))
    assert result.aligned is not None
    assert result.errors is not None
    assert result.levels is not None
    assert error_mm(body, result.aligned, true) < error_mm(body, estimate, true)
    assert error_mm(body, result.motion, true) < left * error_mm(body, result.aligned, true)
    assert result.errors.mean_after_mm < result.errors.mean_before_mm
    assert not bool(result.kept.any())
    if noise:
        assert result.levels.noise == pytest.approx(noise, rel=0.1)
    assert 4 < result.levels.estimate_deg < 12


def test_frame_by_frame_refines_too(body: Body, solver: Solver, true: Motion, estimate: Motion) -> None:
    result = refine_motion(solver, estimate, measured(body, true, 0.005), RefineOptions(smooth=False))
    assert error_mm(body, result.motion, true) < 0.3 * error_mm(body, result.aligned or estimate, true)
    one = Motion(estimate.pose[:1], estimate.transl[:1], estimate.betas)
    keypoints = measured(body, true)
    single = refine_motion(solver, one, replace(keypoints, positions=keypoints.positions[:1], confidence=None))
    assert single.errors is not None
    assert single.errors.mean_after_mm < 10


@pytest.mark.parametrize("kind", ["noise", "still", "far"])
def test_the_guard_keeps_the_estimate_with_nonsense_keypoints(
    solver: Solver, true: Motion, estimate: Motion, kind: str
) -> None:
    generator = torch.Generator().manual_seed(1)
    positions = torch.randn(FRAMES, 25, 3, generator=generator)
    if kind == "still":
        positions = positions[:1].expand(FRAMES, 25, 3).clone()
    elif kind == "far":
        positions = positions * 20
    result = refine_motion(solver, estimate, Keypoints(positions, "body25"))
    assert result.kept_whole is not None
    assert bool(result.kept.all())
    torch.testing.assert_close(result.motion.pose, estimate.pose)
    torch.testing.assert_close(result.motion.transl, estimate.transl)
    torch.testing.assert_close(result.motion.betas, estimate.betas)
    assert any("the estimate stays" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["nonsense", "low confidence", "missing"])
def test_frames_with_bad_keypoints_keep_the_aligned_estimate(
    body: Body, solver: Solver, true: Motion, estimate: Motion, kind: str
) -> None:
    bad = slice(10, 55)
    keypoints = measured(body, true)
    positions, confidence = keypoints.positions.clone(), torch.ones(FRAMES, 25)
    if kind == "nonsense":
        scatter = torch.randn(45, 25, 3, generator=torch.Generator().manual_seed(2))
        positions[bad] = positions[bad].mean(dim=1, keepdim=True) + 0.5 * scatter
    elif kind == "missing":
        positions[bad] = torch.nan
    else:
        confidence[bad] = 0.02
        positions[bad] += torch.randn(45, 25, 3, generator=torch.Generator().manual_seed(2))
    result = refine_motion(solver, estimate, Keypoints(positions, "body25", 30.0, confidence))
    assert result.aligned is not None
    assert bool(result.kept[12:53].all())
    assert not bool(result.kept[:9].any())
    assert bool((result.motion.flagged == result.kept).all())
    # Half a second from the nearest good frame it is the aligned estimate, nothing else.
    inner = slice(27, 38)
    refined, aligned = (rotvec_to_rotmat(one.pose[inner]) for one in (result.motion, result.aligned))
    assert float(angle_deg(refined, aligned).max()) < 0.1
    pelvis = [body.joints(one.pose, one.betas, one.transl)[:, 0] for one in (result.motion, result.aligned)]
    assert float((pelvis[0] - pelvis[1])[inner].norm(dim=-1).max()) < 1e-3
    good = torch.cat((torch.arange(8), torch.arange(57, 60)))
    part = [replace(one, pose=one.pose[good], transl=one.transl[good], flagged=None) for one in (result.motion, true)]
    assert error_mm(body, part[0], part[1]) < 15


def test_keypoints_of_no_confidence_are_refused(body: Body, solver: Solver, true: Motion, estimate: Motion) -> None:
    keypoints = measured(body, true)
    with pytest.raises(InputError, match=r"confidence is below 0\.05"):
        refine_motion(solver, estimate, replace(keypoints, confidence=torch.full((FRAMES, 25), 0.01)))


def test_an_offset_between_the_clocks_is_found(body: Body, solver: Solver, true: Motion, estimate: Motion) -> None:
    late = replace(estimate, pose=estimate.pose[18:], transl=estimate.transl[18:], flagged=None)
    result = refine_motion(solver, late, measured(body, true, 0.01))
    assert result.offset.seconds == pytest.approx(0.6, abs=0.02)
    assert any("clock" in note for note in result.notes)
    shown = replace(true, pose=true.pose[18:], transl=true.transl[18:], flagged=None)
    assert error_mm(body, result.motion, shown) < 15
    told = refine_motion(solver, late, measured(body, true, 0.01), RefineOptions(offset_s=0.6))
    assert told.offset.seconds == 0.6
    same = find_offset(posed(body, estimate)[0], 30.0, measured(body, true, 0.03), 0.0, 1.0)
    assert not same.found


def test_recordings_without_common_time_are_refused(body: Body, solver: Solver, true: Motion, estimate: Motion) -> None:
    with pytest.raises(InputError, match=r"no frame with 3 keypoints.*--offset-s"):
        refine_motion(solver, estimate, measured(body, true), RefineOptions(offset_s=9.0))


def test_keypoints_at_other_times_are_interpolated(body: Body, true: Motion) -> None:
    keypoints = measured(body, true)
    confidence = torch.ones(FRAMES, 25)
    confidence[3] = 0
    keypoints = replace(keypoints, confidence=confidence)
    positions, seen = keypoints_at(keypoints, torch.tensor([-0.1, 0.0, 0.5 / 30, 2.5 / 30, 4 / 30 + 1e-4, 9.0]))
    assert (seen > 0).any(dim=1).tolist() == [False, True, True, False, True, False]
    torch.testing.assert_close(positions[1], keypoints.positions[0])
    torch.testing.assert_close(positions[2], keypoints.positions[:2].mean(dim=0))
    torch.testing.assert_close(positions[4], keypoints.positions[4])


def test_other_frame_rates_are_refined_at_the_estimates_frames(
    body: Body, solver: Solver, true: Motion, estimate: Motion
) -> None:
    half = Motion(estimate.pose[::2], estimate.transl[::2], estimate.betas, 15.0)
    result = refine_motion(solver, half, measured(body, true))
    assert len(result.motion) == FRAMES // 2
    assert result.motion.fps == 15
    assert error_mm(body, result.motion, Motion(true.pose[::2], true.transl[::2], true.betas, 15.0)) < 15


def test_betas_of_another_body_do_not_count(body: Body, solver: Solver, true: Motion, estimate: Motion) -> None:
    other = replace(estimate, body="smpl", betas=torch.full((10,), 5.0))
    result = refine_motion(solver, other, measured(body, true))
    assert any("betas" in note for note in result.notes)
    assert result.motion.body == "open"
    assert error_mm(body, result.motion, true) < 12
    kept = refine_motion(solver, estimate, measured(body, true), RefineOptions(shape="estimate"))
    torch.testing.assert_close(kept.motion.betas, estimate.betas)


def test_a_recentred_body_is_the_same_body(body: Body, true: Motion) -> None:
    folded, rotmat = body.folded("body25"), rotvec_to_rotmat(true.pose)
    about = torch.linspace(-1, 1, 10)
    moved = folded.recentred(about).shaped((true.betas - about)[None]).pose(rotmat).positions()
    torch.testing.assert_close(moved, folded.shaped(true.betas[None]).pose(rotmat).positions(), atol=1e-5, rtol=0)


def test_the_nearest_person_is_matched(body: Body, true: Motion, estimate: Motion) -> None:
    other = Motion(swinging_poses(FRAMES, seed=9), drifting_transl(FRAMES) + 1, torch.zeros(10))
    people = [measured(body, other), measured(body, true)]
    matches = match_people(body, [estimate], [0.0], people)
    assert (matches[0].estimate, matches[0].person) == (0, 1)
    assert match_people(body, [estimate], [99.0], people)[0].distance == math.inf


def keypoint_file(body: Body, source: Path, folder: Path) -> tuple[Path, RefineResult | None]:
    """Keypoints of the people that the generated estimates were made from, in a world turned and moved."""
    estimate = read_estimates(source)[0]
    motion = estimate.to_motion(25.0, body)
    pose, betas = motion.pose, torch.zeros(10)
    positions = body.keypoints(pose, betas, torch.zeros(len(pose), 3)) @ TURN.mT
    first = int(estimate.frames[0])
    positions = torch.cat((torch.full((first, 25, 3), torch.nan), positions))  # both clocks start at frame 0
    write_keypoints_npz(Keypoints(positions, "body25", 25.0), folder / "keypoints.npz")
    return folder / "keypoints.npz", None


@pytest.mark.parametrize("name", FORMATS)
def test_every_estimators_format_goes_through_the_command(
    body: Body, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = files.WRITERS[name](tmp_path)
    keypoints, _ = keypoint_file(body, source, tmp_path)
    output = tmp_path / "out" / "motion.npz"
    person = ["--person", "0"] if name == "wham" else ["--person", "1"] if name == "hmr2" else []
    main(["refine", str(source), str(keypoints), "-o", str(output), "--fps", "25", *person])
    motion = read_motion(output)
    aligned = body.keypoints(motion.pose, motion.betas, motion.transl)
    stored = np.load(keypoints)["keypoints"]
    stored = stored[np.isfinite(stored).all(axis=(1, 2))]
    assert len(motion) == len(stored)
    assert float((aligned - torch.from_numpy(stored)).norm(dim=-1).mean()) < 0.02
    shown = capsys.readouterr().out
    assert "keypoint error" in shown
    assert "turned into the keypoints' world" in shown


def test_several_people_on_both_sides_must_be_named(
    body: Body, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = files.write_wham(tmp_path)
    keypoints, _ = keypoint_file(body, source, tmp_path)
    arguments = ["refine", str(source), str(keypoints), "-o", str(tmp_path / "m.npz")]
    main(arguments)  # one person in the keypoints: the nearest track
    assert "is nearest" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--person", "3"])
    assert stopped.value.code == 2
    assert "no person 3" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--keypoint-person", "Anna"])
    assert stopped.value.code == 2
    assert "no person 'Anna'" in " ".join(capsys.readouterr().err.split())


def test_bad_input_ends_with_a_message_and_code_2(
    body: Body, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = files.write_gvhmr(tmp_path)
    keypoints, _ = keypoint_file(body, source, tmp_path)
    for arguments, words in (
        ([str(tmp_path / "none.pkl"), str(keypoints)], "none.pkl"),
        ([str(keypoints), str(keypoints)], "these are keypoints"),
        ([str(source), str(tmp_path / "none.trc")], "none.trc"),
        ([str(source), str(keypoints), "--scale", "-1"], "--scale"),
        ([str(source), str(keypoints), "--offset-s", "50"], "no frame with 3 keypoints"),
        ([str(source), str(keypoints), "-o", str(keypoints)], "overwritten"),
        ([str(source), str(keypoints), "--format", "wham"], "wham"),
    ):
        output = [] if "-o" in arguments else ["-o", str(tmp_path / "m.npz")]
        with pytest.raises(SystemExit) as stopped:
            main(["refine", *arguments, *output])
        assert stopped.value.code == 2
        assert words.lower() in " ".join(capsys.readouterr().err.split()).lower()
    assert not (tmp_path / "m.npz").exists()


def test_the_simulated_estimator_is_off_by_what_it_says(body: Body) -> None:
    true = Motion(swinging_poses(600), drifting_transl(600), torch.zeros(10))
    estimate = simulated_estimate(body, true, torch.Generator().manual_seed(0))
    angle = angle_deg(rotvec_to_rotmat(estimate.pose[:, 1:]), rotvec_to_rotmat(true.pose[:, 1:]))
    assert float(angle.square().mean().sqrt()) == pytest.approx(8.0, rel=0.05)
    assert estimate.betas.abs().tolist() == [1.0] * 10
    pelvis, true_pelvis = posed(body, estimate)[1], posed(body, true)[1]
    rotmat, shift = roma.rigid_points_registration(pelvis, true_pelvis)
    assert float((pelvis @ rotmat.mT + shift - true_pelvis).square().sum(-1).mean().sqrt()) == pytest.approx(
        0.040, rel=0.1
    )
    assert float(angle_deg(rotmat, torch.eye(3))) > 5


def test_the_table_counts_what_refinement_changes(body: Body, solver: Solver, true: Motion) -> None:
    clip = Clip("swing", true.pose, true.transl, true.fps)
    conditions = (RefineCondition("clean", 0.0), RefineCondition("nonsense", 0.5))
    clean, nonsense = evaluate_refinement([clip], solver, conditions)
    assert clean.frames == FRAMES
    assert clean.pve_mm < 0.2 * clean.pve_aligned_mm < 0.2 * clean.pve_before_mm
    assert clean.root_mm < 0.2 * clean.root_aligned_mm
    assert clean.kept_share == clean.worse_share == 0
    assert nonsense.kept_share == 1
    assert nonsense.pve_mm == nonsense.pve_before_mm
    assert "clean" in refine_table([clean, nonsense])


def test_frames_that_were_filled_stay_flagged(solver: Solver, true: Motion) -> None:
    filled = torch.zeros(FRAMES, dtype=torch.bool)
    filled[20:30] = True
    keypoints = Keypoints(solver.body.keypoints(true.pose, true.betas, true.transl), "body25", true.fps)
    result = refine_motion(solver, replace(true, flagged=filled), keypoints)
    assert bool(result.motion.flagged[filled].all())
    assert not bool(result.motion.flagged[~filled].any())
