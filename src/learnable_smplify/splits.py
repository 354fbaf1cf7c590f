"""Which motion is trained on: named splits by subject, so that no person is on both sides.

- "eval": never trained on, never used to choose anything.
- "holdout": a few whole clips of the training subjects, set aside to pick a checkpoint by.
- "train": the rest.

A subject is the folder that holds a clip. CMU says of its database that one person may appear under more than one
subject number, so a split by number is a split by person only as far as CMU's numbering goes. Two people dancing
together are two subjects in one session: see `session_of`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

Split = Literal["train", "holdout", "eval"]
SPLITS: tuple[Split, ...] = ("train", "holdout", "eval")

EVAL_SUBJECTS = ("cmu/49", "cmu/86", "cmu/131", "cmu/135")
"""Gymnastics, sports and martial arts of CMU."""
FOREIGN_SUBJECTS = ("accad_male1",)
"""Other studios' people: evaluated on (`lsmplify evaluate --foreign`), never trained on."""
NEVER_TRAINED = (*EVAL_SUBJECTS, *FOREIGN_SUBJECTS)
TRAIN_SUBJECTS = (
    *("cmu/01", "cmu/02", "cmu/03", "cmu/05", "cmu/06", "cmu/07", "cmu/08", "cmu/09", "cmu/10", "cmu/14", "cmu/16"),
    *("cmu/29", "cmu/32", "cmu/35", "cmu/38", "cmu/39", "cmu/43", "cmu/55", "cmu/127"),
    *("cmu_bvh_06", "cmu_bvh_2s", "cmu_salsa"),
)
"""What the weights in the package are trained on."""

_SALSA = "cmu_salsa"
_SALSA_TAKES = 15


def subject_of(clip: Path, root: Path) -> str:
    """The folder that holds a clip, as a path below `root`; the name of `root` for a clip that lies in it directly."""
    folder = clip.parent.relative_to(root).as_posix()
    return root.resolve().name if folder == "." else folder


def belongs_to(clip: Path, root: Path, subjects: Iterable[str]) -> bool:
    """Whether a clip lies in one of the folders `subjects` ("cmu/49", "49"), upper and lower case alike.

    Looked for below `root` and in the last folders of `root` itself, so that "cmu/49" is known again when `root` is
    ".../cmu". Case does not count because the same recordings are `CMU/49` in AMASS.
    """
    above = [part.casefold() for part in root.resolve().parts]
    parts = above + [part.casefold() for part in clip.parent.relative_to(root).parts]
    for subject in subjects:
        wanted = [part.casefold() for part in Path(subject).parts]
        ends = range(max(len(above), len(wanted)), len(parts) + 1)
        if wanted and any(parts[end - len(wanted) : end] == wanted for end in ends):
            return True
    return False


def session_of(name: str, subject: str) -> str:
    """A name for the recording that a clip belongs to; clips of one session never fall on both sides of a holdout.

    Of CMU's salsa, clips 16 to 30 show the partners in the takes 1 to 15. Every other clip is a session of its own.
    """
    stem = name.rpartition("/")[2]
    if subject.rpartition("/")[2].casefold() == _SALSA and stem.isdecimal() and 1 <= int(stem) <= 2 * _SALSA_TAKES:
        return f"{subject}/take {(int(stem) - 1) % _SALSA_TAKES + 1}"
    return name


def choose_holdout(clips: Iterable[tuple[str, str]], count: int) -> frozenset[str]:
    """The names of about `count` clips to set aside, whole sessions, spread over the subjects.

    Sessions are in an order of their own within each subject, by a hash of their names, and so are the subjects. One
    session of each subject is taken in turn until `count` clips are reached; a session of two clips may exceed it by
    one. At most a quarter of the sessions are taken (one of two or three), and the last session of a subject only when
    every other is. The same names give the same choice; they are paths below the folder that was packed, so packing a
    folder above it gives another.

    Args:
        clips: (name, subject) of each.
        count: how many to set aside.
    """
    subjects: dict[str, dict[str, list[str]]] = {}
    for name, subject in clips:
        subjects.setdefault(subject, {}).setdefault(session_of(name, subject), []).append(name)
    ranked: list[tuple[bool, int, str, list[str]]] = []
    for subject, sessions in subjects.items():
        for turn, session in enumerate(sorted(sessions, key=_rank)):
            ranked.append((turn == len(sessions) - 1, turn, _rank(subject), sessions[session]))
    chosen: set[str] = set()
    limit = min(len(ranked) - 1, max(1, len(ranked) // 4))
    for *_, names in sorted(ranked)[: max(limit, 0)]:
        if len(chosen) >= count:
            break
        chosen.update(names)
    return frozenset(chosen)


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
