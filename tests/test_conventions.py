"""Other people's conventions: constant rotations that keep the motion and leave pelvis and hands alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.skeleton import JOINT_INDEX
from learnable_smplify.training.conventions import Conventions, draw_conventions
from learnable_smplify.training.pairs import PLAIN_SAMPLING, PairSampler
from learnable_smplify.training.store import MotionStore
from tiny_store import tiny_store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MotionStore:
    return tiny_store(Path(tmp_path_factory.mktemp("store")))


def drawn(options: Conventions, people: int = 400) -> torch.Tensor:
    return rotmat_to_rotvec(draw_conventions(options, people, CPU, torch.Generator().manual_seed(0)))


def test_pelvis_and_hands_have_no_convention() -> None:
    for name in ("pelvis", "left_hand", "right_hand"):
        assert float(drawn(Conventions(share=1.0))[:, JOINT_INDEX[name]].abs().max()) < 1e-5


def test_a_share_of_people_keep_the_stores_convention() -> None:
    turned = drawn(Conventions(share=0.25)).flatten(1).norm(dim=1) > 1e-3
    assert float(turned.float().mean()) == pytest.approx(0.25, abs=0.06)


def test_twists_are_about_the_bones() -> None:
    only = Conventions(share=1.0, offset_deg=0.0, twist_share=1.0, twist_deg=25.0, shared_deg=0.0)
    turns = drawn(only)
    assert float(turns[:, JOINT_INDEX["left_elbow"], 1:].abs().max()) < 1e-5
    assert float(turns[:, JOINT_INDEX["left_knee"], [0, 2]].abs().max()) < 1e-5
    assert 20 < float(torch.rad2deg(turns.abs().max())) <= 25.01


def test_a_bend_that_the_spine_shares_differently_is_a_bend_of_nothing() -> None:
    only = Conventions(share=1.0, offset_deg=0.0, twist_share=0.0, shared_deg=4.0)
    spine = drawn(only)[:, [JOINT_INDEX[name] for name in ("spine1", "spine2", "spine3")]]
    assert float(spine.norm(dim=-1).mean()) > 0.01
    assert float(spine.sum(1).norm(dim=-1).max()) < 1e-4


def test_start_and_target_have_the_same_convention(store: MotionStore) -> None:
    """What a pair turns by, seen from each joint, is what the store's pair turns by, in turned axes."""
    generator = torch.Generator().manual_seed(1)
    own = PairSampler(store, "train", PLAIN_SAMPLING).draw(64, generator)
    generator.manual_seed(1)
    sampling = replace(PLAIN_SAMPLING, conventions=Conventions(share=1.0))
    foreign = PairSampler(store, "train", sampling).draw(64, generator)
    offset = own.start_rotmat.mT @ foreign.start_rotmat
    torch.testing.assert_close(own.target_rotmat @ offset, foreign.target_rotmat, atol=1e-5, rtol=0)
    assert float(rotmat_to_rotvec(offset).norm(dim=-1).mean()) > 0.05
