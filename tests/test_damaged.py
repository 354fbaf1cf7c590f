"""Damaged recordings: the damage is of the asked size, and the errors are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.cli.main import main
from learnable_smplify.evaluation.clips import Clip
from learnable_smplify.evaluation.damaged import Damage, damage_recording, evaluate_damaged
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.layouts.layout import load_layout
from learnable_smplify.motion import Motion
from tiny_store import write_motions
from toy_motion import drifting_transl, swinging_poses

BODY = ls.load_body()
LAYOUT = load_layout("body25")
NO_DAMAGE = Damage(noise=0, missing=0, outliers=0, swap_s=0)


class Clairvoyant:
    """A solver that knows the answers, and its people lean by an angle about the pelvis if asked."""

    def __init__(self, clips: list[Clip], lean: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(0)
        betas = [torch.randn(10, generator=generator) for _ in clips]
        self.answers = [Motion(clip.pose, clip.transl, one) for clip, one in zip(clips, betas, strict=True)]
        for answer in self.answers:
            answer.pose[:, 0, 0] += lean
        self.asked: list[Keypoints] = []

    def fit(self, keypoints: Keypoints) -> Motion:
        self.asked.append(keypoints)
        return self.answers[(len(self.asked) - 1) % len(self.answers)]


def clips(number: int = 2, frames: int = 120) -> list[Clip]:
    return [Clip(f"clip {seed}", swinging_poses(frames, seed), drifting_transl(frames), 30.0) for seed in range(number)]


def damaged(damage: Damage, frames: int = 600, fps: float = 60.0, seed: int = 0):
    positions = torch.randn(frames, 25, 3, generator=torch.Generator().manual_seed(9))
    return positions, damage_recording(positions, LAYOUT, fps, damage, torch.Generator().manual_seed(seed))


def test_the_damage_is_of_the_asked_size_and_the_same_for_a_seed():
    positions, found = damaged(Damage(swap_s=0.0))
    seen = found.keypoints.confidence > 0
    still = seen & (found.jump == 0)
    assert float((~seen).float().mean()) == pytest.approx(0.10, abs=0.01)
    assert float((found.keypoints.positions - positions)[still].std()) == pytest.approx(0.02, rel=0.05)
    assert float((found.jump > 0).float().mean()) == pytest.approx(0.01, abs=0.003)
    thrown = (found.keypoints.positions - found.noise_alone).norm(dim=-1)[seen]
    torch.testing.assert_close(thrown, found.jump[seen], atol=1e-5, rtol=0)
    assert 0.8 < float(found.jump.max()) <= 1.0
    again = damaged(Damage(swap_s=0.0))[1]
    assert torch.equal(found.keypoints.positions, again.keypoints.positions)
    other = damaged(Damage(swap_s=0.0), seed=1)[1]
    assert not torch.equal(found.keypoints.positions, other.keypoints.positions)


def test_sides_are_exchanged_once_for_half_a_second():
    positions, found = damaged(Damage(noise=0, missing=0, outliers=0))
    rows = found.swapped.nonzero()[:, 0]
    assert len(rows) == 30
    assert int(rows[-1] - rows[0]) == 29
    now = found.keypoints.positions
    assert torch.equal(now[~found.swapped], positions[~found.swapped])
    assert torch.equal(now[rows][:, LAYOUT.index("LKnee")], positions[rows][:, LAYOUT.index("RKnee")])
    assert torch.equal(now[rows][:, LAYOUT.index("Nose")], positions[rows][:, LAYOUT.index("Nose")])
    assert int(damaged(Damage(), frames=20)[1].swapped.sum()) == 10


def test_a_perfect_fit_has_no_error_and_the_input_has_that_of_its_noise():
    some = clips()
    oracle = Clairvoyant(some)
    rows, _ = evaluate_damaged(some, BODY, [("oracle", oracle)], Damage(missing=0, outliers=0, swap_s=0))  # type: ignore[list-item]
    clean, noisy = rows
    assert (clean.keypoints, noisy.keypoints) == ("clean", "damaged")
    for row in rows:
        assert row.mpjpe_mm == pytest.approx(0, abs=1e-3)
        assert row.pve_mm == pytest.approx(0, abs=1e-3)
        assert row.acceleration == pytest.approx(0, abs=1e-2)
        assert (row.clips, row.frames) == (2, 240)
    assert clean.input_acceleration == 0
    # The second difference of noise has six times its variance; a normal vector is sqrt(8 / pi) sigmas long on average.
    expected = 0.02 * 6**0.5 * (8 / torch.pi) ** 0.5 * 30**2
    assert noisy.input_acceleration == pytest.approx(expected, rel=0.03)
    assert noisy.noise_acceleration == noisy.input_acceleration


def test_jumps_and_exchanged_sides_make_the_input_worse_than_its_noise():
    some = clips()
    rows, _ = evaluate_damaged(some, BODY, [("oracle", Clairvoyant(some))])  # type: ignore[list-item]
    assert rows[1].input_acceleration > 1.1 * rows[1].noise_acceleration


def test_errors_are_those_of_the_joints_laid_on_the_pelvis():
    some = clips(1)
    oracle = Clairvoyant(some, lean=0.2)
    row = evaluate_damaged(some, BODY, [("leaning", oracle)], NO_DAMAGE)[0][0]  # type: ignore[list-item]
    answer, betas = oracle.answers[0], oracle.answers[0].betas
    joints = [BODY.joints(pose, betas) for pose in (answer.pose, some[0].pose)]
    expected = 1000 * ((joints[0] - joints[0][:, :1]) - (joints[1] - joints[1][:, :1])).norm(dim=-1).mean()
    assert row.mpjpe_mm == pytest.approx(float(expected), rel=1e-4)
    assert row.worst_mpjpe_mm == pytest.approx(row.mpjpe_mm)
    assert row.worst_clip == "clip 0"


def test_repair_is_held_against_what_was_done():
    some = clips(2, frames=240)
    clean, spoiled = evaluate_damaged(some, BODY, [], Damage())[1]
    assert clean.good_removed < 0.01
    assert clean.wrongly_swapped == 0
    assert spoiled.jumps_found > 0.9
    assert spoiled.good_removed < 0.02
    assert spoiled.swaps_found > 0.8
    assert spoiled.wrongly_swapped < 0.02


def test_the_command_writes_both_tables(tmp_path: Path):
    motions = write_motions(tmp_path / "motions")
    main(["evaluate", str(motions), "--parts", "damaged", "--clip-step", "4", "-o", str(tmp_path / "out")])
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [(row["method"], row["keypoints"]) for row in result["damaged"]] == [
        (method, keypoints) for method in ("frame after frame", "smoothed") for keypoints in ("clean", "damaged")
    ]
    assert [row["keypoints"] for row in result["repair"]] == ["clean", "damaged"]
    text = (tmp_path / "out" / "evaluation.md").read_text()
    assert "| smoothed | damaged |" in text
    assert "exchanged ones put back" in text
