"""`lsmplify prepare`: imported motion becomes one store to train on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from learnable_smplify.cli.console import open_console
from learnable_smplify.cli.progress import files_progress
from learnable_smplify.errors import InputError, some
from learnable_smplify.formats.motion.motion_file import read_motion
from learnable_smplify.motion import Motion
from learnable_smplify.options import shown
from learnable_smplify.resample import resample_motion
from learnable_smplify.splits import (
    EVAL_SUBJECTS,
    NEVER_TRAINED,
    SPLITS,
    TRAIN_SUBJECTS,
    belongs_to,
    choose_holdout,
    subject_of,
)
from learnable_smplify.timeline import check_rate
from learnable_smplify.training.store import (
    MotionStore,
    StoredClip,
    StoreWriter,
    check_replaceable,
    new_store,
    open_store,
)

CMU_LICENCE = (
    "CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu, funded by NSF EIA-0196217: free for all uses; the "
    "data themselves, converted or not, must not be resold."
)
_UNKNOWN_LICENCE = "Not stated when the store was made."


@dataclass(frozen=True)
class PrepareArgs:
    """Pack imported motion into one store to train on, split by subject.

    Takes every .npz below MOTIONS, as `lsmplify import-motion` writes them. A subject is the folder that holds a clip.
    Subjects for evaluation are kept apart whole; of the others, a few clips are set aside to pick a checkpoint by, and
    the rest is trained on. Frames that the import flagged stay in the store but are never drawn. The same motions give
    the same store, byte for byte.
    """

    motions: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MOTIONS")]]
    """Folder with motions."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="STORE")]
    """Folder to make the store in. A store that is there is replaced."""
    fps: Annotated[float, tyro.conf.arg(metavar="RATE")] = 30.0
    """Frames a second of the store; clips of another rate are resampled."""
    holdout: Annotated[int, tyro.conf.arg(metavar="N")] = 12
    """Clips of the training subjects to set aside, spread over the subjects; at most a quarter of them. 0 for none."""
    eval_subjects: tuple[str, ...] = NEVER_TRAINED
    """Folders never to train on, such as 'cmu/49' or '49', separated by blanks or commas; in place of the list here."""
    train_subjects: Annotated[tuple[str, ...], shown(None, "all that are not for evaluation")] = ()
    """Folders to train on; motion in others is left out."""
    half: bool = False
    """Keep rotations as float16: half the size, an error of about 0.001 rad at most."""
    licence: Annotated[str, shown("TEXT", "known for motion imported from CMU")] = ""
    """Terms the motion comes under, to be kept in the store."""


def prepare(args: PrepareArgs, console: Console | None = None) -> MotionStore:
    """Run `lsmplify prepare` and open what it made.

    Raises:
        InputError: no such folder, no usable motion in it, an option without meaning, or something in the way.
    """
    console = console or open_console(stderr=True)
    args = replace(args, eval_subjects=_names(args.eval_subjects), train_subjects=_names(args.train_subjects))
    _check(args)
    paths = _find_motions(args)
    packed: list[_Packed] = []
    skipped: list[tuple[Path, str]] = []
    with new_store(args.output, args.half) as writer:
        for path, motion in _read_all(args, paths, skipped, console):
            packed.append(_pack(args, path, motion, writer))
        if not any(clip.usable for clip in packed):
            reason = f"; the first reason: {skipped[0][1].rstrip('.')}" if skipped else ""
            raise InputError(f"no usable frame of motion{reason}", path=args.motions)
        known = CMU_LICENCE if all(entry.known_from_cmu for entry in packed) else _UNKNOWN_LICENCE
        writer.finish(_split(args, packed), args.fps, args.licence or known)
    store = open_store(args.output)
    _print_summary(store, skipped, console)
    return store


@dataclass(frozen=True)
class _Packed:
    """A clip that is in the arrays, and what decides its split and its terms."""

    clip: StoredClip
    usable: int
    known_from_cmu: bool


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip().strip("/") for entry in given for name in entry.split(",") if name.strip().strip("/"))


