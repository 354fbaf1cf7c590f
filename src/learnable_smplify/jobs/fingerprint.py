"""What an input was when it was fitted, to tell later whether it still is."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fingerprint:
    """An input by its looks and by its content.

    Args:
        stamp: hash of name, size and time of change of every file in it: quick to make.
        content: hash of the names and bytes. The same files copied elsewhere keep it.
    """

    stamp: str
    content: str


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file, or of a folder that is one recording.

    Raises:
        OSError: a file that cannot be read.
    """
    stamp = input_stamp(path)
    hashes = "\n".join(f"{name} {file_hash(file)}" for name, file in _parts(path))
    return Fingerprint(stamp, hashlib.sha256(os.fsencode(hashes)).hexdigest())


def is_same(path: Path, known: Fingerprint, read: bool = False) -> bool:
    """Whether an input is the one that was fitted; its bytes are read only if it looks different, or if told to."""
    try:
        return (not read and input_stamp(path) == known.stamp) or fingerprint(path).content == known.content
    except OSError:
        return False


def input_stamp(path: Path) -> str:
    """See `Fingerprint`."""
    looks = [(name, file.stat()) for name, file in _parts(path)]
    text = "\n".join(f"{name} {look.st_size} {look.st_mtime_ns}" for name, look in looks)
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(path: Path) -> list[tuple[str, Path]]:
    """The files of an input with their names inside it. A file's own name is no part of its content."""
    if not path.is_dir():
        return [("", path)]
    files = [file for file in path.rglob("*") if file.suffix.lower() == ".json" and file.is_file()]
    return sorted((file.relative_to(path).as_posix(), file) for file in files)
