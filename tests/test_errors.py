"""What another library says of a file, in our messages."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from learnable_smplify.errors import InputError, reason
from learnable_smplify.formats.keypoints.keypoint_file import read_keypoints


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("Too long a number; use sys.set_int_max_str_digits() to read it"), "Too long a number"),
        (ValueError("The header is large.\nTo allow loading, trust the file"), "The header is large"),
        (UnboundLocalError("cannot access local variable 'unpack'"), "it makes no sense: UnboundLocalError"),
        (ValueError(""), "it makes no sense: ValueError"),
        (KeyError("skins"), "'skins' is missing"),
        (ValueError("x" * 1000), "x" * 160),
    ],
)
def test_a_library_is_quoted_without_its_advice_and_its_own_code(error: Exception, told: str) -> None:
    assert reason(error) == told


def test_a_giant_header_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "clip.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b"{'descr': " + b"(" * 29000 + b" " * 40000)
    with pytest.raises(InputError) as caught:
        read_keypoints(path)
    assert "\n" not in str(caught.value)
    assert "allow_pickle" not in str(caught.value)
