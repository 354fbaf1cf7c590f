"""Bars of progress on stderr, where that is a terminal, and the time that fits took."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from learnable_smplify.errors import printable
from learnable_smplify.kernels.usable import compile_timer
from learnable_smplify.motion import Motion
from learnable_smplify.solver.compiled_hybrid import compiles_first, machine_code_folder

# Compiling is worth a word from here on [s].
_LONG = 0.5


@dataclass(frozen=True)
class Took:
    """The time of a fit.

    Args:
        seconds: in all.
        compiling: of them to compile the solver [s], which the next fit on this machine does not need.
    """

    seconds: float
    compiling: float = 0.0

    def told(self, frames: int) -> str:
        """A frame, in all, and what will not be needed again."""
        own = self.seconds - self.compiling
        told = f"{1000 * own / frames:.2f} ms a frame, {own:.1f} s in all"
        return f"{told}; compiled in {self.compiling:.0f} s" if self.compiling > _LONG else told


def solve_shown(
    console: Console, frames: int, shape_first: bool, solve: Callable[[Callable[[int, int], None]], Motion]
) -> tuple[Motion, Took]:
    """What `solve` finds, who is given what to call with frames done and frames in all; and the time it took."""
    if compiles_first():
        folder = machine_code_folder()
        kept = "once" if folder is not None else "every time: point NUMBA_CACHE_DIR at a folder that can be written to"
        if folder is not None and folder.is_relative_to(tempfile.gettempdir()):
            kept = f"once, kept in {folder}"
        console.print(f"compiling the solver for this processor: half a minute or so, {kept}", style="yellow")
    what = "estimating body shape" if shape_first else "fitting"
    with progress_bar(console, what, frames, " frames", then="fitting") as advance, compile_timer() as compiled:
        began = time.perf_counter()
        motion = solve(advance)
        seconds = time.perf_counter() - began
    return motion, Took(seconds, compiled.seconds)


@contextmanager
def progress_bar(
    console: Console, what: str, total: int, unit: str = "", then: str | None = None
) -> Iterator[Callable[[int, int], None]]:
    """A bar over frames or pictures: yields what to call with how many are done and how many there are.

    Args:
        what: is done, and `then` after the first of them.
        unit: behind the numbers.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}" + unit))
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(printable(what), total=total)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=then)

        yield advance


@contextmanager
def files_progress(console: Console, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar over files: yields what to call with how many are done, how many there are, and the name of one."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    name = TextColumn("{task.fields[name]}", markup=False)
    hidden = not console.is_terminal
    with Progress(*columns, TimeRemainingColumn(), name, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None, name="")

        def advance(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=printable(name))

        yield advance
