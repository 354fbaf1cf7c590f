"""The package's exceptions: one base, and messages that say what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

# Text in a message may come from a stranger's file: it is cut, and what steers a terminal is written out.
_LONGEST = {"problem": 600, "where": 200, "expected": 2000, "hint": 400}


class LsmplifyError(Exception):
    """Base of every error this package raises on purpose; the command line turns it into exit code 2."""


class InputError(LsmplifyError):
    """Something the user gave cannot be used.

    The message is built from parts so that every error answers the same four questions.

    Args:
        problem: what is wrong, in one sentence without a final stop.
        path: the file it is about.
        where: the line, frame, joint or key inside the file.
        expected: what would have been accepted.
        hint: the next thing to type or do.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | PathLike[str] | None = None,
        where: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        problem = printable(problem, _LONGEST["problem"])
        where, expected, hint = (
            None if part is None else printable(part, _LONGEST[name])
            for name, part in (("where", where), ("expected", expected), ("hint", hint))
        )
        place = ", ".join(part for part in (None if path is None else printable(str(path)), where) if part)
        message = f"{place}: {problem}." if place else f"{problem}."
        if expected:
            message += f" Expected {expected}."
        if hint:
            message += f" Try: {hint}"
        super().__init__(message)


class AmbiguousLayoutError(InputError):
    """Keypoints that are those of several layouts: the user has to say which."""


class MissingExtraError(LsmplifyError):
    """An optional dependency is not installed; the message names the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Try: pip install 'learnable-smplify[{extra}]'"
        )


def reason(error: BaseException) -> str:
    """What another library's exception says of a file: on one line, cut short, and without its advice.

    Of exceptions that speak of the library's own code, nothing.
    """
    lines = str(error).strip().splitlines()
    if isinstance(error, KeyError):
        return f"{printable(str(error), 80)} is missing"
    if isinstance(error, NameError | AttributeError | TypeError | IndexError) or not lines:
        return f"it makes no sense: {type(error).__name__}"
    return lines[0].split("; ")[0].rstrip(".")[:160]


def printable(text: str, longest: int = 4000) -> str:
    """Text that a terminal prints and does not obey: control characters as escapes, what is too long cut short.

    Lines stay lines.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}..."
    if cut.isprintable():
        return cut
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode("ascii")
        for letter in cut
    )


def some(names: Sequence[object], count: int = 6) -> str:
    """Names for a message, of many only the first."""
    return ", ".join(map(str, names[:count])) + (f" and {len(names) - count} more" if len(names) > count else "")
