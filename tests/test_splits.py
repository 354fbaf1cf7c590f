"""Splits: which subject is on which side, and which clips are set aside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnable_smplify.splits import (
    EVAL_SUBJECTS,
    TRAIN_SUBJECTS,
    belongs_to,
    choose_holdout,
    session_of,
    subject_of,
)

_SALSA = [(f"cmu_salsa/{number:02d}", "cmu_salsa") for number in range(1, 31)]

_names = st.lists(
    st.tuples(st.sampled_from(["a", "b", "cmu_salsa"]), st.integers(1, 30)), min_size=1, max_size=40, unique=True
).map(lambda pairs: [(f"{subject}/{number:02d}", subject) for subject, number in pairs])


def test_our_lists_share_no_subject() -> None:
    assert not set(EVAL_SUBJECTS) & set(TRAIN_SUBJECTS)


def test_a_subject_is_the_folder_that_holds_the_clip(tmp_path: Path) -> None:
    assert subject_of(tmp_path / "cmu" / "49" / "49_01.npz", tmp_path) == "cmu/49"
    assert subject_of(tmp_path / "49_01.npz", tmp_path) == tmp_path.name


@pytest.mark.parametrize("root", ["", "cmu", "cmu/49"])
def test_a_subject_is_known_from_whichever_folder_is_packed(tmp_path: Path, root: str) -> None:
    clip = tmp_path / "cmu" / "49" / "49_01.npz"
    assert belongs_to(clip, tmp_path / root, ["cmu/135", "cmu/49"])
    assert belongs_to(clip, tmp_path / root, ["49"])


def test_only_whole_folder_names_from_the_packed_folder_down_count(tmp_path: Path) -> None:
    root = tmp_path / "49" / "motion"
    assert not belongs_to(root / "cmu" / "50" / "a.npz", root, ["49", "cmu/4", "", "."])
    assert not belongs_to(root / "cmu" / "149" / "a.npz", root, ["cmu/49", "49"])
    assert not belongs_to(root / "mine" / "49" / "a.npz", root, ["cmu/49"])
    assert belongs_to(root / "CMU" / "49" / "later" / "a.npz", root, ["cmu/49"])


def test_dance_partners_are_one_session_and_other_clips_stand_alone() -> None:
    assert session_of("cmu_salsa/03", "cmu_salsa") == session_of("cmu_salsa/18", "cmu_salsa")
    assert session_of("cmu_salsa/03", "cmu_salsa") != session_of("cmu_salsa/04", "cmu_salsa")
    assert session_of("03", "cmu_salsa") == session_of("18", "cmu_salsa")
    assert session_of("cmu/03/03", "cmu/03") != session_of("cmu/03/18", "cmu/03")


@given(_names, st.integers(0, 50), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_holdout_keeps_sessions_whole_and_leaves_one_to_train_on(clips, count, random) -> None:  # type: ignore[no-untyped-def]
    chosen = choose_holdout(clips, count)
    sessions = {name: session_of(name, subject) for name, subject in clips}
    held = {sessions[name] for name in chosen}
    assert held.isdisjoint(sessions[name] for name in sessions if name not in chosen)
    assert len(held) <= max(1, len(set(sessions.values())) // 4)
    assert len(held) < len(set(sessions.values()))
    assert len(chosen) <= count + 1 if count else not chosen
    shuffled = list(clips)
    random.shuffle(shuffled)
    assert choose_holdout(shuffled, count) == chosen


def test_holdout_is_spread_over_the_subjects() -> None:
    clips = [(f"{subject}/{number}", subject) for subject in "abcde" for number in range(8)]
    subjects = dict(clips)
    assert sorted(subjects[name] for name in choose_holdout(clips, 5)) == list("abcde")
    assert sorted(subjects[name] for name in choose_holdout(clips, 10)) == sorted("abcde" * 2)


def test_a_subject_is_used_up_only_when_every_other_is() -> None:
    clips = [("one/0", "one"), ("two/0", "two"), *((f"many/{number}", "many") for number in range(14))]
    assert all(name.startswith("many") for name in choose_holdout(clips, 4))
    assert len(choose_holdout(clips, 100)) == 4


def test_salsa_is_held_back_in_couples() -> None:
    numbers = sorted(int(name[-2:]) for name in choose_holdout(_SALSA, 5))
    assert len(numbers) == 6
    assert numbers[3:] == [number + 15 for number in numbers[:3]]
