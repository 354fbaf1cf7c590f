"""The part of YAML in which OpenCV writes: maps by indentation, lists, numbers, text, and `!!opencv-matrix`.

No anchors, no documents after the first, no types of the file's own choosing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learnable_smplify.errors import InputError, reason
from learnable_smplify.safe_files.text import decoded
from learnable_smplify.safe_files.whole_file import read_bytes

_LARGEST = 1_000_000
_DEEPEST = 8
_MOST_LINES = 50_000
_KEY = re.compile(r"""^(?P<key>"[^"]*"|'[^']*'|[^\s:#\[\]{},"'][^:#]*?)\s*:(?:\s+(?P<rest>.*))?$""")
_SPECIAL = {".nan": np.nan, ".inf": np.inf, "-.inf": -np.inf, "+.inf": np.inf}


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str


def read_yaml(path: Path) -> dict[str, Any]:
    """The map in a file: text, floats, lists, maps; OpenCV's matrices as arrays (rows, columns).

    Raises:
        InputError: missing, too large, or not of this part of YAML (with the line).
    """
    lines = _lines(decoded(read_bytes(path, "calibration", _LARGEST)), path)
    value, end = _block(lines, 0, lines[0].indent if lines else 0, path, 0)
    if end < len(lines) or not isinstance(value, dict):
        line = lines[min(end, len(lines) - 1)].number if lines else 1
        raise _wrong(path, line, "this is no map of keys and values")
    return value


def _lines(text: str, path: Path) -> list[_Line]:
    """Lines with content; brackets that stay open are joined with the lines that close them."""
    found: list[_Line] = []
    open_brackets = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        if number > _MOST_LINES:
            raise _wrong(path, number, "the file is too long for a calibration")
        line = raw.rstrip()
        body = line.lstrip(" ")
        if not body or body.startswith(("#", "%", "---", "...")):
            continue
        body = re.sub(r"\s#[^\"']*$", "", body).rstrip()
        if open_brackets:
            last = found[-1]
            found[-1] = _Line(last.number, last.indent, f"{last.text} {body}")
        else:
            found.append(_Line(number, len(line) - len(line.lstrip(" ")), body))
        open_brackets = max(0, open_brackets + body.count("[") + body.count("{") - body.count("]") - body.count("}"))
    return found


def _block(lines: list[_Line], at: int, indent: int, path: Path, depth: int) -> tuple[Any, int]:
    """The map or list that begins at line `at` with this indentation, and the line after it."""
    if depth > _DEEPEST:
        raise _wrong(path, lines[at].number, f"it is nested more than {_DEEPEST} deep")
    items: list[Any] = []
    values: dict[str, Any] = {}
    while at < len(lines) and lines[at].indent == indent:
        line = lines[at]
        if line.text == "-" or line.text.startswith("- "):
            if values:
                break
            rest = line.text[1:].strip()
            at += 1
            if rest:
                items.append(_scalar(rest, path, line.number))
            else:
                value, at = _inner(lines, at, indent, path, depth)
                items.append(value)
            continue
        match = _KEY.match(line.text)
        if match is None or items:
            raise _wrong(path, line.number, "this line is neither 'key: value' nor '- value'")
        key, rest = match["key"].strip("\"'"), (match["rest"] or "").strip()
        at += 1
        tag = ""
        if rest.startswith("!"):
            tag, _, rest = rest.partition(" ")
        if rest:
            values[key] = _scalar(rest.strip(), path, line.number)
        else:
            # A list may stand as far left as its key.
            listed = at < len(lines) and lines[at].indent == indent and lines[at].text.startswith("-")
            value, at = _block(lines, at, indent, path, depth + 1) if listed else _inner(lines, at, indent, path, depth)
            matrix = isinstance(value, dict) and {"rows", "cols", "data"} <= set(value)
            values[key] = (
                _matrix(value, path, line.number)
                if matrix or tag.endswith(("opencv-matrix", "opencv-nd-matrix"))
                else value
            )
    return (items if items else values), at


def _inner(lines: list[_Line], at: int, indent: int, path: Path, depth: int) -> tuple[Any, int]:
    if at >= len(lines) or lines[at].indent <= indent:
        return "", at
    return _block(lines, at, lines[at].indent, path, depth + 1)


def _matrix(value: Any, path: Path, line: int) -> np.ndarray:
    try:
        # Lists of numbers are matrices of one dimension, whose sides have another key.
        sides = [int(value["rows"]), int(value["cols"])] if "rows" in value else [int(n) for n in value["sizes"]]
        numbers = np.array(value["data"], dtype=np.float64).reshape(-1)
        if min(sides) < 0 or math.prod(sides) != numbers.size:
            raise ValueError(f"{numbers.size} numbers for {' x '.join(map(str, sides))}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _wrong(path, line, f"the matrix is damaged ({reason(error)})") from None
    return numbers.reshape(sides)


def _scalar(text: str, path: Path, line: int) -> Any:
    if text.startswith("["):
        return _flow(text, path, line)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if text.startswith(("{", "&", "*", "|", ">", "!")):
        raise _wrong(path, line, f"'{text[:20]}' is of a part of YAML that calibrations do not use")
    if text.lower() in _SPECIAL:
        return _SPECIAL[text.lower()]
    try:
        return text if "_" in text else float(text)
    except ValueError:
        return text


def _flow(text: str, path: Path, line: int) -> list[Any]:
    """A list in brackets, of scalars or of such lists."""
    inner = text.removeprefix("[")
    if not inner.endswith("]"):
        raise _wrong(path, line, "the list is not closed")
    inner = inner[:-1].strip().rstrip(",")
    if not inner:
        return []
    if "[" not in inner:
        return [_scalar(part.strip(), path, line) for part in inner.split(",")]
    rows = re.findall(r"\[[^\[\]]*\]", inner)
    if re.sub(r"[\s,]", "", re.sub(r"\[[^\[\]]*\]", "", inner)):
        raise _wrong(path, line, "the list is nested deeper than a table")
    return [_flow(row, path, line) for row in rows]


def _wrong(path: Path, line: int, problem: str) -> InputError:
    return InputError(problem, path=path, where=f"line {line}", expected="YAML as OpenCV's FileStorage writes it")
