"""Bars of progress on stderr, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from learnable_smplify.errors import printable


@contextmanager
def frames_progress(console: Console, frames: int, shape_first: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over frames that are fitted: yields what to call with frames done and frames in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} frames"))
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("estimating body shape" if shape_first else "fitting", total=frames)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description="fitting")

        yield advance


@contextmanager
def pictures_progress(console: Console, what: str, pictures: int) -> Iterator[Callable[[int, int], None]]:
    """A bar over pictures that are looked at or drawn: yields what to call with pictures done and pictures in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(printable(what), total=pictures)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
