"""The prepare command: what goes into a store, which split it is in, and what is refused."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from rich.console import Console

from learnable_smplify.cli.prepare import CMU_LICENCE, PrepareArgs, prepare
from learnable_smplify.errors import InputError
from learnable_smplify.formats.motion.motion_file import read_motion, write_motion
from learnable_smplify.motion import Motion
from learnable_smplify.splits import NEVER_TRAINED
from learnable_smplify.training.store import MotionStore, open_store, pair_starts

_FRAMES = 20
_FLAGGED = 7


def write_clip(path: Path, seed: int, fps: float = 30.0, body: str = "open", all_flagged: bool = False) -> None:
    generator = torch.Generator().manual_seed(seed)
    flagged = torch.full((_FRAMES,), all_flagged)
    flagged[_FLAGGED] = True
    motion = Motion(
        pose=0.3 * torch.randn(_FRAMES, 24, 3, generator=generator),
        transl=torch.randn(_FRAMES, 3, generator=generator),
        betas=torch.zeros(10),
        fps=fps,
        body=body,
        up_axis="y",
        flagged=flagged,
    )
    write_motion(motion, path)


@pytest.fixture
def motions(tmp_path: Path) -> Path:
    """Three training subjects of four clips, six couples of salsa, and two subjects for evaluation."""
    root = tmp_path / "motions"
    names = [f"cmu/{subject}/{subject}_{n:02d}" for subject in ("01", "02", "16", "49", "86") for n in range(1, 5)]
    names += [f"cmu_salsa/{n:02d}" for n in (1, 2, 3, 4, 5, 7, 16, 17, 18, 19, 20, 22)]
    for seed, name in enumerate(names):
        write_clip(root / f"{name}.npz", seed)
    (root / "import_report.json").write_text("{}")
    return root


def run(motions: Path, output: Path, **options: object) -> MotionStore:
    args = dataclasses.replace(PrepareArgs(motions, output), **options)  # type: ignore[arg-type]
    return prepare(args, Console(file=io.StringIO()))


def test_a_store_holds_every_motion_as_it_was(motions: Path, tmp_path: Path) -> None:
    store = run(motions, tmp_path / "store")
    names = sorted(path.relative_to(motions).with_suffix("").as_posix() for path in motions.rglob("*.npz"))
    assert [clip.name for clip in store.table] == names
    for clip in store.table:
        motion = read_motion(motions / f"{clip.name}.npz")
        rows = slice(clip.first, clip.first + clip.frames)
        np.testing.assert_array_equal(store.rotvec[rows], motion.pose.numpy())
        np.testing.assert_array_equal(store.transl[rows], motion.transl.numpy())
        np.testing.assert_array_equal(store.usable[rows], ~motion.flagged.numpy())


def test_subjects_for_evaluation_are_on_no_other_side(motions: Path, tmp_path: Path) -> None:
    store = run(motions, tmp_path / "store")
    subjects = {split: {clip.subject for clip in store.clips(split)} for split in ("train", "holdout", "eval")}  # type: ignore[arg-type]
    assert subjects["eval"] == {"cmu/49", "cmu/86"}
    assert subjects["train"] == {"cmu/01", "cmu/02", "cmu/16", "cmu_salsa"} == subjects["holdout"]


def test_clips_set_aside_are_not_trained_on_nor_are_their_partners(motions: Path, tmp_path: Path) -> None:
    store = run(motions, tmp_path / "store", holdout=5)
    held = {clip.name for clip in store.clips("holdout")}
    assert len(held) == 5
    assert held.isdisjoint(clip.name for clip in store.clips("train"))
    salsa = {int(name[-2:]) for name in held if name.startswith("cmu_salsa")}
    assert salsa
    assert {(number + 14) % 30 + 1 for number in salsa} == salsa
    held_rows = {row for clip in store.clips("holdout") for row in range(clip.first, clip.first + clip.frames)}
    assert held_rows.isdisjoint(pair_starts(store, "train", 3).tolist())
    assert not run(motions, tmp_path / "store", holdout=0).clips("holdout")


def test_flagged_frames_are_kept_and_never_paired(motions: Path, tmp_path: Path) -> None:
    store = run(motions, tmp_path / "store")
    assert (~store.usable).sum() == len(store.table)
    within = pair_starts(store, "eval", 5) % _FRAMES
    assert sorted(set(within.tolist())) == [0, 1, *range(8, 15)]


def test_the_same_motions_give_the_same_bytes(motions: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "two"):
        run(motions, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_clips_of_another_rate_are_resampled(motions: Path, tmp_path: Path) -> None:
    write_clip(motions / "cmu" / "01" / "01_01.npz", 0, fps=60.0)
    store = run(motions, tmp_path / "store")
    assert store.table[0].frames == _FRAMES // 2
    np.testing.assert_array_equal(
        store.rotvec[: _FRAMES // 2], read_motion(motions / "cmu/01/01_01.npz").pose.numpy()[::2]
    )


def test_the_lists_of_subjects_can_be_ones_own(motions: Path, tmp_path: Path) -> None:
    args = ["motions", "-o", "store", "--eval-subjects", "cmu/01,16", "--train-subjects", "49", "cmu/86", "--half"]
    parsed = tyro.cli(PrepareArgs, args=args, config=(tyro.conf.DisallowNone, tyro.conf.FlagCreatePairsOff))
    parsed = dataclasses.replace(parsed, motions=motions, output=tmp_path / "store")
    store = prepare(parsed, Console(file=io.StringIO()))
    assert {clip.subject for clip in store.clips("eval")} == {"cmu/01", "cmu/16"}
    assert {clip.subject for clip in store.clips("train")} == {"cmu/49", "cmu/86"}
    assert len(store.table) == 16
    assert store.rotvec.dtype == np.float16
    assert tyro.cli(PrepareArgs, args=args[:3]).eval_subjects == NEVER_TRAINED


def test_a_misspelt_subject_is_refused_and_not_trained_on(motions: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--eval-subjects names '48'.*cmu/49"):
        run(motions, tmp_path / "store", eval_subjects=("48",))
    with pytest.raises(InputError, match="--train-subjects"):
        run(motions, tmp_path / "store", train_subjects=("cmu/1",))


def test_terms_are_known_for_motion_imported_from_cmu_and_for_no_other(motions: Path, tmp_path: Path) -> None:
    assert run(motions, tmp_path / "store").licence == CMU_LICENCE
    assert run(motions, tmp_path / "store", licence="mine").licence == "mine"
    write_clip(motions / "cmu" / "01" / "01_01.npz", 0, body="smplh")
    assert run(motions, tmp_path / "store").licence.startswith("Not stated")


def test_a_file_that_is_no_motion_is_passed_over_and_named(motions: Path, tmp_path: Path) -> None:
    np.savez(motions / "cmu" / "01" / "shape.npz", betas=np.zeros(10))
    (motions / "cmu" / "01" / "cut [short].npz").write_bytes(b"PK")
    console = Console(record=True, width=200, file=io.StringIO())
    prepare(PrepareArgs(motions, tmp_path / "store"), console)
    text = console.export_text()
    assert "shape.npz" in text
    assert "cut [short].npz" in text
    assert len(open_store(tmp_path / "store").table) == 32


def test_the_summary_counts_each_split(motions: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    store = prepare(PrepareArgs(motions, tmp_path / "store"), console)
    rows = {line.split()[0]: line.split()[1:4] for line in console.export_text().splitlines() if line.strip()}
    for split in ("train", "holdout", "eval"):
        clips = store.clips(split)  # type: ignore[arg-type]
        assert rows[split] == [str(len(clips)), str(_FRAMES * len(clips)), str((_FRAMES - 1) * len(clips))]


def test_nothing_usable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    root, output = tmp_path / "motions", tmp_path / "store"
    with pytest.raises(InputError, match="no such folder"):
        run(root, output)
    root.mkdir()
    with pytest.raises(InputError, match="import-motion"):
        run(root, output)
    (root / "cut.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"no usable frame.*cut\.npz"):
        run(root, output)
    (root / "cut.npz").unlink()
    write_clip(root / "flagged.npz", 0, all_flagged=True)
    with pytest.raises(InputError, match="no usable frame"):
        run(root, output)
    assert {path.name for path in tmp_path.iterdir()} == {"motions"}


@pytest.mark.parametrize("options", [{"fps": 0.0}, {"fps": float("nan")}, {"holdout": -1}])
def test_options_without_meaning_are_refused(motions: Path, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--"):
        run(motions, tmp_path / "store", **options)


def test_the_motions_themselves_are_never_overwritten(motions: Path) -> None:
    for output in (motions, motions.parent, motions / "cmu" / "01", motions / "cmu" / "01" / "01_01.npz"):
        with pytest.raises(InputError, match="in the way"):
            run(motions, output)
    assert len(list(motions.rglob("*.npz"))) == 32


@pytest.mark.slow
def test_the_real_motions_are_packed_with_our_splits(tmp_path: Path) -> None:
    real = Path.home() / "motion30"
    if not real.is_dir():
        pytest.skip("the CMU clips are not imported")
    store = run(real, tmp_path / "store")
    assert {clip.subject for clip in store.clips("eval")} == set(NEVER_TRAINED) - {"accad_male1"}
    assert len(store.clips("holdout")) == 12
