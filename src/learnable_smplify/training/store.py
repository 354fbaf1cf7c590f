"""The motion store: every clip in one folder of arrays that training reads through memory maps.

    STORE/index.json    format, version, frame rate, licence note, clip table
    STORE/rotvec.npy    (N, 24, 3) float32 or float16, all frames of all clips, one clip after another
    STORE/transl.npy    (N, 3) float32
    STORE/usable.npy    (N,) bool, False where the import flagged a glitch

float16 halves the size at an error of at most 0.001 rad a component (0.0003 for rotations under half a radian).
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.skeleton import NUM_JOINTS
from learnable_smplify.splits import SPLITS, Split
from learnable_smplify.timeline import is_rate

STORE_VERSION = 1
_FORMAT = "learnable-smplify motion store"
_INDEX = "index.json"
_ARRAYS = ("rotvec.npy", "transl.npy", "usable.npy")
_HINT = "lsmplify prepare MOTIONS -o STORE"


@dataclass(frozen=True)
class StoredClip:
    """One clip: rows `first` to `first + frames` of the store.

    Args:
        name: path below the folder it was packed from, without suffix.
        subject: the folder that held it.
        split: "train", "holdout" or "eval".
        first: its first row.
        frames: how many rows.
    """

    name: str
    subject: str
    split: Split
    first: int
    frames: int


@dataclass(frozen=True, eq=False)
class MotionStore:
    """An opened store.

    Args:
        path: its folder.
        fps: frames a second of every clip.
        licence: the terms its motion comes under.
        table: the clips in the order of their rows, which they cover without a gap.
        rotvec: (N, 24, 3) float32 or float16, rotvec [rad], `global_orient` first; read through a memory map.
        transl: (N, 3) float32, metres, in the world of each clip; read through a memory map.
        usable: (N,) bool, False for frames not to be trained on.
    """

    path: Path
    fps: float
    licence: str
    table: tuple[StoredClip, ...]
    rotvec: np.ndarray
    transl: np.ndarray
    usable: np.ndarray

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.usable)

    def clips(self, split: Split) -> list[StoredClip]:
        """The clips of a split, in the order of their rows.

        Raises:
            InputError: no such split.
        """
        if split not in SPLITS:
            raise InputError(f"there is no split '{split}'", path=self.path, expected=" or ".join(SPLITS))
        return [clip for clip in self.table if clip.split == split]


def pair_starts(store: MotionStore, split: Split, stride: int) -> np.ndarray:
    """Every row t of a split from which a pair (t, t + stride) can be drawn.

    Both rows lie in the same clip, and every row from t to t + stride is usable.

    Args:
        store: an opened store.
        split: "train", "holdout" or "eval".
        stride: frames between the two, 1 or more.

    Returns:
        (M,) int64, ascending; empty when no clip is long enough.

    Raises:
        InputError: no such split, or a stride below 1.
    """
    if stride < 1:
        raise InputError(f"the stride is {stride}", expected="1 frame or more")
    clips = store.clips(split)
    if not clips:
        return np.empty(0, dtype=np.int64)
    first = np.array([clip.first for clip in clips], dtype=np.int64)
    starts = np.maximum(np.array([clip.frames for clip in clips], dtype=np.int64) - stride, 0)
    # The k-th candidate overall is row k, less the candidates of the clips before its own, plus its clip's first row.
    rows = np.arange(starts.sum()) + np.repeat(first - (np.cumsum(starts) - starts), starts)
    bad_before = np.concatenate([[0], np.cumsum(~store.usable)])
    return rows[bad_before[rows + stride + 1] == bad_before[rows]]


def open_store(path: str | os.PathLike[str]) -> MotionStore:
    """Open a store that `lsmplify prepare` wrote. Reads the index; the motion itself stays on the disk.

    Raises:
        InputError: no such folder, no store, another version, or a file of it missing, cut short or not fitting the
            others; names the file.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError("no such motion store", path=path, expected="a folder", hint=_HINT)
    index = _read_index(path / _INDEX)
    if index["version"] != STORE_VERSION:
        raise InputError(
            f"is a motion store of version {index['version']}",
            path=path / _INDEX,
            expected=f"version {STORE_VERSION}, which this version of the program reads",
            hint=_HINT,
        )
    fps, licence, table = _read_contents(path / _INDEX, index)
    rows = table[-1].first + table[-1].frames
    rotvec = _open_array(path / "rotvec.npy", (rows, NUM_JOINTS, 3), ("float32", "float16"))
    transl = _open_array(path / "transl.npy", (rows, 3), ("float32",))
    usable = np.array(_open_array(path / "usable.npy", (rows,), ("bool",)))
    return MotionStore(path, fps, licence, table, rotvec, transl, usable)


