"""Where commands write: names from files are printed as they are, and never steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from learnable_smplify.errors import printable


class PlainConsole(Console):
    """A console to which "[/b]" is four letters, ":x:" three, and an escape sequence its escaped text."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich's, of printable text."""
        return super().render_str(printable(text), **options)


def open_console(
    stderr: bool = False,
    soft_wrap: bool = False,
    highlight: bool = True,
    markup: bool = False,
    quiet: bool = False,
) -> PlainConsole:
    """A console on stdout or stderr; `markup` is for commands that escape all that is not their own."""
    return PlainConsole(
        stderr=stderr, soft_wrap=soft_wrap, highlight=highlight, markup=markup, quiet=quiet, emoji=False
    )


def print_notes(console: Console, notes: Iterable[str]) -> None:
    """What a reader assumed or converted, one line each."""
    for note in notes:
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False, soft_wrap=True)
