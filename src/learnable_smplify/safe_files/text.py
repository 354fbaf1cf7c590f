"""The text of a file in the encodings that programs and spreadsheets save, and the numbers in its lines."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

_HEAD = 512
# No coordinate, angle or length of a recording is larger, whatever its unit.
LARGEST = 1e9


def decoded(data: bytes, errors: str = "replace") -> str:
    """UTF-8, or UTF-16 (which spreadsheets call "Unicode text"), with or without a byte order mark.

    Args:
        data: the bytes of the file.
        errors: what becomes of bytes that are neither, as in `bytes.decode`.

    Raises:
        UnicodeDecodeError: other bytes, where `errors` is "strict".
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    even, odd = data[:_HEAD:2].count(0), data[1:_HEAD:2].count(0)
    # Digits and Latin letters have a zero byte each in UTF-16; text in UTF-8 has none.
    if max(even, odd) > 0.4 * len(data[:_HEAD:2]) and min(even, odd) == 0:
        return data.decode("utf-16-le" if odd else "utf-16-be", errors)
    return data.decode("utf-8-sig", errors)


def listed_numbers(words: Sequence[str], count: int) -> tuple[float, ...] | None:
    """The first `count` words as numbers; None where there are fewer, or some are none, not finite or above 1e9."""
    try:
        numbers = tuple(float(word) for word in words[:count])
    except ValueError:
        return None
    return numbers if len(numbers) == count and all(abs(number) < LARGEST for number in numbers) else None
