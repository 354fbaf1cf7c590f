"""People without ids keep who they are: in lists of any order, when they cross, and when one is not seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learnable_smplify.formats.keypoints.follow import follow_people
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from test_mutated_files import no_hang
from toy_recording import standing_person

SHARED = Path(__file__).parents[2] / "shared" / "cases" / "bugs" / "08-two-people-list-order" / "18"
FPS = 30.0


def walkers(starts: list[list[float]], ends: list[list[float]], frames: int = 60) -> np.ndarray:
    """(P, T, 25, 3) people on straight ways."""
    share = np.linspace(0, 1, frames)[:, None, None]
    return np.stack(
        [
            standing_person(frames) + (1 - share) * np.array(start) + share * np.array(end)
            for start, end in zip(starts, ends, strict=True)
        ]
    )


def shuffled(people: np.ndarray, unseen: np.ndarray | None = None) -> tuple[list[int], list[np.ndarray], list[int]]:
    """Frames and points of sights in a random order in every frame, and who each one is."""
    chance = np.random.default_rng(0)
    frames, points, truth = [], [], []
    for frame in range(people.shape[1]):
        for who in chance.permutation(len(people)):
            if unseen is None or not unseen[who, frame]:
                frames.append(frame)
                points.append(people[who, frame])
                truth.append(int(who))
    return frames, points, truth


def assert_same_people(found: list[int], truth: list[int], count: int) -> None:
    pairs = set(zip(found, truth, strict=True))
    assert len(pairs) == len({name for name, _ in pairs}) == count


def test_people_side_by_side_are_followed_through_lists_in_any_order():
    frames, points, truth = shuffled(walkers([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 1], [1, 0, 1], [2, 0, 2]]))
    assert_same_people(follow_people(frames, points, FPS), truth, 3)


@pytest.mark.parametrize("apart", [0.0, 0.3])
def test_people_who_cross_keep_who_they_are(apart: float):
    people = walkers([[-1, 0, 0], [1, 0, apart]], [[1, 0, 0], [-1, 0, apart]])
    frames, points, truth = shuffled(people)
    assert_same_people(follow_people(frames, points, FPS), truth, 2)


def test_who_is_hidden_while_crossing_comes_out_on_the_other_side():
    unseen = np.zeros((2, 60), dtype=bool)
    unseen[0, 26:35] = True
    frames, points, truth = shuffled(walkers([[-1, 0, 0], [1, 0, 0.3]], [[1, 0, 0], [-1, 0, 0.3]]), unseen)
    assert_same_people(follow_people(frames, points, FPS), truth, 2)


def test_the_unit_does_not_matter_and_missing_keypoints_do_not_either():
    people = walkers([[0, 0, 0], [1, 0, 0]], [[1, 0, 0], [2, 0, 0]]) * 1000
    people[np.random.default_rng(1).random(people.shape[:3]) < 0.4] = np.nan
    frames, points, truth = shuffled(people)
    assert_same_people(follow_people(frames, points, FPS), truth, 2)


def test_somebody_far_from_everybody_is_a_new_person_and_one_alone_is_always_the_same():
    frames, points, _ = shuffled(walkers([[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [1, 0, 0]], 10))
    assert follow_people([*frames, 10], [*points, points[0] + 8.0], FPS)[-1] == 2
    assert follow_people([0, 1, 90], [points[0], points[0] + 8.0, points[0] - 8.0], FPS) == [0, 0, 0]


def test_nobody_and_points_that_say_nothing_are_survived():
    assert follow_people([], [], FPS) == []
    nothing = np.full((25, 3), np.nan)
    assert len(follow_people([0, 0, 1, 1], [nothing, nothing, np.zeros((25, 3)), nothing], FPS)) == 4


def write_slots(path: Path, people: np.ndarray, axis: int) -> Path:
    """An array of people (P, T, K, 3), with a confidence of (1 + person) / 4."""
    if path.suffix == ".npy":
        np.save(path, np.moveaxis(people, 0, axis))
    else:
        score = np.broadcast_to((1 + np.arange(len(people)))[:, None, None] / 4, people.shape[:3])
        np.savez(path, keypoints=np.moveaxis(people, 0, axis), confidence=np.moveaxis(score, 0, axis), fps=FPS)
    return path


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_people_of_an_array_who_change_places_in_it_are_followed(tmp_path: Path, name: str, axis: int):
    truth = walkers([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 0, 1], [1, 0, 1], [2, 0, 2]])
    truth[2, 20:35] = np.nan
    chance = np.random.default_rng(1)
    mixed = np.stack([frame[chance.permutation(3)] for frame in truth.swapaxes(0, 1)], axis=1)
    people = read_people(write_slots(tmp_path / name, mixed, axis), layout="body25", units="m", up="y")
    assert len(people) == 3
    order = np.argsort([float(one.positions[0, 0, 0]) for one in people])
    for who, place in enumerate(order):
        seen = (people[place].confidence > 0).numpy()
        assert bool((seen == np.isfinite(truth[who]).all(axis=-1)).all())
        np.testing.assert_allclose(people[place].positions[seen], truth[who][seen], atol=1e-5)
        assert "people change places in the array: they are followed by distance" in people[place].notes


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_people_who_keep_their_places_in_an_array_are_believed(tmp_path: Path, name: str):
    truth = walkers([[-1, 0, 0], [1, 0, 0]], [[1, 0, 0], [-1, 0, 0]])  # through each other
    people = read_people(write_slots(tmp_path / name, truth, 1), layout="body25", units="m", up="y")
    for one, points in zip(people, truth, strict=True):
        np.testing.assert_allclose(one.positions, points, atol=1e-5)
        assert not any("change places" in note for note in one.notes)
        if name.endswith("z"):
            assert bool((one.confidence == (1 + int(one.person_id or 0)) / 4).all())


def test_two_people_of_an_array_who_are_never_there_at_once_are_two(tmp_path: Path):
    truth = walkers([[0, 0, 0], [3, 0, 0]], [[0, 0, 1], [3, 0, 1]])
    truth[0, 30:] = truth[1, :34] = np.nan
    truth[:, ::3] = truth[::-1, ::3]
    people = read_people(write_slots(tmp_path / "a.npy", truth, 1), layout="body25", units="m", up="y")
    assert [int((one.confidence > 0).any(dim=1).sum()) for one in people] == [30, 26]


def test_mediapipe_people_are_followed_too(tmp_path: Path):
    base = np.zeros((33, 3))
    base[:, 1], base[:, 0] = np.linspace(-0.8, 0.8, 33), 0.1 * (-1.0) ** np.arange(33)
    frames = []
    for frame in range(12):
        arms_up, arms_down = base.copy(), base.copy()
        arms_up[13:23, 1] -= 0.6
        both = [[dict(zip("xyz", row, strict=True)) for row in one.tolist()] for one in (arms_up, arms_down)]
        frames.append({"pose_world_landmarks": both[:: 1 if frame % 3 else -1]})
    (tmp_path / "two.json").write_text(json.dumps(frames))
    for person in read_people(tmp_path / "two.json"):
        assert float(person.positions[:, 15].std(dim=0).max()) < 1e-5


def test_the_shared_recording_of_two_people_holds_two_people_who_stay_themselves():
    if not SHARED.is_dir():
        pytest.skip("the shared cases are not here")
    people = read_people(SHARED, fps=30)
    assert [person.person_id for person in people] == ["0", "1"]
    for person in people:
        points = person.positions[(person.confidence > 0).all(dim=1)]
        assert float((points[1:] - points[:-1]).mean(dim=1).norm(dim=-1).max()) < 0.5  # six frames at once, unseen


def test_a_crowd_that_leaps_about_is_told_apart_in_every_frame_before_long():
    chance = np.random.default_rng(0)
    places = chance.normal(size=(40, 30, 4, 3)) + 1000 * chance.normal(size=(40, 30, 1, 3))
    frames, points, _ = shuffled(places)
    with no_hang():
        found = follow_people(frames, points, FPS)
    for frame in range(places.shape[1]):
        names = [name for name, at in zip(found, frames, strict=True) if at == frame]
        assert len(set(names)) == len(names) == len(places)
