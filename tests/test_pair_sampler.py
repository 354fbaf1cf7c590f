"""Training pairs: what is drawn, and that the same seed draws the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import learnable_smplify as ls
from learnable_smplify.rotation import rotvec_to_rotmat
from learnable_smplify.skeleton import MIRROR
from learnable_smplify.training.pairs import PLAIN_SAMPLING, PairSampler, Sampling
from learnable_smplify.training.store import MotionStore
from tiny_store import tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MotionStore:
    return tiny_store(Path(tmp_path_factory.mktemp("store")))


def test_the_same_seed_draws_the_same_pairs(store: MotionStore) -> None:
    sampler = PairSampler(store, "train", Sampling())
    first = sampler.draw(32, torch.Generator().manual_seed(3))
    second = sampler.draw(32, torch.Generator().manual_seed(3))
    assert torch.equal(first.start_rotmat, second.start_rotmat)
    assert torch.equal(first.betas, second.betas)


def test_pairs_are_frames_of_one_clip_the_stride_apart_and_reversal_swaps_them(store: MotionStore) -> None:
    plain = replace(PLAIN_SAMPLING, strides=(3,), reverse_share=0.0, mirror_share=0.0)
    ahead = PairSampler(store, "train", plain).draw(64, torch.Generator().manual_seed(1))
    back = PairSampler(store, "train", replace(plain, reverse_share=1.0)).draw(64, torch.Generator().manual_seed(1))
    assert torch.equal(ahead.start_rotmat, back.target_rotmat)
    assert torch.equal(ahead.target_rotmat, back.start_rotmat)
    frames = rotvec_to_rotmat(torch.tensor(store.rotvec[:]))
    for start, target in zip(ahead.start_rotmat[:8], ahead.target_rotmat[:8], strict=True):
        row = int((frames - start).abs().amax(dim=(1, 2, 3)).argmin())
        torch.testing.assert_close(frames[row + 3], target)


def test_mirrored_pairs_pose_the_mirrored_person(store: MotionStore) -> None:
    plain = replace(PLAIN_SAMPLING, strides=(3,), reverse_share=0.0, mirror_share=0.0)
    straight = PairSampler(store, "train", plain).draw(8, torch.Generator().manual_seed(1))
    mirrored = PairSampler(store, "train", replace(plain, mirror_share=1.0)).draw(8, torch.Generator().manual_seed(1))
    body = ls.load_body()
    betas = torch.zeros(10)
    from learnable_smplify.rotation import rotmat_to_rotvec

    joints = body.joints(rotmat_to_rotvec(straight.target_rotmat), betas)
    seen = body.joints(rotmat_to_rotvec(mirrored.target_rotmat), betas)
    expected = joints[:, list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(seen - seen[:, :1], expected - expected[:, :1], atol=1e-4, rtol=0)


def test_a_stride_longer_than_every_clip_is_refused(store: MotionStore) -> None:
    with pytest.raises(ls.InputError, match="no pair of frames 500 apart"):
        PairSampler(store, "train", Sampling(strides=(500,)))
