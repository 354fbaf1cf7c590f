"""RICH: `data/bodies/{train,val,test}/SEQUENCE/FRAME/SUBJECT.pkl`, one file for each frame and person.

The data set's toolkit hands each file's arrays to SMPL-X under their names; `global_orient`, `body_pose`, `transl` and
`betas` are what is read here. The full list of keys was not checked against a file of the data set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from learnable_smplify.datasets.sequence import DatasetSequence, chosen_split, sequence_of
from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.json_file import read_json_file
from learnable_smplify.safe_files.keyed import Keyed, as_gender
from learnable_smplify.safe_files.safe_pickle import load_pickle

LAYOUT = "data/bodies/{train,val,test}/SEQUENCE/00017/003.pkl"
SPLITS = ("train", "val", "test", "all")
_FPS = 30.0
_KEYS = {"global_orient": 3, "body_pose": 63, "transl": 3}


def read_rich(root: Path, split: str | None = None) -> Iterator[DatasetSequence]:
    """Every person of every sequence, SMPL-X in the frame of the scan; frames without a file are not valid.

    Args:
        root: the folder of the data set, its `data` or its `bodies`. Genders are taken from the `gender.json` of the
            toolkit (`resource/gender.json`) where it lies in `root`, and are "neutral" otherwise.
        split: "train", "val", "test" (the default) or "all".

    Raises:
        InputError: an unknown split, something in a pickle that is not data, or a key that is missing or of another
            shape; names file and key.
    """
    chosen = chosen_split(split, SPLITS, "test", root)
    folder = next((f for f in (root / "data" / "bodies", root / "bodies") if f.is_dir()), root)
    genders = _genders(root)
    for part in SPLITS[:3] if chosen == "all" else (chosen,):
        for sequence in sorted(path for path in (folder / part).glob("*") if path.is_dir()):
            people: dict[str, list[tuple[int, Path]]] = defaultdict(list)
            for path in sorted(sequence.glob("*/*.pkl")):
                name = path.parent.name
                if not (name.isascii() and name.isdecimal()):
                    raise InputError("its folder is no frame number", path=path, expected=LAYOUT)
                people[path.stem].append((int(name), path))
            for subject in sorted(people):
                gender = genders.get(subject.lstrip("0") or "0", "neutral")
                yield _person(f"{part}/{sequence.name}", subject, gender, sorted(people[subject]))


def _person(name: str, subject: str, gender: str, files: list[tuple[int, Path]]) -> DatasetSequence:
    rows, betas = [], []
    for _, path in files:
        content = load_pickle(path)
        found = Keyed(path, content if isinstance(content, Mapping) else {}, None, "a RICH body")
        row = [found.numbers(key, finite=False).reshape(-1) for key in _KEYS]
        for (key, width), values in zip(_KEYS.items(), row, strict=True):
            if values.size != width:
                raise found.fail(f"'{key}' has {values.size} numbers", f"{width}: one SMPL-X body")
        rows.append(np.concatenate(row))
        betas.append(found.numbers("betas").reshape(-1))
        if betas[-1].size != betas[0].size:
            raise found.fail(f"'betas' has {betas[-1].size} numbers", f"{betas[0].size}, as in the frames before")
    numbers = np.array([number for number, _ in files])
    times = np.arange(numbers[0], numbers[-1] + 1)
    # A frame without a file holds the pose before it: there so that time goes on evenly, and never used.
    at = np.searchsorted(numbers, times, side="right") - 1
    values = np.stack(rows)[at]
    return sequence_of(
        name=f"{name}_{subject}",
        subject=subject,
        pose=values[:, :66],
        transl=values[:, 66:],
        betas=np.median(np.stack(betas), axis=0),
        gender=gender,
        fps=_FPS,
        body="smplx",
        valid=np.isin(times, numbers),
        path=files[0][1].parents[1],
    )


def _genders(root: Path) -> dict[str, str]:
    path = next((f for f in (root / "gender.json", root / "resource" / "gender.json") if f.is_file()), None)
    if path is None:
        return {}
    content = read_json_file(path, "a JSON object of genders")
    place = Keyed(path, content if isinstance(content, Mapping) else {})
    return {str(subject): as_gender(word, place) for subject, word in place.values.items()}
