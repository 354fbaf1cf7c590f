"""People who are followed while the network trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learnable_smplify.rotation import rotmat_to_rotvec
from learnable_smplify.training.conventions import Conventions
from learnable_smplify.training.pairs import Poses
from learnable_smplify.training.store import MotionStore
from learnable_smplify.training.tracked import TrackedPeople, Tracking
from tiny_store import tiny_store

NO_CONVENTIONS = Conventions(share=0.0)
CLEAN = Tracking(
    conventions=NO_CONVENTIONS,
    start_error=NO_CONVENTIONS,
    restart_rate=0.0,
    quiet_share=1.0,
    quiet_noise=0.0,
    bias_share=0.0,
    hidden_share=0.0,
    flicker_share=0.0,
    outlier_share=0.0,
    occlusion_rate=0.0,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MotionStore:
    return tiny_store(Path(tmp_path_factory.mktemp("store")))


def people(store: MotionStore, options: Tracking, number: int = 40) -> TrackedPeople:
    return TrackedPeople(store, Poses(store, "cpu"), options, number, "cpu", torch.Generator().manual_seed(0))


def test_the_answer_to_a_frame_is_the_start_of_the_next(store: MotionStore) -> None:
    followed, generator = people(store, CLEAN), torch.Generator().manual_seed(1)
    answer = followed.draw().target_rotmat
    followed.advance(answer, generator)
    going_on = followed.state()["age"] > 0
    assert bool(going_on.any())
    assert torch.equal(followed.draw().start_rotmat[going_on], answer[going_on])


def test_a_person_seen_more_often_moves_less_between_two_frames(store: MotionStore) -> None:
    turned = []
    for rate in (30.0, 120.0):
        met = people(store, replace(CLEAN, frame_rates=(rate,)), 200).draw()
        turned.append(
            float(rotmat_to_rotvec(met.start_rotmat[:, 1:].mT @ met.target_rotmat[:, 1:]).norm(dim=-1).mean())
        )
        assert float(met.seconds.max()) == pytest.approx(1 / rate)
    assert turned[1] < 0.4 * turned[0]


def test_nobody_is_measured_twice_and_clips_that_end_are_left(store: MotionStore) -> None:
    followed, generator = people(store, CLEAN), torch.Generator().manual_seed(1)
    for _ in range(300):
        followed.advance(followed.draw().target_rotmat, generator)
        assert bool((followed.state()["place"] >= 0).all())
    assert int(followed.state()["age"].max()) < 300


def test_clean_people_are_measured_as_they_are(store: MotionStore) -> None:
    keypoints = torch.randn(40, 25, 3)
    measured, confidence = people(store, CLEAN).measure(keypoints, torch.Generator().manual_seed(0))
    assert torch.equal(measured, keypoints)
    assert bool((confidence == 1).all())


def test_a_bias_stays_with_a_person(store: MotionStore) -> None:
    followed = people(store, replace(CLEAN, bias_share=1.0, max_bias=0.02))
    keypoints, generator = torch.zeros(40, 25, 3), torch.Generator().manual_seed(0)
    first, second = (followed.measure(keypoints, generator)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert 0.005 < float(first.std()) < 0.02


def test_a_lost_person_is_left_for_another(store: MotionStore) -> None:
    followed, generator = people(store, CLEAN), torch.Generator().manual_seed(1)
    answer = followed.draw().target_rotmat.clone()
    answer[3] = torch.nan
    followed.advance(answer, generator)
    assert bool(torch.isfinite(followed.draw().start_rotmat).all())


def test_the_state_restores_everybody(store: MotionStore) -> None:
    followed = people(store, Tracking())
    kept = {name: value.clone() for name, value in followed.state().items()}
    ahead = followed.draw().target_rotmat
    followed.advance(ahead, torch.Generator().manual_seed(5))
    followed.restore(kept)
    assert torch.equal(followed.draw().target_rotmat, ahead)