def _check(args: PrepareArgs) -> None:
    check_rate(args.fps)
    if args.holdout < 0:
        raise InputError(f"--holdout is {args.holdout}", expected="0 clips or more", hint="--holdout 12")
    if not args.motions.is_dir():
        raise InputError(
            "no such folder",
            path=args.motions,
            expected="a folder with motions",
            hint="lsmplify import-motion CAPTURE -o MOTIONS",
        )
    check_replaceable(args.output.resolve())


def _find_motions(args: PrepareArgs) -> list[Path]:
    everything = sorted(
        path for path in args.motions.rglob("*.npz") if path.is_file() and not path.name.startswith(".")
    )
    if not everything:
        raise InputError(
            "holds no .npz motion", path=args.motions, hint=f"lsmplify import-motion CAPTURE -o {args.motions}"
        )
    for option, names, default in (
        ("--eval-subjects", args.eval_subjects, NEVER_TRAINED),
        ("--train-subjects", args.train_subjects, ()),
    ):
        # A misspelt subject would be trained on, so only the lists of our own may name subjects that are not there.
        for name in () if names == default else names:
            if not any(belongs_to(path, args.motions, [name]) for path in everything):
                there = sorted({subject_of(path, args.motions) for path in everything})
                raise InputError(
                    f"{option} names '{name}', which is not there", path=args.motions, expected=", ".join(there)[:300]
                )
    wanted = (*args.train_subjects, *args.eval_subjects)
    if not args.train_subjects:
        return everything
    return [path for path in everything if belongs_to(path, args.motions, wanted)]


def _read_all(
    args: PrepareArgs, paths: list[Path], skipped: list[tuple[Path, str]], console: Console
) -> Iterator[tuple[Path, Motion]]:
    """Every motion that can be read; the others go to `skipped` with the reason."""
    with files_progress(console, "packing") as show:
        for done, path in enumerate(paths):
            show(done, len(paths), path.name)
            try:
                motion = resample_motion(read_motion(path), args.fps)
            except InputError as error:
                skipped.append((path, str(error)))
            else:
                yield path, motion


def _pack(args: PrepareArgs, path: Path, motion: Motion, writer: StoreWriter) -> _Packed:
    usable = ~motion.flagged.numpy()
    first = writer.append(motion.pose.numpy(), motion.transl.numpy(), usable)
    evaluated = belongs_to(path, args.motions, args.eval_subjects)
    clip = StoredClip(
        name=path.relative_to(args.motions).with_suffix("").as_posix(),
        subject=subject_of(path, args.motions),
        split="eval" if evaluated else "train",
        first=first,
        frames=len(motion),
    )
    # The import puts CMU's recordings on the open body; the same ones in AMASS are on another, under AMASS's terms.
    from_cmu = motion.body == "open" and belongs_to(path, args.motions, (*TRAIN_SUBJECTS, *EVAL_SUBJECTS))
    return _Packed(clip, int(usable.sum()), from_cmu)


def _split(args: PrepareArgs, packed: list[_Packed]) -> list[StoredClip]:
    training = [(entry.clip.name, entry.clip.subject) for entry in packed if entry.clip.split == "train"]
    held = choose_holdout(training, args.holdout)
    return [replace(entry.clip, split="holdout") if entry.clip.name in held else entry.clip for entry in packed]


def _print_summary(store: MotionStore, skipped: list[tuple[Path, str]], console: Console) -> None:
    table = Table("split", "clips", "frames", "usable", "minutes", "subjects", box=None)
    for split in SPLITS:
        clips = store.clips(split)
        frames = sum(clip.frames for clip in clips)
        usable = sum(int(store.usable[clip.first : clip.first + clip.frames].sum()) for clip in clips)
        subjects = sorted({clip.subject for clip in clips})
        numbers = (str(len(clips)), str(frames), str(usable), f"{frames / store.fps / 60:.1f}")
        table.add_row(split, *numbers, some(subjects, 12))
    console.print(table)
    for path, reason in skipped:
        console.print(f"Skipped {path}: {reason}", markup=False, highlight=False, soft_wrap=True)
    size = sum(file.stat().st_size for file in store.path.iterdir()) / 2**20
    lines = (
        f"Terms: {store.licence}",
        f"Wrote {store.path}: {len(store)} frames at {store.fps:g} a second, {size:.1f} MiB",
    )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
