"""Data sets of SMPL motion. To add one: a file with `LAYOUT` and a reader, and a line in `DATASETS`.

None of the data sets comes with this package, and the readers were run on generated files of the documented layouts
only, never on the data sets themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from learnable_smplify.datasets import amass, emdb, generic, rich, threedpw
from learnable_smplify.datasets.sequence import DatasetSequence
from learnable_smplify.errors import InputError

__all__ = ["DATASETS", "Dataset", "DatasetName", "DatasetSequence", "read_dataset"]

DatasetName = Literal["amass", "3dpw", "emdb", "rich", "generic"]


@dataclass(frozen=True)
class Dataset:
    """How a data set is read.

    Args:
        read: its sequences, from its folder and the name of a split (None is the one the field evaluates on).
        layout: where its files lie below the folder.
    """

    read: Callable[[Path, str | None], Iterator[DatasetSequence]]
    layout: str


DATASETS: dict[DatasetName, Dataset] = {
    "amass": Dataset(amass.read_amass_dataset, amass.LAYOUT),
    "3dpw": Dataset(threedpw.read_threedpw, threedpw.LAYOUT),
    "emdb": Dataset(emdb.read_emdb, emdb.LAYOUT),
    "rich": Dataset(rich.read_rich, rich.LAYOUT),
    "generic": Dataset(generic.read_generic, generic.LAYOUT),
}


def read_dataset(name: DatasetName, root: str | PathLike[str], split: str | None = None) -> Iterator[DatasetSequence]:
    """The sequences of a data set, one after the other, in a fixed order.

    Args:
        name: one of `DATASETS`.
        root: its folder.
        split: one of its splits; None is the one the field evaluates on, or all where there is none.

    Raises:
        InputError: an unknown data set or split, a folder without its files, or a file that cannot be used (names the
            file and the key).
    """
    root = Path(root)
    if name not in DATASETS:
        raise InputError(f"unknown data set '{name}'", expected=f"one of {', '.join(DATASETS)}")
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, expected=f"the folder of {name}")
    found = False
    for sequence in DATASETS[name].read(root, split):
        found = True
        yield sequence
    if not found:
        raise InputError(
            f"no sequence of {name} here" + (f" in split '{split}'" if split else ""),
            path=root,
            expected=DATASETS[name].layout,
        )
