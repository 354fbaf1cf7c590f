"""Two people in one recording are told by their limbs, which all change at one moment; other changes are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learnable_smplify.body import load_body
from learnable_smplify.keypoints import Keypoints
from learnable_smplify.repair.garbage import examine
from toy_motion import drifting_transl, swinging_poses


def somebody(betas0: float, frames: int = 60, seed: int = 0, layout: str = "body25", noise: float = 0.004) -> Keypoints:
    """Somebody of this size who swings every limb, within a detector's noise."""
    betas = torch.zeros(10)
    betas[0] = betas0
    points = load_body().keypoints(swinging_poses(frames, seed), betas, drifting_transl(frames), layout)
    chance = torch.randn(points.shape, generator=torch.Generator().manual_seed(seed))
    return Keypoints(points + noise * chance, layout, 30.0, up_axis="y")


def joined(*people: Keypoints) -> Keypoints:
    """One after the other, in the same place."""
    together = torch.cat([one.positions - one.positions.mean(dim=(0, 1)) for one in people])
    return replace(people[0], positions=together, confidence=torch.ones(together.shape[:2]))


@pytest.mark.parametrize("layout", ["body25", "coco17", "h36m17", "smpl24"])
def test_another_adult_is_named_and_the_fewer_frames_are_flagged(layout: str):
    doubt = examine(joined(somebody(-0.4, 60, layout=layout), somebody(2.5, 40, 1, layout)))
    (reason,) = [reason for reason in doubt.reasons if "limbs" in reason]
    assert "% longer from frame 60 on: two people in one recording?" in reason
    assert set(range(60, 100)) <= set(doubt.frames.nonzero()[:, 0].tolist()) <= set(range(59, 100))


def test_another_adult_after_a_moment_of_nobody_and_a_child_are_named():
    recording = joined(somebody(0.5, 50), somebody(0.0, 20), somebody(-0.8, 50, 1))
    recording.confidence[50:70] = 0
    assert any("% shorter from frame 70 on" in reason for reason in examine(recording).reasons)
    child = somebody(0.0, 40, 1)
    child = replace(child, positions=0.6 * child.positions)
    doubt = examine(joined(child, somebody(0.0)))
    assert any("longer from frame 40 on" in reason for reason in doubt.reasons)
    assert not any("no frame is trusted" in reason for reason in doubt.reasons)


def test_changes_that_are_no_other_person_are_none():
    steady = somebody(0.0, 120)
    time, middle = torch.arange(120), steady.positions.mean(dim=1, keepdim=True)

    def sized(size: torch.Tensor) -> torch.Tensor:
        return middle + (steady.positions - middle) * size[:, None, None]

    depth = torch.tensor([1.0, 1.0, 0.6])
    lies = ((time - 50) / 15).clamp(0, 1)[:, None, None]  # as pictures show depth: a pose shortens what points there
    limb = steady.positions.clone()
    limb[60:, steady.layout.index("LAnkle")] += 0.1
    chance = np.random.default_rng(0)
    walk = torch.from_numpy(np.cumsum(chance.normal(0, 0.02, 120))).float().exp()
    changed = {
        "the same person": joined(somebody(0.0, 60), somebody(0.0, 60, 1)).positions,
        "a foreshortened pose": middle + (steady.positions - middle) * (1 - lies + lies * depth),
        "walking towards the camera": sized(1 + 0.003 * time),
        "a size that wanders": sized(walk),
        "a size that comes and goes": sized(1 + 0.2 * ((time // 20) % 2)),
        "one limb": limb,
        "more noise": torch.cat((steady.positions[:60], somebody(0.0, 60, 1, noise=0.03).positions)),
    }
    for name, positions in changed.items():
        assert not any("two people" in reason for reason in examine(replace(steady, positions=positions)).reasons), name


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.02, 0.03])
def test_one_person_is_one(noise: float):
    for seed, frames in enumerate((1, 5, 29, 30, 31, 90, 200)):
        assert examine(somebody(0.0, frames, seed, noise=noise)).reasons == ()
