"""The text of a file in the encodings that programs and spreadsheets save."""

from __future__ import annotations

import codecs

_HEAD = 512


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
