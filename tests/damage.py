"""Ways to damage a file, for the tests of the readers."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import re
from typing import Any

import numpy as np

# Damage. Each takes the bytes and a source of chance, and returns other bytes.

NUMBERS = (
    *(
        b"nan",
        b"NaN",
        b"-inf",
        b"Infinity",
        b"1e999",
        b"-1e308",
        b"1e-320",
        b"1000000000",
        b"-1",
        b"0",
        b"99999999999999999999",
    ),
    *(
        b"",
        b"null",
        b'"x"',
        b"[]",
        b"{}",
        b"[[1,2,3]]",
        b"true",
        b"0x10",
        b"1_000",
        b"9" * 5000,
        b"1e",
        b"\xd9\xa1",
        b"\x00",
    ),
)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    # Headers are where damage is interesting; the rest is numbers.
    reach = chance.choice((len(data), min(400, len(data)), min(64, len(data))))
    for _ in range(chance.choice((1, 2, 8, 32))):
        changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    filler = chance.choice((b"\x00", b"\xff", b"[", b"9", b"\t", chance.randbytes(1)))
    return data[:start] + filler * chance.choice((1, 2, 4, 64)) + data[start + chance.choice((0, 1, 2, 4, 64)) :]


def delete_or_repeat(data: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(len(data)), chance.choice((1, 3, 16, 200))
    return data[:start] + data[start : start + length] * chance.choice((0, 2, 3)) + data[start + length :]


def change_lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    what = chance.randrange(4)
    if what == 0:
        del lines[one]
    elif what == 1:
        lines.insert(other, lines[one])
    elif what == 2:
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = lines[one][: chance.randrange(len(lines[one]) + 1)]
    return b"\n".join(lines)


def change_numbers(data: bytes, chance: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?", data))
    if not found:
        return cut(data, chance)
    some = found[: chance.choice((20, len(found)))]
    for match in sorted(chance.sample(some, min(len(some), chance.choice((1, 1, 3)))), key=lambda m: -m.start()):
        data = data[: match.start()] + chance.choice(NUMBERS) + data[match.end() :]
    return data


DAMAGES = (cut, flip_bits, overwrite, delete_or_repeat, change_lines, change_numbers)

STRANGE: tuple[Any, ...] = (
    *(None, True, "", "x", [], {}, [[]], [None], [1, "a"], {"x": 1}, -1, 0, 1e308, 10**30, math.nan, math.inf),
    *([[[[1.0]]]], [[1, 2, 3]] * 3, {"people": 3}, list(range(100)), "[" * 50),
)


def change_json(data: bytes, chance: random.Random) -> bytes:
    """Put something strange in place of one value, or under another key, or out of its place."""
    root = {"root": json.loads(data)}
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        items = (
            list(value.items() if isinstance(value, dict) else enumerate(value))
            if isinstance(value, dict | list)
            else []
        )
        for key, item in items if len(items) < 40 else chance.sample(items, 40):
            places.append((value, key))
            walk(item)

    walk(root)
    for _ in range(chance.choice((1, 1, 2, 5))):
        holder, key = chance.choice(places[:40] if chance.random() < 0.5 else places)
        if key not in (holder if isinstance(holder, dict) else range(len(holder))):
            continue
        what = chance.randrange(5)
        if what <= 1:
            holder[key] = copy.deepcopy(chance.choice(STRANGE))
        elif what == 2:
            del holder[key]
        elif what == 3 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = [holder[key]]
    return json.dumps(root.get("root")).encode()


def change_arrays(arrays: dict[str, Any], chance: random.Random) -> bytes:
    """An archive that is sound as a file, with an array of another kind in it."""
    changed = dict(arrays)
    for key in chance.sample(list(changed), chance.choice((1, 1, 2))):
        array = np.asarray(changed[key])
        noise = np.random.default_rng(chance.randrange(1 << 30))
        spoiled = array.astype(np.float64).copy() if array.dtype.kind in "fiub" else np.zeros((4, 25, 3))
        if spoiled.size:
            spoiled.reshape(-1)[noise.integers(spoiled.size, size=3)] = chance.choice(
                (np.nan, np.inf, 1e300, -1e38, 1e-320)
            )
        changed[key] = chance.choice(
            (
                *(spoiled, spoiled, spoiled, array[..., None], array.reshape(-1), array.reshape(-1)[:0], array[None]),
                *(np.zeros(()), np.array("word"), np.array(b"\xff\xfe"), np.array(["a", "b"]), np.zeros((3, 0, 3))),
                *(
                    np.array([{"a": 1}, None], dtype=object),
                    np.zeros(4, dtype="f4,i2"),
                    np.zeros((4, 25, 3), np.complex64),
                ),
                *(
                    np.full((4, 25, 3), np.nan),
                    np.zeros((2, 25, 3), np.float16),
                    np.array("2020-01-01", "M8[D]"),
                    True,
                    -1,
                    1e400,
                ),
            )
        )
        if chance.random() < 0.15:
            del changed[key]
    return npz_bytes(chance.random() < 0.5, **changed)


def npz_bytes(compressed: bool, **arrays: Any) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()
