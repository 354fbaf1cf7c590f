"""The attacks of `shared/cases/attack`, and larger ones made here: read or refused, within limits."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from learnable_smplify.errors import InputError
from learnable_smplify.formats.keypoints.keypoint_file import read_people
from limited import Outcome, outcomes

ATTACK = Path(__file__).parents[1].parent / "shared/cases/attack"
BY_SUFFIX = {
    ".pkl": ("pickle", "joblib", "estimate"),
    ".joblib": ("joblib", "estimate"),
    ".npy": ("npy", "estimate", "keypoints of body25"),
    ".npz": ("keypoints", "estimate"),
    ".json": ("keypoints", "estimate", "camera", "offsets"),
    ".toml": ("layout", "bone map"),
}


@pytest.fixture(scope="module")
def attacked() -> dict[tuple[str, str], Outcome]:
    files = [path for path in sorted(ATTACK.rglob("*")) if path.is_file()]
    if not files:
        pytest.skip(f"no {ATTACK}")
    asked = [(kind, path) for path in files for kind in BY_SUFFIX[path.suffix]]
    found = outcomes(asked)
    return {(str(path.relative_to(ATTACK)), kind): one for (kind, path), one in zip(asked, found, strict=True)}


def test_every_attack_is_read_or_refused_in_two_seconds_and_half_a_gigabyte(attacked) -> None:
    failed = []
    for case, outcome in attacked.items():
        try:
            outcome.check()
        except AssertionError as error:
            failed.append(f"{case}: {error}")
    assert not failed, "\n".join(failed)


def test_no_attack_of_pickles_is_taken_for_data_that_it_is_not(attacked) -> None:
    for (name, kind), outcome in attacked.items():
        if name.startswith("pickles/exp_") or "hash" in name:
            assert outcome.ending == "refused", (name, kind, outcome)


def test_a_file_cannot_make_another_file_its_layout(tmp_path: Path) -> None:
    for path in sorted((ATTACK / "cli").glob("layout_*")) or [pytest.skip(f"no {ATTACK}")]:
        with pytest.raises(InputError, match="layout") as caught:
            read_people(path)
        assert "root:" not in str(caught.value)


def copies() -> bytes:
    """A list of 1,000 that is copied 10^5 times."""
    data = b"\x80\x02]q\x00(" + b"K\x01" * 1000 + b"e0](" + b"c__builtin__\nlist\nq\x010"
    return data + b"h\x01h\x00\x85R" * 100_000 + b"e."


def deep(levels: int, opcode: bytes = b"\x85") -> bytes:
    return b"\x80\x02})" + opcode * levels + b"K\x01s."


def colliding() -> bytes:
    """Integers of one hash."""
    keys = b"".join(b"\x8a\x0f" + (number * (2**61 - 1)).to_bytes(15, "little") + b"N" for number in range(60_000))
    return b"\x80\x02}(" + keys + b"u."


def array_of(shape: bytes) -> bytes:
    head = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
    kind = b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return head + shape + kind + b"\x89U\x00tb."


def torch_zip(compressed: bool, data: bytes | None = None) -> bytes:
    stream, packed = io.BytesIO(), io.BytesIO()
    torch.save({"model": {"a": torch.zeros(1 << 20)}}, stream)
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            content = data if data is not None and name.endswith("data.pkl") else old.read(name)
            new.writestr(name, content, zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED)
    return packed.getvalue()


def many(count: int, text: bytes, between: bytes = b"") -> bytes:
    """`text` so many times, with its number where it says so."""
    return between.join(text % number if b"%d" in text else text for number in range(count))


KEY_BOMB = b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40)) + b"K\x01s."
TRC = b"PathFileType\n\n\n\t\t%s\n\n1\n"
# Name -> the file, and what is in it. The reader is told by the suffix, or by `READER`.
READER = {".pkl": "pickle", ".joblib": "joblib", ".pt": "torch", ".csv": "keypoints", ".trc": "keypoints"}
READER |= {".toml": "layout", ".json": "keypoints"}
MADE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "copies of a list": ("a.pkl", copies),
    "a zlib joblib of zeros": ("a.joblib", lambda: zlib.compress(b"\x80\x02]" + b"0]" * (1 << 29), 9)),
    "a deflated torch file": ("a.pt", lambda: torch_zip(True)),
    "a bomb of keys in a torch file": ("a.pt", lambda: torch_zip(False, KEY_BOMB)),
    "a tuple a million deep as a key": ("a.pkl", lambda: deep(1_000_000)),
    "a list a million deep": ("a.pkl", lambda: b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b"."),
    "marks": ("a.pkl", lambda: b"(" * 2_000_000),
    "empty sets": ("a.pkl", lambda: b"\x80\x04(" + b"\x8f" * 1_000_000 + b"l."),
    "memoised": ("a.pkl", lambda: b"\x80\x04N" + b"\x94" * 2_000_000 + b"."),
    "integers of one hash": ("a.pkl", colliding),
    "a long shape": ("a.pkl", lambda: array_of(b"(" + b"J\xff\xff\xff\x7f" * 60_000 + b"t")),
    "text as a shape": ("a.pkl", lambda: array_of(pickle.dumps("a" * 10**6, 2)[2:-1])),
    "a long number": ("a.pkl", lambda: b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b"."),
    "a csv of a million columns": ("a.csv", lambda: many(10**6, b"n%d_x", b",") + b"\n1\n"),
    "a csv of 60,000 columns, twice": ("a.csv", lambda: (many(60_000, b"n%d_x,")) * 2),
    "a trc of 100,000 markers": ("a.trc", lambda: TRC % many(10**5, b"m%d", b"\t")),
    "dots in toml": ("a.toml", lambda: b"a" + b".a" * 60_000 + b" = 1"),
    "quoted dots in toml": ("a.toml", lambda: b'"a"' + b'."a"' * 30_000 + b" = 1"),
    "some dots in many keys of toml": ("a.toml", lambda: many(4000, b"a%d" + b".a" * 15 + b" = 1\n")),
    "dots in a table's name": ("a.toml", lambda: b"[a" + b".a" * 60_000 + b"]"),
    "60,000 keypoints": ("a.toml", lambda: b"[keypoints]\n" + many(60_000, b'k%d = "nose"\n')),
    "empty lists in json": ("a.json", lambda: b"[" + b"[]," * 2_000_000 + b"1]"),
    "numbers in json": ("a.json", lambda: b"[" + b"1," * 4_000_000 + b"1]"),
    "empty dictionaries in json": ("a.json", lambda: b"[" + b"{}," * 2_000_000 + b"1]"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    asked = []
    for number, (name, make) in enumerate(MADE.values()):
        path = tmp_path_factory.mktemp(f"attack{number}") / name
        path.write_bytes(make())
        asked.append((READER[path.suffix], path))
    return dict(zip(MADE, outcomes(asked), strict=True))


@pytest.mark.parametrize("name", MADE)
def test_a_large_attack_is_over_in_two_seconds_and_half_a_gigabyte(name: str, made: dict[str, Outcome]) -> None:
    made[name].check()
    assert made[name].ending == ("read" if name == "a long number" else "refused"), made[name]
