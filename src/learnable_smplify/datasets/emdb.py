"""EMDB: `PX/SEQUENCE/PX_SEQUENCE_data.pkl`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from learnable_smplify.datasets.sequence import DatasetSequence, chosen_split, sequence_of
from learnable_smplify.safe_files.keyed import Keyed
from learnable_smplify.safe_files.safe_pickle import load_pickle

LAYOUT = "P0/09_outdoor_walk/P0_09_outdoor_walk_data.pkl"
SPLITS = ("all", "emdb1", "emdb2")
_FPS = 30.0


def read_emdb(root: Path, split: str | None = None) -> Iterator[DatasetSequence]:
    """Every sequence, SMPL in the world; frames outside `good_frames_mask` are not valid.

    Args:
        root: the folder that holds P0 to P9.
        split: "emdb1" or "emdb2", the two evaluation sets its files are marked with, or "all" (the default).

    Raises:
        InputError: an unknown split, something in a pickle that is not data, or a key that is missing or of another
            shape; names file and key.
    """
    chosen = chosen_split(split, SPLITS, "all", root)
    for path in sorted(root.glob("P*/*/*_data.pkl")):
        content = load_pickle(path)
        found = Keyed(path, content if isinstance(content, Mapping) else {}, None, "an EMDB sequence")
        if chosen == "all" or bool(found.numbers(chosen).all()):
            yield _sequence(found, path)


def _sequence(found: Keyed, path: Path) -> DatasetSequence:
    smpl = found.inside("smpl")
    root = smpl.numbers("poses_root", shape=(None, 3), finite=False)
    frames = len(root)
    body = smpl.numbers("poses_body", shape=(frames, 69), finite=False)
    return sequence_of(
        name=f"{path.parents[1].name}/{path.parent.name}",
        subject=path.parents[1].name,
        pose=np.concatenate((root, body), axis=1),
        transl=smpl.numbers("trans", shape=(frames, 3), finite=False),
        betas=smpl.numbers("betas").reshape(-1),
        gender=found.gender(),
        fps=_FPS,
        body="smpl",
        valid=found.numbers("good_frames_mask", shape=(frames,)),
        path=path,
    )
