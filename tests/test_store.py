"""The motion store: what is written is read back, pairs stay inside clips, and damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnable_smplify.errors import InputError
from learnable_smplify.splits import SPLITS
from learnable_smplify.training.store import MotionStore, StoredClip, new_store, open_store, pair_starts

_FILES = ("index.json", "rotvec.npy", "transl.npy", "usable.npy")


def write_toy_store(path: Path, lengths: tuple[int, ...] = (5, 9, 1), half: bool = False) -> list[np.ndarray]:
    """A store of random motion with one clip of each length, the splits in turn; returns what went in, row by row."""
    rng = np.random.default_rng(4)
    frames = sum(lengths)
    arrays = [rng.normal(size=(frames, 24, 3)).astype(np.float32), rng.normal(size=(frames, 3)).astype(np.float32)]
    arrays.append(rng.random(frames) > 0.2)
    table = []
    with new_store(path, half) as writer:
        row = 0
        for number, length in enumerate(lengths):
            first = writer.append(*(array[row : row + length] for array in arrays))
            table.append(StoredClip(f"s{number % 3}/c{number}", f"s{number % 3}", SPLITS[number % 3], first, length))
            row += length
        writer.finish(table, 30.0, "terms")
    return arrays


def _write_half_a_store(path: Path) -> None:
    with new_store(path) as writer:
        writer.append(np.zeros((2, 24, 3)), np.zeros((2, 3)), np.ones(2, dtype=bool))
        raise KeyboardInterrupt


def toy_store(table: list[StoredClip], usable: np.ndarray) -> MotionStore:
    rows = len(usable)
    return MotionStore(Path(), 30.0, "", tuple(table), np.zeros((rows, 24, 3)), np.zeros((rows, 3)), usable)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    arrays = write_toy_store(tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert isinstance(store.rotvec, np.memmap)
    for read, written in zip((store.rotvec, store.transl, store.usable), arrays, strict=True):
        np.testing.assert_array_equal(read, written)
    assert (len(store), store.fps, store.licence) == (15, 30.0, "terms")
    assert store.clips("holdout") == [StoredClip("s1/c1", "s1", "holdout", 5, 9)]
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    # The header that was grown in place is one that plain NumPy reads.
    np.testing.assert_array_equal(np.load(tmp_path / "store" / "rotvec.npy"), arrays[0])


def test_half_keeps_rotations_within_a_thousandth_of_a_radian(tmp_path: Path) -> None:
    arrays = write_toy_store(tmp_path / "store", half=True)
    store = open_store(tmp_path / "store")
    assert store.rotvec.dtype == np.float16
    inside = np.abs(arrays[0]) < np.pi
    assert np.abs(store.rotvec.astype(np.float32) - arrays[0])[inside].max() < 0.001


@st.composite
def _stores(draw: st.DrawFn) -> MotionStore:
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8))
    splits = draw(st.lists(st.sampled_from(SPLITS), min_size=len(lengths), max_size=len(lengths)))
    firsts = np.cumsum([0, *lengths[:-1]]).tolist()
    table = [
        StoredClip(f"{first}", "s", split, first, length)
        for first, split, length in zip(firsts, splits, lengths, strict=True)
    ]
    usable = draw(st.lists(st.booleans() | st.just(True), min_size=sum(lengths), max_size=sum(lengths)))
    return toy_store(table, np.array(usable))


@given(_stores(), st.sampled_from(SPLITS), st.integers(1, 13))
@settings(max_examples=200, deadline=None)
def test_pairs_are_all_those_that_cross_no_clip_and_no_flagged_row(store, split, stride) -> None:  # type: ignore[no-untyped-def]
    expected = [
        row
        for clip in store.table
        if clip.split == split
        for row in range(clip.first, clip.first + clip.frames - stride)
        if store.usable[row : row + stride + 1].all()
    ]
    starts = pair_starts(store, split, stride)
    assert starts.dtype == np.int64
    assert starts.tolist() == expected


def test_a_split_or_stride_that_makes_no_sense_is_refused() -> None:
    store = toy_store([StoredClip("a", "s", "train", 0, 4)], np.ones(4, dtype=bool))
    with pytest.raises(InputError, match="holdout"):
        pair_starts(store, "test", 1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="stride"):
        pair_starts(store, "train", 0)


@pytest.mark.parametrize("name", _FILES)
def test_a_file_that_is_missing_or_cut_short_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "store"
    write_toy_store(path)
    whole = (path / name).read_bytes()
    for part in (whole[:-1] if name != "index.json" else whole[:-4], whole[:30], b"", b"PK\x03\x04 no array"):
        (path / name).write_bytes(part)
        with pytest.raises(InputError, match=name):
            open_store(path)
    (path / name).unlink()
    with pytest.raises(InputError, match=name):
        open_store(path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("rotvec.npy", np.zeros((14, 24, 3), dtype=np.float32)),
        ("rotvec.npy", np.zeros((15, 24, 3), dtype=np.float64)),
        ("rotvec.npy", np.zeros((15, 24, 3), dtype=">f4")),
        ("transl.npy", np.zeros((15, 3), dtype=np.float16)),
        ("usable.npy", np.array([None] * 15)),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(tmp_path: Path, name: str, array: np.ndarray) -> None:
    write_toy_store(tmp_path / "store")
    np.save(tmp_path / "store" / name, array, allow_pickle=True)
    with pytest.raises(InputError, match=name):
        open_store(tmp_path / "store")


def _drop_fps(index: dict) -> None:
    del index["fps"]


def _gap(index: dict) -> None:
    index["clips"][1]["first"] += 1


def _no_clips(index: dict) -> None:
    index["clips"] = []


def _unknown_split(index: dict) -> None:
    index["clips"][0]["split"] = "test"


def _clip_of_words(index: dict) -> None:
    index["clips"][0]["frames"] = "five"


def _newer(index: dict) -> None:
    index["version"] = 99


def _another_format(index: dict) -> None:
    index["format"] = "something else"


@pytest.mark.parametrize(
    "damage", [_drop_fps, _gap, _no_clips, _unknown_split, _clip_of_words, _newer, _another_format]
)
def test_an_index_that_makes_no_sense_is_refused(tmp_path: Path, damage: Callable[[dict], None]) -> None:
    write_toy_store(tmp_path / "store")
    file = tmp_path / "store" / "index.json"
    index = json.loads(file.read_text())
    damage(index)
    file.write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index\.json"):
        open_store(tmp_path / "store")


def test_no_store_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lsmplify prepare"):
        open_store(tmp_path / "none")
    with pytest.raises(InputError, match=r"index\.json"):
        open_store(tmp_path)


def test_a_store_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "store"
    write_toy_store(path)
    before = {name: (path / name).read_bytes() for name in _FILES}
    with pytest.raises(KeyboardInterrupt):
        _write_half_a_store(path)
    assert {name: (path / name).read_bytes() for name in _FILES} == before
    write_toy_store(path, lengths=(3,))
    assert len(open_store(path)) == 3
    assert {entry.name for entry in tmp_path.iterdir()} == {"store"}


def test_a_store_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    write_toy_store(path)
    real = Path.rename

    def fails_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(InputError, match="No space"):
        write_toy_store(path, lengths=(3,))
    assert len(open_store(path)) == 15
    assert {entry.name for entry in tmp_path.iterdir()} == {"store"}


def test_nothing_but_a_store_or_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    write_toy_store(precious)
    (precious / "notes.txt").write_text("mine")
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "index.json").write_text("{}")
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (precious, unknown, file, file / "below"):
        with pytest.raises(InputError, match=path.name):
            write_toy_store(path)
    assert (precious / "notes.txt").read_text() == "mine"
    assert {entry.name for entry in tmp_path.iterdir()} == {"precious", "unknown", "file"}