class StoreWriter:
    """Adds clips to a store in the making; `new_store` gives one out."""

    def __init__(self, folder: Path, half: bool) -> None:
        self._folder = folder
        pose_type = np.dtype(np.float16 if half else np.float32)
        self._arrays = (
            _GrowingArray(folder / "rotvec.npy", pose_type, (NUM_JOINTS, 3)),
            _GrowingArray(folder / "transl.npy", np.dtype(np.float32), (3,)),
            _GrowingArray(folder / "usable.npy", np.dtype(bool), ()),
        )

    def append(self, rotvec: np.ndarray, transl: np.ndarray, usable: np.ndarray) -> int:
        """Add the T frames of a clip: (T, 24, 3) rotvec [rad], (T, 3) metres, (T,) bool. Returns its first row."""
        first = self._arrays[0].rows
        for array, values in zip(self._arrays, (rotvec, transl, usable), strict=True):
            array.append(values)
        return first

    def finish(self, table: list[StoredClip], fps: float, licence: str) -> None:
        """Write the clip table; without it there is no store."""
        self.close()
        index = {
            "format": _FORMAT,
            "version": STORE_VERSION,
            "fps": fps,
            "licence": licence,
            "clips": [asdict(clip) for clip in table],
        }
        text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
        (self._folder / _INDEX).write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Close the arrays."""
        for array in self._arrays:
            array.close()


@contextlib.contextmanager
def new_store(path: str | os.PathLike[str], half: bool = False) -> Iterator[StoreWriter]:
    """Write a store beside `path`; when all went well it takes the place of what was there.

    Args:
        path: the store's folder. A store that is there is replaced; anything else is left alone.
        half: keep rotations as float16.

    Raises:
        InputError: something that is no store is in the way, or the folder cannot be written to.
    """
    target = Path(path).resolve()
    check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True
        ) as name:
            temporary = Path(name)
            with contextlib.closing(StoreWriter(temporary / "new", half)) as writer:
                yield writer
            if not (temporary / "new" / _INDEX).is_file():
                raise RuntimeError("StoreWriter.finish was not called")
            _replace(target, temporary)
    except OSError as error:
        message = f"cannot write here ({error.strerror or error})"
        raise InputError(message, path=target, expected="a writable folder") from error


def check_replaceable(path: Path) -> None:
    """Make sure that writing a store to `path` destroys nothing but a store.

    Raises:
        InputError: `path` is a file, or a folder that holds anything else.
    """
    if not path.exists():
        return
    if path.is_dir():
        inside = {entry.name for entry in path.iterdir()}
        if not inside:
            return
        if inside <= {_INDEX, *_ARRAYS}:
            # An index that can be read proves a store; of which version, and whether whole, does not matter here.
            with contextlib.suppress(InputError):
                _read_index(path / _INDEX)
                return
    raise InputError(
        "is in the way and is not a motion store, so it is left alone",
        path=path,
        expected="a new folder, or a store to replace",
        hint="another folder after -o",
    )


def _replace(target: Path, temporary: Path) -> None:
    old = temporary / "old"
    try:
        if target.exists():
            target.rename(old)
        (temporary / "new").rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise


class _GrowingArray:
    """A .npy file whose number of rows is known only when it is closed.

    NumPy leaves room in the header for the first axis to grow to any length, so the header is written again in place.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> None:
        path.parent.mkdir(exist_ok=True)
        self.rows = 0
        self._dtype = dtype
        self._row_shape = row_shape
        self._file = open(path, "wb")  # noqa: SIM115
        self._write_header()
        self._start = self._file.tell()

    def append(self, values: np.ndarray) -> None:
        assert values.shape[1:] == self._row_shape
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).tobytes())
        self.rows += len(values)

    def close(self) -> None:
        if self._file.closed:
            return
        with self._file:
            self._file.seek(0)
            self._write_header()
            assert self._file.tell() == self._start

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._row_shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError("is missing, so this is no motion store", path=path, hint=_HINT) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read ({reason(error)})", path=path, expected="JSON", hint=_HINT) from error
    if not isinstance(index, dict) or index.get("format") != _FORMAT or not isinstance(index.get("version"), int):
        raise InputError("is not the index of a motion store", path=path, expected=f"format '{_FORMAT}'", hint=_HINT)
    return index


def _read_contents(path: Path, index: dict[str, Any]) -> tuple[float, str, tuple[StoredClip, ...]]:
    try:
        fps, licence = float(index["fps"]), str(index["licence"])
        table = tuple(StoredClip(**clip) for clip in index["clips"])
        sound = bool(table) and is_rate(fps)
        row = 0
        for clip in table:
            texts = isinstance(clip.name, str) and isinstance(clip.subject, str) and clip.split in SPLITS
            numbers = type(clip.first) is int and type(clip.frames) is int and clip.frames > 0
            sound = sound and texts and numbers and clip.first == row
            row += clip.frames
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"lacks or garbles an entry ({reason(error)})", path=path, hint=_HINT) from error
    if not sound:
        raise InputError("its frame rate or clip table makes no sense", path=path, hint=_HINT)
    return fps, licence, table


def _open_array(path: Path, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> np.ndarray:
    expected = f"{shape} {' or '.join(dtypes)}"
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise InputError("is missing from the motion store", path=path, expected=expected, hint=_HINT) from error
    # A damaged header raises nearly anything.
    except Exception as error:
        raise InputError(f"is damaged ({reason(error)})", path=path, expected=expected, hint=_HINT) from error
    if array.shape != shape or array.dtype not in [np.dtype(name) for name in dtypes]:
        raise InputError(f"holds {array.shape} {array.dtype}", path=path, expected=expected, hint=_HINT)
    return array
