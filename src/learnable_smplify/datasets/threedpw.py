"""3DPW: `sequenceFiles/{train,validation,test}/SEQUENCE.pkl`, one or two people in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.datasets.sequence import DatasetSequence, chosen_split, sequence_of
from learnable_smplify.errors import InputError
from learnable_smplify.safe_files.keyed import Keyed, as_gender
from learnable_smplify.safe_files.safe_pickle import load_pickle

LAYOUT = "sequenceFiles/{train,validation,test}/SEQUENCE.pkl"
SPLITS = ("train", "validation", "test", "all")
_FPS = 30.0


def read_threedpw(root: Path, split: str | None = None) -> Iterator[DatasetSequence]:
    """Every person of every sequence, as many frames as images; frames without an aligned camera are not valid.

    Args:
        root: the folder that holds `sequenceFiles`, or that folder.
        split: "train", "validation", "test" (the default, on which the field compares) or "all".

    Raises:
        InputError: an unknown split, something in a pickle that is not data, or a key that is missing or of another
            shape; names file and key.
    """
    chosen = chosen_split(split, SPLITS, "test", root)
    folder = root / "sequenceFiles" if (root / "sequenceFiles").is_dir() else root
    for part in SPLITS[:3] if chosen == "all" else (chosen,):
        for path in sorted((folder / part).glob("*.pkl")):
            yield from _people(path, part)


def _people(path: Path, split: str) -> Iterator[DatasetSequence]:
    content = load_pickle(path)
    found = Keyed(path, content if isinstance(content, Mapping) else {}, None, "a 3DPW sequence")
    poses, transls = _list(found, "poses"), _list(found, "trans")
    betas, genders = _list(found, "betas"), _list(found, "genders", "gender")
    valid = _list(found, "campose_valid")
    if len({len(poses), len(transls), len(betas), len(genders), len(valid)}) > 1:
        raise found.fail("its lists have different lengths", "one entry a person in poses, trans, betas, genders")
    for number in range(len(poses)):
        person = Keyed(
            path,
            {"poses": poses[number], "trans": transls[number], "betas": betas[number], "valid": valid[number]},
            f"person {number}",
        )
        pose = person.numbers("poses", shape=(None, 72), finite=False)
        yield sequence_of(
            name=f"{split}/{path.stem}_{number}",
            subject=f"{path.stem}_{number}",
            pose=pose,
            transl=person.numbers("trans", shape=(len(pose), 3), finite=False),
            betas=person.numbers("betas").reshape(-1),
            gender=as_gender(genders[number], person),
            fps=_FPS,
            body="smpl",
            valid=person.numbers("valid"),
            path=path,
        )


def _list(found: Keyed, *names: str) -> list[Any]:
    value = found.value(*names)
    if not isinstance(value, list | tuple | np.ndarray):
        raise InputError(
            f"'{names[0]}' is a {type(value).__name__}", path=found.path, expected="a list with one entry a person"
        )
    return list(value)
